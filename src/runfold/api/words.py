"""The words of query parameters where they are others than the arguments in Python: those of the command line's options.

`from` is a word of Python's own, so times have longer names there. The names in Python are taken over HTTP too, for this
version, as they were its words before.
"""

from collections.abc import Mapping

SHARED: Mapping[str, str] = {
    "created_from": "from",
    "created_to": "to",
    "active_from": "from",
    "active_to": "to",
    "happened_from": "from",
    "happened_to": "to",
    "attention_from": "from",
    "attention_to": "to",
    "since": "from",
    "until": "to",
    "name": "tool",
}
"""An argument in Python → the word for it over HTTP and, with dashes before it, on the command line."""

WORDS: Mapping[str, str] = {
    **SHARED,
    "as_of": "at",
    "run": "run_id",
    "thread": "thread_id",
    "agent": "agent_id",
    "user": "user_id",
    "goal": "goal_id",
    "node": "node_id",
}
"""An argument in Python → the parameter over HTTP."""

EVENT_WORDS: Mapping[str, str] = {"types": "type", "recorded_from": "from", "recorded_to": "to"}
"""The same of events."""


def word_of(argument: str) -> str:
    """Return the parameter over HTTP for an argument in Python."""
    return WORDS.get(argument, argument)
