"""A conversation as items that can be counted: what was said, called, asked for, chosen, reported, and how runs began and ended.

An item is the event that began it, with what came of it later along the same path. What else was recorded along the path
belongs to the item before it, so that nothing is in no item.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from runfold.domain.approval_events import ApprovalRequested
from runfold.domain.compaction import ContextCompacted
from runfold.domain.decision import DecisionEvaluated, DecisionMade, Outcome, OutcomeCorrected, OutcomeRecorded
from runfold.domain.message import MessageAdded, MessageRevised
from runfold.domain.problem import ProblemReported, ProblemResolved
from runfold.domain.recorded import Recorded
from runfold.domain.tool_call import ToolCalled
from runfold.history.approvals import approval_view, as_allowed
from runfold.history.compactions import Compaction
from runfold.history.path import fold_tool_calls
from runfold.history.said import Said
from runfold.history.views import ApprovalView, Message, ToolCallView, View
from runfold.projections.fold import fold_all
from runfold.projections.usage import Usage, UsageEntry

ItemKind = Literal["run", "message", "tool_call", "approval", "decision", "problem", "violation", "compaction", "ending"]
KINDS: Mapping[str, ItemKind] = {
    "run.created": "run",
    "message.added": "message",
    "tool.called": "tool_call",
    "approval.requested": "approval",
    "decision.made": "decision",
    "problem.reported": "problem",
    "constraint.violated": "violation",
    "context.compacted": "compaction",
    "run.completed": "ending",
    "run.failed": "ending",
    "run.cancelled": "ending",
}
"""The types that items begin with."""
LATER = (
    "message.revised",
    "message.part_appended",
    "message.sealed",
    "message.redacted",
    "tool.arguments_appended",
    "tool.started",
    "tool.succeeded",
    "tool.failed",
    "tool.cancelled",
    "approval.vote_cast",
    "approval.vote_refused",
    "approval.granted",
    "approval.denied",
    "approval.expired",
    "approval.withdrawn",
    "approval.consumed",
    "decision.outcome_recorded",
    "decision.outcome_corrected",
    "decision.evaluated",
    "problem.resolved",
)
"""The types of what comes of an item: each event of them begins with the id of what it is about."""
CLOSING = ("run.failed", "run.cancelled")
"""The types that close calls which are open."""


class EventPlace(View):
    """An event that an item stands for or holds."""

    position: int
    type: str


class UsageLine(View):
    """What a model call used, or what something cost; null is what nobody said."""

    position: int
    provider: str | None
    model: str | None
    input_tokens: int | None
    output_tokens: int | None
    cache_read_input_tokens: int | None
    cache_creation_input_tokens: int | None
    cost: Decimal | None
    currency: str | None
    is_computed: bool
    """Whether the cost is by list prices, as nobody reported one."""


class ThreadItem(View):
    """One thing of a conversation as of the position and the path that were asked about. Of the kinds' own fields one is set."""

    number: int
    """Its place in the conversation, from 1."""
    kind: ItemKind
    run_id: str
    position: int
    version: int
    """Of the stream that the event is of."""
    happened_at: datetime
    """By the producer's clock where it gave a time."""
    recorded_at: datetime
    actor: str
    message: Message | None = None
    earlier: tuple[Message, ...] = ()
    """The message as it was before each of its revisions, the first wording first."""
    tool_call: ToolCallView | None = None
    approval: ApprovalView | None = None
    choices: tuple[dict[str, Any], ...] = ()
    """What the person who was asked could choose from."""
    decision: DecisionMade | None = None
    outcome: Outcome | None = None
    evaluation: DecisionEvaluated | None = None
    problem: ProblemReported | None = None
    resolution: str | None = None
    compaction: Compaction | None = None
    facts: dict[str, Any] | None = None
    """Of a run that began or ended, and of a constraint that was broken: the event."""
    later: tuple[EventPlace, ...] = ()
    """The events that it holds beside the one that began it."""
    usage: tuple[UsageLine, ...] = ()
    """What model calls used until the next item."""
    others: tuple[EventPlace, ...] = ()
    """What else was recorded until the next item."""


class ThreadItems(View):
    """A window of a conversation: `items` are those from number `first` on."""

    thread_id: str
    run_id: str | None
    """The run at the end of the path; null for a thread without a run."""
    path: tuple[str, ...]
    count: int
    """How many items the whole conversation has."""
    first: int
    items: tuple[ThreadItem, ...]
    is_cut: bool = False
    """Whether the window ends early, as memory should not hold more at once."""
    as_of: int


def ids_of(events: Iterable[Recorded]) -> list[str]:
    """The ids under which later events speak of what some events began."""
    found = []
    for recorded in events:
        match recorded.event:
            case MessageAdded() as added:
                found.append(added.message_id)
            case ToolCalled() as called:
                found.append(called.call_id)
            case DecisionMade() as made:
                found.append(made.decision_id)
            case ProblemReported() as reported:
                found.append(reported.problem_id)
            case ApprovalRequested():
                found.append(recorded.stream)
            case _:
                continue
    return found


class ItemFold:
    """What came of some items. `redactions` are those of messages that hold though they are not on the path."""

    def __init__(
        self,
        events: Sequence[Recorded],
        later: Sequence[Recorded],
        approvals: Iterable[Sequence[Recorded]],
        redactions: Iterable[Recorded],
    ) -> None:
        whole = [*events, *later]
        self._calls = {call.id: call for call in as_allowed(fold_tool_calls(whole), {each[0].stream: each for each in approvals})}
        self._wordings = _wordings(whole, redactions)
        self._later: dict[str, list[Recorded]] = {}
        for recorded in later:
            self._later.setdefault(_subject(recorded), []).append(recorded)

    def item(self, number: int, recorded: Recorded) -> ThreadItem:
        """The item that an event began."""
        own = ids_of([recorded])
        later = [each for name in own for each in self._later.get(name, ())]
        return ThreadItem(
            number=number,
            kind=KINDS[recorded.type],
            run_id=recorded.context.run_id or recorded.stream,
            position=recorded.position,
            version=recorded.version,
            happened_at=recorded.happened_at,
            recorded_at=recorded.recorded_at,
            actor=str(recorded.metadata.actor),
            later=tuple(EventPlace(position=each.position, type=each.type) for each in later),
            **self._facts(recorded, later),
        )

    def _facts(self, recorded: Recorded, later: Sequence[Recorded]) -> dict[str, Any]:
        found: dict[str, Any]
        match recorded.event:
            case MessageAdded() as added:
                *earlier, message = self._wordings[added.message_id]
                found = {"message": message, "earlier": tuple(earlier)}
            case ToolCalled() as called:
                found = {"tool_call": self._calls[called.call_id]}
            case ApprovalRequested() as asked:
                choices = tuple(choice.model_dump(mode="json") for choice in asked.choices)
                found = {"approval": approval_view([recorded, *later]), "choices": choices}
            case DecisionMade() as made:
                found = {"decision": made, **_came_of(later)}
            case ProblemReported() as reported:
                resolved = [each.event.resolution for each in later if isinstance(each.event, ProblemResolved)]
                found = {"problem": reported, "resolution": next(iter(resolved), None)}
            case ContextCompacted() as compacted:
                found = {"compaction": Compaction.of(compacted, recorded)}
            case event:
                found = {"facts": event.model_dump(mode="json", exclude_none=True)}
        return found


def usage_lines(events: Iterable[Recorded]) -> list[UsageLine]:
    """What some events say was used."""
    rows = [standing.row for standing in fold_all(Usage(), events).values()]
    return [_usage_line(row) for row in rows if isinstance(row, UsageEntry)]


def _usage_line(row: UsageEntry) -> UsageLine:
    is_reported = row.reported_cost is not None
    cost = row.reported_cost if is_reported else row.computed_cost
    return UsageLine(
        position=row.recorded_position or row.cost_position or 0,
        provider=row.provider,
        model=row.model,
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        cache_read_input_tokens=row.cache_read_input_tokens,
        cache_creation_input_tokens=row.cache_creation_input_tokens,
        cost=cost,
        currency=row.reported_currency if is_reported else None if cost is None else "USD",
        is_computed=not is_reported and cost is not None,
    )


def _wordings(events: Iterable[Recorded], redactions: Iterable[Recorded]) -> dict[str, list[Message]]:
    """Each message as it was before its revisions, and as it is, without what may not be shown."""
    said = Said()
    earlier: dict[str, list[Message]] = {}
    for recorded in events:
        match recorded.event:
            case MessageRevised(message_id=message_id) if message_id in said.messages:
                earlier.setdefault(message_id, []).append(said.messages[message_id])
            case _:
                pass
        said.take_in(recorded)
    for recorded in redactions:
        said.take_in(recorded)
    return {
        name: [said.without_hidden(wording) for wording in (*earlier.get(name, ()), message)]
        for name, message in said.messages.items()
    }


def _came_of(later: Sequence[Recorded]) -> dict[str, Any]:
    """What came of a decision, and how it was judged, as it was last told."""
    known: dict[str, Any] = {}
    for recorded in later:
        match recorded.event:
            case OutcomeRecorded() as told:
                known["outcome"] = told.outcome
            case OutcomeCorrected() as corrected:
                known["outcome"] = corrected.replacement
            case DecisionEvaluated() as judged:
                known["evaluation"] = judged
            case _:
                continue
    return known


def _subject(recorded: Recorded) -> str:
    """The id of what an event is about; an approval's events are those of its stream."""
    if recorded.type.startswith("approval."):
        return recorded.stream
    event = recorded.event
    names = ("message_id", "call_id", "decision_id", "problem_id")
    return next((str(found) for name in names if (found := getattr(event, name, None))), "")
