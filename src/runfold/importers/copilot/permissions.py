"""Who let a tool run, or did not: as the event says it, and no more.

`decisionSource` says who decided. Events of versions before it are no word of a person's, unless the kind of the result is one.
"""

import re
from dataclasses import dataclass
from typing import Any

from runfold.importers.copilot.records import CLIENT, PERSON
from runfold.importers.turns.values import listing, mapping, text

HOOK = "service:hook"
_SOURCES = {
    "human_response": PERSON,
    "assisted_approval": "agent:assisted-approval",
    "host_policy": "service:policy",
    "unattended_fallback": "service:unattended-fallback",
    "authorization_carry_forward": "service:carried-forward",
}
_KINDS = {
    "denied-interactively-by-user": PERSON,
    "denied-by-rules": "service:rules",
    "denied-by-content-exclusion-policy": "service:content-exclusion-policy",
    "denied-by-permission-request-hook": HOOK,
}
_REFUSALS = {"denied", "rejected"}
_BY_USER = re.compile(
    r"(?:the )?user (?:has )?(?:rejected|denied|declined)\b"
    r"|.{0,80}\b(?:rejected|denied|declined) by (?:the )?user(?=[.:\s]|\Z)",
    re.IGNORECASE,
)
"""How the client says that its person refused; others, and rules, may name a user too."""


@dataclass(frozen=True)
class Verdict:
    """What was decided, and by whom."""

    granted: bool
    by: str
    comment: str | None = None


def verdict_of(completed: dict[str, Any], *, by_hook: bool) -> Verdict | None:
    """What `permission.completed` says; None where it is no verdict that is known."""
    result = mapping(completed.get("result"))
    kind = text(result.get("kind")) or ""
    granted = kind.startswith(("approved", "allow"))
    if not granted and kind != "cancelled" and not kind.startswith(("denied", "deny")):
        return None
    source = text(completed.get("decisionSource"))
    by, stated = _KINDS.get(kind), _SOURCES.get(source or "")
    if by is None or (by == PERSON and stated is not None):  # a person's only where nothing says otherwise
        by = stated or (HOOK if by_hook else CLIENT)
    return Verdict(granted, by, _comment(kind, result))


def refusal_of(error: dict[str, Any]) -> Verdict | None:
    """Who refused, where the end of a call says that it was, and no event asked; None where it was not."""
    code, message = text(error.get("code")), text(error.get("message")) or ""
    if code not in _REFUSALS:
        return None
    if "hook" in message.lower():
        return Verdict(granted=False, by=HOOK, comment=message)
    if code == "rejected" and _BY_USER.match(message.strip()):
        return Verdict(granted=False, by=PERSON)
    return Verdict(granted=False, by=CLIENT, comment=message or None)


def _comment(kind: str, result: dict[str, Any]) -> str | None:
    said = text(result.get("feedback")) or text(result.get("message")) or text(result.get("reason"))
    if kind == "denied-by-rules" and (rules := listing(result.get("rules"))):
        return said or f"denied by the rules {rules}"
    if kind == "cancelled":
        return f"cancelled: {said}" if said else "cancelled"
    if kind.startswith("denied-no-approval-rule"):
        return said or "no rule allows it, and nobody could be asked"
    return said
