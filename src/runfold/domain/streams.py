"""The kinds of streams: whose events one stream holds, and which ids such a stream can have."""

from collections.abc import Callable, Mapping

from pydantic import TypeAdapter, ValidationError

from runfold.domain.approval import Approval
from runfold.domain.run import Run
from runfold.domain.security import Security, key_id_of
from runfold.domain.thread import Thread
from runfold.domain.values import ApprovalId, CallbackId, RunId, SecurityId, ThreadId, WebhookId
from runfold.domain.webhook import Callback, Webhook
from runfold.errors import ApprovalNotFound, KeyNotFound, NotFound, RunNotFound, ThreadNotFound, WebhookNotFound

StreamState = Thread | Run | Approval | Security | Webhook | Callback
"""The class that a stream is folded into."""

NOT_FOUND: Mapping[type[StreamState], Callable[[str], NotFound]] = {
    Thread: ThreadNotFound,
    Run: RunNotFound,
    Approval: ApprovalNotFound,
    Security: lambda stream: KeyNotFound(key_id_of(stream)),
    Webhook: WebhookNotFound,
    Callback: WebhookNotFound,
}
"""The error for a stream that does not exist."""

_IDS: Mapping[type[StreamState], TypeAdapter[str]] = {
    Thread: TypeAdapter(ThreadId),
    Run: TypeAdapter(RunId),
    Approval: TypeAdapter(ApprovalId),
    Security: TypeAdapter(SecurityId),
    Webhook: TypeAdapter(WebhookId),
    Callback: TypeAdapter(CallbackId),
}


def is_id(kind: type[StreamState], text: str) -> bool:
    """Return whether a stream of that kind can have that id."""
    try:
        _IDS[kind].validate_python(text, strict=True)
    except ValidationError:
        return False
    return True
