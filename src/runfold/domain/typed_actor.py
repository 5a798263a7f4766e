"""Actors as people give them, in an option or in the body of a request."""

import unicodedata

from runfold.domain.values import Actor
from runfold.errors import InvalidEvent, shortened


def typed_actor(text: str | Actor) -> Actor:
    """Read an actor, as `human:ada`. Raises InvalidEvent, also where its name holds what nobody sees.

    An importer may record any name that it finds; but of two that look alike one would be taken for the other.
    """
    actor = Actor.parse(text)
    if actor.id != actor.id.strip() or any(unicodedata.category(character) == "Cc" for character in actor.id):
        fact = "has a space at an end of its name, or a line break or another control character in it"
        raise InvalidEvent("actor", f"{shortened(str(actor))!r} {fact}; leave it out")
    return actor
