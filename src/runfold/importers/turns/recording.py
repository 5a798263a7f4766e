"""A session of turns on its way into the ledger: one run for each turn, one command for each step."""

from typing import Any, assert_never

from runfold.commands.caller import Envelope
from runfold.domain.thread import MAIN
from runfold.domain.values import ActorKind
from runfold.importers.recording import Recording, SourceRun
from runfold.importers.turns.turn import (
    Answered,
    Asked,
    Called,
    CallEnded,
    Chosen,
    Compacted,
    Finished,
    Noted,
    Said,
    Session,
    Step,
    Turn,
    Used,
    call_end_id,
)

ANYBODY: tuple[ActorKind, ...] = ("human", "agent", "service", "system")
"""Who may decide: a rule, a hook or a reviewing agent may as well as a person; the vote says who did."""


def record(session: Session, recording: Recording) -> None:
    """Give the commands for a session, turn by turn."""
    _Recorder(session, recording).record()


class _Recorder:
    def __init__(self, session: Session, recording: Recording) -> None:
        self.session = session
        self.recording = recording
        self.known = recording.known
        self.runs: dict[str, SourceRun] = {}
        self.client = f"service:{session.format}"

    def record(self) -> None:
        """The thread, and its turns in order."""
        turns = list(self.session.turns.values())
        self.recording.begin(
            agent_id=self.session.format,
            external_ref=self.session.external_ref,
            metadata=self.session.metadata,
            **_envelope(self.client, turns[0].at if turns else None),
        )
        if self.session.title is not None and turns:
            with self.recording.of(turns[0].piece):
                self.recording.rename(self.session.title, self.client)
        for turn in turns:
            with self.recording.of(turn.piece):
                self._open(turn)
            if turn.run_id in self.runs:
                for step in turn.steps.values():
                    with self.recording.of(step.piece):
                        self._tell(turn, self.runs[turn.run_id], step)

    def _open(self, turn: Turn) -> None:
        """Ask for the run, where that was not done before."""
        if turn.run_id not in self.known.runs:
            envelope = _envelope(turn.actor, turn.at)
            kind = turn.kind
            if kind == "continues" and turn.parent in self.known.continued:
                kind = "branches"
            self.recording.thread.create_run(
                run_id=turn.run_id,
                agent_id=turn.agent_id,
                metadata=turn.metadata,
                auto_deny=True,
                **self._parent(turn, kind),
                **envelope,
            )
            self.known.runs.add(turn.run_id)
            if kind == "continues" and turn.parent is not None:
                self.known.continued.add(turn.parent)
            if turn.rewound:
                self.recording.thread.move_head(MAIN, turn.run_id, reason="rewound", **envelope)
        self.runs[turn.run_id] = SourceRun(self.recording, turn.run_id)

    def _parent(self, turn: Turn, kind: str) -> dict[str, Any]:
        """Where the run hangs in the tree: after the call that spawned it, or after all of its parent, or nowhere."""
        if turn.spawning_call is not None and (place := self.known.added_at.get(turn.spawning_call)) is not None:
            return {"parent": place[0], "at_version": place[1], "kind": kind}
        if turn.parent is None or turn.parent not in self.known.runs:
            return {"parent": None}  # also of one that went back over all turns, or whose spawner is not here
        return {"parent": self.runs[turn.parent].last_id if turn.parent in self.runs else turn.parent, "kind": kind}

    def _tell(self, turn: Turn, run: SourceRun, step: Step) -> None:
        envelope = _envelope(step.actor, step.at)
        if step.wakes and turn.run_id not in self.known.started:
            self.known.started.add(turn.run_id)
            self.recording.batch.run(turn.run_id).start(**envelope)
        match step.fact:
            case Said(role, parts, call_id):
                author = {"author": step.actor} if role == "user" else {}
                run.add_message(role, parts, message_id=step.id, tool_call_id=call_id, **author, **envelope)
            case Called(name, arguments, provider_id):
                if step.id not in self.known.home:
                    run.call_tool(name, arguments, call_id=step.id, provider_call_id=provider_id, **envelope)
            case CallEnded() as ended:
                self._end_call(run, ended, envelope)
            case Asked() | Answered() | Chosen():
                self._decide(run, step, envelope)
            case Used(provider, model, tokens, raw):
                run.use(step.id, provider=provider, model=model, raw=raw, **tokens, **envelope)
            case Compacted() as compacted:
                run.run(step.id).compact_context(
                    compacted.trigger,
                    tokens_before=compacted.tokens_before,
                    tokens_after=compacted.tokens_after,
                    summary_message_id=compacted.summary_message_id,
                    compaction_id=step.id,
                    **envelope,
                )
            case Noted(patch):
                self.recording.batch.run(turn.run_id).merge_metadata(patch, **envelope)
            case Finished() as finished:
                self._finish(run, finished, envelope)
            case _:
                assert_never(step.fact)

    def _end_call(self, run: SourceRun, ended: CallEnded, envelope: Envelope) -> None:
        if call_end_id(ended.call_id) in self.known.home:
            return
        call = run.ending(ended.call_id)
        match ended.outcome:
            case "succeeded":
                call.succeed(ended.result, **envelope)
            case "failed":
                call.fail(ended.message, code=ended.code, result=ended.result, **envelope)
            case "cancelled":
                call.cancel(ended.message, **envelope)

    def _decide(self, run: SourceRun, step: Step, envelope: Envelope) -> None:
        match step.fact:
            case Asked() as asked if step.id not in self.known.approvals:
                self.known.approvals.add(step.id)
                home = self.known.home.get(asked.call_id or "")
                (self.recording.batch.run(home) if home else run.tip).request_approval(
                    asked.action,
                    arguments=asked.arguments,
                    call_id=asked.call_id,
                    reason=asked.reason,
                    message=asked.message,
                    choices=asked.choices,
                    approval_id=step.id,
                    approver_kinds=ANYBODY,
                    requester_excluded=None,
                    **envelope,
                )
            case Answered() as answered if answered.approval_id not in self.known.decided:
                self.known.decided.add(answered.approval_id)
                approval = self.recording.batch.approval(answered.approval_id)
                if answered.granted:
                    approval.grant(comment=answered.comment, response=answered.response, **envelope)
                    return
                if answered.call_id in self.known.home:
                    self.known.home.setdefault(call_end_id(answered.call_id), self.known.home[answered.call_id])
                approval.deny(answered.comment, **envelope)
            case Chosen() as choice if step.id not in self.known.home:
                run.run(step.id).decide(
                    choice.intent,
                    options=[{"id": option["id"], "description": option["description"]} for option in choice.options],
                    chosen=choice.chosen,
                    also_chosen=choice.also_chosen,
                    decision_type="path_choice",
                    decision_id=step.id,
                    context=choice.context,
                    **envelope,
                )

    def _finish(self, source_run: SourceRun, finished: Finished, envelope: Envelope) -> None:
        run = source_run.end()
        if run is None:
            return
        match finished.status:
            case "completed":
                run.complete(stop_reason=finished.stop_reason, **envelope)
            case "failed":
                run.fail(finished.message or finished.code, code=finished.code, stop_reason=finished.stop_reason, **envelope)
            case "cancelled":
                run.cancel(finished.message, stop_reason=finished.stop_reason, **envelope)


def _envelope(actor: str, at: Any) -> Envelope:
    return {"actor": actor} if at is None else {"actor": actor, "occurred_at": at}
