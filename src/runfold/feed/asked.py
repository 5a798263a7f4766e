"""What somebody asks of the feed, and whether there is such a thing: one place for an iterator, HTTP and a remote client.

What nothing could be (a place that is none, a type that is no text) is refused wherever it is asked. What this ledger does not
have (a type, a thread, a run, a position beyond its head) is refused where the database is.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Annotated, Any, Literal, TypedDict, Unpack, get_type_hints

from runfold.domain.catalogue import event_types
from runfold.domain.run import Run
from runfold.domain.streams import is_id
from runfold.domain.thread import Thread
from runfold.domain.times import EXAMPLE, DayCounts, parse_time
from runfold.domain.values import Actor, narrowing, texts
from runfold.errors import RunNotFound, ThreadNotFound, UsageError
from runfold.feed.run_watch import ENDINGS, RunWatch
from runfold.feed.wanted import Wanted
from runfold.store import epochs
from runfold.store.cursor import MOST_POSITION, Cursor, Place
from runfold.store.reading.filter import Filter
from runfold.store.reading.reader import Head
from runfold.store.reading.tenant_reader import TenantReader

NOW: Literal["now"] = "now"
_FIRST, _TICK = datetime.min.replace(tzinfo=UTC), timedelta(microseconds=1)
AHEAD = timedelta(minutes=1)
"""A clock may be ahead of ours by so much: what it calls now is now."""

After = Place | date
"""A position, a cursor, a time by the ledger's clock (text too), or `now`: after what is recorded."""
_Texts = str | Iterable[str]


class EventFilter(TypedDict, total=False):
    """What the feed can be narrowed by. One value or several, of which any will do; of threads and runs one."""

    types: Annotated[_Texts, "Only events of this type, such as tool.called, tool. for all that begin so, or approval.*."]
    thread_id: Annotated[str | None, "Only events of this thread."]
    run_id: Annotated[str | None, "Only events of this run and its approvals."]
    agent_id: Annotated[_Texts | None, "Only events of this agent's runs."]
    goal_id: Annotated[_Texts | None, "Only events of runs for this goal."]
    user_id: Annotated[_Texts | None, "Only events of this user's threads and runs."]
    actor: Annotated[_Texts | None, "Only events recorded by this actor, such as human:ada."]
    recorded_from: Annotated[datetime | date | str | None, "Only events recorded then or later; a day counts from its beginning."]
    recorded_to: Annotated[datetime | date | str | None, "Only events recorded then or earlier; a day is included."]


_OF_ONE = ("thread_id", "run_id")
_TIMES: Mapping[str, DayCounts] = {"recorded_from": "from", "recorded_to": "to"}
_NAMES = tuple(get_type_hints(EventFilter))


@dataclass(frozen=True)
class Asked:
    """Which events somebody asks for, and after which place."""

    after: Cursor | datetime | Literal["now"]
    up_to: int | None
    types: tuple[str, ...]
    thread_id: str | None
    run_id: str | None
    agent_id: tuple[str, ...]
    goal_id: tuple[str, ...]
    user_id: tuple[str, ...]
    actor: tuple[str, ...]
    recorded_from: datetime | None
    recorded_to: datetime | None

    @classmethod
    def of(cls, after: After = 0, up_to: int | None = None, **wanted: Unpack[EventFilter]) -> "Asked":
        """Take in what a caller gives. Raises UsageError for what could be nowhere, InvalidEvent for what is no actor."""
        if unknown := [name for name in wanted if name not in _NAMES]:
            raise TypeError(f"events cannot be narrowed by {unknown[0]}; by {', '.join(_NAMES)}")
        if up_to is not None and (isinstance(up_to, bool) or not isinstance(up_to, int) or up_to < 0):
            raise UsageError(f"up_to is {up_to!r}; pass a position such as 1234", up_to=up_to)
        given: dict[str, Any] = dict(wanted)
        several = [name for name in _NAMES if name not in {*_OF_ONE, *_TIMES}]
        said: dict[str, Any] = {name: narrowing(name, given.get(name)) for name in several}
        said |= {name: _moment(name, given.get(name), day) for name, day in _TIMES.items()}
        said |= {name: _one(name, given.get(name)) for name in _OF_ONE}
        said["actor"] = tuple(str(Actor.parse(actor)) for actor in said["actor"])
        return cls(after_of(after), up_to, **said)

    def fields(self) -> dict[str, Any]:
        """Return what narrows it, as a request says it."""
        return {name: value for name in _NAMES if (value := getattr(self, name)) not in (None, ())}

    @property
    def after_text(self) -> str:
        """Return the place as a request says it."""
        return self.after.isoformat() if isinstance(self.after, datetime) else str(self.after)

    def within(self, thread_id: str | None, tenant_id: str, without: tuple[str, ...]) -> Filter:
        """Return the filter for it, whatever its types, with the thread that its run is of."""
        return Filter(
            thread_id=thread_id,
            run_id=self.run_id,
            tenant_id=tenant_id,
            agent_ids=self.agent_id,
            goal_ids=self.goal_id,
            user_ids=self.user_id,
            actors=self.actor,
            without=without,
        )


def page_size(limit: int) -> int:
    """Return how many events a page is to hold. Raises UsageError for what is no number of them."""
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MOST_POSITION:
        raise UsageError(f"limit takes a whole number from 1 to {MOST_POSITION}, not {limit!r}", name="limit")
    return limit


def _one(name: str, given: Any) -> str | None:
    if given is not None and not isinstance(given, str):
        raise UsageError(f"{name} takes text, not {given!r}", name=name)
    return next(iter(texts(name, given)), None)


def _moment(name: str, given: Any, day: DayCounts) -> datetime | None:
    if given is None:
        return None
    if isinstance(given, datetime):
        return _with_zone(given)
    if not isinstance(given, date | str):
        raise UsageError(f"{name} takes a time such as {EXAMPLE}, not {given!r}", name=name)
    try:
        return parse_time(str(given), day=day, refusal=f"{name} takes a time such as {EXAMPLE}, not {str(given)[:60]!r}")
    except UsageError as error:
        raise UsageError(str(error), name=name) from None


# After which place


def after_of(given: After, zone: tzinfo | None = None) -> Cursor | datetime | Literal["now"]:
    """Return the place that is meant; a day begins in UTC, or in the zone that is given. Raises UsageError for what is none."""
    if isinstance(given, datetime):
        return _with_zone(given)
    if isinstance(given, date):
        return datetime.combine(given, time(), UTC)
    if given == NOW:
        return NOW
    try:
        return Cursor.parse(given)
    except UsageError as error:
        refusal = f"{error}, a time such as {EXAMPLE}, or now"
    if isinstance(given, str):
        return parse_time(given, zone=zone, refusal=refusal)
    raise UsageError(refusal)


def _with_zone(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise UsageError(f"the time {moment.isoformat()} has no zone; add one, as in {moment.isoformat()}Z")
    return moment.astimezone(UTC)


def _position(reader: TenantReader, asked: Asked) -> tuple[int, Head]:
    """Return the position after which to begin, and the head. Raises HistoryChanged, UsageError, LedgerUnavailable."""
    if isinstance(asked.after, Cursor):
        position = epochs.position_of(reader, asked.after)
        head = reader.head()
        if position > head.position:
            raise UsageError(
                f"position {position} is beyond the ledger, which ends at {head.position};"
                f" go on after {head.position}, or after what came last",
                head=head.position,
            )
        return position, head
    head = reader.head()
    if isinstance(asked.after, datetime):
        if asked.after > datetime.now(UTC) + AHEAD:
            raise UsageError(f"the time {asked.after.isoformat()} is still to come; pass now, or a time that has been")
        return min(reader.position_at(asked.after), head.position), head
    return head.position, head


# What there is


def find(reader: TenantReader, asked: Asked, without: tuple[str, ...] = (), *, until_run_ends: bool = False) -> Wanted:
    """Return what is asked for, where the ledger has it; `without` are types that the caller may not see.

    With `until_run_ends` it ends with its run, and where the ledger ends if the run has ended.
    Raises UsageError, ThreadNotFound, RunNotFound, HistoryChanged, LedgerUnavailable.
    """
    types = event_types.patterns(asked.types)
    after, (head, last_at, epoch) = _position(reader, asked)
    after, goal = _within_times(reader, asked, after, last_at)
    thread_id = asked.thread_id
    if thread_id is not None and not (is_id(Thread, thread_id) and reader.ends([thread_id])):
        raise ThreadNotFound(thread_id)
    if asked.run_id is not None:
        thread_id = _thread_of(reader, asked.run_id, thread_id)
    within = asked.within(thread_id, reader.tenant, without)
    run = _watch(reader, asked.run_id, head) if asked.run_id is not None and until_run_ends else None
    wanted = Wanted(within, types, after, head, epoch, goal, run)
    return until_head(wanted) if run is not None and run.has_ended else wanted


def _within_times(reader: TenantReader, asked: Asked, after: int, last_at: datetime | None) -> tuple[int, int | None]:
    """Return after and up to which positions everything was recorded in time: the clock of the ledger never goes back.

    A time that is not before that of the last event is no end yet.
    """
    goal = asked.up_to
    if asked.recorded_from is not None and asked.recorded_from > _FIRST:
        after = max(after, reader.position_at(asked.recorded_from - _TICK))
    if asked.recorded_to is not None and last_at is not None and asked.recorded_to < last_at:
        last = reader.position_at(asked.recorded_to)
        goal = last if goal is None else min(goal, last)
    return after, goal


def until_head(wanted: Wanted) -> Wanted:
    """Return the same up to where the ledger ends, and no further."""
    return replace(wanted, goal=wanted.head if wanted.goal is None else min(wanted.goal, wanted.head))


def _thread_of(reader: TenantReader, run_id: str, thread_id: str | None) -> str:
    """Return the thread of a run: for events of one thread there is an index. Raises RunNotFound, UsageError."""
    created = next(reader.stream(run_id, up_to_version=1), None) if is_id(Run, run_id) else None
    if created is None:
        raise RunNotFound(run_id)
    if thread_id not in {None, created.thread_id}:
        raise UsageError(f"run {run_id} is of thread {created.thread_id}, not of {thread_id}; ask for one of them")
    return created.thread_id


def _watch(reader: TenantReader, run_id: str, head: int) -> RunWatch:
    """Watch for the end of a run, or say that it has ended."""
    ended = next(reader.stream(run_id, up_to=head, types=tuple(ENDINGS)), None)
    return RunWatch(run_id, ENDINGS[ended.type] if ended else "unknown")
