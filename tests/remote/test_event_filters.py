"""Events by actor, agent, run, time and type, from either end: here, by a remote ledger, over HTTP and on the command line."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from runfold import Ledger, RemoteLedger
from runfold.domain.event import is_of_type
from runfold.domain.recorded import Recorded
from runfold.errors import UsageError
from runfold.http.app import create_app
from tests.cli.conftest import Command, calling
from tests.databases import TestDatabase
from tests.queries.listed import tell
from tests.serving import Anybody, serving, without_salt


@pytest.fixture(scope="module")
def full(shared_database: TestDatabase) -> Iterator[Ledger]:
    """Runs in every state. Only to be read."""
    with Ledger.open(settings=shared_database.settings) as ledger:
        tell(ledger, seed=5, threads=3)
        yield ledger


@pytest.fixture(scope="module")
def address(full: Ledger) -> Iterator[str]:
    with serving(create_app(full, Anybody())) as address:
        yield address


@pytest.fixture(scope="module")
def remote(address: str) -> Iterator[RemoteLedger]:
    with Ledger.connect(address) as connected:
        yield connected


@pytest.fixture
def asking(
    shared_database: TestDatabase, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> Command:
    """Calls the command where the events are."""
    monkeypatch.setenv("RUNFOLD_DATABASE_URL", shared_database.url)
    monkeypatch.setenv("RUNFOLD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RUNFOLD_CONNECT_TIMEOUT", "30")
    return calling(capsys)


@pytest.fixture(scope="module")
def whole(full: Ledger) -> list[Recorded]:
    return full.events(limit=100_000)


Takes = Callable[[Recorded], bool]


def asked_for(whole: list[Recorded]) -> list[tuple[dict[str, Any], dict[str, str], Takes]]:
    """What is asked in Python, over HTTP and on the command line, and the events that are meant."""
    run = next(each for each in whole if each.type == "run.created")
    actor = str(next(each for each in whole if each.type == "approval.requested").metadata.actor)
    middle = whole[len(whole) // 2].recorded_at
    then = middle.isoformat()
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    return [
        ({"actor": actor}, {"actor": actor}, lambda each: str(each.metadata.actor) == actor),
        ({"agent_id": "sales"}, {"agent_id": "sales"}, lambda each: each.context.agent_id == "sales"),
        ({"run_id": run.stream}, {"run_id": run.stream}, lambda each: each.context.run_id == run.stream),
        ({"types": ["tool"]}, {"type": "tool"}, lambda each: each.type.startswith("tool")),
        ({"types": ["run.c"]}, {"type": "run.c"}, lambda each: each.type.startswith("run.c")),
        ({"types": "*.requested"}, {"type": "*.requested"}, lambda each: is_of_type(each.type, "*.requested")),
        ({"recorded_from": middle}, {"from": then}, lambda each: each.recorded_at >= middle),
        (
            {"recorded_to": middle, "types": ["run"]},
            {"to": then, "type": "run"},
            lambda each: each.recorded_at <= middle and each.type.startswith("run"),
        ),
        ({"recorded_from": middle, "recorded_to": middle}, {"from": then, "to": then}, lambda each: each.recorded_at == middle),
        ({"recorded_to": tomorrow}, {"to": tomorrow.isoformat()}, lambda _: True),
        (
            {"recorded_from": "2020-01-01", "recorded_to": "2020-01-02"},
            {"from": "2020-01-01", "to": "2020-01-02"},
            lambda _: False,
        ),
        ({"recorded_from": datetime.min.replace(tzinfo=UTC)}, {"from": "0001-01-01"}, lambda _: True),
    ]


@pytest.mark.parametrize("number", range(12))
def test_events_are_found_alike_everywhere_from_either_end(
    full: Ledger, remote: RemoteLedger, address: str, asking: Command, whole: list[Recorded], number: int
) -> None:
    of_python, of_http, takes = asked_for(whole)[number]
    due = [each for each in whole if takes(each)]
    for order, expected in (("asc", due), ("desc", due[::-1])):
        assert full.events(**of_python, order=order, limit=100_000) == expected  # type: ignore[arg-type]
        assert remote.events(**of_python, order=order, limit=100_000) == without_salt(expected)  # type: ignore[arg-type]
        assert full.events(**of_python, order=order, limit=3) == expected[:3]  # type: ignore[arg-type]
        assert over_http(address, {**of_http, "order": order}, 60) == [each.position for each in expected]
    words = [word for name, value in of_http.items() for word in (f"--{name.removesuffix('_id')}", value)]
    answer = asking("events", *words, "--order", "desc", "--all", "--json")
    assert [json.loads(line)["position"] for line in answer.out.splitlines()] == [each.position for each in due[::-1]]


def over_http(address: str, asked: dict[str, str], limit: int) -> list[int]:
    """The positions of all events, page by page."""
    found: list[int] = []
    more: dict[str, Any] = {}
    with httpx2.Client(base_url=address, timeout=60) as client:
        while True:
            page = client.get("/events", params={**asked, "limit": limit, **more}).json()
            found += [item["position"] for item in page["items"]]
            if page["next_cursor"] is None and page["next_up_to"] is None:
                return found
            more = {"after": page["next_cursor"]} if page["next_cursor"] else {"up_to": page["next_up_to"]}


def test_a_page_of_events_on_the_command_line_says_how_the_same_list_goes_on(asking: Command, whole: list[Recorded]) -> None:
    first = asking("events", "--order", "desc", "--limit", "5")
    rest = first.out.splitlines()[-1].rpartition("--at ")[2]
    assert int(rest) == whole[-5].position - 1
    then = asking("events", "--order", "desc", "--limit", "1", "--at", rest, "--json")
    assert [line["position"] for line in then.lines] == [whole[-6].position]
    assert json.loads(then.err) == {"as_of": int(rest), "events": 1, "next_at": int(rest) - 1}
    everything = asking("events", "--all", "--json")
    assert [line["position"] for line in everything.lines] == [each.position for each in whole]


def test_events_as_of_a_moment_over_http(address: str, whole: list[Recorded]) -> None:
    for at in ("9", whole[8].recorded_at.isoformat()):
        found = over_http(address, {"at": at}, 1000)
        assert found == [
            each.position for each in whole if each.recorded_at <= whole[8].recorded_at and (at != "9" or each.position <= 9)
        ]


@pytest.mark.parametrize(
    "asked",
    [
        {"types": [""]},
        {"types": ["tools"]},
        {"order": "up"},
        {"recorded_from": "yesterday"},
        {"recorded_to": 7},
        {"recorded_from": datetime(2026, 1, 1)},
    ],
)
def test_what_finds_nothing_because_it_is_nothing_is_refused(full: Ledger, remote: RemoteLedger, asked: dict[str, Any]) -> None:
    for ledger in (full, remote):
        with pytest.raises(UsageError):
            ledger.events(**asked)


def test_what_is_followed_is_not_turned_round(asking: Command, address: str) -> None:
    for words in (["--order", "desc"], ["--all"], ["--to", "2026-01-01"], ["--at", "3"]):
        answer = asking("events", "--follow", *words)
        assert (answer.code, "--follow goes on with what comes" in answer.err) == (2, True)
    with httpx2.Client(base_url=address, timeout=60) as client:
        refused = client.get("/events", params={"order": "desc"}, headers={"Accept": "text/event-stream"})
    assert refused.status_code == 400
