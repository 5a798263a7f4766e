"""Actors as people give them, in an option or in the body of a request."""

import unicodedata

from runfold.domain.values import Actor
from runfold.errors import InvalidEvent, shortened

_UNSEEN = frozenset({"Cc", "Cf", "Zl", "Zp"})
"""Categories of Unicode: what controls a terminal or the direction of text, has no width, or breaks a line."""
_JOINERS = "\u200c\u200d"
"""They have no width, either, and some scripts and emoji are written with them."""


def typed_actor(text: str | Actor) -> Actor:
    """Read an actor, as `human:ada`. Raises InvalidEvent, also where its name holds what nobody sees.

    An importer may record any name that it finds; but of two that look alike one would be taken for the other.
    """
    actor = Actor.parse(text)
    if actor.id != actor.id.strip() or any(map(_is_unseen, actor.id)):
        fact = "has a space at an end of its name, or a line break or another character in it that nobody sees"
        raise InvalidEvent("actor", f"{shortened(str(actor))!r} {fact}; leave it out")
    return actor


def _is_unseen(character: str) -> bool:
    return not character.isprintable() and character not in _JOINERS and unicodedata.category(character) in _UNSEEN
