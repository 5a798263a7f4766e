"""How an agent's run ends: well, with questions, cancelled, or badly."""

from datetime import datetime
from typing import Any

from runfold.domain.values import ActorKind
from runfold.http.agents.ids import message_id_of
from runfold.http.agents.recording import Recording
from runfold.http.agents.words import BrokenStreamError, Event
from runfold.ids import stable_id

INTERRUPTS = "ag_ui_interrupts"
"""The key, in a run's metadata, of the ids that its agent gave to what it asked, by those of the approvals."""
_VOTERS: tuple[ActorKind, ...] = ("human", "service")
"""Who may answer: the owner of a key, or whom a trusted key acts for, and never an agent."""
_TOKENS = {
    "inputTokens": "input_tokens",
    "outputTokens": "output_tokens",
    "totalTokens": "total_tokens",
    "reasoningTokens": "reasoning_output_tokens",
    "cachedInputTokens": "cache_read_input_tokens",
    "cacheWriteInputTokens": "cache_creation_input_tokens",
}


class Ending:
    """Ends one run."""

    def __init__(self, recorder: Recording) -> None:
        self._recorder = recorder

    async def take(self, event: Event, kind: str) -> None:
        """Take in the event that ends the run. Raises BrokenStreamError."""
        recorder, outcome = self._recorder, event.get("outcome") or {}
        recorder.close_open()
        self._use(event.get("usage") or [])
        if kind == "RUN_ERROR":
            self.fail(event["message"], event.get("code") or "error")
        elif outcome.get("type") == "interrupt":
            await self._ask(outcome["interrupts"])
        elif outcome.get("type") == "cancelled":
            recorder.send(recorder.run.submit_cancel(), "recordable")
        else:
            self._end_children()
            recorder.send(recorder.run.submit_complete(event.get("result")), "recordable")
        await recorder.settle()

    def fail(self, message: str, code: str) -> None:
        """End badly."""
        recorder = self._recorder
        for child in recorder.children.values():
            recorder.send(child.submit_fail("its run failed", code=code), "recordable")
        stop_reason = "incomplete" if code == "incomplete" else "error"
        recorder.send(recorder.run.submit_fail(message, code=code[:500], stop_reason=stop_reason), "recordable")

    def _end_children(self) -> None:
        for child in self._recorder.children.values():
            self._recorder.send(child.submit_complete(), "recordable")

    async def _ask(self, interrupts: list[dict[str, Any]]) -> None:
        recorder = self._recorder
        ids = [interrupt["id"] for interrupt in interrupts]
        if len(set(ids)) < len(ids):
            raise BrokenStreamError("interrupt-ids", f"two interrupts have one id: {sorted(ids)}")
        await recorder.in_thread(lambda: self._request(interrupts))

    def _request(self, interrupts: list[dict[str, Any]]) -> None:
        recorder = self._recorder
        with recorder.ledger.batch() as batch:
            names = {stable_id("approval", recorder.run.id, interrupt["id"]): interrupt["id"] for interrupt in interrupts}
            batch.run(recorder.run.id).merge_metadata({INTERRUPTS: names})
            for approval_id, interrupt in zip(names, interrupts, strict=True):
                call_id = message_id_of(interrupt["toolCallId"]) if interrupt.get("toolCallId") else None
                known = call_id is not None and call_id in recorder.calls
                owner = recorder.children.get(interrupt.get("subagentRunId") or "", recorder.run)
                told = recorder.asked.get(call_id or "")
                batch.run(owner.id).request_approval(
                    told[0] if told else interrupt["reason"],
                    arguments=told[1] if told else None,
                    call_id=call_id if known else None,
                    reason=interrupt["reason"],
                    message=interrupt.get("message"),
                    response_schema=interrupt.get("responseSchema"),
                    expires_at=_moment(interrupt.get("expiresAt")),
                    approval_id=approval_id,
                    approver_kinds=_VOTERS,
                )

    def _use(self, entries: list[dict[str, Any]]) -> None:
        for used in entries:
            counts = {ours: used[theirs] for theirs, ours in _TOKENS.items() if used.get(theirs) is not None}
            run = self._recorder.run
            told = run.submit_usage(provider=used.get("provider"), model=used.get("model"), raw=used, **counts)
            self._recorder.send(told, "recordable")


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BrokenStreamError("interrupt-expiry", f"expiresAt is {text[:40]!r}") from None
    if found.tzinfo is None:
        raise BrokenStreamError("interrupt-expiry", f"expiresAt {text[:40]!r} has no zone")
    return found
