"""One process at a time carries a reactor out; who dies or stands still is taken over from; the log is taken in at least once."""

import threading
from collections.abc import Sequence

import psycopg
import pytest

from runfold import Ledger, Recorded
from runfold.delivery.claims import Claims
from runfold.delivery.feed_reactor import FeedReactor
from runfold.delivery.loop import ReactorLoop
from runfold.delivery.reactor import Claim, Reacted
from tests.databases import TestDatabase
from tests.waiting import until


def test_one_at_a_time_has_a_claim_and_who_lost_it_notes_nothing(ledger: Ledger, database: TestDatabase) -> None:
    first, second = Claims(ledger.recorder.store), Claims(ledger.recorder.store)
    held = first.take("toy")
    assert held is not None
    assert (second.take("toy"), first.take("toy")) == (None, held)
    with psycopg.connect(database.admin_url, autocommit=True) as connection:
        connection.execute("UPDATE runfold.reactors SET held_until = clock_timestamp() - interval '1 s'")
        taken = second.take("toy")
        assert taken is not None
        assert taken.token > held.token
        assert (first.note(held, Reacted({"things": 1})), second.note(taken, Reacted({"things": 2}))) == (False, True)
        assert second.note(taken, Reacted({"things": 3}, position=7))
        first.release(held)
        assert first.take("toy") is None, "what another has is not given back"
        connection.execute("UPDATE runfold.reactors SET held_until = clock_timestamp() + interval '1 day'")
        assert first.take("toy") is not None, "a claim from a clock that was put back since is not believed"
    (status,) = ledger.reactors()
    assert (status.name, status.state, status.done, status.position) == ("toy", "running", {"things": 5}, 7)


class Slow:
    """Has a turn in a long while, and is in a hurry to be taken over from."""

    name, pause, hold_seconds = "slow", 3600.0, 0.3

    def __init__(self) -> None:
        self.turns = 0

    def react(self, _: Claim, /) -> Reacted:
        self.turns += 1
        return Reacted()


def test_a_claim_is_as_long_as_its_reactor_says_and_renewed_between_turns(ledger: Ledger, database: TestDatabase) -> None:
    slow, stop = Slow(), threading.Event()
    loop = ReactorLoop(ledger.recorder.store, [slow])
    running = threading.Thread(target=loop.run, args=(stop,))
    running.start()
    seen = set[object]()
    with psycopg.connect(database.admin_url, autocommit=True) as connection:

        def renewals() -> int:
            seen.update(connection.execute("SELECT held_until FROM runfold.reactors").fetchall())
            return len(seen)

        try:
            until(lambda: renewals() >= 4)
        finally:
            stop.set()
            running.join()
    assert slow.turns == 1
    assert Claims(ledger.recorder.store).take(slow.name, slow.hold_seconds) is not None, "it was given back at the end"


def test_why_one_cannot_go_on_is_told_until_it_does(ledger: Ledger) -> None:
    claims = Claims(ledger.recorder.store)
    claim = claims.take("toy")
    assert claim is not None
    claims.fail(claim, "no way")
    (failing,) = ledger.reactors()
    assert (failing.state, failing.error, failing.failing_since is None) == ("failing", "no way", False)
    claims.note(claim, Reacted())
    claims.release(claim)
    (status,) = ledger.reactors()
    assert (status.state, status.error, status.failing_since) == ("not running", None, None)


def test_each_event_after_its_checkpoint_is_taken_in_again_where_that_failed(ledger: Ledger) -> None:
    taken: list[int] = []
    fails = [True]

    def take(events: Sequence[Recorded]) -> dict[str, int]:
        taken.extend(each.position for each in events)
        if fails and fails.pop():
            raise OSError("the receiver is away")
        return {"taken": len(events)}

    for _ in range(5):
        ledger.create_thread(agent_id="a")
    reactor = FeedReactor("toy", ledger.recorder.reader, take, begins="beginning", page=3)
    loop = ReactorLoop(ledger.recorder.store, [reactor])
    with pytest.raises(OSError, match="away"):
        loop.once()
    assert loop.once() == {"toy": {"taken": 5}}
    assert taken == [1, 2, 3, 1, 2, 3, 4, 5]
    ledger.create_thread(agent_id="a")
    assert loop.once() == {"toy": {"taken": 1}}
    assert ledger.reactors()[0].position == 6


def test_one_that_begins_now_is_given_what_comes(ledger: Ledger) -> None:
    ledger.create_thread(agent_id="a")
    found: list[int] = []
    reactor = FeedReactor("toy", ledger.recorder.reader, lambda events: found.extend(each.position for each in events) or {})
    begun = reactor.react(Claim("toy", 1, None, None))
    ledger.create_thread(agent_id="a")
    reactor.react(Claim("toy", 1, begun.position, begun.epoch))
    assert found == [2]
