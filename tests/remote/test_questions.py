"""Every question, asked of a ledger full of real runs here and over HTTP: equal answers of equal types."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import is_dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, get_origin

import orjson
import pytest
from pydantic import BaseModel
from starlette.applications import Starlette

from runfold import Ledger, RemoteLedger
from runfold.api.table import QUESTIONS
from runfold.http.app import create_app
from runfold.importers.importing import import_paths
from runfold.projections.prices.price_list import INSTALLED
from runfold.queries.page import Page
from runfold.queries.reading import Reading
from runfold.queries.usage.report import UsageReport
from tests.frames import require_frame
from tests.queries.listed import tell
from tests.remote.module_ledger import module_ledger
from tests.serving import Anybody, serving, without_salt

MANY = 12
REAL = {"ag-ui-streams": "ag-ui", "claude-code": "claude-code"}


@pytest.fixture(scope="module")
def full(admin_url: str, template: str, trajectories: Path) -> Iterator[Ledger]:
    """Real runs, and made-up ones in every state, folded. Only to be read."""
    with module_ledger(admin_url, template, "remote_questions") as ledger:
        for folder, kind in REAL.items():
            import_paths(ledger, kind, [trajectories / folder])
        tell(ledger, seed=1, threads=5)
        ledger.create_webhook("https://hooks.example.com/", webhook_id="webhook_told")
        ledger.create_thread(agent_id="a").start_run(run_id="run_told", callback_url="https://hooks.example.com/").complete()
        ledger.fold()
        yield ledger


@pytest.fixture(scope="module")
def remote(full: Ledger) -> Iterator[RemoteLedger]:
    with serving(create_app(full, Anybody())) as address, Ledger.connect(address) as connected:
        yield connected


def _ids(ledger: Ledger) -> dict[str, list[Any]]:
    """What there is to ask for: some of each kind, from all over the ledger."""
    runs = [recorded.stream for recorded in ledger.events(types=["run.created"], limit=100_000)]
    decisions = ledger.now.decisions(limit=1000).items
    return {
        "run": runs[:: max(1, len(runs) // MANY)],
        "thread": [recorded.stream for recorded in ledger.events(types=["thread.created"], limit=100_000)][::20],
        "approval": [recorded.stream for recorded in ledger.events(types=["approval.requested"], limit=100_000)][:MANY],
        "failed": [row.run_id for row in ledger.now.runs(status="failed").items][:MANY],
        "goal": [row.goal_id for row in ledger.now.goals().items][:MANY],
        "node": list(islice(dict.fromkeys(row.node_id for row in decisions if row.node_id), MANY)),
    }


ASKED: dict[str, Callable[[dict[str, list[Any]]], list[tuple[tuple[Any, ...], dict[str, Any]]]]] = {
    "threads": lambda _: [((), {}), ((), {"limit": 7, "order": "asc", "content": True})],
    "thread": lambda ids: [((one,), {}) for one in ids["thread"]],
    "tree": lambda ids: [((one,), {}) for one in ids["thread"]],
    "heads": lambda ids: [((one,), {}) for one in ids["thread"]],
    "items": lambda ids: [((one,), {}) for one in ids["thread"]] + [((ids["thread"][0],), {"first": 3, "most": 5})],
    "stretches": lambda ids: [((one,), {"number_of": 40}) for one in ids["thread"]],
    "run_states": lambda ids: [((one,), {}) for one in ids["thread"]],
    "context": lambda ids: [((), {"run_id": one}) for one in ids["run"][:3]],
    "compactions": lambda ids: [((), {"run_id": one}) for one in ids["run"][:3]],
    "messages": lambda ids: (
        [((one,), {}) for one in ids["thread"]]
        + [((), {"run_id": one}) for one in ids["run"]]
        + [((), {"run_id": ids["run"][0], "role": ["user", "tool"], "own": True})]
    ),
    "runs": lambda ids: [((), {}), ((), {"status": ["failed", "completed"], "limit": 500}), ((), {"run_id": ids["run"]})],
    "count_runs": lambda ids: [((), {}), ((), {"status": "failed"}), ((), {"run_id": ids["run"]})],
    "sample_runs": lambda ids: [(("x",), {}), (("x",), {"n": 3, "status": "failed"}), (("x",), {"run_id": ids["run"]})],
    "search": lambda ids: [(("the",), {}), (('"to the" -or',), {"kind": ["message", "tool_call"], "run_id": ids["run"]})],
    "run": lambda ids: [((one,), {}) for one in ids["run"]] + [((ids["run"][0],), {"at_version": 1})],
    "ag_ui": lambda ids: [((one,), {}) for one in ids["run"][:3]],
    "state": lambda ids: [((one,), {}) for one in ids["run"]],
    "tool_calls": lambda ids: (
        [((), {"run_id": one}) for one in ids["run"]]
        + [((), {"limit": 300}), ((), {"limit": 300, "content": True}), ((), {"run_id": ids["run"][0], "content": False})]
    ),
    "steps": lambda ids: [((one,), {}) for one in ids["run"]] + [((ids["run"][0],), {"order": "desc"})],
    "metrics": lambda ids: [((one,), {}) for one in ids["run"]],
    "summary": lambda ids: [((one,), {}) for one in ids["run"]],
    "trace": lambda ids: [((one,), {}) for one in ids["run"]],
    "analyze_failure": lambda ids: [((one,), {}) for one in ids["failed"]],
    "diff": lambda ids: (
        [((one, other), {}) for one, other in zip(ids["run"], ids["run"][1:6], strict=False)]
        + [((ids["run"][0], ids["run"][0]), {"version_a": 2, "version_b": 3})]
    ),
    "approvals": lambda ids: [((), {}), ((), {"status": "open"}), ((), {"run_id": ids["run"]})],
    "approval": lambda ids: [((one,), {}) for one in ids["approval"]],
    "decisions": lambda _: [((), {"limit": 300})],
    "problems": lambda _: [((), {"limit": 300})],
    "failures": lambda _: [((), {}), ((), {"limit": 50})],
    "attention": lambda _: [((), {"limit": 300})],
    "usage": lambda ids: [
        ((), {}),
        ((["day", "model"],), {}),
        (("model",), {"explain": True, "prices": INSTALLED}),
        (("provider",), {"run": ids["run"]}),
        ((), {"run": ids["run"][0], "scope": "tree"}),
        ((), {"since": datetime.now(UTC).date() - timedelta(days=2000)}),
    ],
    "goals": lambda _: [((), {})],
    "goal_progress": lambda ids: [((one,), {}) for one in ids["goal"] if "/" not in one],
    "patterns": lambda ids: [((one,), {}) for one in ids["goal"] if "/" not in one],
    "improvements": lambda ids: [((one,), {}) for one in ids["goal"] if "/" not in one],
    "node_performance": lambda ids: [((one,), {}) for one in ids["node"] if "/" not in one],
    "webhooks": lambda _: [((), {}), ((), {"include_deleted": True})],
    "webhook": lambda _: [(("webhook_told",), {})],
    "webhook_attempts": lambda _: [(("webhook_told",), {}), (("webhook_told",), {"failed": True})],
    "callback": lambda _: [(("run_told",), {})],
}
TABLES = sorted(
    {route.method.__name__ for route in QUESTIONS if issubclass(get_origin(route.answer) or route.answer, Page | UsageReport)}
)
"""Those whose answer is a page or a report."""
FREE = {"state", "compactions", "webhook_attempts"}
"""Answers that may be nothing."""


@pytest.fixture(scope="module")
def ids(full: Ledger, remote: RemoteLedger) -> dict[str, list[Any]]:
    return _ids(full)


def test_every_question_is_asked() -> None:
    assert ASKED.keys() == {route.method.__name__ for route in QUESTIONS}


@pytest.mark.parametrize("name", ASKED)
def test_a_question_has_the_same_answer_here_and_over_http(
    name: str, full: Ledger, remote: RemoteLedger, ids: dict[str, list[Any]]
) -> None:
    here, there = full.now, remote.now
    cases = ASKED[name](ids)
    assert cases
    for args, kwargs in cases:
        _require_equal(name, here, there, args, kwargs)


@pytest.mark.parametrize("name", TABLES)
def test_a_page_or_a_report_is_the_same_table_here_and_over_http(
    name: str, full: Ledger, remote: RemoteLedger, ids: dict[str, list[Any]]
) -> None:
    for args, kwargs in ASKED[name](ids)[:2]:
        expected = getattr(full.now, name)(*args, **kwargs)
        require_frame(expected)
        assert getattr(remote.now, name)(*args, **kwargs).to_arrow().equals(expected.to_arrow())


@pytest.mark.parametrize("name", ["thread", "tree", "run", "messages", "tool_calls", "summary", "trace"])
def test_a_question_of_the_past_has_the_same_answer_too(
    name: str, full: Ledger, remote: RemoteLedger, ids: dict[str, list[Any]]
) -> None:
    thread, run = next((r.thread_id, r.stream) for r in full.events(types=["run.created"]) if r.stream in ids["run"])
    at = [r.position for r in full.events(thread_id=thread)][-2]
    args = (thread if name in {"thread", "tree"} else run,)
    if name in {"messages", "tool_calls"}:
        _require_equal(name, full.at(at), remote.at(at), (), {"run_id": run})
    else:
        _require_equal(name, full.at(at), remote.at(at), args, {})


class NewerServer:
    """An application that tells something else beside whatever a model holds, as a later version of it may."""

    def __init__(self, app: Starlette) -> None:
        self.state = app.state
        self.known: Any = None
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        begun: dict[str, Any] = {}
        body = bytearray()

        async def hold(message: Any) -> None:
            if message["type"] == "http.response.start":
                begun.update(message)
                return
            body.extend(message.get("body", b""))
            if not message.get("more_body"):
                told = orjson.dumps(more(orjson.loads(body), self.known))
                kept = [(name, value) for name, value in begun["headers"] if name != b"content-length"]
                await send({**begun, "headers": [*kept, (b"content-length", str(len(told)).encode())]})
                await send({"type": "http.response.body", "body": told})

        await self._app(scope, receive, send if self.known is None else hold)


def more(told: Any, known: Any) -> Any:
    """An answer with something else in each place where the one that is known is a model."""
    if isinstance(told, dict) and isinstance(known, list):  # of which a page is told
        return {**told, "items": more(told["items"], known), "told_since": {"version": 2}}
    if isinstance(told, list):
        return [more(*pair) for pair in zip(told, known, strict=True)]
    if isinstance(told, dict) and isinstance(known, Mapping):
        return {name: more(value, known.get(name)) for name, value in told.items()}
    if isinstance(told, dict) and (isinstance(known, BaseModel) or is_dataclass(known)):
        return {name: more(value, getattr(known, name, None)) for name, value in told.items()} | {"told_since": {"version": 2}}
    return told


@pytest.fixture(scope="module")
def newer(full: Ledger) -> NewerServer:
    return NewerServer(create_app(full, Anybody()))


@pytest.fixture(scope="module")
def asked_of_newer(newer: NewerServer) -> Iterator[RemoteLedger]:
    with serving(newer) as address, Ledger.connect(address) as connected:  # type: ignore[arg-type]  # it has what is asked of one
        yield connected


@pytest.mark.parametrize("name", ASKED)
def test_what_a_newer_server_tells_beside_is_passed_over(
    name: str, remote: RemoteLedger, newer: NewerServer, asked_of_newer: RemoteLedger, ids: dict[str, list[Any]]
) -> None:
    for args, kwargs in ASKED[name](ids)[:2]:
        newer.known = known = getattr(remote.now, name)(*args, **kwargs)
        assert _steady(getattr(asked_of_newer.now, name)(*args, **kwargs)) == _steady(known)
    newer.known = None


def _require_equal(name: str, here: Reading, there: Reading, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    expected, found = getattr(here, name)(*args, **kwargs), getattr(there, name)(*args, **kwargs)
    assert isinstance(found, type(expected))
    assert _steady(found) == _steady(expected), (args, kwargs)
    if name not in FREE and not isinstance(expected, list):
        assert vars(found).keys() == vars(expected).keys()


def _steady(answer: Any) -> Any:
    """Without how long ago something was, which goes on."""
    standing = getattr(answer, "standing", None)
    return (
        answer if standing is None else answer.model_copy(update={"standing": standing.model_copy(update={"behind_seconds": 0})})
    )


def test_every_event_comes_over_http_as_it_is_read_here(full: Ledger, remote: RemoteLedger) -> None:
    here = without_salt(full.events(limit=100_000))
    assert remote.events(limit=100_000) == here
    assert list(remote.subscribe(follow=False)) == here
    assert len({recorded.type for recorded in here}) > 20
