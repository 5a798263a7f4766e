"""Answers of read models in bundles of a real ledger: that they follow from the events, and what is said where they do not."""

import base64
import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runfold import Ledger, LedgerError, Settings
from runfold.errors import ProjectionNotFound, UsageError
from runfold.evidence.bundles.answers import AnswerAsked
from runfold.evidence.bundles.bundle import BundleMaker, Made
from runfold.evidence.bundles.refolding import folding, key_texts
from runfold.evidence.sealer import Sealer
from runfold.projections.projection import Key
from runfold.projections.registry import known
from runfold.proofs.container import ANSWER, CLAIMS, ENTRIES, EVENTS, BundleUnreadable, open_bundle
from runfold.proofs.findings import Findings
from runfold.proofs.leaf import canonical, values
from runfold.proofs.verify import as_json, findings_of
from tests.databases import TestDatabase, fresh_database
from tests.projections.folded import rows_of
from tests.projections.histories import History
from tests.proofs.bundles import change_something, listed_anew

MOVES = 400


@pytest.fixture(scope="module")
def made_up(admin_url: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Ledger, TestDatabase]]:
    """A ledger of some threads that is sealed and was folded up to there, and its database."""
    with fresh_database(admin_url, template, "answers") as database:
        settings = database.settings.model_copy(update={"home": tmp_path_factory.mktemp("home")})
        with Ledger.open(settings=settings) as ledger:
            History(random.Random(18)).go_on(ledger, MOVES)  # noqa: S311  it makes up what happens
            Sealer(ledger).seal_all()
            ledger.fold()
            yield ledger, database


@pytest.fixture
def recorded(made_up: tuple[Ledger, TestDatabase]) -> Ledger:
    return made_up[0]


def make(ledger: Ledger, folder: Path, name: str, key: Key, left_out: tuple[str, ...] = ()) -> Made:
    return BundleMaker(ledger, left_out).make(folder, (), answer=AnswerAsked(name, key_texts(key)))


def refolded(folder: Path, made: Made) -> Findings:
    return findings_of(open_bundle(folder), made.findings.checkpoint, folding)


def first_row(ledger: Ledger, name: str) -> Key:
    return min(rows_of(known()[name], ledger))


def test_a_row_of_every_read_model_follows_from_the_events_of_its_bundle(recorded: Ledger, tmp_path: Path) -> None:
    dice = random.Random(3)  # noqa: S311  it picks rows
    for name, projection in known().items():
        rows = rows_of(projection, recorded)
        assert rows, name
        for number, key in enumerate(dice.sample(sorted(rows), min(2, len(rows)))):
            folder = tmp_path / f"{name} {number}"
            made = make(recorded, folder, name, key)
            found = refolded(folder, made)
            assert (found.problems, found.answer and found.answer.verdict) == ([], "REFOLDED"), (name, key)
            (shown,) = as_json(found)["answer"]["rows"]
            assert shown == json.loads(rows[key].model_dump_json()), (name, key)
            assert list(found.threads.values()) == (["COMPLETE"] if projection.partition == "thread" else [])
            assert found.is_whole_log == (projection.partition != "thread")
            assert findings_of(open_bundle(folder), made.findings.checkpoint).verdict == "NOT REFOLDED"


def test_all_rows_whose_keys_begin_so_are_shown_and_the_same_answer_is_the_same_bytes(recorded: Ledger, tmp_path: Path) -> None:
    run_id = max(key[0] for key in rows_of(known()["tool_calls"], recorded))
    wanted = [key for key in sorted(rows_of(known()["tool_calls"], recorded)) if key[0] == run_id]
    before = recorded.position()
    made = make(recorded, tmp_path / "one", "tool_calls", (run_id,))
    assert made.findings.answer is not None
    assert [(row["run_id"], row["call_id"]) for row in made.findings.answer.rows] == wanted
    recorded.create_thread(agent_id="desk").start_run().add_message("user", "one more")
    make(recorded, tmp_path / "two", "tool_calls", (run_id,))
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name
    (told, _) = recorded.events(types=["security.bundle_made"], after=before)
    assert (told.event.read_model, told.event.row_key) == ("tool_calls", (run_id,))  # type: ignore[attr-defined]


Lie = Callable[[list[dict[str, Any]]], Any]


def lied(folder: Path, to: Path, file: str, lie: Lie) -> Path:
    """Copy a bundle with a file of it changed, and a MANIFEST that says so."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(folder, to)
    lines = [values(line) for line in (folder / file).read_bytes().splitlines()]
    lie(lines)
    (to / file).write_bytes(b"".join(canonical(line).encode() + b"\n" for line in lines))
    listed_anew(to)
    return to


def change(path: str, value: Any) -> Lie:
    """Change one thing of the first line."""
    *above, name = path.split(".")

    def lie(lines: list[dict[str, Any]]) -> None:
        at = lines[0]
        for each in above:
            at = at[each]
        at[name] = value

    return lie


def lies(version: int, price_list: str) -> dict[str, tuple[str, Lie, str, str]]:
    """By name: the file, what becomes of it, the verdict, and what is said."""
    differs, cannot = "NOT PROVEN", "NOT REFOLDED"
    return {
        "field": (ANSWER, change("row.input_tokens", 999), differs, "input_tokens = 999, and the fold comes to"),
        "place": (ANSWER, change("position", "1"), differs, "has position = 1, and the fold comes to"),
        "type": (ANSWER, change("row.input_tokens", "many"), differs, "has input_tokens = 'many': Input should be"),
        "field more": (ANSWER, change("row.bonus", 1), differs, "has bonus = 1: Extra inputs are not permitted"),
        "another's row": (ANSWER, change("row.entry_id", "call:other"), differs, "there is no row"),
        "row twice": (ANSWER, lambda lines: lines.append(lines[0]), differs, "or it is shown twice"),
        "row less": (ANSWER, lambda lines: lines.pop(0), differs, "is not shown"),
        "version": (CLAIMS, change("answer.version", "3"), cannot, f"folded by version 3 with {price_list}"),
        "columns": (CLAIMS, change("answer.fingerprint", "0" * 32), cannot, f"(00000000), and version {version} with"),
        "prices": (CLAIMS, change("answer.depends_on", "prices 1"), cannot, "with prices 1 ("),
        "read model": (CLAIMS, change("answer.read_model", "os:system"), cannot, "no read model 'os:system' is installed here"),
        "key": (CLAIMS, change("answer.key", ["run_other"]), differs, "there is no row"),
        "no key": (CLAIMS, change("answer.key", []), cannot, "a key of usage is run_id, entry_id, and not 0 values"),
        "position": (CLAIMS, change("answer.position", "1"), differs, "it is to be as of position 1"),
    }


def test_whatever_of_an_answer_is_changed_is_named_and_never_verified(recorded: Ledger, tmp_path: Path) -> None:
    run_id = next(key[0] for key in rows_of(known()["usage"], recorded) if rows_count(recorded, key[0]) > 1)
    made = make(recorded, tmp_path / "whole", "usage", (run_id,))
    usage = known()["usage"]
    for name, (file, lie, verdict, said) in lies(usage.version, usage.depends_on).items():
        found = refolded(lied(tmp_path / "whole", tmp_path / "lied", file, lie), made)
        assert found.answer is not None
        assert (name, found.verdict) == (name, verdict)
        assert said in " ".join([*found.problems, found.answer.why]), name


def rows_count(ledger: Ledger, run_id: str) -> int:
    return sum(key[0] == run_id for key in rows_of(known()["usage"], ledger))


def test_an_event_that_is_missing_or_left_out_is_named_and_the_fold_is_not_tried(recorded: Ledger, tmp_path: Path) -> None:
    key = first_row(recorded, "run_summaries")
    made = make(recorded, tmp_path / "whole", "run_summaries", key)
    folder = tmp_path / "whole"
    for name in ("entries.jsonl", "events.jsonl", "proofs.jsonl"):
        lied(folder, tmp_path / name, name, lambda lines: lines.pop(3))
        folder = tmp_path / name
    found = refolded(folder, made)
    assert any(problem.startswith("MISSING events 4 to 4") for problem in found.problems)
    assert found.problems[-1].startswith("NOT REFOLDED run_summaries")
    kept = make(recorded, tmp_path / "kept", "run_summaries", key, left_out=("run.created",))
    assert kept.findings.verdict == "NOT REFOLDED"
    assert kept.findings.answer is not None
    assert kept.findings.answer.why.startswith("the payload of run.created, version 1 of run_")
    with pytest.raises(BundleUnreadable):
        refolded(lied(tmp_path / "whole", tmp_path / "lied", "events.jsonl", lambda lines: lines.pop(3)), made)


def test_whatever_is_changed_in_a_bundle_of_an_answer_there_is_a_verdict_and_it_is_not_verified(
    recorded: Ledger, tmp_path: Path
) -> None:
    key, dice = first_row(recorded, "run_summaries"), random.Random(4)  # noqa: S311  it picks what is changed
    made = make(recorded, tmp_path / "whole", "run_summaries", key)
    whole = refolded(tmp_path / "whole", made)
    for _ in range(60):
        name = change_something(tmp_path / "whole", tmp_path / "changed", [ANSWER, CLAIMS, EVENTS, EVENTS, ENTRIES], dice)
        try:
            found = refolded(tmp_path / "changed", made)
        except BundleUnreadable:
            continue
        assert not found.proven or ((name == CLAIMS and found.answer is None) or as_json(found) == as_json(whole)), name


def test_events_that_no_ledger_has_written_cannot_be_folded(recorded: Ledger, tmp_path: Path) -> None:
    made = make(recorded, tmp_path / "whole", "run_summaries", first_row(recorded, "run_summaries"))
    for odd in ({"event_id": 1}, {"context": []}, {"recorded_at": None}, {"metadata": "x"}, {"tenant_id": {}}):

        def lie(lines: list[dict[str, Any]], odd: dict[str, Any] = odd) -> None:
            for line in lines:
                beside = json.loads(base64.b64decode(line["envelope"])) | odd
                line["envelope"] = base64.b64encode(canonical(values(json.dumps(beside))).encode()).decode()

        found = refolded(lied(tmp_path / "whole", tmp_path / "lied", EVENTS, lie), made)
        assert found.answer is not None
        assert (found.verdict, found.answer.why) == ("NOT PROVEN", "its events are not proven"), odd


def test_a_read_model_that_somebody_changed_differs_from_its_events(made_up: tuple[Ledger, TestDatabase], tmp_path: Path) -> None:
    recorded, database = made_up
    key = first_row(recorded, "run_summaries")
    with psycopg.connect(database.admin_url, autocommit=True) as connection:
        connection.execute("UPDATE runfold_read.run_summaries SET steps = steps + 700")
        found = make(recorded, tmp_path / "b", "run_summaries", key).findings
        connection.execute("UPDATE runfold_read.run_summaries SET steps = steps - 700")
    assert found.verdict == "NOT PROVEN"
    assert "has steps = 70" in found.problems[0]
    assert ", and the fold comes to " in found.problems[0]


REFUSED: list[tuple[str, Key, str]] = [
    ("nothing", ("run_1",), "there is no projection 'nothing'"),
    ("os:system", ("run_1",), "there is no projection 'os:system'"),
    ("usage", ("run_1",), "row 'usage run_1' is not there, or not sealed"),
    ("goals", ("g9",), "row 'goals g9' is not there as of position"),
    ("usage", (), "a key of usage is run_id, entry_id"),
    ("threads", ("a", "b"), "a key of threads is thread_id"),
    ("messages", ("run_1", "msg_1", "first"), "revision of messages is a whole number, not 'first'"),
]


def test_a_row_that_is_not_there_is_refused_in_one_line(recorded: Ledger, tmp_path: Path) -> None:
    for name, key, said in REFUSED:
        with pytest.raises(LedgerError) as raised:
            make(recorded, tmp_path / "b", name, key)
        assert str(raised.value).startswith(said)
        assert not (tmp_path / "b").exists()


def test_an_answer_of_a_projection_of_ones_own_is_refused_by_that_reason(settings: Settings, tmp_path: Path) -> None:
    with Ledger.open(settings=settings) as ledger:
        ledger.create_thread(agent_id="desk").start_run()
        Sealer(ledger).seal_all()
        with pytest.raises(ProjectionNotFound, match="there is no projection 'tally'"):
            make(ledger, tmp_path / "b", "tally", ("x",))
        ledger.fold("tests.projector.toys:Tally")
        with pytest.raises(UsageError, match=r"tally is a projection of your own, .*entry point `runfold\.projections`"):
            make(ledger, tmp_path / "b", "tally", ("x",))


def test_rows_that_nobody_has_folded_are_found_by_the_streams_in_their_keys(settings: Settings, tmp_path: Path) -> None:
    with Ledger.open(settings=settings) as ledger:
        run = ledger.create_thread(agent_id="desk").start_run()
        Sealer(ledger).seal_all()
        run.complete()
        made = make(ledger, tmp_path / "b", "run_summaries", (run.id,))
        assert made.findings.answer is not None
        assert [row["status"] for row in made.findings.answer.rows] == ["running"]
        assert made.findings.proven
