"""Samples, and what is absent from the whole log, in bundles of a real ledger."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runfold import Ledger
from runfold.errors import UsageError
from runfold.evidence.bundles.bundle import BundleMaker, Made
from runfold.evidence.bundles.making import make_bundle
from runfold.evidence.bundles.samples import SampleAsked
from runfold.evidence.sealer import Sealer
from runfold.proofs.container import EVENTS
from runfold.proofs.records import read_event
from tests.databases import fresh_database

SEED = "2026-Q3"


@pytest.fixture(scope="module")
def recorded(admin_url: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """Eight threads of two runs each, of which one has failed and one stands for another; sealed."""
    with fresh_database(admin_url, template, "samples") as database:
        settings = database.settings.model_copy(update={"home": tmp_path_factory.mktemp("home")})
        with Ledger.open(settings=settings) as ledger:
            threads = [ledger.create_thread(agent_id="desk", thread_id=f"thread_{number}") for number in range(8)]
            for thread in threads:
                for number in range(2):
                    run = thread.start_run(run_id=f"run_{thread.id}_{number}")
                    run.add_message("user", f"secret words of {thread.id}")
                    run.fail("broken") if run.id == "run_thread_3_0" else run.complete()
            for number in range(2):
                run = threads[1].start_run(run_id=f"run_asking_{number}")
                call = run.call_tool("refund", {"amount": "46.00"}, call_id=f"call_{number}")
                asked = run.request_approval("refund", call_id=call.id)
                if number == 0:
                    asked.grant(actor="human:ada")
                run.cancel()
            threads[7].supersede(["thread_6"], "read again")
            Sealer(ledger).seal_all()
            yield ledger


def draw(ledger: Ledger, folder: Path, n: int = 3, *, every: bool = False, **asked: Any) -> Made:
    return BundleMaker(ledger).make(folder, (), sample=SampleAsked(SEED, {"n": n, **asked}, every))


def payloads_in(folder: Path) -> bytes:
    with (folder / EVENTS).open("rb") as lines:
        return b"".join(read_event(line.removesuffix(b"\n")).payload or b"" for line in lines)


def test_a_sample_is_that_which_is_drawn_as_of_the_checkpoint_and_its_threads_are_complete(
    recorded: Ledger, tmp_path: Path
) -> None:
    at = recorded.position()
    sample = recorded.at(at).sample_runs(SEED, n=3)
    made = draw(recorded, tmp_path / "one")
    assert made.findings.sample is not None
    assert made.findings.sample.runs == [run.run_id for run in sample.runs]
    assert (made.findings.sample.sample.population, sample.population) == (16, 16)
    assert (made.findings.proven, made.findings.sample.population) == (True, "GIVEN")
    assert set(made.findings.threads.values()) == {"COMPLETE"}
    (told,) = recorded.events(types=["security.bundle_made"], after=at)
    assert (told.event.seed, told.event.threads) == (SEED, made.threads)  # type: ignore[attr-defined]
    recorded.create_thread(agent_id="desk").start_run()
    draw(recorded, tmp_path / "two")
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


def test_with_all_leaves_the_population_is_complete_and_nothing_more_is_handed_over(recorded: Ledger, tmp_path: Path) -> None:
    made = draw(recorded, tmp_path / "b", 2, every=True)
    assert made.findings.sample is not None
    assert (made.findings.problems, made.findings.sample.population) == ([], "COMPLETE")
    payloads = payloads_in(tmp_path / "b")
    for thread in (f"thread_{number}" for number in range(8)):
        assert (f"secret words of {thread}".encode() in payloads) == (thread in made.threads), thread
    every = draw(recorded, tmp_path / "every", 2, every=True, include_superseded=True).findings
    assert every.sample is not None
    assert (every.problems, every.sample.population, every.sample.sample.population) == ([], "COMPLETE", 18)


def test_what_narrows_the_runs_narrows_the_sample_and_a_thread_that_is_named_is_there_whole(
    recorded: Ledger, tmp_path: Path
) -> None:
    named = draw(recorded, tmp_path / "named", 1, thread_id=["thread_2", "thread_7"]).findings
    assert named.sample is not None
    assert (named.sample.population, named.sample.sample.population, set(named.threads)) == (
        "COMPLETE",
        4,
        {"thread_2", "thread_7"},
    )
    failed = draw(recorded, tmp_path / "failed", status=["failed"]).findings
    assert failed.sample is not None
    assert (failed.sample.runs, failed.sample.population) == (["run_thread_3_0"], "GIVEN")
    with pytest.raises(UsageError, match="there is no run to draw from as of position"):
        draw(recorded, tmp_path / "none", status=["stuck"])
    with pytest.raises(UsageError, match="unknown parameter 'colour'"):
        draw(recorded, tmp_path / "none", colour="red")
    assert not (tmp_path / "none").exists()


def test_what_is_absent_from_all_threads_is_found_in_the_leaves_and_payloads_are_not_handed_over(
    recorded: Ledger, tmp_path: Path
) -> None:
    def absent(name: str, type: str, call: str | None = None, left_out: tuple[str, ...] = ()) -> tuple[str | None, list[str]]:
        found = BundleMaker(recorded, left_out).make(tmp_path / name, (), absence=(type, call)).findings
        return found.absence, found.problems

    assert absent("type", "approval.denied") == ("ABSENT: approval.denied in the whole log", [])
    assert (tmp_path / "type" / EVENTS).read_bytes() == b""
    assert "NOT ABSENT: there is run.failed in the whole log, at position" in absent("failed", "run.failed")[1][0]
    assert absent("call", "approval.granted", "call_1") == ("ABSENT: approval.granted of call call_1 in the whole log", [])
    assert b"secret" not in (tmp_path / "call" / "report.html").read_bytes()
    assert "NOT ABSENT" in absent("granted", "approval.granted", "call_0")[1][0]
    assert absent("other call", "tool.called", "call_9") == ("ABSENT: tool.called of call call_9 in the whole log", [])
    assert payloads_in(tmp_path / "other call") == b""
    said = absent("kept", "run.failed", "call_1", left_out=("*",))[1][0]
    assert said.endswith("as payloads of run_thread_3_0 are left out")
    with pytest.raises(UsageError, match="stands for several event types"):
        absent("many", "approval.*")
    with pytest.raises(UsageError, match=r"unknown event type 'approval\.gone'"):
        absent("none", "approval.gone")
    for call, why in {"call_9": "no event that is sealed names the tool call 'call_9'", "": "'' is no id of a tool call"}.items():
        with pytest.raises(UsageError, match=why):
            absent("no call", "approval.granted", call)


def test_a_sample_as_of_a_moment_is_that_which_is_drawn_there_from_all_runs_that_there_were(
    recorded: Ledger, tmp_path: Path
) -> None:
    run = next(iter(recorded.events(types=["run.failed"])))
    for at in (run.position, run.recorded_at, run.recorded_at.isoformat()):
        asked = SampleAsked(SEED, {"n": 4}, with_all_leaves=True, at=at)
        made = BundleMaker(recorded).make(tmp_path / str(at), (), sample=asked)
        there = recorded.at(run.position).sample_runs(SEED, n=4)
        assert made.findings.sample is not None
        said = made.findings.sample.sample
        assert (made.findings.problems, made.findings.sample.population) == ([], "COMPLETE")
        assert (made.findings.sample.runs, said.position) == ([each.run_id for each in there.runs], run.position)
        assert said.population == there.population == 7
    failed = SampleAsked(SEED, {"n": 4, "status": "failed"}, at=run.position - 1)
    with pytest.raises(UsageError, match=f"no run to draw from as of position {run.position - 1}"):
        BundleMaker(recorded).make(tmp_path / "none", (), sample=failed)
    with pytest.raises(UsageError, match="position 9999 is not in the ledger"):
        BundleMaker(recorded).make(tmp_path / "none", (), sample=failed._replace(at=9999))
    recorded.create_thread(agent_id="desk")
    for later in (recorded.position(), "2999-01-01T00:00:00Z"):
        with pytest.raises(UsageError, match="is not sealed: the last checkpoint ends at position"):
            BundleMaker(recorded).make(tmp_path / "none", (), sample=failed._replace(at=later))
    with pytest.raises(UsageError, match="only a sample is drawn as of a moment"):
        make_bundle(recorded, tmp_path / "none", whole_log=True, at=3)
    assert not (tmp_path / "none").exists()
