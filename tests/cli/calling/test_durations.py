"""Wherever a duration is given as text, the same texts are durations, and no others."""

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as profile
from hypothesis import strategies as st

import runfold
from runfold import Ledger, LedgerError, RemoteLedger, Settings
from runfold.domain.durations import parse_duration
from runfold.errors import UsageError
from runfold.http.app import create_app
from tests.cli.conftest import Command
from tests.serving import Anybody, serving

Place = Callable[[str], str | None]
"""Takes a text; what it says where the text is not taken."""
PARAMETERS = {"lease", "expires_in", "older_than", "silent_for", "keep_for", "wait"}
REFUSED = re.compile(r"not a duration|longer than 366000 days|takes a duration|takes a time such as")

texts = st.one_of(
    st.from_regex(r"\A[0-9]{1,10}(ms|s|m|h|d|ns|us|w|S)\Z"),
    st.text(alphabet="0123456789smhd .-", min_size=1, max_size=6),
)


@pytest.fixture
def places(ledger: Ledger, runfold: Command) -> Iterator[dict[str, Place]]:
    """Everything that takes a duration: the SDK, the same over HTTP, bare HTTP, the command line, settings."""
    worked_on, waiting = (ledger.create_thread(agent_id="support").start_run().id for _ in range(2))
    ledger.fold()
    hook = str(runfold("webhooks", "create", "https://hooks.example.com/runs", "--json").json["webhook"]["id"])
    with (
        serving(create_app(ledger, Anybody())) as address,
        contextlib.closing(Ledger.connect(address)) as remote,
        httpx2.Client(base_url=address, timeout=60) as http,
    ):
        yield {
            **_of_sdk("SDK", ledger, worked_on, waiting, hook),
            **_of_sdk("remote SDK", remote, worked_on, waiting, hook),
            **_of_http(http, worked_on, waiting, hook),
            **_of_command_line(runfold, worked_on, hook),
            "settings": _in_settings,
        }


def _of_sdk(name: str, ledger: Ledger | RemoteLedger, worked_on: str, waiting: str, hook: str) -> dict[str, Place]:
    position = ledger.position()
    key: dict[str, Any] = {"owner": "human:ada", "scopes": ["runs:read"], "label": "a key"}
    asked: dict[str, Callable[[str], object]] = {
        "claim": lambda text: ledger.run(worked_on).claim("worker", lease=text, execution_id="exec_1", take_over=True),
        "request_approval": lambda text: ledger.run(waiting).request_approval("refund", expires_in=text),
        "prepare": lambda text: ledger.prepare(position, expires_in=text),
        "approvals": lambda text: ledger.now.approvals(older_than=text),
        "attention": lambda text: ledger.now.attention(silent_for=text),
        "rotate_secret": lambda text: ledger.webhook(hook).rotate_secret(keep_for=text),
        "cancel_runs": lambda text: ledger.cancel_runs(["run_nobody"], wait=text),
    }
    if isinstance(ledger, Ledger):  # a remote one makes no keys
        asked["create_key"] = lambda text: ledger.create_key(expires_in=text, **key)
    return {f"{name}, {method}": _raising(call) for method, call in asked.items()}


def _raising(call: Callable[[str], object]) -> Place:
    def ask(text: str) -> str | None:
        try:
            call(text)
        except LedgerError as error:
            return str(error)
        return None

    return ask


def _of_http(http: httpx2.Client, worked_on: str, waiting: str, hook: str) -> dict[str, Place]:
    def post(path: str, name: str, **body: Any) -> Place:
        return lambda text: _refusal(http.post(path, json={**body, name: text}))

    return {
        "HTTP, claim": post(f"/runs/{worked_on}/claim", "lease", worker="worker", execution_id="exec_1", take_over=True),
        "HTTP, request_approval": post(f"/runs/{waiting}/approvals", "expires_in", action="refund"),
        "HTTP, keys": post("/keys", "expires_in", owner="human:ada", scopes=["runs:read"], label="a key"),
        "HTTP, rotate_secret": post(f"/webhooks/{hook}/rotate-secret", "keep_for"),
        "HTTP, moments": post("/moments", "expires_in"),
        "HTTP, approvals": lambda text: _refusal(http.get("/approvals", params={"older_than": text})),
        "HTTP, attention": lambda text: _refusal(http.get("/attention", params={"silent_for": text})),
    }


def _refusal(answer: httpx2.Response) -> str | None:
    assert answer.status_code != 404, answer.text
    return None if answer.is_success else answer.text


def _of_command_line(runfold: Command, worked_on: str, hook: str) -> dict[str, Place]:
    key = ("keys", "create", "--owner", "human:ada", "--scope", "runs:read", "--label", "a key")
    asked = {
        "runs": ("runs", "--duration={}"),
        "approvals": ("approvals", "--older-than={}"),
        "attention": ("attention", "--silent-for={}"),
        "keys create": (*key, "--expires-in={}"),
        "webhooks rotate": ("webhooks", "rotate", hook, "--keep-for={}"),
        "cancel": ("cancel", worked_on, "--dry-run", "--wait={}"),
        "claim": ("claim", worked_on, "--id=exec_1", "--take-over", "--for={}"),
        "renew": ("renew", worked_on, "exec_1", "--for={}"),
        "moments prepare": ("moments", "prepare", "3", "--expires-in={}"),
    }

    def call(arguments: tuple[str, ...]) -> Place:
        def ask(text: str) -> str | None:
            answer = runfold(*(argument.format(text) for argument in arguments), "--json")
            return answer.err if answer.code else None

        return ask

    return {f"command line, {name}": call(arguments) for name, arguments in asked.items()}


def _in_settings(text: str) -> str | None:
    with contextlib.suppress(ValueError):
        float(text)
        return f"{text} is a number of seconds, and not a duration"
    try:
        Settings(max_lag=text)  # type: ignore[arg-type]  # as from the environment
    except UsageError as error:
        return str(error)
    return None


@given(texts)
@example("1500ms")
@example("90s")
@example("366001d")
@example("15")
@example("PT1H")
@example("1h30m")
@profile(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_same_texts_are_durations_everywhere(places: dict[str, Place], text: str) -> None:
    try:
        parse_duration(text)
        is_one = True
    except ValueError:
        is_one = False
    found = {name: place(text) for name, place in places.items()}
    refused = {name for name, said in found.items() if said is not None and REFUSED.search(said)}
    assert refused == (set() if is_one else set(places)), (text, found)


def test_ninety_seconds_are_good_everywhere(places: dict[str, Place]) -> None:
    assert {name: place("90s") for name, place in places.items()} == dict.fromkeys(places)


OF_NOTHING = re.compile(r"is no time at all|must be from 1s to 7d")
MAY_BE_NOTHING = re.compile("approvals$|attention$|rotate|cancel|runs$|settings$")
"""A wait, a filter and how long an old secret is kept; the settings have limits of their own."""


def test_what_is_to_hold_for_a_while_holds_for_more_than_nothing(places: dict[str, Place]) -> None:
    for text in ("0s", "000ms"):
        found = {name: place(text) for name, place in places.items()}
        refused = {name for name, said in found.items() if said is not None and OF_NOTHING.search(said)}
        assert refused == {name for name in places if not MAY_BE_NOTHING.search(name) or "request" in name}, found


def test_every_parameter_that_takes_one_is_tried_here() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in Path(runfold.__file__).parent.rglob("*.py"))
    assert set(re.findall(r"(\w+): (?:Annotated\[\s*)?str \| timedelta", source)) - {"given"} == PARAMETERS
    assert set(re.findall(r"\n    (\w+): Seconds\b", source)) == {
        "connect_timeout",
        "max_lag",
        "agent_lease",
        "seal_every",
        "head_timeout",
        "body_timeout",
        "fold_timeout",
        "webhook_timeout",
    }
