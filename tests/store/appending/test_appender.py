"""Group commit: many commands in one transaction, each with its own answer."""

import threading
import time

import pytest

from runfold import LedgerUnavailable, VersionConflict
from runfold.errors import QueueFull
from runfold.store.appending import command_queue
from runfold.store.appending.writer import Writer

from ..appended import Commands, outcomes


@pytest.mark.row("HV-53")
def test_what_waits_at_a_moment_goes_in_together_and_in_order(commands, stalled, recorder) -> None:
    with stalled():
        appends = [commands.put((f"run_{number}", 1), (f"run_{number}", 2)) for number in range(10)]
    commands.wait(*appends)
    assert len(commands.batches) <= 2  # one may have been taken before the others came
    assert [append.first_position for append in appends] == list(range(1, 20, 2))
    assert commands.settled == appends
    stored = recorder.reader.rows("SELECT originator_id FROM runfold.log ORDER BY notification_id")
    assert stored == [(f"run_{number // 2}",) for number in range(20)]


def test_a_conflict_fails_its_command_and_none_of_its_neighbours(commands, stalled, recorder, row) -> None:
    recorder.writer.append([row("run_b", 1), row("run_b", 2)])
    with stalled():
        before, conflicting, after = commands.put(("run_a", 1)), commands.put(("run_b", 2)), commands.put(("run_c", 1))
    commands.wait(before, conflicting, after)
    assert outcomes(before, conflicting, after) == ["stored", "VersionConflict", "stored"]
    assert isinstance(conflicting.error, VersionConflict)
    assert (conflicting.error.stream, conflicting.error.expected, conflicting.error.actual) == ("run_b", 1, 2)
    assert (before.first_position, after.first_position) == (3, 4)


def test_commands_built_on_a_failed_one_fail_with_it_wherever_they_are(commands, stalled, recorder, row) -> None:
    recorder.writer.append([row("run_a", 1)])
    with stalled():
        failing = commands.put(("run_a", 1))
        built_on_it = commands.put(("run_a", 2), ("run_b", 1))
        built_on_that = commands.put(("run_b", 2))
        only_looked = commands.put(("run_c", 1), watched={"run_b": 1})
        unrelated = commands.put(("run_d", 1))
    commands.wait(failing, built_on_it, built_on_that, only_looked, unrelated)
    assert outcomes(failing, built_on_it, built_on_that, only_looked) == ["VersionConflict"] * 4
    assert outcomes(unrelated) == ["stored"]
    later = commands.put(("run_a", 2))
    commands.wait(later)
    assert outcomes(later) == ["VersionConflict"]  # still built on what failed
    commands.read_again("run_a")
    fresh = commands.put(("run_a", 2))
    commands.wait(fresh)
    assert outcomes(fresh) == ["stored"]


def test_of_two_commands_that_write_one_version_in_one_batch_the_first_is_stored(commands, stalled) -> None:
    with stalled():
        first = commands.put(("run_a", 1))
        commands.read_again("run_a")  # as after the state was evicted while the first was on its way
        second = commands.put(("run_a", 1))
    commands.wait(first, second)
    assert outcomes(first, second) == ["stored", "VersionConflict"]
    assert isinstance(second.error, VersionConflict)
    assert (second.error.expected, second.error.actual) == (0, 1)


def test_a_watched_stream_that_a_neighbour_moves_on_is_a_conflict(commands, stalled, recorder, row) -> None:
    recorder.writer.append([row("thread_a", 1)])
    with stalled():
        archive = commands.put(("thread_a", 2))
        commands.read_again("thread_a")
        start_run = commands.put(("run_a", 1), watched={"thread_a": 1})
    commands.wait(archive, start_run)
    assert outcomes(archive, start_run) == ["stored", "VersionConflict"]


def test_a_watched_stream_that_a_later_neighbour_moves_on_is_none(commands, stalled, recorder, row) -> None:
    recorder.writer.append([row("thread_a", 1)])
    with stalled():
        start_run = commands.put(("run_a", 1), watched={"thread_a": 1})
        archive = commands.put(("thread_a", 2))
    commands.wait(start_run, archive)
    assert outcomes(start_run, archive) == ["stored", "stored"]


@pytest.mark.fault("F12")
def test_a_full_queue_refuses_and_stores_nothing_of_the_refused(recorder, row, stalled) -> None:
    commands = Commands(recorder, row, queue_size=3)
    with stalled():
        taken = [commands.put(("run_0", 1))]
        while commands.appender.queue:  # it is taken out of the queue, alone
            time.sleep(0.001)
        with pytest.raises(QueueFull, match="the append queue is full: 3 commands are waiting") as refused:  # noqa: PT012
            for number in range(1, 10):
                taken += [commands.put((f"run_{number}", 1))]
        assert refused.value.retriable
    commands.wait(*taken)
    assert recorder.reader.head().position == len(taken) < 6
    again = commands.put(("run_9", 1))
    commands.wait(again)
    assert outcomes(again) == ["stored"]
    commands.appender.close()


def test_large_batches_are_split_by_number_and_by_size(commands, stalled, monkeypatch) -> None:
    monkeypatch.setattr(command_queue, "MAX_EVENTS", 10)
    monkeypatch.setattr(command_queue, "MAX_BYTES", 1000)
    with stalled():
        many = [commands.put((f"run_{number}", 1)) for number in range(25)]
        large = [commands.put((f"run_l{number}", 1), size=400) for number in range(6)]
        larger_than_any = commands.put(*((f"run_big{number}", 1) for number in range(15)), size=200)
    commands.wait(*many, *large, larger_than_any)
    assert set(outcomes(*many, *large, larger_than_any)) == {"stored"}
    assert max(commands.batches[:-1]) <= 10
    assert commands.batches[-1] == 1
    assert len(commands.batches) >= 2 + 3 + 1
    assert sum(commands.batches) == 32


@pytest.mark.row("HV-53")
def test_closing_stores_what_waits(recorder, row, stalled) -> None:
    commands = Commands(recorder, row)
    with stalled():
        appends = [commands.put((f"run_{number}", 1)) for number in range(5)]
        closing = threading.Thread(target=commands.appender.close)
        closing.start()
    closing.join(60)
    assert outcomes(*appends) == ["stored"] * 5
    assert commands.settled == appends
    with pytest.raises(LedgerUnavailable, match="the ledger is closed; open it again"):
        commands.put(("run_9", 1))


@pytest.mark.fault("C-7")
def test_a_defect_while_appending_answers_everybody_and_the_appender_goes_on(commands, stalled, monkeypatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a defect")

    with monkeypatch.context() as patched:
        patched.setattr(Writer, "append", broken)
        append = commands.put(("run_a", 1))
        commands.wait(append)
    assert isinstance(append.error, LedgerUnavailable)
    assert "ZeroDivisionError" in str(append.error)
    commands.read_again("run_a")
    again = commands.put(("run_a", 1))
    commands.wait(again)
    assert outcomes(again) == ["stored"]
