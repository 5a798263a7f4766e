"""What is seen once the recipes of CONTRIBUTING.md were followed: in the SDK, over HTTP, from another machine, on a terminal.

`test_recipes.py` runs this in the copy in which they were.
"""

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from runfold import Ledger, Run
from runfold.cli.main import main
from runfold.importers.importing import import_paths
from tests.databases import TestDatabase


@pytest.fixture
def told(database: TestDatabase, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Calls the command; what it prints as JSON, line by line."""
    for name, url in {
        "DATABASE": database.url,
        "ADMIN": database.admin_url,
        "PROJECTOR": database.projector_url,
        "SEALER": database.sealer_url,
    }.items():
        monkeypatch.setenv(f"RUNFOLD_{name}_URL", url)

    def call(*arguments: str) -> list[Any]:
        capsys.readouterr()
        assert main([*arguments, "--json"]) == 0, capsys.readouterr().err
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return call


@pytest.fixture
def dismissed(run: Run) -> Run:
    """A run with three problems, one of which was dismissed."""
    for number in range(3):
        run.report_problem("minor", "the index is stale", problem_id=f"prob_{number}")
    run.problem("prob_1").dismiss("a test order")  # type: ignore[attr-defined]
    return run


def test_the_event_is_seen(ledger: Ledger, dismissed: Run, client: httpx2.Client, address: str, told: Any) -> None:
    (recorded,) = ledger.events(types=["problem.dismissed"])
    assert (recorded.stream, recorded.event.reason) == (dismissed.id, "a test order")  # type: ignore[attr-defined]
    (over_http,) = client.get("/events", params={"types": "problem.dismissed"}).json()["items"]
    assert over_http["data"] == {"problem_id": "prob_1", "reason": "a test order"}
    with Ledger.connect(address, key="-") as remote:
        (elsewhere,) = remote.subscribe(types=["problem.dismissed"], follow=False)
        assert elsewhere.event == recorded.event
    (line,) = told("events", "--type", "problem.dismissed")[:1]
    assert line["data"]["reason"] == "a test order"


def test_the_command_is_seen(ledger: Ledger, dismissed: Run, client: httpx2.Client, address: str, told: Any) -> None:
    assert dismissed.problem("prob_1").submit_dismiss("again").result().appended == 0  # type: ignore[attr-defined]
    path = f"/runs/{dismissed.id}/problems/prob_0/dismiss"
    assert [client.post(path, json={"reason": "none"}).json()["appended"] for _ in range(2)] == [1, 0]
    operations = [each for verbs in client.get("/openapi.json").json()["paths"].values() for each in verbs.values()]
    assert "problems.dismiss" in {each["operationId"] for each in operations}
    assert 'operation="problems.dismiss"' in client.get("/metrics").text
    named = {"name": "problems.dismiss", "ids": {"problem_id": "prob_2"}, "body": {"reason": "none"}}
    assert client.post(f"/runs/{dismissed.id}/events", json={"commands": [named]}).json()["appended"] == 1
    late = dismissed.report_problem("minor", "another")
    with Ledger.connect(address, key="-") as remote:
        assert remote.run(dismissed.id).problem(late.id).dismiss("none").appended == 1  # type: ignore[attr-defined]
    last = dismissed.report_problem("minor", "the last")
    assert told("dismiss", dismissed.id, last.id, "--comment", "none")[0]["position"] == ledger.position()


def test_the_projection_is_seen(ledger: Ledger, dismissed: Run, client: httpx2.Client, told: Any) -> None:
    told("work", "--once")
    (row,) = ledger.now.rows("dismissals").items
    assert (row.run_id, row.problem_id, row.agent_id) == (dismissed.id, "prob_1", "support")
    assert "dismissals" in {each["name"] for each in client.get("/projections").json()["items"]}
    assert [each["problem_id"] for each in told("rows", "dismissals")[0]["items"]] == ["prob_1"]
    assert ledger.at(row.dismissed_position - 1).rows("dismissals").items == ()


def test_the_list_is_seen(ledger: Ledger, dismissed: Run, client: httpx2.Client, address: str, told: Any) -> None:
    ledger.fold()
    now: Any = ledger.now
    assert [row.problem_id for row in now.dismissals(agent_id="support").items] == ["prob_1"]
    assert now.dismissals(agent_id="another").items == ()
    (over_http,) = client.get("/dismissals", params={"agent_id": "support"}).json()["items"]
    assert over_http["problem_id"] == "prob_1"
    assert client.get("/dismissals", params={"agent": "support"}).status_code == 422
    with Ledger.connect(address, key="-") as remote:
        elsewhere: Any = remote.now
        assert elsewhere.dismissals(agent_id=["support", "another"]).items == now.dismissals().items
    assert [row["problem_id"] for row in told("dismissals", "--agent", "support", "--order", "asc")[0]["items"]] == ["prob_1"]
    assert told("dismissals", "--agent", "another")[0]["items"] == []


def test_the_importer_is_seen(ledger: Ledger, client: httpx2.Client, address: str, told: Any, tmp_path: Path) -> None:
    turns = [{"role": "user", "text": "Hello"}, {"role": "assistant", "text": "Good day"}]
    (tmp_path / "one.chat.json").write_text(json.dumps({"id": "one", "turns": turns}))
    (tmp_path / "broken.chat.json").write_text(json.dumps({"id": "two", "turns": [{"role": "nobody", "text": ""}]}))
    *problems, tally = told("import", "chat-log", str(tmp_path))
    assert (len(problems), tally["threads"], tally["messages"]) == (1, 1, 2)
    assert import_paths(ledger, "chat-log", [tmp_path]).skipped == 1
    (thread,) = ledger.events(types=["thread.created"])
    said = ["Hello", "Good day"]
    assert [message.text for message in ledger.thread(thread.stream).messages()] == said
    messages = client.get(f"/threads/{thread.stream}/messages").json()["items"]
    assert len(messages) == 2
    with Ledger.connect(address, key="-") as remote:
        assert [message.text for message in remote.thread(thread.stream).messages()] == said
