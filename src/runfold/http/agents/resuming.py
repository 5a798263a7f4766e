"""A client's answers to interrupts: checked for coverage, expiry, ownership and single use, and then the approvals' votes."""

from collections.abc import Mapping
from typing import Any

from runfold.agui.content import allows, edited
from runfold.domain.json_text import parse_json
from runfold.domain.run import ENDED
from runfold.errors import ApprovalNotFound, ApprovalsLeftOpen, CommandRefused, InvalidEvent
from runfold.handles.ledgers.batch import Batch
from runfold.handles.ledgers.tenant_ledger import TenantLedger
from runfold.history.tree import Tree
from runfold.history.views import ApprovalView
from runfold.http.agents.lineage import Origin
from runfold.ids import stable_id


class Answers:
    """The answers of one request."""

    def __init__(self, ledger: TenantLedger, thread_id: str, tree: Tree | None, entries: list[dict[str, Any]]) -> None:
        """Check them. Raises ApprovalNotFound, ApprovalsLeftOpen, CommandRefused, InvalidEvent."""
        self._ledger, self._thread_id, self._tree = ledger, thread_id, tree
        self._found: list[tuple[dict[str, Any], ApprovalView]] = []
        self._waiting: list[str] = []
        self._now = ledger.command_executor.clock()
        self.origin: Origin | None = None
        """The run that waits for them; None where nothing is answered."""
        if entries:
            ledger.caller.require("approvals:decide")
            self._check(entries)

    @property
    def entries(self) -> list[dict[str, Any]]:
        """Return the answers as they count: what was decided by other means stands, whatever the client says."""
        return [entry if asked.status == "open" else _as_decided(entry, asked) for entry, asked in self._found]

    def give(self, batch: Batch, execution_key: str, agent_name: str) -> None:
        """Vote in the caller's name, use what is granted, and end the runs that waited."""
        if self.origin is None:
            return
        for entry, asked in self._found:
            approval = batch.approval(asked.id)
            payload = _payload(entry)
            if asked.status != "open":
                if asked.effective_arguments_text is not None:
                    approval.consume(asked.effective_arguments_text, execution_key=execution_key)
                continue
            if entry["status"] == "cancelled" and self._is_late(asked):
                approval.expire()
            elif entry["status"] == "cancelled":
                approval.vote("deny", comment="cancelled by the client", expected_open=self._waiting)
            elif not allows(payload, "payload"):
                reason = payload.get("reason")
                approval.vote("deny", comment=reason if isinstance(reason, str) else None, expected_open=self._waiting)
            else:
                text = edited(payload, asked.arguments_text)
                approval.vote("approve", arguments=text, response=payload, expected_open=self._waiting)
                approval.consume(asked.arguments_text if text is None else text, execution_key=execution_key)
            self._waiting.remove(asked.id)
        for run_id in sorted({asked.run_id for _, asked in self._found}):
            batch.run(run_id).complete(actor=f"agent:{agent_name}")

    def _check(self, entries: list[dict[str, Any]]) -> None:
        answered = dict[str, None]()
        for index, entry in enumerate(entries):
            asked = self._approval(str(entry["interruptId"]))
            if asked.id in answered:
                raise InvalidEvent(f"resume.{index}.interruptId", f"{asked.id!r} is answered twice")
            self._require_open(asked, entry)
            if entry["status"] != "cancelled" and asked.status == "open":
                allows(_payload(entry), f"resume.{index}.payload")  # says where it is neither yes nor no
            answered[asked.id] = None
            self._found.append((entry, asked))
        root = self._found[0][1].run_id
        family = [root]
        if self._tree is not None:
            root = self._tree.main_of(root)
            family = [root, *self._tree.spawned(root)]
        self._waiting = [each for run_id in family for each in self._ledger.now.run(run_id).waiting_for]
        if not answered.keys() >= set(self._waiting):
            raise ApprovalsLeftOpen(root, tuple(self._waiting), sorted(answered), self._ledger.now.run(root).status)
        self.origin = Origin(root, "resumes")

    def _approval(self, interrupt_id: str) -> ApprovalView:
        """Return the approval that an interrupt is: ours by its id, or one that the thread's agent gave another. Raises
        ApprovalNotFound, also for one of another thread."""
        runs = self._tree.nodes if self._tree is not None else ()
        possible = [interrupt_id, *(stable_id("approval", run_id, interrupt_id) for run_id in runs)]
        known = self._ledger.now.reader.ends(possible)
        for approval_id in possible:
            if approval_id not in known or not approval_id.startswith("approval_"):
                continue
            try:
                found = self._ledger.now.approval(approval_id)
            except ApprovalNotFound:
                continue
            if found.thread_id == self._thread_id:
                return found
        raise ApprovalNotFound(interrupt_id)

    def _require_open(self, asked: ApprovalView, entry: Mapping[str, Any]) -> None:
        if asked.status != "open" and not self._is_unused(asked):
            rule = "an interrupt is answered once; connect to see what came of it"
            raise CommandRefused("resume", asked.id, rule, asked.status)
        if asked.status != "open":
            return
        if self._is_late(asked) and entry["status"] != "cancelled":
            rule = f"its time was over at {asked.expires_at}; it can only be cancelled"
            raise CommandRefused("resume", asked.id, rule, "expired")

    def _is_late(self, asked: ApprovalView) -> bool:
        return asked.expires_at is not None and self._now >= asked.expires_at

    def _is_unused(self, asked: ApprovalView) -> bool:
        """Whether it was decided by other means than a resume, and nobody went on with that yet."""
        return asked.consumed_by is None and self._ledger.now.run(asked.run_id).status not in ENDED


def _payload(entry: Mapping[str, Any]) -> dict[str, Any]:
    payload = entry.get("payload")
    return payload if isinstance(payload, dict) else {} if payload is None else {"payload": payload}


def _as_decided(entry: Mapping[str, Any], asked: ApprovalView) -> dict[str, Any]:
    if asked.status == "granted":
        payload: dict[str, Any] = {"approved": True}
        if asked.effective_arguments_text != asked.arguments_text:
            payload["editedArgs"] = parse_json(asked.effective_arguments_text or "{}")
        return {**entry, "status": "resolved", "payload": payload}
    if asked.status == "denied":
        reason = next((vote.comment for vote in asked.votes if vote.verdict == "deny" and vote.comment), None)
        return {**entry, "status": "resolved", "payload": {"approved": False, **({"reason": reason} if reason else {})}}
    return {**entry, "status": "cancelled"}
