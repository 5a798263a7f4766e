"""Wherever a time is given as text, the same texts are times: on each command that takes one, in its zone, and over HTTP."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import httpx2
import pytest
import typer

from runfold import Ledger
from runfold.api.table import QUESTIONS
from runfold.cli.app import program
from runfold.demo_story import Cast
from runfold.http.app import create_app
from runfold.http.routes.questions import query_of
from tests.cli.conftest import Command
from tests.databases import TestDatabase
from tests.serving import Anybody, serving

TAKES_A_TIME = {"P|TIME|DAY", "TIME|DAY"}
WRONG = {
    "2026-02-30": "a time such as 2026-01-31T09:30:00Z, or a day such as 2026-01-31",
    "yesterday": "a time such as 2026-01-31T09:30:00Z, or a day such as 2026-01-31",
    "2026-01-31T09:30": "write 2026-01-31T09:30Z for UTC, or add its offset, such as +02:00",
    "0000-01-31T09:30Z": "a time such as",
}
ALONG = {
    "rebuild": ["--all", "--into", "past"],
    "export": ["--all"],
    "sample": ["--seed", "autumn"],
    "evidence": ["--sample", "--seed", "autumn"],
}
"""What else a command needs to be given."""
ARGUMENTS = {"rows": ["usage"]}
"""Arguments that are looked at before times are."""


def _taking_a_time() -> Iterator[tuple[list[str], str]]:
    """Every command with as many arguments as it needs, and the option that takes a time; an empty one for an argument."""
    root = program()
    assert isinstance(root, typer.core.TyperGroup)
    for words, command in _commands(root, []):
        parameters = command.get_params(typer.Context(command))
        arguments = [each for each in parameters if not isinstance(each, typer.core.TyperOption)]
        wanted = [str(each.metavar) for each in arguments if each.required and each.metavar not in TAKES_A_TIME]
        needed = ["run_summaries" if "MODULE" in metavar else "x" for metavar in wanted]
        for parameter in parameters:
            if parameter.metavar in TAKES_A_TIME:
                option = parameter.opts[0] if isinstance(parameter, typer.core.TyperOption) else ""
                yield [*words, *ARGUMENTS.get(words[0], needed), *ALONG.get(words[0], [])], option


def _commands(group: "typer.core.TyperGroup", before: list[str]) -> Iterator[tuple[list[str], typer.core.TyperCommand]]:
    for name, command in group.commands.items():
        if isinstance(command, typer.core.TyperGroup):
            yield from _commands(command, [*before, name])
        else:
            assert isinstance(command, typer.core.TyperCommand)
            yield [*before, name], command


CALLS = list(_taking_a_time())


def test_many_commands_take_a_time() -> None:
    options = {(*words, option) for words, option in CALLS}
    assert {("runs", "--from"), ("runs", "--to"), ("runs", "--at"), ("moments", "prepare", "")} <= options
    assert len(options) > 25


def test_the_same_texts_are_no_times_everywhere(runfold: Command, story: Cast) -> None:
    tried = [call for call in CALLS if call[0][0] in {"runs", "thread", "moments"}]
    assert {option for _, option in tried} == {"--from", "--to", "--at", "--happened-at", ""}
    for number, (words, option) in enumerate(tried):
        text, said = [*WRONG.items()][number % len(WRONG)]
        answer = runfold(*words, *([option] if option else []), text)
        assert (answer.code, said in answer.err) == (2, True), (words, option, text, answer)


def test_a_time_is_one_of_the_zone_everywhere(runfold: Command, story: Cast) -> None:
    for words, option in CALLS:
        answer = runfold(*words, *([option] if option else []), "2026-03-29T02:30", "--zone", "Europe/Berlin")
        assert (answer.code, "no clock of Europe/Berlin showed 2026-03-29T02:30" in answer.err) == (2, True), (words, answer)


@pytest.mark.parametrize("zone", [None, "Pacific/Kiritimati"])
def test_a_day_counts_from_its_beginning_and_to_its_end(runfold: Command, story: Cast, ledger: Ledger, zone: str | None) -> None:
    ledger.fold()
    every = runfold("runs", "--json").json["items"]
    own = ZoneInfo(zone or "UTC")
    days = sorted({datetime.fromisoformat(run["created_at"]).astimezone(own).date() for run in every})
    first, last, day = days[0], days[-1], timedelta(days=1)

    def count(*asked: object) -> int:
        in_zone = ["--zone", zone] if zone else []
        return len(runfold("runs", *map(str, asked), *in_zone, "--json").json["items"])

    assert count("--from", first, "--to", last) == len(every)
    assert count("--from", last + day) == count("--to", first - day) == 0
    assert count("--at", last) == len(every)
    assert count("--at", first - day) == 0


def test_the_zone_may_stand_in_the_environment(runfold: Command, story: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNFOLD_ZONE", "Europe/Berlin")
    assert runfold("runs", "--at", "2026-03-29T02:30").err.startswith("runfold: no clock of Europe/Berlin showed")
    assert runfold("runs", "--at", "2026-03-29T02:30", "--zone", "UTC").code == 0
    monkeypatch.setenv("RUNFOLD_ZONE", "berlin")
    unknown = runfold("runs", "--at", "5")
    assert (unknown.code, "RUNFOLD_ZONE: " in unknown.err, "write Europe/Berlin" in unknown.err) == (2, True, True)


def test_usage_is_counted_by_days_of_utc_alone(runfold: Command, story: Cast, ledger: Ledger) -> None:
    ledger.fold()
    refused = runfold("usage", "--since", "2026-01-31", "--zone", "Europe/Berlin")
    assert (refused.code, "pass --zone UTC" in refused.err) == (2, True)
    assert runfold("usage", "--since", "2026-01-31", "--zone", "UTC").code == 0


def test_over_http_the_same_texts_are_times(story: Cast, database: TestDatabase) -> None:
    with Ledger.open(settings=database.settings) as ledger:
        ledger.fold()
        with serving(create_app(ledger, Anybody())) as address, httpx2.Client(base_url=address, timeout=60) as client:
            every = client.get("/runs").json()["items"]
            days = sorted(datetime.fromisoformat(run["created_at"]).date() for run in every)
            first, last, day = days[0], days[-1], timedelta(days=1)

            def count(**asked: object) -> int:
                answer = client.get("/runs", params={name: str(value) for name, value in asked.items()})
                assert answer.status_code == 200, answer.text
                return len(answer.json()["items"])

            thread_id = every[0]["thread_id"]
            assert count(created_from=first, created_to=last) == count(thread_id=thread_id, as_of=last) == len(every)
            assert count(created_from=last + day) == count(created_to=first - day) == 0
            for route in QUESTIONS:
                for name, field in query_of(route).model_fields.items():
                    if "datetime.datetime" in str(field.annotation):
                        path = route.path.format(**dict.fromkeys(route.path_names, "x"))
                        for text in ("yesterday", "2026-02-30", "2026-01-31T09:30", "1769852000"):
                            refused = client.get(path, params={name: text})
                            assert (refused.status_code, name in refused.text) == (422, True), (name, text)
