"""Folds the events of a bundle as a read model of this Runfold does, to compare with the rows that the bundle shows.

Nothing that a bundle says is imported: a read model is found by its plain name among those that are installed here.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from runfold.errors import InvalidProjection
from runfold.projections.fold import Standing, Standings, fold, touched
from runfold.projections.projection import AnyProjection, Key, Row
from runfold.projections.registry import find
from runfold.projector.tables.table import fingerprint
from runfold.proofs.answer import AnswerRow, CannotFold
from runfold.proofs.claims import Answer
from runfold.proofs.findings import Seen, read_envelope
from runfold.proofs.leaf import canonical, values
from runfold.proofs.records import Shown
from runfold.store.codec import decode

_BEGAN = datetime(1970, 1, 1, tzinfo=UTC)
_AT_ONCE = 500
_MOST_SHOWN = 80


def key_texts(key: Iterable[Any]) -> tuple[str, ...]:
    """The values of a key as a bundle names them: days as in 2026-01-31."""
    return tuple(value.isoformat() if isinstance(value, date) else str(value) for value in key)


def row_values(row: Row) -> dict[str, Any]:
    """A row as a bundle shows it, with its numbers kept exactly."""
    said: dict[str, Any] = values(row.model_dump_json())
    return said


class Refolding:
    """The rows under a key, or under all keys that begin so, that events lead to."""

    def __init__(self, projection: AnyProjection, key: tuple[str, ...]) -> None:
        self._projection, self._key = projection, key
        self._types = {event.type for event in projection.events}
        self._waiting: list[tuple[Seen, Shown]] = []
        self._known: Standings = {}
        self._cannot: str | None = None

    def looks_at(self, type: str) -> bool:
        """Return whether events of a type have to do with these rows."""
        return type in self._types

    def take(self, seen: Seen) -> None:
        """Take the next leaf in, in the order of the log."""
        if self._cannot is not None or not self.looks_at(seen.leaf.type):
            return
        if seen.shown is None or seen.shown.payload is None:
            self._cannot = f"the payload of {seen.name()}, is left out"
            return
        self._waiting.append((seen, seen.shown))
        if len(self._waiting) == _AT_ONCE:
            self._fold()

    def rows(self) -> dict[Key, Standing]:
        """Return the rows, by their keys without the tenant and in their order. Raises CannotFold."""
        self._fold()
        if self._cannot is not None:
            raise CannotFold(self._cannot)
        return {key[1:]: self._known[key] for key in sorted(self._known) if self._known[key].row is not None}

    def differences(self, rows: list[AnswerRow]) -> list[str]:
        """Return in what given rows are not what the fold comes to. Raises CannotFold."""
        folded, found = {key_texts(key): standing for key, standing in self.rows().items()}, list[str]()
        for given in rows:
            key = tuple(str(given.row.get(name)) for name in self._projection.key)
            standing = folded.pop(key, None)
            if standing is None or standing.row is None:
                found.append(f"there is no row {' '.join(key)}, or it is shown twice")
            else:
                found += self._compared(" ".join(key), given, standing.row, standing.position)
        return found + [f"the row {' '.join(key)} is not shown" for key in folded]

    def _compared(self, name: str, given: AnswerRow, row: Row, position: int) -> Iterator[str]:
        try:
            said = type(row).model_validate_json(canonical(given.row)).__dict__
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            yield f"the row {name} has {'.'.join(map(str, first['loc']))} = {_short(first['input'])}: {first['msg']}"
            return
        folded: Mapping[str, Any] = {**row.__dict__, "position": position}
        for field, value in {**said, "position": given.position}.items():
            if value != folded[field]:
                yield f"the row {name} has {field} = {_short(value)}, and the fold comes to {_short(folded[field])}"

    def _fold(self) -> None:
        if self._cannot is not None or not self._waiting:
            return
        events, self._waiting = self._waiting, []
        try:
            touches = touched(self._projection, [_recorded(seen, shown) for seen, shown in events])
            wanted = [(key, recorded) for key, recorded in touches if self._is_asked(key)]
            self._known |= fold(self._projection, wanted, self._before)
        except MemoryError:
            raise
        except Exception as error:  # whatever events may hold that no ledger has written
            self._cannot = f"its events cannot be folded here: {' '.join(str(error).split()) or type(error).__name__}"

    def _is_asked(self, key: Key) -> bool:
        return key_texts(key[1 : len(self._key) + 1]) == self._key

    def _before(self, key: Key) -> Row | None:
        standing = self._known.get(key)
        return standing.row if standing else None


def folding(answer: Answer) -> Refolding:
    """The fold that an answer is by. Raises CannotFold where it is not installed here."""
    try:
        projection = find(answer.read_model)
    except InvalidProjection as error:
        raise CannotFold(f"the read models that are installed here cannot be found: {error}") from None
    if projection is None:
        raise CannotFold(f"no read model {answer.read_model!r} is installed here")
    by = answer.version, answer.depends_on, answer.fingerprint
    here = projection.version, projection.depends_on, fingerprint(projection)
    if by != here:
        raise CannotFold(f"it was folded by {_fold_named(by)}, and {_fold_named(here)} is installed here")
    if projection.partition != "thread" and answer.thread is not None:
        raise CannotFold(f"rows of {answer.read_model} are made of the whole log, and here of {answer.thread} alone")
    if not 1 <= len(answer.key) <= len(projection.key):
        raise CannotFold(f"a key of {answer.read_model} is {', '.join(projection.key)}, and not {len(answer.key)} values")
    return Refolding(projection, answer.key)


def _fold_named(fold: tuple[int, str, str]) -> str:
    version, depends_on, digest = fold
    return f"version {version}{f' with {depends_on}' if depends_on else ''} ({digest[:8]})"


def _recorded(seen: Seen, shown: Shown) -> Any:
    """The event of a leaf, as it is read from the log. Raises what a log that was changed may end with."""
    leaf, beside = seen.leaf, seen.beside or read_envelope(shown.envelope)
    return decode(
        (
            leaf.position,
            leaf.stream,
            leaf.version,
            leaf.type,
            leaf.schema_version,
            shown.payload,
            beside["tenant_id"],
            beside["thread_id"],
            UUID(beside["event_id"]).bytes,
            _BEGAN + int(beside["recorded_at"]) * timedelta(microseconds=1),
            canonical(beside["context"]),
            canonical(beside["metadata"]),
            None,
        )
    )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
