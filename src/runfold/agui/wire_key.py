"""The key under which Runfold says more in the metadata of AG-UI's events and messages."""

KEY = "runfold"
CUSTOM = "runfold."
"""How events are named that AG-UI has no words for, before their type."""
MESSAGE = "runfold.message"
"""The type of an activity that is a message of another role, which AG-UI cannot have so."""
_WHOSE = {"user": "human", "assistant": "agent", "reasoning": "agent"}
"""Whose words those of a role are taken for."""


def told_by(actor: str, role: str = "user") -> dict[str, str]:
    """Return what says in metadata who said or decided something, where it is not who that is taken for. People have no names."""
    kind = actor.partition(":")[0]
    if _WHOSE.get(role, kind) == kind:
        return {}
    return {"by": kind if kind == "human" else actor}
