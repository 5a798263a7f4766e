"""The words of messages, tool calls, decisions and problems, to be searched.

The one read model that holds content: no text, but all words of it in their order. So it follows redactions: a wording that may
no longer be shown has no word in any row from the moment on at which the redaction is folded. A redaction that one run of a
thread records counts for the message of that id in all runs of the thread.

Of a message that is streamed the words are taken again and again, each time that it has grown by a part of so many, and at last
when it is sealed.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Literal

from runfold.domain.decision import DecisionEvaluated, DecisionMade, OutcomeCorrected, OutcomeRecorded
from runfold.domain.event import Event
from runfold.domain.message import MessageAdded, MessagePartAppended, MessageRedacted, MessageRevised, MessageSealed
from runfold.domain.problem import ConstraintViolated, ProblemReported, ProblemResolved
from runfold.domain.recorded import Recorded
from runfold.domain.tool_call import ToolCalled, ToolCancelled, ToolFailed, ToolSucceeded
from runfold.projections.projection import Key, Projection, Row, WordIndex
from runfold.projections.words.labels import day_label, label, place_labels
from runfold.projections.words.said import LONGEST_TEXT, said_by
from runfold.projections.words.splitting import ended, spaced

MOST_TEXTS, MOST_CHARACTERS = 50, 100_000
"""Of one item."""
_EMPTY = "."
"""The words of a text that has none yet."""
_AT_ONCE, _GROWTH = 400, 8
"""A streamed message of few characters is indexed with each part, a longer one each time that it has grown by one in so many."""
_BETWEEN, _TEXTS = " . ", " / "
"""Between the words of two passages of a text, and of two texts, so that no phrase goes from one into the other."""

ItemKind = Literal["message", "tool_call", "decision", "problem"]


class SearchRow(Row):
    """One message, tool call, decision or problem of a thread, and the words of all that was said in it."""

    thread_id: str
    """Its thread."""
    kind: ItemKind
    """message, tool_call, decision or problem."""
    scope_id: str
    """The run, of all but messages: of these there is one row in a thread."""
    item_id: str
    """Its id; of a broken constraint its id and the event's version."""
    run_id: str = ""
    """The run that said it first."""
    agent_id: str | None = None
    """Who ran then."""
    goal_id: str | None = None
    """What that run was for."""
    first_position: int = 0
    """Where it was first spoken of: the order of what is found."""
    happened_at: datetime | None = None
    """When that was, by the producer's clock where it gave one."""
    positions: tuple[int, ...] = ()
    """The event that each text begins with."""
    ends: tuple[int, ...] = ()
    """The last event of each text: another one than the first where it is streamed."""
    revisions: tuple[int, ...] = ()
    """The revision of each, of a message; 0 of all else."""
    words: str = ""
    """The words of all texts in order, with a space between two."""
    labels: tuple[str, ...] = ()
    """What the index narrows by: which part of the log, UTC day, thread, kind, agent, goal, runs."""
    is_whole: bool = True
    """Whether nothing was left out because it is too long."""
    tail: str = ""
    """What has been streamed since its words were last taken."""
    streamed: int = 0
    """How many characters there are of the text that is streamed."""
    streamed_in: str = ""
    """The run that streams the last text; empty where nobody does."""
    hidden: tuple[int, ...] = ()
    """Revisions that may no longer be shown; 0 for all of them."""


_SPOKEN = (
    MessageAdded,
    MessageRevised,
    ToolCalled,
    ToolSucceeded,
    ToolFailed,
    ToolCancelled,
    DecisionMade,
    OutcomeRecorded,
    OutcomeCorrected,
    DecisionEvaluated,
    ProblemReported,
    ProblemResolved,
    ConstraintViolated,
)


class Search(Projection[SearchRow]):
    """One row per message, tool call, decision and problem: the words that were said in it and may still be shown."""

    name, version, row = "search", 2, SearchRow
    key = ("thread_id", "kind", "scope_id", "item_id")
    events = (*_SPOKEN, MessagePartAppended, MessageSealed, MessageRedacted)
    partition = "thread"
    holds_content = True
    word_index = WordIndex(words="words", labels="labels", order="first_position", time="happened_at")
    rows_at_hand = 8_000

    def keys(self, recorded: Recorded) -> Iterable[Key]:
        """The item that the event is about."""
        event: Any = recorded.event
        kind = _KIND.get(type(event))
        if kind == "message":
            return ((recorded.thread_id, kind, "", event.message_id),)
        if kind == "tool_call":
            return ((recorded.thread_id, kind, recorded.stream, event.call_id),)
        if kind == "decision":
            return ((recorded.thread_id, kind, recorded.stream, event.decision_id),)
        if kind is None:
            return ()
        violated = type(event) is ConstraintViolated
        problem_id = f"{event.constraint_id}@{recorded.version}" if violated else event.problem_id
        return ((recorded.thread_id, kind, recorded.stream, problem_id),)

    def initial(self, key: Key) -> SearchRow:
        """The same as by the class, and quicker: nearly every event is the first of its item."""
        thread_id, kind, scope_id, item_id = key
        return _BLANK.but(thread_id=thread_id, kind=kind, scope_id=scope_id, item_id=item_id)

    def evolve(self, row: SearchRow, recorded: Recorded) -> SearchRow:
        """The item with what the event says of it, or without what may no longer be shown."""
        changed = _OF_MESSAGES.get(type(recorded.event))
        return _spoken(row, recorded, 0) if changed is None else changed(row, recorded, recorded.event)


_BLANK = SearchRow(thread_id="", kind="message", scope_id="", item_id="")


def _added(row: SearchRow, recorded: Recorded, event: MessageAdded) -> SearchRow:
    return _begun(row, recorded) if event.streaming else _spoken(row, recorded, 1)


def _spoken(row: SearchRow, recorded: Recorded, revision: int) -> SearchRow:
    """The item with one text more."""
    said = said_by(recorded.event)
    words = _BETWEEN.join([words for _, text in said.passages if (words := spaced(text))])
    return _with_text(row, recorded, revision, words, is_whole=said.is_whole) if words else row


def _with_text(row: SearchRow, recorded: Recorded, revision: int, words: str, *, is_whole: bool = True) -> SearchRow:
    if row.hidden and not {0, revision}.isdisjoint(row.hidden):
        return row
    if row.streamed_in:
        row = _taken(row, is_last=True)
    if len(row.positions) >= MOST_TEXTS or len(row.words) + len(words) > MOST_CHARACTERS:
        return row.but(is_whole=False)
    position, own = recorded.position, label("r", recorded.stream)
    if not row.first_position:
        return row.but(_beginning(row, recorded, own), revisions=(revision,), words=words, is_whole=row.is_whole and is_whole)
    return row.but(
        {
            "positions": (*row.positions, position),
            "ends": (*row.ends, position),
            "revisions": (*row.revisions, revision),
            "words": f"{row.words}{_TEXTS}{words}" if row.words else words,
            "labels": row.labels if own in row.labels else (*row.labels, own),
            "is_whole": row.is_whole and is_whole,
        }
    )


def _beginning(row: SearchRow, recorded: Recorded, own: str) -> dict[str, Any]:
    context, position, happened_at = recorded.context, recorded.position, recorded.happened_at
    agent_id, goal_id = context.agent_id, context.goal_id
    day = day_label(happened_at.astimezone(UTC).date())
    labels = [*place_labels(recorded.tenant_id, position), day, label("t", row.thread_id), label("k", row.kind)]
    if agent_id is not None:
        labels.append(label("a", agent_id))
    if goal_id is not None:
        labels.append(label("g", goal_id))
    labels.append(own)
    return {
        "run_id": recorded.stream,
        "agent_id": agent_id,
        "goal_id": goal_id,
        "first_position": position,
        "happened_at": happened_at,
        "labels": tuple(labels),
        "positions": (position,),
        "ends": (position,),
    }


# Messages that are streamed


def _begun(row: SearchRow, recorded: Recorded) -> SearchRow:
    """The item with a text that will grow: its last word may not be whole yet."""
    said = said_by(recorded.event)
    passages = list(said.passages)
    begun = passages.pop().text if passages and passages[-1].place == "content" else ""
    words = _BETWEEN.join([*(words for _, text in passages if (words := spaced(text))), _EMPTY])
    grown = _with_text(row, recorded, 1, words, is_whole=said.is_whole)
    if grown.positions == row.positions:
        return grown
    characters = sum(len(text) for _, text in said.passages)
    return _taken(grown.but(streamed_in=recorded.stream, streamed=characters, tail=begun))


def _appended(row: SearchRow, recorded: Recorded, text: str) -> SearchRow:
    """The item with more of the text that is streamed; a run that goes on with another's has a text of its own."""
    if row.hidden and not {0, 1}.isdisjoint(row.hidden):
        return row
    if row.streamed_in != recorded.stream:
        begun = _with_text(row, recorded, 1, _EMPTY)
        if begun.positions == row.positions:
            return begun
        row = begun.but(streamed_in=recorded.stream, streamed=0, tail="")
    room = LONGEST_TEXT - row.streamed
    if room <= 0:
        return row.but(is_whole=False) if row.is_whole else row
    streamed = row.streamed + min(len(text), room)
    row = row.but(
        tail=row.tail + text[:room],
        streamed=streamed,
        ends=(*row.ends[:-1], recorded.position),
        is_whole=row.is_whole and len(text) <= room,
    )
    return _taken(row) if streamed <= _AT_ONCE or len(row.tail) * _GROWTH >= streamed else row


def _taken(row: SearchRow, *, is_last: bool = False) -> SearchRow:
    """The item with the words of what has been streamed meanwhile; the last of them only if it is known to be whole."""
    if not row.streamed_in:
        return row
    end = len(row.tail) if is_last else ended(row.tail)
    words = spaced(row.tail[:end])
    changes: dict[str, Any] = {"words": f"{row.words} {words}" if words else row.words, "tail": row.tail[end:]}
    return row.but(changes, streamed_in="", streamed=0) if is_last else row.but(changes)


def _redacted(row: SearchRow, redacted: MessageRedacted) -> SearchRow:
    """The item without the wordings that may no longer be shown, now and later."""
    hidden = redacted.revision or 0
    if "content" not in redacted.fields or hidden in row.hidden:
        return row
    keep = [at for at, revision in enumerate(row.revisions) if hidden not in {0, revision}]
    if len(keep) == len(row.positions):
        return row.but(hidden=(*row.hidden, hidden))
    words = row.words.split(_TEXTS)
    ends_stream = {} if len(row.positions) - 1 in keep else {"tail": "", "streamed_in": "", "streamed": 0}
    return row.but(
        ends_stream,
        hidden=(*row.hidden, hidden),
        positions=tuple(row.positions[at] for at in keep),
        ends=tuple(row.ends[at] for at in keep),
        revisions=tuple(row.revisions[at] for at in keep),
        words=_TEXTS.join([words[at] for at in keep]),
        labels=row.labels if keep else (),
    )


_KIND: dict[type[Event], ItemKind] = {
    **dict.fromkeys((MessageAdded, MessageRevised, MessagePartAppended, MessageSealed, MessageRedacted), "message"),
    **dict.fromkeys((ToolCalled, ToolSucceeded, ToolFailed, ToolCancelled), "tool_call"),
    **dict.fromkeys((DecisionMade, OutcomeRecorded, OutcomeCorrected, DecisionEvaluated), "decision"),
    **dict.fromkeys((ProblemReported, ProblemResolved, ConstraintViolated), "problem"),
}
"""What kind of item each class of event is about."""
_OF_MESSAGES: dict[type[Event], Callable[[SearchRow, Recorded, Any], SearchRow]] = {
    MessageAdded: _added,
    MessageRevised: lambda row, recorded, event: _spoken(row, recorded, event.revision),
    MessagePartAppended: lambda row, recorded, event: _appended(row, recorded, event.text),
    MessageSealed: lambda row, _, __: _taken(row, is_last=True),
    MessageRedacted: lambda row, _, event: _redacted(row, event),
}
"""How an item goes on with what is said of a message; with all else it has one text more."""
