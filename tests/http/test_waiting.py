"""Questions that wait for read models hold up nobody: no thread, no connection to the database."""

from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from runfold import Ledger
from runfold.http.app import create_app
from runfold.http.server_state import ServerState
from tests.serving import Anybody, serving
from tests.waiting import until

QUESTIONS = 120


@pytest.mark.fault("K3")
@pytest.mark.parametrize("path", ["/runs", "/runs/run_one/metrics", "/threads", "/threads/thread_one/runs", "/goals", "/usage"])
def test_questions_that_wait_hold_no_threads_and_are_answered_once_it_is_folded(ledger: Ledger, path: str) -> None:
    ledger.create_thread(agent_id="support", thread_id="thread_one").start_run(run_id="run_one")
    ledger.fold()
    ledger.run("run_one").set_state(1)
    app = create_app(ledger, Anybody())
    service: ServerState = app.state.server
    with serving(app) as address, ThreadPoolExecutor(QUESTIONS) as pool:
        url = f"{address}{path}?min_position={ledger.position()}&wait_seconds=60"
        waiting = [pool.submit(httpx2.get, url, timeout=90) for _ in range(QUESTIONS)]
        until(lambda: service.progress.waiting == QUESTIONS)
        assert service.pools.questions.busy == 0
        with httpx2.Client(base_url=address, timeout=30) as client:
            for number in range(10):
                assert client.put("/runs/run_one/state", json={"state": number}).status_code == 200
                assert client.get("/runs/run_one").status_code == 200
        assert service.progress.waiting == QUESTIONS
        ledger.fold()
        assert {answer.result().status_code for answer in waiting} == {200}
        assert service.progress.waiting == 0


@pytest.mark.fault("K3")
def test_who_waits_in_vain_is_told_where_it_is_now(ledger: Ledger) -> None:
    ledger.create_thread(agent_id="support").start_run(run_id="run_one")
    ledger.fold()
    folded = ledger.position()
    ledger.run("run_one").set_state(1)
    with serving(create_app(ledger, Anybody())) as address:
        answer = httpx2.get(f"{address}/runs?min_position={folded + 1}&wait_seconds=0.3", timeout=30)
    assert answer.status_code == 503
    assert (answer.json()["position"], answer.json()["wanted"]) == (folded, folded + 1)
    assert answer.headers["retry-after"] == "1"


@pytest.mark.fault("K3")
def test_a_server_that_stops_waits_for_no_question(ledger: Ledger) -> None:
    ledger.create_thread(agent_id="support")
    app = create_app(ledger, Anybody())
    service: ServerState = app.state.server
    with ThreadPoolExecutor(1) as pool:
        with serving(app) as address:
            waiting = pool.submit(httpx2.get, f"{address}/runs?min_position=1&wait_seconds=60", timeout=90)
            until(lambda: service.progress.waiting == 1)
        assert waiting.result().status_code == 503


def test_work_that_waits_for_a_thread_is_bounded(ledger: Ledger) -> None:
    app = create_app(ledger, Anybody())
    app.state.server.pools.questions._waiting = 0
    with serving(app) as address:
        answer = httpx2.get(f"{address}/threads", timeout=30)
    assert answer.status_code == 503
    assert answer.json()["type"].endswith("TooBusy")
    assert answer.headers["retry-after"] == "1"
