"""Taking, answering, retrying and parking the events of a named subscription."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from uuid import uuid4

import httpx2
import psycopg
import pytest

from runfold import Ledger, Run
from runfold.commands.caller import Caller
from runfold.domain.values import Actor
from runfold.errors import AccessDenied, HistoryChanged, InvalidEvent, LedgerUnavailable, SubscriptionNotFound, UsageError
from runfold.subscriptions.kept import KeptSubscriptions
from runfold.subscriptions.views import Taken
from tests.databases import TestDatabase
from tests.put_back import put_back
from tests.subscriptions.conftest import Named, at, leases_end
from tests.waiting import until


def attempts(taken: Taken) -> set[int]:
    return {each.attempt for each in taken.deliveries}


def test_what_is_acknowledged_is_given_once_and_the_rest_again(named: Named, runs: list[Run]) -> None:
    billing = named("billing")
    assert billing.put(types=["run.started"]).acknowledged_up_to.startswith("0@")
    first = billing.take(2)
    assert [each.recorded.type for each in first.deliveries] == ["run.started"] * 2
    second = billing.take()
    assert not {*at(first)} & {*at(second)}
    assert billing.acknowledge(first.lease, at(first)[:1]).acknowledged == at(first)[:1]
    assert billing.release(first.lease).released == at(first)[1:]
    assert billing.release(second.lease).released == at(second)
    again = billing.take()
    assert (at(again), attempts(again)) == ([*at(first)[1:], *at(second)], {1})
    billing.acknowledge(again.lease, at(again))
    assert billing.take().deliveries == []
    view = billing.view()
    assert (view.lag, view.leased, view.waiting, view.parked, view.oldest_position) == (0, 0, 0, 0, None)


def test_within_a_stream_nothing_is_given_before_what_stands_in_front_of_it(named: Named, runs: list[Run]) -> None:
    billing = named("billing")
    billing.put(after="now")
    for text in ("one", "two"):
        for run in runs[:2]:
            run.add_message("user", text)
    first = billing.take(1)
    streams = [each.recorded.stream for each in first.deliveries]
    others = billing.take()
    assert {each.recorded.stream for each in others.deliveries} == {run.id for run in runs[:2]} - {*streams}
    assert billing.take().deliveries == []  # the second of the first stream waits for the first
    billing.acknowledge(first.lease, at(first))
    assert [each.recorded.stream for each in billing.take().deliveries] == streams


def test_order_is_kept_in_a_thread_or_in_nothing_where_that_is_asked_for(named: Named, runs: list[Run]) -> None:
    named("threads").put(in_order_of="thread")
    named("any").put(in_order_of="nothing")
    first = named("threads").take(1)
    others = named("threads").take()
    assert {each.recorded.thread_id for each in others.deliveries} == {runs[2].view().thread_id}
    assert at(named("any").take(3)) + at(named("any").take(100)) == sorted({*at(first)} | {*range(1, 9)})


def test_a_rejected_event_comes_again_marked_and_what_is_behind_it_with_it(named: Named, runs: list[Run]) -> None:
    billing = named("billing")
    billing.put(after="now", most_attempts=2)
    for text in ("one", "two", "three"):
        runs[0].add_message("user", text)
    taken = billing.take()
    one, two, three = at(taken)
    answer = billing.reject(taken.lease, [one], reason="down", delay_seconds=0)
    assert (answer.retried, answer.released, answer.lost) == ([one], [two, three], [])
    assert billing.acknowledge(taken.lease, [two]).lost == [two]
    again = billing.take()
    assert [(each.recorded.position, each.attempt) for each in again.deliveries] == [(one, 2), (two, 1), (three, 1)]
    assert [each.is_redelivery for each in again.deliveries] == [True, False, False]
    assert billing.reject(again.lease, [one], reason="still down").parked == [one]
    billing.acknowledge(again.lease, [two, three])
    (parked,) = billing.parked()
    assert (parked.position, parked.attempts, parked.reason) == (one, 2, "still down")
    assert billing.view().parked == 1
    assert billing.replay() == [one]
    (replayed,) = billing.take().deliveries
    assert (replayed.recorded.position, replayed.replayed, replayed.is_redelivery) == (one, True, True)


def test_an_event_that_waits_for_its_retry_holds_up_its_stream_alone(named: Named, runs: list[Run]) -> None:
    billing = named("billing")
    billing.put(after="now")
    for run in runs[:2]:
        run.add_message("user", "one")
        run.add_message("user", "two")
    taken = billing.take(1)
    billing.reject(taken.lease, at(taken), delay_seconds=3600)
    assert {each.recorded.stream for each in billing.take().deliveries} == {runs[1].id}
    assert billing.view().oldest_position == at(taken)[0]


def test_parked_events_are_listed_discarded_and_forgotten_with_a_reset(named: Named, runs: list[Run]) -> None:
    billing = named("billing")
    billing.put()
    taken = billing.take()
    assert billing.reject(taken.lease, at(taken), park=True).parked == at(taken)
    assert [each.position for each in billing.parked(after=2, limit=3)] == [3, 4, 5]
    assert billing.discard([1, 2, 99]) == [1, 2]
    assert billing.replay([3]) == [3]
    assert billing.reset(4).parked == 0
    assert at(billing.take()) == [5, 6, 7, 8]


def test_a_lease_that_ends_gives_its_events_to_others_and_its_answers_count_no_more(
    named: Named, ledger: Ledger, database: TestDatabase, runs: list[Run]
) -> None:
    billing = named("billing")
    billing.put(lease_seconds=3600)
    gone = billing.take(consumer="gone")
    assert billing.extend(gone.lease).extended == at(gone)
    leases_end(database)
    other = billing.take(consumer="other")
    assert (at(other), attempts(other)) == (at(gone), {2})
    assert billing.acknowledge(gone.lease, at(gone)).lost == at(gone)
    assert billing.extend(gone.lease).extended == billing.release(gone.lease).released == []
    assert billing.acknowledge(other.lease, at(other)).acknowledged == at(other)


@pytest.mark.parametrize("table", ["leases", "waiting"])
def test_a_clock_that_was_put_back_keeps_no_event_from_being_given(
    ledger: Ledger, database: TestDatabase, runs: list[Run], table: str
) -> None:
    billing = ledger.subscription("billing")
    billing.put(lease_seconds=86_400)
    taken = billing.take()
    if table == "waiting":
        billing.reject(taken.lease, at(taken), delay_seconds=86_400)
    assert at(billing.take()) == []
    with psycopg.connect(database.admin_url) as admin:
        admin.execute(f"UPDATE runfold.subscription_{table} SET due = due + interval '1 hour'")
    assert at(billing.take()) == at(taken)


@pytest.mark.parametrize("table", ["leases", "waiting"])
def test_what_was_noted_by_a_clock_that_was_put_back_since_holds_for_no_longer(
    ledger: Ledger, database: TestDatabase, runs: list[Run], table: str
) -> None:
    billing = ledger.subscription("billing")
    billing.put(lease_seconds=60)
    taken = billing.take()
    if table == "waiting":
        billing.reject(taken.lease, at(taken), delay_seconds=60)
    else:
        assert billing.extend(taken.lease).extended == at(taken)
    with psycopg.connect(database.admin_url, autocommit=True) as admin:

        def put_the_clock_back(by: str) -> None:
            admin.execute(f"UPDATE runfold.subscription_{table} SET due = due + %s::interval, noted_at = noted_at + %s", [by, by])

        put_the_clock_back("5 seconds")
        assert at(billing.take()) == [], "clocks are corrected by as much, and nothing is given twice for that"
        put_the_clock_back("2 hours")
        assert at(billing.take()) == at(taken)


def test_taking_waits_for_what_is_recorded_meanwhile(named: Named, ledger: Ledger, runs: list[Run]) -> None:
    billing = named("billing")
    billing.put(after="now")
    assert billing.take(wait_seconds=0.01).deliveries == []
    later = threading.Timer(0.05, lambda: runs[0].add_message("user", "hello"))
    later.start()
    try:
        assert [each.recorded.type for each in billing.take(wait_seconds=30).deliveries] == ["message.added"]
    finally:
        later.join()


def test_a_consumer_takes_acknowledges_and_gives_back(named: Named, ledger: Ledger, runs: list[Run]) -> None:
    billing = named("billing")
    billing.put()
    seen: list[int] = []
    with billing.consume("one", batch=3, follow=False) as consumer:
        for delivery in consumer:
            seen.append(delivery.recorded.position)
            if delivery.recorded.position == 6:
                break
            consumer.acknowledge(delivery)
    assert len(seen) == len({*seen}) == 6 or 6 in seen
    assert billing.view().leased == 0
    with billing.consume(batch=100, follow=False) as consumer:
        for delivery in consumer:
            seen.append(delivery.recorded.position)
            consumer.acknowledge(delivery)
    assert {*seen} == {*range(1, 9)}
    assert billing.view().lag == 0


def test_a_consumer_that_rejects_is_not_given_what_is_behind(named: Named, runs: list[Run]) -> None:
    billing = named("billing")
    billing.put(after="now")
    for text in ("one", "two", "three"):
        runs[0].add_message("user", text)
    runs[1].add_message("user", "other")
    seen: list[tuple[str, int]] = []
    with billing.consume(follow=False) as consumer:
        for delivery in consumer:
            seen.append((delivery.recorded.stream, delivery.attempt))
            if len(seen) == 1:
                consumer.reject(delivery, reason="down", delay_seconds=3600)
            else:
                consumer.acknowledge(delivery)
    assert seen == [(runs[0].id, 1), (runs[1].id, 1)]


@pytest.mark.parametrize("batch", [1, 3])
def test_what_is_answered_once_later_events_are_here_is_answered(named: Named, runs: list[Run], batch: int) -> None:
    """As where events are handled by others, and the consumer goes on meanwhile."""
    billing = named("billing")
    billing.put(in_order_of="nothing")
    with billing.consume(batch=batch, follow=False) as consumer:
        given = [next(consumer) for _ in range(8)]
        consumer.reject(given[1], park=True)
        for delivery in given[:1] + given[2:6]:
            consumer.acknowledge(delivery)
            consumer.acknowledge(delivery)  # the second time it is nothing
    assert [each.position for each in billing.parked()] == [2]
    view = billing.view()
    assert (view.leased, view.waiting) == (0, 2)
    assert at(billing.take(10)) == [7, 8]


def test_an_answer_after_the_lease_has_ended_is_not_taken_and_the_event_comes_again(
    ledger: Ledger, database: TestDatabase, runs: list[Run]
) -> None:
    billing = ledger.subscription("billing")
    billing.put(in_order_of="nothing")
    with billing.consume(batch=1, follow=False) as consumer:
        first = next(consumer)
        leases_end(database)
        again = next(consumer)
        assert (again.recorded.position, again.attempt) == (first.recorded.position, 2)
        consumer.acknowledge(first)  # it is the same event, and done
        assert next(consumer).recorded.position == 2
    assert at(billing.take(10)) == [2, 3, 4, 5, 6, 7, 8]


@contextlib.contextmanager
def away(database: TestDatabase) -> Iterator[None]:
    """Nobody reaches the database, as while its server starts again."""
    with psycopg.connect(database.admin_url, dbname="postgres", autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS false")
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [database.name])
        yield
        admin.execute(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS true")


def test_a_consumer_that_follows_goes_on_where_it_was_when_the_database_was_away(database: TestDatabase, runs: list[Run]) -> None:
    impatient = Ledger.open(settings=database.settings.model_copy(update={"connect_timeout": 0.5}))
    billing = impatient.subscription("billing")
    billing.put()
    seen: list[int] = []
    failed: list[Exception] = []

    def follow() -> None:
        try:
            for delivery in consumer:
                seen.append(delivery.recorded.position)
                consumer.acknowledge(delivery)
                if len(seen) == 3:
                    ask.set()
                    gone.wait(30)
        except Exception as error:
            failed.append(error)

    ask, gone = threading.Event(), threading.Event()
    with billing.consume(batch=3) as consumer:
        following = threading.Thread(target=follow)
        following.start()
        assert ask.wait(30)
        with away(database):
            gone.set()
            with pytest.raises(LedgerUnavailable):
                next(billing.consume(follow=False))
        until(lambda: len(seen) == 8 or failed)
        consumer.stop()
        following.join()
    assert (failed, seen) == ([], [*range(1, 9)])
    assert billing.view().lag == 0
    impatient.close()


def test_an_answer_of_a_consumer_that_was_not_taken_is_given_again(
    ledger: Ledger, database: TestDatabase, runs: list[Run]
) -> None:
    billing = ledger.subscription("billing")
    billing.put(in_order_of="nothing")
    with psycopg.connect(database.admin_url, autocommit=True) as admin, billing.consume(batch=3, follow=False) as consumer:
        first, second, third = (next(consumer) for _ in range(3))
        with pytest.raises(UsageError, match="delay_seconds"):
            consumer.reject(first, delay_seconds=-1)
        consumer.reject(first, park=True)
        consumer.acknowledge(second)
        consumer.acknowledge(third)
        admin.execute("ALTER TABLE runfold.subscription_leases RENAME TO away")
        with pytest.raises(LedgerUnavailable):
            next(consumer)
        admin.execute("ALTER TABLE runfold.away RENAME TO subscription_leases")
        assert next(consumer).recorded.position == 4
    assert [each.position for each in billing.parked()] == [1]
    leases_end(database)
    assert at(billing.take(3)) == [4, 5, 6]


def test_a_subscription_begins_where_it_is_told_and_stays_there(named: Named, ledger: Ledger, runs: list[Run]) -> None:
    time = ledger.events()[3].recorded_at
    for name, after, first in (("p", 5, 6), ("cursor", ledger.cursor(6), 7), ("time", time.isoformat(), None)):
        named(name).put(after=after)
        assert first is None or at(named(name).take(1)) == [first]
    assert named("p").put(after="now", lease_seconds=5).lease_seconds == 5
    assert at(named("p").take(100))[:1] != [6]  # it is at the first consumer
    with pytest.raises(UsageError, match="and narrowed by nothing, in order of stream; delete it first"):
        named("p").put(types=["run.*"])
    named("q").put(types=["run.*", "tool.*"], agent_id="ada")
    with pytest.raises(UsageError, match=r"and narrowed by .*types run\.\*, tool\.\*.*agent_id ada|agent_id ada.*types run"):
        named("q").put()
    named("q").delete()
    assert [each.name for each in ledger.subscriptions.all()] == ["cursor", "p", "time"]
    named("p").delete()
    with pytest.raises(SubscriptionNotFound, match="no subscription 'p'"):
        named("p").take()


@pytest.mark.shares
@pytest.mark.parametrize("name", ["", "A", "a b", "-a", "a" * 65, "é", "a/b", "a\n"], ids=ascii)
def test_what_is_no_name_is_refused(ledger: Ledger, name: str) -> None:
    with pytest.raises(UsageError, match="no name of a subscription"):
        ledger.subscription(name)


def test_what_makes_no_sense_is_refused_with_the_next_step(named: Named, runs: list[Run]) -> None:
    billing = named("billing")
    billing.put()
    refused: dict[str, Callable[[], object]] = {
        "limit takes a whole number from 1 to 1000, not 0": lambda: billing.take(0),
        "limit takes a whole number from 1 to 1000, not 1001": lambda: billing.take(1001),
        "wait_seconds takes a number from 0 to 30, not 31": lambda: billing.take(wait_seconds=31),
        "delay_seconds takes a number from 0 to 86400, not -1": lambda: billing.reject(uuid4(), [1], delay_seconds=-1),
        "consumer: ": lambda: billing.take(consumer="a\0"),
        "reason: ": lambda: billing.reject(uuid4(), [1], reason="\ud800"),
        "limit.*integer|not 2.5": lambda: billing.take(2.5),  # type: ignore[arg-type]
        "limit.*integer|not 0.5": lambda: billing.parked(0, 0.5),  # type: ignore[arg-type]
        "positions": lambda: billing.discard([2**70]),
        "positions takes": lambda: billing.replay([-1]),
        "lease_seconds": lambda: named("other").put(lease_seconds=0.5),
        "retry_seconds": lambda: named("other").put(retry_seconds=float("inf")),
        "most_attempts": lambda: named("other").put(most_attempts=0),
        "in_order_of is 'run'": lambda: named("other").put(in_order_of="run"),  # type: ignore[arg-type]
        "still to come": lambda: named("other").put(after="2999-01-01"),
        "beyond the ledger": lambda: billing.reset(10**9),
        "lease takes the one that `take` gave, not 'x'": lambda: billing.acknowledge("x", [1]),  # type: ignore[arg-type]
        "lease takes the one that `take` gave, not 'y'": lambda: billing.reject("y", [1]),  # type: ignore[arg-type]
        "lease takes the one that `take` gave, not None": lambda: billing.extend(None),  # type: ignore[arg-type]
        "lease takes the one that `take` gave, not 5": lambda: billing.release(5),  # type: ignore[arg-type]
    }
    for words, ask in refused.items():
        with pytest.raises((UsageError, InvalidEvent), match=words):
            ask()


def test_where_the_ledger_was_put_back_consumers_are_told_once(
    named: Named, ledger: Ledger, database: TestDatabase, runs: list[Run]
) -> None:
    billing = named("billing")
    billing.put()
    taken = billing.take()
    billing.acknowledge(taken.lease, at(taken))
    put_back(database, 5)

    def told() -> bool:
        try:
            billing.take()
        except HistoryChanged as error:
            return error.position == 5
        return False

    until(told)
    billing.reset(5)
    assert billing.take().deliveries == []


def test_each_owner_has_whole_pages_of_their_own(ledger: Ledger, runs: list[Run]) -> None:
    for name in ("b1", "b3"):
        ledger.subscription(name).put()
    other = ledger.on_behalf(Caller(ledger.settings.tenant, Actor.parse("agent:mirror"), scopes=frozenset({"events:read"})))
    for name in ("b2", "b4"):
        other.subscription(name).put()
    assert [each.name for each in other.subscriptions.all(limit=1)] == ["b2"]
    assert [each.name for each in other.subscriptions.all("b2", 1)] == ["b4"]
    assert [each.name for each in ledger.subscriptions.all(limit=3)] == ["b1", "b2", "b3"]
    with pytest.raises(AccessDenied, match="is service:runfold's"):
        other.subscription("b1").take()


@pytest.mark.shares
@pytest.mark.parametrize("name", ["%00", "A", "a%0A", "%F0%9F%98%80", "b" * 100])
def test_what_is_no_name_is_refused_over_http_too(client: httpx2.Client, name: str) -> None:
    for verb, path, body in (
        ("GET", "", None),
        ("POST", "/take", {}),
        ("DELETE", "", None),
        ("PUT", "", {}),
        ("GET", "/parked", None),
    ):
        answer = client.request(verb, f"/subscriptions/{name}{path}", json=body)
        assert answer.status_code == 400, (verb, path, answer.text)
    for query in ("cursor=%00", "cursor=A", "limit=0"):
        assert client.get(f"/subscriptions?{query}").status_code == 400, query


def test_the_cursor_of_parked_events_is_a_position(client: httpx2.Client, ledger: Ledger, runs: list[Run]) -> None:
    ledger.subscription("billing").put()
    for cursor in ("9" * 5000, "x", "-1", "\u0664"):
        assert client.get("/subscriptions/billing/parked", params={"cursor": cursor}).status_code == 400, cursor
    assert client.post("/subscriptions/billing/take", json={"consumer": "a\0"}).status_code == 422


def test_a_request_that_waits_asks_the_database_when_something_is_recorded_and_seldom_else(
    client: httpx2.Client, ledger: Ledger, runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.subscription("billing").put(after="now")
    looks: list[str] = []
    take_now = KeptSubscriptions.take_now

    def seen(kept: KeptSubscriptions, name: str, limit: int, consumer: str | None) -> object:
        looks.append(name)
        return take_now(kept, name, limit, consumer)

    monkeypatch.setattr(KeptSubscriptions, "take_now", seen)
    answer = client.post("/subscriptions/billing/take", json={"wait_seconds": 1.5})
    assert (answer.status_code, answer.json()["deliveries"]) == (200, [])
    assert 1 <= len(looks) <= 4, "it would be fifteen times if it looked as soon as it may"
