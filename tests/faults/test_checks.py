"""The checkers see what is wrong: a check that cannot fail proves nothing."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from faults.checks import Findings, Stored, examine
from faults.clients import Work, acks_of, write
from faults.journal import Ack, Journal, groups
from faults.run import exit_code
from faults.stage import Figures, stored_events
from runfold import Ledger, Receipt, Settings

NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)
RUN = "run_ours_1"


def log(number: int = 6) -> list[Stored]:
    """A log in which everything is as it should be."""
    return [
        Stored(n, RUN, n, f"id{n}", "message.added", NOON + timedelta(seconds=n), f"command{n}") for n in range(1, number + 1)
    ]


def journal_of(events: list[Stored]) -> list[list[Ack]]:
    """What a client was promised, in groups of one."""
    return [[Ack(event.stream, event.version, event.position, event.command or "")] for event in events]


def examined(events: list[Stored], journal: list[list[Ack]] | None = None, *readers: list[int], head: int = 6) -> Findings:
    """What is wrong with a log of six events."""
    return examine(
        events, after=0, head=head, ours="_ours_", journals=[journal_of(log()) if journal is None else journal], readers=readers
    )


def test_nothing_is_wrong_with_a_log_that_holds_what_was_promised():
    found = examined(log(), None, [1, 2, 3, 4, 5, 6])
    assert found == Findings(acknowledged=6, stored=6)


def test_an_acknowledged_event_that_is_not_stored_is_lost():
    found = examined(log(5), head=5)
    assert (found.lost, found.wrong) == (1, 1)
    assert "version=6" in found.examples[0]


def test_an_acknowledged_event_in_whose_place_another_stands_is_lost():
    events = log()
    events[2] = events[2]._replace(command="another")
    assert examined(events).lost == 1


def test_an_acknowledged_event_at_another_position_is_lost():
    journal = journal_of(log())
    journal[5] = [journal[5][0]._replace(position=7)]
    assert examined(log(), journal).lost == 1


def test_a_missing_position_is_a_hole_and_its_acknowledged_event_lost():
    events = log()
    del events[2]
    found = examined(events)
    assert (found.holes, found.lost) == (2, 1), "the position and the version are missing"


def test_a_head_behind_which_events_are_missing_is_a_hole():
    assert examined(log(), head=9).holes == 3


def test_a_version_that_does_not_follow_is_a_hole():
    events = log()
    events[5] = events[5]._replace(version=8)
    found = examined(events, journal_of(log(5)))
    assert (found.holes, found.wrong) == (2, 2)


def test_a_command_recorded_twice_is_doubled():
    events = log()
    events[5] = events[5]._replace(command="command5")
    assert examined(events, []).doubled == 1


def test_an_event_id_or_a_place_that_stands_twice_is_doubled():
    same_id, same_place, same_position = log(), log(), log()
    same_id[5] = same_id[5]._replace(event_id="id5")
    same_place[5] = same_place[5]._replace(version=5)
    same_position[5] = same_position[5]._replace(position=5)
    assert examined(same_id, []).doubled == 1
    assert examined(same_place, []).doubled == 1
    assert examined(same_position, [], head=5).doubled == 1


def test_a_version_before_an_earlier_one_is_inverted():
    events = log()
    events[3], events[4] = (
        events[3]._replace(version=5, command="command5"),
        events[4]._replace(version=4, command="command4"),
    )
    assert examined(events, []).inverted == 1


def test_a_time_that_goes_back_is_inverted():
    events = log()
    events[3] = events[3]._replace(recorded_at=NOON)
    assert examined(events).inverted == 1


def test_what_was_acknowledged_later_and_stands_earlier_is_inverted():
    journal = journal_of(log())
    journal[1], journal[4] = journal[4], journal[1]
    assert examined(log(), journal).inverted == 3


def test_within_one_group_acknowledgements_come_in_any_order():
    (together,) = [[ack for group in journal_of(log()) for ack in group]]
    assert examined(log(), [together[::-1]]).wrong == 0


@pytest.mark.parametrize(
    ("delivered", "kind"),
    [
        ([1, 2, 4, 5, 6], "skipped"),
        ([1, 2, 3, 4, 5], "skipped"),
        ([1, 2, 2, 3, 4, 5, 6], "doubled"),
        ([1, 3, 2, 4, 5, 6], "inverted"),
        ([1, 2, 3, 4, 5, 6, 7], "lost"),
    ],
)
def test_a_reader_that_misses_repeats_or_swaps_is_seen(delivered: list[int], kind: str):
    found = examined(log(), None, [1, 2, 3, 4, 5, 6], delivered)
    assert (getattr(found, kind), found.wrong) == (1, 1)


def test_readers_of_another_tenant_do_not_miss_what_is_not_theirs():
    events = log()
    events[3] = events[3]._replace(seen=False, stream="run_theirs", version=40)
    events[4], events[5] = events[4]._replace(version=4), events[5]._replace(version=5)
    assert examined(events, [], [1, 2, 3, 5, 6]).wrong == 0


def test_ten_told_of_one_event_are_one_acknowledged_event():
    journals = [journal_of(log())] * 10
    assert examine(log(), after=0, head=6, ours="_ours_", journals=journals).acknowledged == 6


def test_a_line_that_a_kill_cut_off_was_never_promised(tmp_path: Path):
    path = tmp_path / "journal"
    journal = Journal(path)
    journal.write([Ack(RUN, 1, 1, "a"), Ack(RUN, 2, 2, "b")])
    journal.close()
    with path.open("a") as file:
        file.write(f"{RUN} 3 3")
    assert list(groups(path)) == [[Ack(RUN, 1, 1, "a"), Ack(RUN, 2, 2, "b")]]
    again = Journal(path)
    again.write([Ack(RUN, 3, 3, "c")])
    again.close()
    assert [len(group) for group in groups(path)] == [2, 1]


def test_both_events_of_one_command_are_promised():
    acks = acks_of("c", Receipt(stream=RUN, position=12, version=2, recorded_at=None, appended=2))
    assert acks == [Ack(RUN, 1, 11, "c"), Ack(RUN, 2, 12, "c")]


def test_the_exit_code_says_whether_something_was_lost_or_only_failed():
    assert exit_code([Figures(), Figures(skipped_because="no root")]) == 0
    assert exit_code([Figures(failures=["slow"])]) == 1
    for kind in ("lost", "doubled", "skipped", "inverted", "holes"):
        assert exit_code([Figures(failures=["slow"]), Figures(**{kind: 1})]) == 5


@pytest.fixture
def work(settings: Settings, tmp_path: Path) -> Work:
    """A small task for a writer."""
    assert settings.database_url is not None
    return Work("w", "ours_", "1", str(tmp_path), 150, url=settings.database_url.get_secret_value(), per_run=40)


def test_an_event_removed_behind_our_back_is_found(work: Work, ledger: Ledger, settings: Settings):
    assert work.url is not None
    assert settings.admin_url is not None
    write(work)
    head = ledger.position()
    whole = examine(stored_events(work.url, 0, head), after=0, head=head, ours=work.tag, journals=[groups(work.journal)])
    assert whole == Findings(acknowledged=head, stored=head)
    with psycopg.connect(settings.admin_url.get_secret_value(), autocommit=True) as connection:
        connection.execute("ALTER TABLE runfold.log DISABLE TRIGGER ALL")
        connection.execute("DELETE FROM runfold.log WHERE notification_id IN (30, 31)")
    torn = examine(stored_events(work.url, 0, head), after=0, head=head, ours=work.tag, journals=[groups(work.journal)])
    assert torn.lost == 2
    assert torn.holes >= 2


def test_a_writer_that_starts_again_repeats_nothing_and_the_same_seed_says_the_same(work: Work, ledger: Ledger):
    first = Work(**{**work.__dict__, "commands": 60})
    write(first)
    before = ledger.position()
    # As after a kill: the last group was acknowledged and not yet written down.
    kept = list(groups(work.journal))[:-1]
    work.journal.unlink()
    journal = Journal(work.journal)
    for group in kept:
        journal.write(group)
    journal.close()
    write(first)
    assert ledger.position() == before
    write(work)
    head = ledger.position()
    assert head > before
    assert work.url is not None
    found = examine(stored_events(work.url, 0, head), after=0, head=head, ours=work.tag, journals=[groups(work.journal)])
    assert found == Findings(acknowledged=found.acknowledged, stored=head)
    assert found.acknowledged > head - 5, "a repeated command that recorded two events is told of the first"
