"""Async callers append in their event loop, with more than one batch on its way; whatever breaks off, each gets its answer."""

import asyncio
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from runfold import Ledger, Run
from runfold.store.appending import appender as appending
from runfold.store.appending import exchange
from runfold.store.appending.append_call import AppendCall
from runfold.store.appending.appends import Append
from runfold.store.appending.loop_sender import LoopSender
from runfold.store.appending.writer import Batch, Writer
from runfold.store.codec import Row
from runfold.store.datastore import Datastore
from runfold.store.reading.tenant_reader import TenantReader
from runfold.store.recorder import Recorder
from tests.databases import TestDatabase
from tests.waiting import until

from ..appended import Commands, outcomes
from ..lossy_proxy import Loss, LossyProxy

MakeRow = Callable[..., Row]


@pytest.fixture
def connected(recorder: Recorder, row: MakeRow) -> Iterator[Commands]:
    """Commands of a process that has appended before, so that its event loop may."""
    made = Commands(recorder, row)
    recorder.writer.append([row("run_first", 1)])
    yield made
    made.appender.close()


@pytest.fixture
def never_looked_after(monkeypatch: pytest.MonkeyPatch) -> None:
    """The appender's thread never looks by itself whether a loop gets on."""
    monkeypatch.setattr(appending, "_LOOK_SECONDS", 600.0)


async def answered(commands: Commands, *appends: Append) -> None:
    """Let the loop go on until they are."""
    async with asyncio.timeout(60):
        while not all(append in commands.settled for append in appends):
            await asyncio.sleep(0.001)


async def on_its_way() -> None:
    """Let the loop send what was put: it looks once what is ready has run."""
    for _ in range(3):
        await asyncio.sleep(0)


def stored(recorder: Recorder) -> list[tuple[str, int]]:
    return recorder.reader.rows("SELECT originator_id, originator_version FROM runfold.log ORDER BY notification_id")


def test_the_loop_appends_by_itself(connected: Commands, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    def another(*_: object, **__: object) -> None:
        raise AssertionError("the thread, or a caller, appended")

    monkeypatch.setattr(Writer, "append", another)

    async def main() -> None:
        appends = [connected.put((f"run_{number % 7}", number // 7 + 1)) for number in range(70)]
        await answered(connected, *appends)
        assert set(outcomes(*appends)) == {"stored"}
        assert [append.first_position for append in appends] == list(range(2, 72))
        assert len(connected.batches) > 1

    asyncio.run(main())
    assert len(stored(recorder)) == 71


@pytest.mark.fault("C-1")
@pytest.mark.parametrize("follows", [("run_a", 2), ("run_n", 2)])
def test_of_what_was_sent_after_a_refused_batch_nothing_is_stored_before_it_is_decided_anew(
    connected: Commands, recorder: Recorder, row: MakeRow, stalled: Callable, follows: tuple[str, int]
) -> None:
    recorder.writer.append([row("run_a", 1)])  # another's, on which a second event of run_a would follow

    async def main() -> None:
        with stalled():
            failing, neighbour = connected.put(("run_a", 1)), connected.put(("run_n", 1))
            await on_its_way()
            following, unrelated = connected.put(follows), connected.put(("run_b", 1))
            await on_its_way()
            assert not connected.appender.queue
        await answered(connected, failing, neighbour, following, unrelated)
        assert outcomes(failing, neighbour, unrelated) == ["VersionConflict", "stored", "stored"]
        assert outcomes(following) == ["VersionConflict" if follows[0] == "run_a" else "stored"]
        assert connected.settled[:2] == [failing, neighbour]

    asyncio.run(main())
    assert [stream for stream, _ in stored(recorder)[1:]] == [
        "run_a",
        "run_n",
        *([] if follows[0] == "run_a" else ["run_n"]),
        "run_b",
    ]


@pytest.mark.fault("D1", "H-1")
def test_two_batches_on_their_way_when_the_session_is_ended_are_stored_once(
    connected: Commands, recorder: Recorder, database: TestDatabase, stalled: Callable
) -> None:
    async def main() -> None:
        with stalled():
            first = connected.put(("run_a", 1)), connected.put(("run_b", 1))
            await on_its_way()
            second = connected.put(("run_a", 2)), connected.put(("run_c", 1))
            await on_its_way()
            assert not connected.appender.queue
            end_who_waits(database)
        await answered(connected, *first, *second)
        assert outcomes(*first, *second) == ["stored"] * 4
        assert [append.first_position for append in (*first, *second)] == [2, 3, 4, 5]

    asyncio.run(main())
    assert stored(recorder)[1:] == [("run_a", 1), ("run_b", 1), ("run_a", 2), ("run_c", 1)]


def end_who_waits(database: TestDatabase) -> None:
    waiting = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%append_events%'"
    )
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        until(lambda: admin.execute(waiting).fetchone())


@pytest.mark.fault("D1", "H-1")
@pytest.mark.parametrize("loss", ["reply", "request"])
def test_a_lost_reply_to_two_batches_is_no_lost_event(
    database: TestDatabase, recorder: Recorder, row: MakeRow, loss: Loss
) -> None:
    with LossyProxy(database.url) as proxy:
        behind = Recorder(Datastore(proxy.url, connect_timeout=60))
        behind.writer.append([row("run_first", 1)])
        commands = Commands(behind, row)

        async def main() -> None:
            for number in range(1, 8):
                proxy.lose(loss)
                appends = [commands.put(("run_a", 2 * number - 1)), commands.put((f"run_{number}", 1))]
                await on_its_way()
                appends += [commands.put(("run_a", 2 * number)), commands.put((f"run_{number}", 2))]
                await answered(commands, *appends)
                assert set(outcomes(*appends)) == {"stored"}

        asyncio.run(main())
        assert proxy.lost == 7
        commands.appender.close()
        behind.close()
    at = stored(recorder)
    assert len(at) == len(set(at)) == 1 + 7 * 4
    assert [version for stream, version in at if stream == "run_a"] == list(range(1, 15))


@pytest.mark.fault("C-7")
def test_a_loop_that_is_held_up_keeps_nobody_from_their_answer(connected: Commands) -> None:
    async def main() -> None:
        mine = connected.put(("run_a", 1))
        await on_its_way()
        others: list[Append] = []
        putting = threading.Thread(target=lambda: others.append(connected.put(("run_b", 1))))
        putting.start()
        putting.join(60)
        connected.wait(mine, *others)  # the loop does nothing else meanwhile

    asyncio.run(main())


class Beaten:
    """A lock that the appender's thread comes to before somebody else, and gets after them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.came, self._taken = threading.Event(), threading.Event()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        is_thread = threading.current_thread().name == "runfold-appender"
        if is_thread:
            self.came.set()
            assert self._taken.wait(60)
        taken = self._lock.acquire(blocking, timeout)
        if taken and not is_thread:
            self._taken.set()
        return taken

    def release(self) -> None:
        self._lock.release()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


@pytest.mark.fault("C-7")
def test_a_loop_that_was_quicker_than_the_thread_is_looked_after(connected: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    appender, turn = connected.appender, Beaten()

    async def main() -> None:
        connected.wait(connected.put(("run_a", 1)))
        until(lambda: appender._sender is None)
        monkeypatch.setattr(appender, "_turn", turn)
        with monkeypatch.context() as patched:
            patched.setattr(appender, "wake", lambda: None)
            append = connected.put(("run_a", 2))
        appender._rouse()
        assert turn.came.wait(60)
        assert appender._send_in(asyncio.get_running_loop())
        connected.wait(append)  # the loop does nothing else meanwhile
        assert outcomes(append) == ["stored"]

    asyncio.run(main())


@pytest.mark.fault("C-7")
def test_what_is_on_its_way_when_a_loop_ends_is_stored(connected: Commands, recorder: Recorder) -> None:
    appends: list[Append] = []

    async def main(number: int, rounds: int) -> None:
        appends.append(connected.put((f"run_{number}", 1)))
        for _ in range(rounds):
            await asyncio.sleep(0)

    for number in range(6):
        asyncio.run(main(number, number % 3))
    connected.wait(*appends)
    assert outcomes(*appends) == ["stored"] * 6


def test_a_loop_that_can_listen_to_nothing_leaves_it_to_the_thread(connected: Commands) -> None:
    class Deaf(asyncio.SelectorEventLoop):
        def add_reader(self, *_: Any) -> None:
            raise NotImplementedError

    async def main() -> None:
        for version in range(1, 6):
            append = connected.put(("run_a", version))
            await answered(connected, append)
            assert outcomes(append) == ["stored"]

    with asyncio.Runner(loop_factory=Deaf) as runner:
        runner.run(main())


def test_who_makes_all_others_wait_has_their_turn_between_batches_of_a_loop(
    connected: Commands, recorder: Recorder, row: MakeRow
) -> None:
    alone = threading.Thread(target=lambda: recorder.writer.append_alone(lambda: Batch([row("run_alone", 1)])))

    async def caller(stream: str) -> None:
        version = 0
        while alone.is_alive():
            version += 1
            await answered(connected, connected.put((stream, version)))

    async def main() -> None:
        alone.start()
        async with asyncio.timeout(60):
            await asyncio.gather(*(caller(f"run_{number}") for number in range(20)))

    asyncio.run(main())
    assert ("run_alone", 1) in stored(recorder)


def test_a_loop_goes_on_with_what_comes_a_moment_later(connected: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    began: list[LoopSender] = []
    begin = LoopSender.begin
    monkeypatch.setattr(appending, "_LOOK_SECONDS", 5.0)  # so long it stays though nothing comes
    monkeypatch.setattr(LoopSender, "begin", lambda sender: began.append(sender) or begin(sender))

    async def main() -> None:
        for version in range(1, 30):
            await answered(connected, connected.put(("run_a", version)))

    asyncio.run(main())
    assert len(began) == 1


@pytest.mark.parametrize("who", ["alone", "another batch", "in a thread", "another loop", "who closes"])
@pytest.mark.parametrize("is_held_up", [False, True])
def test_nobody_waits_for_a_loop_that_has_nothing_on_its_way(
    connected: Commands, recorder: Recorder, row: MakeRow, never_looked_after: None, who: str, is_held_up: bool
) -> None:
    others: dict[str, Callable[[], object]] = {
        "alone": lambda: recorder.writer.append_alone(lambda: Batch([row("run_b", 1)])),
        "another batch": lambda: recorder.writer.append([row("run_b", 1)]),
        "in a thread": lambda: connected.wait(connected.put(("run_b", 1))),
        "another loop": lambda: asyncio.run(_put_and_wait(connected, "run_b")),
        "who closes": connected.appender.close,
    }

    async def main() -> None:
        await answered(connected, connected.put(("run_a", 1)))
        assert connected.appender._sender is not None
        working = threading.Thread(target=others[who])
        working.start()
        if is_held_up:
            working.join(60)
        async with asyncio.timeout(60):
            while working.is_alive():
                await asyncio.sleep(0.001)

    asyncio.run(main())
    assert stored(recorder)[1:] == [("run_a", 1), *([] if who == "who closes" else [("run_b", 1)])]


async def _put_and_wait(commands: Commands, stream: str) -> None:
    await answered(commands, commands.put((stream, 1)))


def test_more_than_the_connection_takes_at_once_is_sent_by_who_may_wait(connected: Commands, recorder: Recorder) -> None:
    async def main() -> None:
        appends = [connected.put((f"run_{number}", 1), size=600_000) for number in range(12)]
        await answered(connected, *appends)
        assert set(outcomes(*appends)) == {"stored"}

    asyncio.run(main())
    assert len(stored(recorder)) == 13


def test_a_defect_in_a_loop_answers_everybody_and_it_goes_on(connected: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a defect")

    async def main() -> None:
        with monkeypatch.context() as patched:
            patched.setattr(AppendCall, "send", broken)
            append = connected.put(("run_a", 1))
            await answered(connected, append)
            assert outcomes(append) == ["stored"]  # one at a time it works
        again = connected.put(("run_a", 2))
        await answered(connected, again)
        assert outcomes(again) == ["stored"]

    asyncio.run(main())


@pytest.mark.fault("H-1")
def test_who_is_stored_when_the_next_batch_cannot_be_sent_is_answered(
    connected: Commands, stalled: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise psycopg.OperationalError("the connection is lost")

    monkeypatch.setattr(exchange, "ON_THEIR_WAY", 1)

    async def main() -> None:
        with stalled():
            first = connected.put(("run_a", 1))
            await on_its_way()
            second = connected.put(("run_a", 2))
            await on_its_way()
            monkeypatch.setattr(AppendCall, "send", broken)
        await answered(connected, first, second)
        assert outcomes(first, second) == ["stored", "stored"]

    asyncio.run(main())


@pytest.mark.fault("C-1")
@pytest.mark.parametrize("seed", range(3))
def test_of_what_follows_on_what_was_refused_nothing_is_stored(
    connected: Commands, recorder: Recorder, row: MakeRow, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311  the same each time
    appends: list[Append] = []
    before: dict[bytes, bytes] = {}
    last: dict[str, tuple[int, bytes]] = {}

    def put(stream: str) -> None:
        version, event_id = last.get(stream, (0, b""))
        append = connected.put((stream, version + 1))
        mine = append.rows[0].event_id
        before[mine], last[stream] = event_id, (version + 1, mine)
        appends.append(append)

    async def main() -> None:
        for _ in range(120):
            stream = f"run_{chance.randrange(4)}"
            if chance.random() < 0.06:
                ends = TenantReader.of(recorder.reader, "default").ends([stream])
                recorder.writer.append([row(stream, ends.get(stream, (0, 0))[0] + 1)])  # another's, where it finds its place
            elif chance.random() < 0.1:
                ends = TenantReader.of(recorder.reader, "default").ends([stream])
                connected.read_again(stream)
                last[stream] = ends.get(stream, (0, 0))[0], b""
            put(stream)
            if chance.random() < 0.5:
                await asyncio.sleep(0)
        await answered(connected, *appends)

    asyncio.run(main())
    found = {event_id for (event_id,) in recorder.reader.rows("SELECT uuid_send(event_id) FROM runfold.log")}
    assert {append.rows[0].event_id for append in appends if append.error is None} == found & before.keys()
    assert all(not before[event_id] or before[event_id] in found for event_id in found & before.keys())


def test_who_waits_in_the_loop_itself_is_answered_by_the_thread(ledger: Ledger, never_looked_after: None) -> None:
    run = ledger.create_thread(agent_id="support").start_run()

    async def main() -> None:
        run.add_message("user", "one")
        two = run.submit_add_message("user", "two")
        assert two.result(60).receipt.version == 4
        three = run.submit_add_message("user", "three")
        await asyncio.sleep(0)
        run.add_message("user", "four")
        assert (await three).receipt.version == 5

    asyncio.run(main())
    assert [message.text for message in run.messages()] == ["one", "two", "three", "four"]


def test_a_ledger_is_closed_inside_a_loop_and_everybody_is_answered(database: TestDatabase) -> None:
    async def say(run: Run, number: int) -> int:
        return (await run.submit_add_message("user", str(number))).receipt.version

    async def main() -> None:
        with Ledger.open(database.url) as ledger:
            run = ledger.create_thread(agent_id="support").start_run()
            tasks = [asyncio.create_task(say(run, number)) for number in range(50)]
            await asyncio.sleep(0)
        assert sorted(await asyncio.gather(*tasks)) == list(range(3, 53))

    asyncio.run(main())
