"""`runfold rebuild`, `schemas` and `drop-schema`."""

from typing import TYPE_CHECKING

import psycopg
import pytest

from runfold.demo_story import Cast
from runfold.projections.registry import known
from tests.cli.conftest import Command

if TYPE_CHECKING:
    from tests.databases import TestDatabase


@pytest.fixture
def spoilt(runfold: Command, story: Cast, database: "TestDatabase") -> str:
    """The demo, folded, with one row of the runs that is not what the events say: its run."""
    assert runfold("work", "--once").code == 0
    with psycopg.connect(database.projector_url, autocommit=True) as connection:
        changed = (
            "UPDATE runfold_run_summaries_1.run_summaries SET status = 'failed', stop_reason = 'it''s late' WHERE run_id = %s"
        )
        assert connection.execute(changed, ["run_demo7_claim"]).rowcount == 1
    return "run_demo7_claim"


def test_a_rebuild_says_what_is_in_use_now_and_how_long_it_took(runfold: Command, story: Cast) -> None:
    runfold("work", "--once")
    answer = runfold("rebuild", "run_summaries", "goals")
    assert (answer.code, answer.err) == (0, "")
    head, summaries, goals, *_, last = answer.out.splitlines()
    assert head.split() == ["name", "new", "table", "filled", "to", "compared", "different"]
    assert summaries.split() == ["run_summaries", "in", "use", "80", "5", "0"]
    assert goals.split() == ["goals", "in", "use", "80", "1", "0"]
    assert last.startswith("2 read models in ")


def test_a_rebuild_in_json(runfold: Command, story: Cast) -> None:
    runfold("work", "--once")
    answer = runfold("rebuild", "usage", "goals", "--json")
    assert answer.json.keys() == {"seconds", "different", "read_models"}
    usage, goals = answer.json["read_models"]
    compared = usage.pop("compared")
    assert compared.pop("rows") > 3
    assert compared == {"changed_since": 0, "different": 0, "examples": []}
    made = {"generation": 2, "filled_to": 80, "switched": True, "not_compared": None}
    assert usage == {"name": "usage", **made}
    compared = {"rows": 1, "changed_since": 0, "different": 0, "examples": []}
    assert goals == {"name": "goals", "compared": compared, **made}


def test_all_are_rebuilt_by_more_processes(runfold: Command, story: Cast) -> None:
    answer = runfold("rebuild", "--all", "--workers", "3", "--json")
    assert {each["name"] for each in answer.json["read_models"]} == known().keys()
    assert all(each["switched"] for each in answer.json["read_models"])


def test_a_dry_run_exits_1_where_a_row_differs_and_changes_nothing(runfold: Command, spoilt: str) -> None:
    answer = runfold("rebuild", "run_summaries", "--dry-run")
    assert answer.code == 1
    assert "run_summaries: 1 row differ" in answer.out
    assert spoilt not in answer.out, "which rows, says --diff"
    assert runfold("runs", "--status", "failed", "--json").json["items"][0]["run_id"] == spoilt
    assert runfold("rebuild", "usage", "--dry-run").code == 0
    (row,) = [each for each in runfold("projections", "--json").json["items"] if each["name"] == "run_summaries"]
    assert row["generation"] == 1


def test_a_diff_names_row_column_both_values_and_the_events(runfold: Command, spoilt: str) -> None:
    answer = runfold("rebuild", "run_summaries", "--dry-run", "--diff")
    assert answer.code == 1
    assert f"{spoilt}: status was 'failed', and is 'completed'" in answer.out
    assert f"{spoilt}: stop_reason was \"it's late\", and is 'end_turn'" in answer.out
    assert "from the events at " in answer.out
    assert " run.completed, " in answer.out
    (example,) = runfold("rebuild", "run_summaries", "--dry-run", "--json").json["read_models"][0]["compared"]["examples"]
    assert example["key"] == ["default", spoilt]
    assert example["columns"]["status"] == ["failed", "completed"]
    assert example["lacking"] is None
    assert example["events"][0][1] == "run.completed"
    assert runfold("rebuild", "run_summaries", "--diff").code == 0, "without --dry-run it is mended, and that is no failure"
    assert runfold("runs", "--status", "failed", "--json").json["items"] == []


def test_what_cannot_be_compared_is_said_and_never_counted_as_the_same(runfold: Command, story: Cast) -> None:
    answer = runfold("rebuild", "goals", "usage", "--dry-run")
    assert answer.code == 1, "nothing was found to be the same"
    assert "goals: not compared; there is no table in use\n" in answer.out
    assert "usage: not compared; there is no table in use\n" in answer.out
    answer = runfold("rebuild", "goals", "--dry-run", "--json")
    assert (answer.json["different"], answer.json["read_models"][0]["not_compared"]) == (None, "there is no table in use")
    runfold("work", "--once")
    answer = runfold("rebuild", "goals", "usage", "--dry-run", "--json")
    assert (answer.code, answer.json["different"]) == (0, 0)
    assert [each["not_compared"] for each in answer.json["read_models"]] == [None, None]


def test_rolling_back(runfold: Command, spoilt: str) -> None:
    assert runfold("rebuild", "run_summaries").code == 0
    answer = runfold("rebuild", "run_summaries", "--rollback")
    assert answer.out == "run_summaries uses its previous table again, and catches up from position 80\n"
    assert runfold("runs", "--status", "failed", "--json").json["items"][0]["run_id"] == spoilt
    assert runfold("rebuild", "run_summaries", "--rollback", "--json").json == {"rolled_back": {"run_summaries": 80}}
    assert runfold("runs", "--status", "failed", "--json").json["items"] == []


def test_rolling_back_where_there_is_nothing_before(runfold: Command, story: Cast) -> None:
    answer = runfold("rebuild", "goals", "--rollback")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err == "runfold: goals has no previous generation; there is nothing to roll back to\n"


def test_a_schema_of_the_past_is_made_listed_and_dropped(runfold: Command, story: Cast, database: "TestDatabase") -> None:
    made = runfold("rebuild", "run_summaries", "goals", "--at", "26", "--into", "before")
    assert made.out == "before holds goals, run_summaries, as of position 26\n"
    assert made.err == "Query it with SQL as before.goals; `runfold drop-schema before` removes it.\n"
    assert runfold("rebuild", "run_summaries", "--branch", "run_demo7_exchange", "--into", "exchange", "--json").json == {
        "schema": "exchange",
        "position": 80,
        "run_id": "run_demo7_exchange",
        "names": ["run_summaries"],
    }
    with psycopg.connect(database.url, options="-c runfold.tenant=*") as connection:
        runs = connection.execute("SELECT run_id FROM exchange.run_summaries ORDER BY run_id").fetchall()
    assert runs == [("run_demo7_claim",), ("run_demo7_exchange",)]
    listed = runfold("schemas")
    assert [line.split()[0] for line in listed.out.splitlines()[1:3]] == ["before", "exchange"]
    assert listed.out.splitlines()[-1] == "2 schemas"
    items = runfold("schemas", "--json").json["items"]
    assert [(each["schema"], each["position"], each["run_id"], each["ready"]) for each in items] == [
        ("before", 26, None, True),
        ("exchange", 80, "run_demo7_exchange", True),
    ]
    assert items[0].keys() == {"schema", "position", "run_id", "names", "ready", "kept", "error", "created_at"}
    assert runfold("drop-schema", "before", "--yes").out == "before is dropped\n"
    assert runfold("drop-schema", "exchange", "--json").json == {"dropped": "exchange"}
    assert runfold("schemas", "--json").json == {"items": []}
    assert runfold("schemas").out.endswith("0 schemas\n")


@pytest.mark.shares
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "name the read models to rebuild, or pass --all"),
        (["usage", "--all"], 2, "name the read models to rebuild, or pass --all"),
        (["usage", "--at", "5"], 2, "--at and --branch need --into SCHEMA"),
        (["usage", "--into", "x"], 2, "--at and --branch need --into SCHEMA"),
        (["usage", "--rollback", "--dry-run"], 2, "--rollback cannot be combined with other options"),
        (["usage", "--rollback", "--at", "5", "--into", "x"], 2, "--rollback cannot be combined with other options"),
        (["usage", "--dry-run", "--at", "5", "--into", "x"], 2, "--dry-run and --diff compare with the tables in use"),
        (["usage", "--workers", "0"], 2, "'--workers'"),
        (["nothing"], 3, "nothing"),
        (["no.module:Nothing"], 1, "cannot be imported"),
        (["usage", "--at", "81", "--into", "x"], 2, "position 81 is not in the ledger"),
        (["usage", "--at", "soon", "--into", "x"], 2, "neither a position nor a time"),
        (["usage", "--at", "2020-01-01T00:00:00Z", "--into", "x"], 2, "nothing was recorded by 2020-01-01"),
        (["usage", "--branch", "run_nobody", "--into", "x"], 3, "run_nobody"),
        (["usage", "--at", "5", "--into", "public"], 1, "is not an allowed schema name"),
    ],
)
def test_a_wrong_call_says_why(runfold: Command, story: Cast, arguments: list[str], code: int, said: str) -> None:
    answer = runfold("rebuild", *arguments)
    assert (answer.code, answer.out) == (code, "")
    assert said in answer.err
    assert len(answer.err.splitlines()) == 1
    assert runfold("rebuild", *arguments, "--json").error["exit_code"] == code
    assert runfold("schemas", "--json").json == {"items": []}


def test_only_schemas_of_the_past_are_dropped(runfold: Command, story: Cast) -> None:
    runfold("work", "--once")
    answer = runfold("drop-schema", "runfold_read", "--yes")
    assert answer.code == 1
    assert answer.err == "runfold: runfold_read is not a schema made by `rebuild --into`; `runfold schemas` lists them\n"
    assert runfold("runs").code == 0
