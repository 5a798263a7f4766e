"""The ledger by the clocks of those who told it: as if what happened later had not been recorded."""

import contextlib
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import psycopg
import pytest

from runfold import Ledger
from runfold.api.table import QUESTIONS
from runfold.domain.approval_events import ApprovalRequested
from runfold.domain.message import MessageRedacted
from runfold.domain.recorded import Recorded
from runfold.domain.run_events import RunCreated
from runfold.domain.thread import HeadMoved, HeadNamed
from runfold.errors import CommandRefused, RunNotFound, ThreadNotFound, UsageError
from runfold.history.tree import Tree
from runfold.http.app import create_app
from runfold.queries.reading import Reading
from runfold.store.reading.reader import LATEST
from tests.databases import TestDatabase, fresh_database
from tests.projections.histories import DAWN, History
from tests.queries.shortened import answered
from tests.serving import Anybody, serving

HAPPENED = datetime(2026, 8, 1, 10, 0, tzinfo=UTC)
OF_THREADS = ("threads", "runs", "tool_calls", "decisions", "problems", "failures", "attention", "approvals")


def at(minutes: float) -> datetime:
    return HAPPENED + timedelta(minutes=minutes)


@pytest.fixture(scope="module")
def full(admin_url: str, template: str) -> Iterator[tuple[Ledger, TestDatabase]]:
    """A ledger told by clocks that go back, and by some that give no time. Only to be read."""
    with fresh_database(admin_url, template, "happened") as made, Ledger.open(settings=made.settings) as ledger:
        for seed in (4, 9):
            History(random.Random(seed)).go_on(ledger, 250)  # noqa: S311
        yield ledger, made


def kept(events: list[Recorded], moment: datetime) -> set[tuple[str, int]]:
    """The rule, read from the end: a stream reaches as far as all before it, and all that it builds upon, had happened."""
    reach: dict[str, int] = {}
    told: dict[str, datetime | None] = {}
    before: datetime | None = None
    stopped: set[str] = set()
    for each in events:
        inherited = told.get(each.stream, before)
        told[each.stream] = before = each.metadata.occurred_at or inherited
        event, needs = each.event, [(each.thread_id, 1)] if each.stream != each.thread_id else []
        if isinstance(event, RunCreated) and event.parent:
            needs.append((event.parent.run_id, event.parent.at_version))
        if isinstance(event, HeadNamed | HeadMoved | ApprovalRequested):
            needs.append((event.to_run_id if isinstance(event, HeadMoved) else event.run_id, 1))
        had_happened = (told[each.stream] or each.recorded_at) <= moment
        if had_happened and each.stream not in stopped and all(reach.get(stream, 0) >= version for stream, version in needs):
            reach[each.stream] = each.version
        else:
            stopped.add(each.stream)
    return {(stream, version) for stream, last in reach.items() for version in range(1, last + 1)}


def with_only(rows: set[tuple[str, int]], source: str, made: TestDatabase, head: int) -> None:
    """Copy some events, and nothing else."""
    with psycopg.connect(source) as giver, psycopg.connect(made.admin_url, autocommit=True) as taker:
        giver.execute("CREATE TEMP TABLE kept (stream text, version bigint)")
        giver.cursor().executemany("INSERT INTO kept VALUES (%s, %s)", sorted(rows))
        asked = "COPY (SELECT log.* FROM runfold.log JOIN kept ON (originator_id, originator_version) = (stream, version))"
        with (
            giver.cursor().copy(f"{asked} TO STDOUT (FORMAT binary)") as given,
            taker.cursor().copy("COPY runfold.log FROM STDIN (FORMAT binary)") as taken,
        ):
            for piece in given:
                taken.write(piece)
        taker.execute("UPDATE runfold.head SET position = %s, recorded_at = clock_timestamp()", [head])


@pytest.mark.parametrize("minutes", [200, 500])
def test_every_question_about_a_thread_is_answered_as_if_nothing_later_were_recorded(
    full: tuple[Ledger, TestDatabase], new_database: Callable[[], TestDatabase], minutes: int
) -> None:
    ledger, database = full
    moment, made, head = DAWN + timedelta(minutes=minutes), new_database(), ledger.position()
    everything = ledger.events(limit=100_000)
    threads = list(dict.fromkeys(each.thread_id for each in everything))
    rows = {row for thread in threads for row in kept([each for each in everything if each.thread_id == thread], moment)}
    assert 20 < len(rows) < len(everything) - 20
    with_only(rows, database.admin_url, made, head)
    streams = {stream for stream, _ in rows}
    named = {
        "thread_id": [thread for thread in threads if thread in streams],
        "run_id": [each.stream for each in everything if each.type == "run.created" and each.stream in streams],
        "approval_id": [each.stream for each in everything if each.type == "approval.requested" and each.stream in streams],
    }
    named |= {"run_a": named["run_id"], "run_b": named["run_id"][::-1]}
    answers = 0
    with Ledger.open(settings=made.settings) as shorter:
        _redact(shorter, [each for each in everything if (each.stream, each.version) not in rows])
        then, now = shorter.at(head), ledger.happened_at(moment)
        for question in _questions(named):
            wanted, found = answered(question, then), answered(question, now)
            assert _plain(found) == _plain(wanted)
            answers += not isinstance(found, tuple)
    assert answers > 100


def _redact(ledger: Ledger, later: list[Recorded]) -> None:
    """Redact what was redacted later: that holds whenever is asked about."""
    for event, stream in ((each.event, each.stream) for each in later):
        if isinstance(event, MessageRedacted):
            with contextlib.suppress(CommandRefused, RunNotFound):  # it had not been said by then
                said = {"fields": event.fields, "revision": event.revision, "legal_basis": event.legal_basis}
                ledger.run(stream).message(event.message_id).redact(**said)  # type: ignore[arg-type]  # as it was said


def _questions(named: dict[str, list[str]]) -> Iterator[Callable[[Reading], Any]]:
    """Every question, about all that it can be asked about."""
    for route in QUESTIONS:
        names = route.path_names
        if names and not {*names} - named.keys():
            for number in range(min(12, max(len(named[name]) for name in names))):
                ids = {name: named[name][number % len(named[name])] for name in names}
                if route.narrowed is None:
                    yield lambda reading, route=route, ids=ids: route.method(reading, **ids)
    for name in OF_THREADS:
        more = {"silent_for": "366000d"} if name == "attention" else {}  # silence is held against the moment asked about
        for thread in named["thread_id"]:
            yield lambda reading, name=name, thread=thread, more=more: getattr(reading, name)(thread_id=thread, **more)
    for run in named["run_id"][:12]:
        yield lambda reading, run=run: reading.usage(run=run)


def _plain(answer: Any) -> Any:
    """Without how long ago something was."""
    if (standing := getattr(answer, "standing", None)) is None:
        return answer
    return answer.model_copy(update={"standing": standing.model_copy(update={"behind_seconds": 0})})


def test_an_event_without_a_time_happened_when_its_predecessor_did_and_nothing_after_a_later_one_had(ledger: Ledger) -> None:
    thread = ledger.create_thread(agent_id="a", thread_id="thread_told", occurred_at=at(0))
    run = thread.start_run(run_id="run_told", occurred_at=at(1))
    for message, minutes in (("m1", 2), ("m2", None), ("m3", 9), ("m4", 3)):
        run.add_message("user", message, message_id=message, occurred_at=None if minutes is None else at(minutes))
    said = {
        minutes: [message.id for message in ledger.happened_at(at(minutes)).messages(thread.id)] for minutes in (1, 2, 5, 9, 60)
    }
    assert said == {1: [], 2: ["m1", "m2"], 5: ["m1", "m2"], 9: ["m1", "m2", "m3", "m4"], 60: ["m1", "m2", "m3", "m4"]}


def test_what_nobody_gave_a_time_happened_when_it_was_recorded(ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="a").start_run()
    run.add_message("user", "now")
    moment = ledger.events(limit=10)[-1].recorded_at
    assert len(ledger.happened_at(moment).messages(run_id=run.id)) == 1
    with pytest.raises(RunNotFound, match="had not happened by then"):
        ledger.happened_at(moment - timedelta(days=1)).run(run.id)


def test_both_clocks_can_be_asked_at_once(ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="a", occurred_at=at(0)).start_run(occurred_at=at(0))
    run.add_message("user", "early", occurred_at=at(1))
    position = ledger.position()
    run.add_message("user", "told late", occurred_at=at(1))
    texts = [
        [message.text for message in reading.happened_at(at(1)).messages(run_id=run.id)]
        for reading in (ledger.now, ledger.at(position))
    ]
    assert texts == [["early", "told late"], ["early"]]


def test_a_time_before_the_ledger_knew_a_thread_is_told_from_one_at_which_there_was_none(ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="a", thread_id="thread_old", occurred_at=at(0)).start_run(occurred_at=at(0))
    since = ledger.events(limit=1)[0]
    for ask in (
        lambda reading: reading.thread("thread_old"),
        lambda reading: reading.messages("thread_old"),
        lambda reading: reading.run(run.id),
        lambda reading: reading.runs(thread_id="thread_old"),
        lambda reading: reading.usage(run=run.id),
    ):
        with pytest.raises((ThreadNotFound, RunNotFound)) as then:
            ask(ledger.at("2026-08-01T12:00:00Z"))
        assert f"recorded since {since.recorded_at.isoformat()[:16]}" in str(then.value)
        assert "happened_at" in str(then.value)
        assert "--happened-at" in str(then.value)
        with pytest.raises((ThreadNotFound, RunNotFound)) as before:
            ask(ledger.happened_at(at(-1)))
        assert f"it began {at(0).isoformat()} by its producer's clock" in str(before.value)
    with pytest.raises(ThreadNotFound, match="there is no thread 'thread_new'; `runfold threads` lists them all"):
        ledger.at(0).thread("thread_new")


def test_all_threads_at_once_have_no_clock_in_common(ledger: Ledger) -> None:
    ledger.create_thread(agent_id="a", occurred_at=at(0))
    ledger.fold()
    reading = ledger.happened_at(at(5))
    for ask in (reading.runs, reading.usage, reading.threads, lambda: reading.goal_progress("g"), reading.attention):
        with pytest.raises(UsageError, match="one thread at a time"):
            ask()
    for wrong, said in (("yesterday", "is not a time such as"), ("5", "is not a time"), ("2026-08-01T10:00:00", "has no zone")):
        with pytest.raises(UsageError, match=said):
            ledger.happened_at(wrong)
    with pytest.raises(UsageError, match="has no zone"):
        ledger.happened_at(datetime(2026, 8, 1))


def _tree(reading: Reading, thread: str) -> Tree:
    return reading.tree(thread)


OF_A_THREAD: tuple[Callable[[Reading, str], Any], ...] = (
    lambda reading, thread: reading.messages(thread),
    lambda reading, thread: _plain(reading.runs(thread_id=thread)),
    lambda reading, thread: [each.event_id for each in reading.thread_events(thread)],
    lambda reading, thread: reading.tree(thread).heads,
)


def test_over_http_it_is_the_same(full: tuple[Ledger, TestDatabase]) -> None:
    ledger, _ = full
    moment, runs = DAWN + timedelta(minutes=300), 0
    here, threads = ledger.happened_at(moment), [each.stream for each in ledger.events(types=["thread.created"])]
    with serving(create_app(ledger, Anybody())) as address, Ledger.connect(address) as remote:
        there = remote.happened_at(moment.isoformat())
        for thread in threads:
            for ask in OF_A_THREAD:
                assert answered(partial(ask, thread=thread), there) == answered(partial(ask, thread=thread), here)
            for run in getattr(answered(partial(_tree, thread=thread), here), "nodes", ()):
                runs += 1
                assert [each.version for each in there.run_events(run)] == [each.version for each in here.run_events(run)]
        with pytest.raises(UsageError, match="one thread at a time"):
            there.runs()
        with pytest.raises(UsageError, match="happened_at and min_position exclude each other"):
            there.runs(thread_id=threads[0], min_position=1)
    assert runs > 5
    assert here.up_to < LATEST
