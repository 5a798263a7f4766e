"""The words that a search found, where they stand: read from the log, which is the home of all content."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from runfold.domain.message import MessagePartAppended, MessageRedacted
from runfold.domain.recorded import Recorded
from runfold.projections.search import ItemKind
from runfold.projections.words.said import LONGEST_TEXT, Passage, said_by
from runfold.queries.page import Standing
from runfold.queries.search.excerpts import Excerpt, Place, excerpt_of, places_of
from runfold.queries.search.text import Wanted
from runfold.queries.sources.source import LocalSource
from runfold.store.reading.filter import Filter
from runfold.store.reading.reader import LATEST


class ItemRow(NamedTuple):
    """What a row of `search` says of an item beside its words."""

    thread_id: str
    kind: ItemKind
    item_id: str
    agent_id: str | None
    goal_id: str | None
    first_position: int
    happened_at: datetime
    positions: list[int]
    ends: list[int]
    revisions: list[int]
    is_whole: bool


class Found(NamedTuple):
    """Where in an item what was looked for is best seen."""

    run_id: str
    position: int
    revision: int
    place: str
    excerpt: Excerpt


class _Text(NamedTuple):
    """A text of an item; of one that was streamed, `pieces` say from which character of the last passage on each event is."""

    run_id: str
    position: int
    revision: int
    passages: list[Passage]
    pieces: list[tuple[int, int]]


def found_in(
    source: LocalSource, wanted: Wanted, rows: Sequence[ItemRow], runs: Sequence[str], standing: Standing
) -> Iterator[tuple[ItemRow, Found]]:
    """Each item with what was found in it; without those of which it may no longer be shown.

    With `runs`, what is looked for stands in what one of them recorded. `standing` is that of the rows. Raises UnreadableEvent.
    """
    events = source.reader.at_positions(position for row in rows for position in row.positions)
    hidden = _hidden_since(source, rows, standing)
    for row in rows:
        found = _best(wanted, [text for text in _texts(source, row, events, hidden) if not runs or text.run_id in runs])
        if found is not None:
            yield row, found


def _texts(
    source: LocalSource, row: ItemRow, events: Mapping[int, Recorded], hidden: Mapping[tuple[str, str], set[int]]
) -> Iterator[_Text]:
    of_item = hidden.get((row.thread_id, row.item_id), set()) if row.kind == "message" else set()
    for position, end, revision in zip(row.positions, row.ends, row.revisions, strict=True):
        if of_item & {0, revision}:
            continue
        recorded = events[position]
        passages = list(said_by(recorded.event).passages)
        pieces: list[tuple[int, int]] = []
        if end > position:
            begun = passages.pop().text if passages and passages[-1].place == "content" else ""
            text, pieces = _streamed(source, row, recorded, end, begun)
            passages.append(Passage("content", text))
        yield _Text(recorded.stream, position, revision, passages, pieces)


def _streamed(source: LocalSource, row: ItemRow, begun: Recorded, end: int, text: str) -> tuple[str, list[tuple[int, int]]]:
    """The text of a streamed message, and from which character on each of its events is."""
    pieces, texts, length = [(0, begun.position)], [text], len(text)
    wanted = Filter(thread_id=row.thread_id, types=(MessagePartAppended.type,))
    for recorded in source.reader.events(wanted, after=begun.position, up_to=end):
        event = recorded.event
        if recorded.stream == begun.stream and isinstance(event, MessagePartAppended) and event.message_id == row.item_id:
            pieces.append((length, recorded.position))
            texts.append(event.text)
            length += len(event.text)
    return "".join(texts)[:LONGEST_TEXT], pieces


def _hidden_since(source: LocalSource, rows: Sequence[ItemRow], standing: Standing) -> dict[tuple[str, str], set[int]]:
    """What may no longer be shown of messages as they stood, for what a search shows it finds; 0 stands for all of one."""
    hidden: dict[tuple[str, str], set[int]] = defaultdict(set)
    if source.up_to == LATEST and not standing.behind_events:
        return hidden
    after = standing.position if source.reader.happened is None else 0
    for thread_id in {row.thread_id for row in rows if row.kind == "message"}:
        wanted = Filter(thread_id=thread_id, types=(MessageRedacted.type,))
        for recorded in source.reader.present.events(wanted, after=after):
            event = recorded.event
            if isinstance(event, MessageRedacted) and "content" in event.fields:
                hidden[thread_id, event.message_id].add(event.revision or 0)
    return hidden


def _best(wanted: Wanted, texts: Sequence[_Text]) -> Found | None:
    """The passage with most of what is looked for, of several the first; None where some of it is in none."""
    terms = wanted.terms
    best: tuple[int, _Text, Passage, list[Place]] | None = None
    there: set[int] = set()
    for text in texts:
        for passage in text.passages:
            places = places_of(terms, passage.text)
            held = {place.term for place in places}
            there |= held
            if held and (best is None or len(held) > best[0]):
                best = len(held), text, passage, places
    if best is None or not wanted.is_met_by(there):
        return None
    _, text, passage, places = best
    position = text.position
    if text.pieces and passage is text.passages[-1]:
        position = max(at for start, at in text.pieces if start <= places[0].start)
    return Found(text.run_id, position, text.revision, passage.place, excerpt_of(passage.text, places))
