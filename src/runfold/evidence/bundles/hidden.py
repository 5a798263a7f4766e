"""What a bundle that is asked for over HTTP has not: payloads with fields that HTTP never shows, and of redacted messages."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from runfold.domain.catalogue import event_types
from runfold.proofs.leaf import Leaf
from runfold.store.queries import named_queries

_QUERIES = named_queries("runfold.evidence.bundles", "hidden.sql")
_REDACTED = "message.redacted"
Hides = Callable[[Leaf, str, bytes], bool]
"""Whether the payload of an event of a thread is to be left out."""


def hides_nothing(_leaf: Leaf, _thread_id: str, _payload: bytes) -> bool:
    """Leave out nothing."""
    return False


def undisclosed_types() -> list[str]:
    """The types of events that have a field which HTTP never shows. A digest is of all of a payload, so all is left out."""
    return sorted(type_ for type_, event in event_types.all().items() if event.undisclosed)


def redactions(cursor: Any, tenant_id: str, threads: Sequence[str]) -> Hides:
    """Find which messages of some threads, or of all where none is named, were redacted by now: what tells of them is hidden."""
    found = cursor.execute(_QUERIES["redactions"], [tenant_id, not threads, list(threads)]).fetchall()
    redacted = {(thread_id, json.loads(bytes(state)).get("message_id")) for thread_id, state in found}

    def hides(leaf: Leaf, thread_id: str, payload: bytes) -> bool:
        if not redacted or not leaf.type.startswith("message.") or leaf.type == _REDACTED:
            return False
        return (thread_id, json.loads(payload).get("message_id")) in redacted

    return hides
