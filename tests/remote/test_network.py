"""A connected ledger while answers are lost, connections break and the server is away: nothing lost, nothing twice."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from runfold import Ledger, LedgerError, LedgerUnavailable, Recorded, RemoteLedger, RunNotFound, Settings, Subscription
from runfold.errors import AccessDenied, KeyReused, TooManyRequests, UsageError
from runfold.http.app import create_app
from runfold.remote.answers import rebuilt
from tests.remote.proxy import ALIVE, Proxy, answer
from tests.serving import Anybody, serving, without_salt


@pytest.fixture
def proxy(address: str) -> Iterator[Proxy]:
    with Proxy(address) as between:
        yield between


@pytest.fixture
def remote(proxy: Proxy) -> Iterator[RemoteLedger]:
    with Ledger.connect(proxy.url) as connected:
        yield connected


@pytest.mark.fault("D2")
def test_a_command_whose_answer_is_lost_is_recorded_once_and_answered(remote: RemoteLedger, proxy: Proxy, ledger: Ledger) -> None:
    proxy.losing = 1
    thread = remote.create_thread(agent_id="support")
    proxy.losing = 2
    run = thread.start_run(input="hello")
    proxy.losing = 1
    message = run.add_message("user", "Where is my order?")
    proxy.losing = 1
    approval = run.submit_request_approval("refund").result(30)
    proxy.losing = 1
    with remote.batch() as batch:
        batch.approval(approval.id)
        batch.run(run.id).report_problem("minor", "slow")
    assert proxy.losing == 0
    recorded = ledger.events()
    assert [event.type for event in recorded] == [
        "thread.created",
        "run.created",
        "run.started",
        "message.added",
        "approval.requested",
        "run.waiting",
        "problem.reported",
    ]
    made = {each.id: each.receipt for each in (thread, run, message, approval)}
    assert [receipt and (receipt.position, receipt.version) for receipt in made.values()] == [(1, 1), (3, 2), (4, 3), (6, 4)]
    assert made.keys() == {recorded[0].stream, recorded[1].stream, recorded[3].event.message_id, recorded[4].stream}  # type: ignore[attr-defined]


@pytest.mark.fault("D2")
def test_a_request_is_repeated_as_it_was_under_the_same_key(remote: RemoteLedger, proxy: Proxy) -> None:
    proxy.requests.clear()
    proxy.losing = 2
    remote.create_thread(agent_id="support")
    assert len(proxy.requests) == 3
    assert len(set(proxy.requests)) == 1
    remote.create_thread(agent_id="support")
    keys = {line for request in proxy.requests for line in request.split(b"\r\n") if line.lower().startswith(b"idempotency-key")}
    assert len(keys) == 2


TOO_MANY = json.dumps(
    {
        "type": "urn:runfold:error:TooManyRequests",
        "title": "",
        "status": 429,
        "detail": "wait",
        "instance": "/",
        "retry_after": 1.0,
    }
).encode()
AWAY = json.dumps(
    {
        "type": "urn:runfold:error:LedgerUnavailable",
        "title": "",
        "status": 503,
        "detail": "away; wait",
        "instance": "/",
        "fact": "away",
        "next_step": "wait",
        "retriable": True,
    }
).encode()


@pytest.mark.parametrize(
    "first",
    [
        answer("503 Service Unavailable", b"<html>", "retry-after: 1", kind="text/html"),
        answer("502 Bad Gateway", b""),
        answer("503 Service Unavailable", AWAY, "retry-after: 1", kind="application/problem+json"),
        answer("429 Too Many Requests", TOO_MANY, "retry-after: 1", kind="application/problem+json"),
    ],
    ids=["503 of a gateway", "502 of a gateway", "503 of the server", "429"],
)
def test_a_server_that_says_not_now_is_asked_again(remote: RemoteLedger, proxy: Proxy, ledger: Ledger, first: bytes) -> None:
    began = time.monotonic()
    proxy.answers.append(first)
    thread = remote.create_thread(agent_id="support")
    assert [recorded.stream for recorded in ledger.events()] == [thread.id]
    assert time.monotonic() - began > (1 if b"retry-after" in first else 0)
    proxy.answers.append(first)
    assert thread.view().version == 1


def test_patience_ends(proxy: Proxy) -> None:
    with Ledger.connect(proxy.url, patience=0.3) as remote:
        proxy.target = None
        proxy.cut()
        with pytest.raises(LedgerUnavailable, match="does not answer") as caught:
            remote.create_thread()
        assert caught.value.retriable
        proxy.answers.extend([answer("503 Service Unavailable", AWAY, kind="application/problem+json")] * 50)
        with pytest.raises(LedgerUnavailable, match="away; wait") as caught:
            remote.now.thread("thread_x")
        assert (caught.value.fact, caught.value.next_step) == ("away", "wait")


def test_a_row_of_commands_goes_on_over_a_restart_of_the_server(ledger: Ledger) -> None:
    with Proxy(None) as proxy:
        with _server(ledger, proxy):
            remote = Ledger.connect(proxy.url)
            run = remote.create_thread(agent_id="support").start_run()
            answers = [run.submit_add_message("assistant", str(number)) for number in range(30)]
            answers[5].result(30)
        waiting = threading.Thread(target=lambda: run.add_message("user", "last"))
        waiting.start()
        with _server(ledger, proxy):
            waiting.join(30)
            assert [answer.result(30).run_id for answer in answers] == [run.id] * 30
            assert [message.text for message in run.messages()] == [*map(str, range(30)), "last"]
            remote.close()


def test_a_subscription_gives_each_event_once_whatever_breaks(ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="support").start_run()
    with contextlib.ExitStack() as stack:
        proxy = stack.enter_context(Proxy(None))
        with _server(ledger, proxy):
            remote = stack.enter_context(Ledger.connect(proxy.url))
            subscription = remote.subscribe()
            found = stack.enter_context(_collecting(subscription))
            for number in range(5):
                run.add_message("user", str(number))
                _until(lambda: len(found) == ledger.position())
                proxy.cut()
        run.add_message("user", "while the server is away")
        proxy.answers.append(answer("503 Service Unavailable", b""))
        with _server(ledger, proxy):
            run.add_message("user", "after its restart")
            _until(lambda: len(found) == ledger.position())
            assert not proxy.answers
            assert found == without_salt(ledger.events())
            assert subscription.position == ledger.position()


def test_a_subscription_is_stopped_from_another_thread_while_it_waits(remote: RemoteLedger, ledger: Ledger) -> None:
    ledger.create_thread(agent_id="support")
    with remote.subscribe() as subscription:
        with _collecting(subscription) as found:
            _until(lambda: bool(found))
        assert list(subscription) == []


def test_a_subscription_moves_on_over_what_it_does_not_want(remote: RemoteLedger, ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="support").start_run()
    run.complete()
    assert [recorded.type for recorded in remote.subscribe(types=["run.*"], after=2, follow=False)] == [
        "run.started",
        "run.completed",
    ]
    subscription = remote.subscribe(types=["approval.*"], follow=False)
    assert list(subscription) == []
    assert subscription.position == ledger.position() == 4
    assert [recorded.position for recorded in remote.subscribe(after=3, follow=False)] == [4]
    with pytest.raises(UsageError, match="beyond the ledger"):
        next(remote.subscribe(after=10))
    assert [recorded.type for recorded in remote.subscribe(types="run.*", follow=False)] == [
        "run.created",
        "run.started",
        "run.completed",
    ]
    with pytest.raises(RunNotFound):
        next(remote.subscribe(run_id="run_none"))


def test_a_subscription_loses_patience_where_it_is_asked_to(proxy: Proxy) -> None:
    with Ledger.connect(proxy.url) as remote:
        subscription = remote.subscribe(patience=0.3)
        proxy.target = None
        proxy.cut()
        with pytest.raises(LedgerUnavailable):
            next(subscription)


def test_a_subscription_of_a_closed_ledger_ends_with_an_error(proxy: Proxy) -> None:
    remote = Ledger.connect(proxy.url)
    subscription = remote.subscribe()
    remote.close()
    for work in (lambda: next(subscription), remote.create_thread, remote.submit_create_thread().result):
        with pytest.raises(LedgerUnavailable, match="closed") as caught:
            work()
        assert not caught.value.retriable


@contextlib.contextmanager
def _server(ledger: Ledger, proxy: Proxy) -> Iterator[None]:
    with serving(create_app(ledger, Anybody())) as address:
        proxy.target = address
        yield
        proxy.target = None
        proxy.cut()


@contextlib.contextmanager
def _collecting(subscription: Subscription) -> Iterator[list[Recorded]]:
    """What it gives, while a thread iterates it; it is stopped at the end, in the middle of its waiting."""
    found: list[Recorded] = []

    def collect() -> None:
        for recorded in subscription:
            found.append(recorded)  # noqa: PERF402  others look at it meanwhile

    thread = threading.Thread(target=collect, daemon=True)
    thread.start()
    yield found
    subscription.stop()
    thread.join(30)
    assert not thread.is_alive()


def _until(is_so: Callable[[], bool]) -> None:
    given_up = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < given_up
        time.sleep(0.01)


# Whom one connects to


@pytest.mark.parametrize(
    "url",
    [
        *("", "ledger.example:8765", "ftp://ledger.example", "http://", "postgresql://h/db", "http://k@h", "http://h/?a=b"),
        *("http://h:99999", "http://h:65536", "https://h:0"),
    ],
)
def test_what_is_no_address_of_a_server_is_said_so(url: str) -> None:
    with pytest.raises(UsageError, match="http"):
        Ledger.connect(url)


@pytest.mark.parametrize("key", ["", "a b", "schlüssel", "a\nb"])
def test_what_can_be_no_key_is_said_so_without_showing_it(key: str) -> None:
    with pytest.raises(UsageError, match="runfold keys create") as caught:
        Ledger.connect("http://127.0.0.1:1", key)
    assert not key or key not in str(caught.value)


def test_nobody_there_is_unavailable() -> None:
    with pytest.raises(LedgerUnavailable, match=r"127\.0\.0\.1:1 does not answer") as caught:
        Ledger.connect("http://127.0.0.1:1", patience=0)
    assert caught.value.retriable


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (
            answer("200 OK", b"<html>hello</html>", kind="text/html"),
            "with text/html and not with application/json, as no Runfold server does",
        ),
        (answer("200 OK", b'{"status":"ok"}'), "with JSON of another shape, as no Runfold server does"),
        (answer("404 Not Found", b"nothing", kind="text/plain"), "as no Runfold server does"),
        (answer("301 Moved", b"", "location: https://elsewhere.example"), "as no Runfold server does"),
        (answer("200 OK", b'{"status":"alive","api":"99"}'), "speaks version 99 of the API, and this Runfold version 1"),
    ],
    ids=["a page", "other JSON", "404", "a redirect", "another API"],
)
def test_a_server_that_is_no_runfold_or_another_one_is_said_so(told: bytes, words: str) -> None:
    with Proxy(None) as proxy:
        proxy.answers.append(told)
        with pytest.raises(LedgerError, match=words):
            Ledger.connect(proxy.url, patience=0)


def test_the_key_comes_from_the_environment_and_is_not_shown(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNFOLD_KEY", "rf_secret")
    proxy.answers.append(ALIVE)
    with Ledger.connect(proxy.url) as remote:
        assert b"authorization: bearer rf_secret" in proxy.requests[0].lower()
        assert "rf_secret" not in repr(remote) + repr(Settings())
    with Ledger.connect(proxy.url, "rf_another"):
        assert b"authorization: bearer rf_another" in proxy.requests[-1].lower()


def test_an_error_that_is_not_known_here_is_still_told() -> None:
    error = rebuilt("SomethingNew", "it is new; upgrade", {"what": 1})
    assert (type(error), str(error), error.facts) == (LedgerError, "it is new; upgrade", {"what": 1})
    reused = rebuilt("KeyReused", "used", {"key": "k", "position": 3})
    assert isinstance(reused, KeyReused)
    assert (reused.key, reused.position) == ("k", 3)
    late = rebuilt("TooManyRequests", "wait", {"a_second": 1.0, "retry_after": 2.0})
    assert isinstance(late, TooManyRequests)
    assert late.retry_after == 2.0
    assert type(rebuilt("Any", "x", {})) is LedgerError
    assert isinstance(rebuilt("AccessDenied", "x", {}), AccessDenied)
