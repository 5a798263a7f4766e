"""Keys to ask with, and what is recorded of requests that were turned away."""

from typing import Any

from runfold import Ledger
from runfold.commands.caller import Caller
from runfold.domain.security import AccessDenied, Scope
from runfold.domain.values import Actor

ROOT = Actor.parse("human:root")


def make_key(ledger: Ledger, *scopes: Scope, tenant: str = "default", owner: str = "human:ada", **said: Any) -> str:
    """A new key's text."""
    made = ledger.on_behalf(Caller(tenant, ROOT)).create_key(owner=owner, scopes=scopes, label="test", **said)
    assert made.text is not None
    return made.text


def with_key(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def denials(ledger: Ledger, tenant: str = "default") -> list[AccessDenied]:
    """What is recorded of requests that were turned away."""
    found = ledger.on_behalf(Caller(tenant, ROOT)).events(types=["security.access_denied"])
    return [recorded.event for recorded in found if isinstance(recorded.event, AccessDenied)]
