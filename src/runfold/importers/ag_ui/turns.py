"""What becomes of the turns of an AG-UI conversation.

- Messages that the client repeats are found in the history; others are new. See `history`.
- Text that streams in deltas is one message. Tool calls that name no message get one, as a client builds it.
- An interrupt is an approval, and the run waits. `resume` of the next turn is the vote on it, at the time at which that turn
  began, and that run `resumes` this one, which ends with that turn. A call that the resumed run announces again, as it was
  approved, is the same call: with it the approval is used.
- A sub-agent is a run that the turn's spawned, with all that is attributed to it. A change of an activity revises its message.
- What has no place of its own here (`RAW`, `CUSTOM`, encrypted reasoning, types that AG-UI does not have) is kept whole, as a
  message of role `activity`.
- What a ledger of Runfold gave out says in `metadata.runfold` how it was; it comes in again as that. See `told`.
- `rawEvent` says what its event says in a framework's words, and is not kept.
- A run ends where an event says so. One of which there is no end, or no response at all, goes on.
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

from runfold.domain.recorded import Recorded
from runfold.importers.ag_ui.answer import Answer
from runfold.importers.ag_ui.conversation import Conversation, TurnWriter
from runfold.importers.ag_ui.files import EventFiles, nobody
from runfold.importers.ag_ui.grouping import Group, TurnSources
from runfold.importers.ag_ui.past import remember
from runfold.importers.ag_ui.request import RequestPlan
from runfold.importers.ag_ui.shapes import AgUiEvent, Request
from runfold.importers.recording import Recording
from runfold.importers.sources import Piece, Report, document, guarded


class Plan:
    """A conversation's files → what they become."""

    def __init__(self, group: Group, files: EventFiles) -> None:
        self._group = group
        self._events = [files.of(turn.events) for turn in group.turns]
        """Of each turn."""
        self.conversation = self._worked_out((), files.report)

    def record(self, recording: Recording) -> None:
        """Give all commands. Where the ledger has turns that came before, they are the history of these."""
        own = {self._group.run_id(turn.key) for turn in self._group.turns}
        known, conversation = recording.known.runs, self.conversation
        if known - own:
            events = list(recording.thread.events())
            self._events = [[replace(piece, report=nobody) for piece in of_turn] for of_turn in self._events]
            conversation = self._worked_out(events, nobody)
        conversation.record(recording)

    def _worked_out(self, before: Iterable[Recorded], report: Report) -> Conversation:
        group, first = self._group, self._group.turns[0]
        title = first.sources[0].title
        conversation = Conversation(group.thread_id, title, first.source_ids[0] or first.sources[0].place)
        remember(conversation, group, before)
        for turn, of_turn in zip(group.turns, self._events, strict=True):
            _work_out(turn, of_turn, group, conversation, report)
        return conversation


def _work_out(turn: TurnSources, events: list[Piece], group: Group, talk: Conversation, report: Report) -> None:
    request, at = _request(turn, events, report)
    if at is None:
        return
    writer = TurnWriter(talk, group.run_id(turn.key), at, report)
    writer.began_at = next((source.at for source in turn.sources if source.at is not None), None)
    thread_id, run_id = turn.source_ids
    about = {"turn": turn.number if turn.is_numbered else None, "source_thread_id": thread_id, "source_run_id": run_id}
    plan = RequestPlan(writer, about)
    stated = group.run_id(("run", turn.parent)) if turn.parent else None
    plan.plan(request, stated if stated in talk.runs else None)
    if (resumed := talk.resumed_by.get(writer.run_id)) is not None:
        plan.resumed.append(resumed)
    answer = Answer(writer, plan)
    for piece in events:
        writer.at = piece
        writer.guard(partial(answer.take, piece))
    if turn.events is not None and not answer.is_over:
        writer.guard(answer.break_off)
    if answer.is_over:
        plan.conclude()


def _request(turn: TurnSources, events: list[Piece], report: Report) -> tuple[Request, Piece | None]:
    """What the client sent: its file, or else what the event that starts the run tells of it."""
    if turn.request is not None:
        at = document(turn.request.file, report)
        with guarded(at, report):
            return at.shaped(Request), at
        return Request(), at
    for piece in events:
        if '"RUN_STARTED"' in piece.source and '"input"' in piece.source:
            with guarded(piece, report):
                told = piece.shaped(AgUiEvent)
                if told.type == "RUN_STARTED" and isinstance(told.input, dict):
                    return piece.shaped(Request, told.input, "input"), piece
    return Request(), events[0] if events else None
