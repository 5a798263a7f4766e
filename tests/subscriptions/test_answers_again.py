"""An answer that is repeated because what came of it was lost is told the same again, and nothing that was not."""

import psycopg
import pytest

from runfold import Ledger, Run
from runfold.subscriptions import stored
from tests.databases import TestDatabase
from tests.subscriptions.conftest import Named, at, leases_end


def test_what_was_acknowledged_is_acknowledged_again_whole_or_in_part(named: Named, runs: list[Run]) -> None:
    billing = named("billing")
    billing.put()
    whole, part = billing.take(3), billing.take(3)
    for positions in (at(whole), at(whole), at(whole)[:1], list(reversed(at(whole)))):
        answer = billing.acknowledge(whole.lease, positions)
        assert (answer.acknowledged, answer.lost) == (sorted(positions), [])
    for positions in (at(part)[:1], at(part)[:1], at(part)[:2], at(part), at(part)):
        answer = billing.acknowledge(part.lease, positions)
        assert (answer.acknowledged, answer.lost) == (positions, [])
    assert billing.acknowledge(whole.lease, [*at(whole), *at(part), 99]).lost == [*at(part), 99]
    assert billing.acknowledge(part.lease, at(whole)).acknowledged == []


def test_what_was_given_to_another_meanwhile_is_lost(named: Named, database: TestDatabase, runs: list[Run]) -> None:
    billing = named("billing")
    billing.put()
    gone = billing.take()
    done = at(gone)[0]
    assert billing.acknowledge(gone.lease, [done]).acknowledged == [done]
    leases_end(database)
    other = billing.take()
    answer = billing.acknowledge(gone.lease, at(gone))
    assert (answer.acknowledged, answer.lost) == ([done], at(gone)[1:])
    billing.acknowledge(other.lease, at(other))
    assert billing.acknowledge(gone.lease, at(other)).lost == at(other), "it is done, but not by this one"
    billing.reset(0)
    assert billing.acknowledge(other.lease, at(other)).lost == at(other)


def test_what_was_rejected_parked_or_given_back_is_told_again_and_done_once(named: Named, runs: list[Run]) -> None:
    billing = named("billing")
    billing.put(after="now")
    for text in ("one", "two", "three"):
        runs[0].add_message("user", text)
    taken = billing.take()
    one, two, three = at(taken)
    first = billing.reject(taken.lease, [one], delay_seconds=0)
    assert (first.retried, first.released) == ([one], [two, three])
    assert billing.reject(taken.lease, [one], delay_seconds=0) == first
    assert billing.acknowledge(taken.lease, [one]).lost == [one], "it was rejected"
    again = billing.take()
    assert [each.attempt for each in again.deliveries] == [2, 1, 1]
    parked = billing.reject(again.lease, [one], park=True)
    assert billing.reject(again.lease, [one], park=True) == parked
    assert (parked.parked, billing.view().parked) == ([one], 1)
    assert billing.release(again.lease).released == billing.release(again.lease).released == [two, three]
    last = billing.take()
    assert (at(last), [each.attempt for each in last.deliveries]) == ([two, three], [1, 1])


def test_answers_are_kept_for_a_time_and_no_more_than_a_number(
    ledger: Ledger, database: TestDatabase, runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "MOST_ANSWERS", 3)
    billing = ledger.subscription("billing")
    billing.put(in_order_of="nothing")
    answered = [billing.take(1) for _ in range(6)]
    for taken in answered:
        assert billing.release(taken.lease).released == at(taken)
    with psycopg.connect(database.admin_url, autocommit=True) as connection:

        def kept() -> list[tuple[object, ...]]:
            return connection.execute("SELECT lease FROM runfold.subscription_answers ORDER BY number").fetchall()

        assert kept() == [(taken.lease,) for taken in answered[3:]]
        connection.execute("UPDATE runfold.subscription_answers SET answered_at = answered_at - interval '2 hours'")
        assert billing.release(answered[-1].lease).released == []
        last = billing.take()
        billing.release(last.lease)
        assert kept() == [(last.lease,)]


def test_streams_with_the_same_hash_wait_for_each_other_and_are_all_given(
    ledger: Ledger, runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runfold.subscriptions.stored.crc32", lambda _: 7)
    billing = ledger.subscription("billing")
    billing.put()
    seen: list[int] = []
    while taken := billing.take(3):
        if not taken.deliveries:
            break
        assert billing.take().deliveries == []
        seen += at(taken)
        billing.acknowledge(taken.lease, at(taken))
    assert seen == list(range(1, 9))


def test_what_an_older_process_noted_is_understood(named: Named, database: TestDatabase, runs: list[Run]) -> None:
    billing = named("billing")
    billing.put()
    first = billing.take(1)
    billing.take(2)
    with psycopg.connect(database.admin_url) as connection:
        connection.execute("UPDATE runfold.subscription_leases SET key_hashes = NULL, digest = NULL")
        connection.execute("UPDATE runfold.subscription_waiting SET key_hash = NULL")
    streams = {each.recorded.stream for each in first.deliveries}
    assert not streams & {each.recorded.stream for each in billing.take().deliveries}
    assert billing.acknowledge(first.lease, at(first)).acknowledged == at(first)
