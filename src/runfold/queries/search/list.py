"""Words of messages, tool calls, decisions and problems, searched: what is found, the last first, each with the place marked."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Unpack, get_args

from runfold.history.views import View
from runfold.projections.search import ItemKind, Search
from runfold.projections.words.labels import SMALL, day_labels, label, parts_between
from runfold.queries.lists.paging import Paging, cursor_of, invalid_cursor, limit, read_cursor_parts
from runfold.queries.lists.parameters import Parameter, checked
from runfold.queries.lists.where import OneOrMore
from runfold.queries.page import Page, Standing, page_of
from runfold.queries.question import question
from runfold.queries.search.excerpts import Excerpt
from runfold.queries.search.found_texts import ItemRow, found_in
from runfold.queries.search.text import Wanted, wanted_of
from runfold.queries.sources.snapshot import Snapshot
from runfold.queries.sources.source import LocalSource

DEFAULT_LIMIT = 20
WORDS = Parameter(
    'What to search for: words that must all be there; "…" for words that follow each other; OR between two of which either will'
    " do; - before what must not be there; * after a beginning of at least 3 letters. A path or an id is found whole and by its"
    " parts."
)
_STEP, _WIDEST = 4, 64
"""Where a stretch of the log held too little, the next one is so many times as long; at most so many small parts, or an
eighth of the log."""
_LABELS: Mapping[str, str] = {"kind": "k", "thread_id": "t", "run_id": "r", "agent_id": "a", "goal_id": "g"}


class SearchParameters(Paging, total=False):
    """What a search can be narrowed by. Where several values are given, any of them will do."""

    kind: Annotated[OneOrMore | None, Parameter("Only items of this kind.", get_args(ItemKind))]
    thread_id: Annotated[OneOrMore | None, Parameter("Only items in this thread.")]
    run_id: Annotated[OneOrMore | None, Parameter("Only items of which this run recorded the words.")]
    agent_id: Annotated[OneOrMore | None, Parameter("Only items that a run of this agent recorded first.")]
    goal_id: Annotated[OneOrMore | None, Parameter("Only items that a run towards this goal recorded first.")]
    happened_from: Annotated[
        datetime | None, Parameter("Only items that were first recorded of then or later.", compares=(">=", "happened_at"))
    ]
    happened_to: Annotated[
        datetime | None, Parameter("Only items that were first recorded of then or earlier.", compares=("<=", "happened_at"))
    ]
    limit: Annotated[int | None, limit(DEFAULT_LIMIT)]


class Hit(View):
    """A message, tool call, decision or problem with what was looked for."""

    kind: ItemKind
    id: str
    """The message's, call's, decision's or problem's; of a broken constraint its id and the event's version."""
    thread_id: str
    run_id: str
    """The run that recorded the words that are shown."""
    agent_id: str | None
    """Who ran when it was first spoken of."""
    goal_id: str | None
    """What that run was for."""
    position: int
    """The event in which what is shown begins."""
    happened_at: datetime
    """When the item was first spoken of, by the producer's clock where it gave one."""
    revision: int | None
    """Of a message, which wording it is."""
    place: str
    """What of the event it is: content, arguments, result, reasoning, description …"""
    excerpt: Excerpt
    is_cut: bool
    """Whether more was said than is searched."""


@question
def search(source: LocalSource, words: Annotated[str, WORDS], **asked: Unpack[SearchParameters]) -> Page[Hit]:
    """A page of what is found, what was first spoken of last first. Raises UsageError, ReadModelBehind.

    A page may hold fewer than were asked for, though there are more: `next_cursor` says so.
    """
    wanted, terms = checked(asked, SearchParameters), wanted_of(words)
    most = wanted.get("limit", DEFAULT_LIMIT)
    with source.snapshot("search", within=source.threads_of(wanted), asked=wanted) as snapshot:
        rows = _rows(snapshot, terms, wanted, most + 1)
        standing = snapshot.standing
    following = cursor_of(["search", rows[most - 1].first_position]) if len(rows) > most else None
    return page_of(Hit, _hits(source, terms, rows[:most], wanted.get("run_id", ()), standing), following, standing)


def _hits(source: LocalSource, wanted: Wanted, rows: Sequence[ItemRow], runs: Sequence[str], standing: Standing) -> Iterator[Hit]:
    for row, found in found_in(source, wanted, rows, runs, standing):
        yield Hit(
            kind=row.kind,
            id=row.item_id,
            thread_id=row.thread_id,
            run_id=found.run_id,
            agent_id=row.agent_id,
            goal_id=row.goal_id,
            position=found.position,
            happened_at=row.happened_at,
            revision=found.revision or None,
            place=found.place,
            excerpt=found.excerpt,
            is_cut=not row.is_whole,
        )


def _rows(snapshot: Snapshot, wanted: Wanted, asked: Mapping[str, Any], most: int) -> list[ItemRow]:
    """The rows that are looked for, stretch by stretch from the end of the log: a word that is common is found in the first.

    Each stretch is longer than the one before, by what that held: so a word that is rare takes few questions, too.
    """
    labels = [[label(kind, value) for value in asked[name]] for name, kind in _LABELS.items() if asked.get(name)]
    if "happened_from" in asked and "happened_to" in asked and (days := day_labels(asked["happened_from"], asked["happened_to"])):
        labels.append(days)
    last, found = _last(snapshot, asked), list[ItemRow]()
    parts, widest = 1, max(_WIDEST, (last >> SMALL) // 8)
    while last > 0 and len(found) < most:
        first = max(1, ((last >> SMALL) - parts + 1) << SMALL) if snapshot.is_of_tables else 1
        places = [parts_between(snapshot.tenant_id, first, last)] if snapshot.is_of_tables else []
        sought = wanted.sought([*labels, *places], first, last)._replace(
            time_from=asked.get("happened_from"), time_to=asked.get("happened_to")
        )
        rows = snapshot.with_words(Search(), ItemRow._fields, sought, most - len(found))
        found += [ItemRow(*row) for row in rows]
        longer = parts * _STEP if not rows else -(-3 * parts * (most - len(found)) // (2 * len(rows)))
        last, parts = first - 1, min(widest, parts * _STEP, max(parts, longer))
    return found


def _last(snapshot: Snapshot, asked: Mapping[str, Any]) -> int:
    """The last position that may be on the page. Raises UsageError for what is no cursor of a search."""
    cursor = asked.get("cursor")
    if cursor is None:
        return snapshot.standing.position
    match read_cursor_parts(cursor):
        case ["search", int(position)] if 0 < position <= 2**63:
            return min(snapshot.standing.position, position - 1)
    raise invalid_cursor(cursor)
