"""Logs of Inspect in the ledger: the same from a zip and from a document, twice, grown, in any order, by two tenants."""

import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runfold import Ledger, Settings
from runfold.importers.files import SourceFile
from runfold.importers.formats.inspect import read
from runfold.importers.importing import import_paths
from runfold.importers.tally import Reports, Tally
from tests.importers.conftest import everything
from tests.importers.inspect.logs import DEFLATE, ZSTANDARD, SampleLog, call, eval_log, header, json_log, message, zip_file

Importing = Callable[..., Tally]


def busy(number: int = 1) -> dict[str, Any]:
    """A sample with calls, approvals of several kinds, usage with costs, an agent that was handed over to, and scores."""
    log = SampleLog(f"riddle-{number}", f"sample-{number}")
    log.event("span_begin", id="boss", type="agent", name="boss", span_id="boss")
    log.heard[0] |= {"id": f"{number}-q"}
    asked = [call("c-1", x=1), call("c-2", x=2), call("c-3", x=3)]
    log.answer(f"{number}-1", "I try.", *asked, span_id="boss", output={"usage": {**_USAGE, "total_cost": 0.1}})
    log.approval(asked[0], "approve", "human", span_id="boss", explanation="fine")
    log.result("c-1", {"found": [1, 2]}, f"{number}-2", span_id="boss")
    log.approval(asked[1], "escalate", "first", span_id="boss")
    log.approval(asked[1], "modify", "monitor", span_id="boss", modified=call("c-2", x=20))
    log.result("c-2", "20", f"{number}-3", span_id="boss")
    log.approval(asked[2], "reject", "human", span_id="boss", explanation="not this")
    log.result("c-3", "", f"{number}-4", span_id="boss", error={"type": "approval", "message": "not this"})
    log.event("span_begin", id="t", type="tool", name="helper", parent_id="boss", span_id="t")
    log.event("span_begin", id="help", type="agent", name="helper", parent_id="t", span_id="help")
    mine, log.heard = log.heard, [message("user", "Help.", f"{number}-h")]
    log.answer(f"{number}-5", "I help.", span_id="help")
    log.event("span_end", id="help", span_id="help")
    log.heard = mine
    log.answer(f"{number}-6", "It is 42.", span_id="boss")
    log.event("span_end", id="boss", span_id="boss")
    return log.done(scores={"match": {"value": "C"}, "style": {"value": 0.5}})


_USAGE = {"input_tokens": 100, "output_tokens": 10, "total_tokens": 130, "input_tokens_cache_read": 20}


def held(ledger: Ledger) -> dict[str, int]:
    """What a ledger holds, by kind of event."""
    found: dict[str, int] = {}
    for recorded in ledger.subscribe(follow=False):
        found[recorded.type] = found.get(recorded.type, 0) + 1
        if recorded.type == "usage.recorded":
            for name in ("input_tokens", "output_tokens"):
                found[name] = found.get(name, 0) + (getattr(recorded.event.tokens, name) or 0)  # type: ignore[attr-defined]
    return found


def test_a_log_is_the_same_packed_or_not_and_adds_nothing_again(ledger: Ledger, importing: Importing, tmp_path: Path) -> None:
    sample = busy()
    tally = importing("inspect", eval_log(tmp_path / "log.eval", sample, method=ZSTANDARD))
    counts = (tally.threads, tally.runs, tally.messages, tally.tool_calls, tally.tool_errors, tally.decisions, tally.approvals)
    assert counts == (1, 2, 8, 3, 1, 3, 3)
    assert (tally.input_tokens, tally.output_tokens, tally.problems, tally.notes) == (300, 30, [], [])
    position = ledger.position()
    again = importing("inspect", eval_log(tmp_path / "again.eval", sample, method=DEFLATE))
    assert (again.skipped, again.events, again.messages) == (1, 0, 8)
    other = importing("inspect", json_log(tmp_path / "log.json", sample))
    assert other.problems == []
    assert [item.type for item in ledger.subscribe(after=position, follow=False)] == ["thread.imported"]


def test_the_tally_is_what_the_ledger_holds(ledger: Ledger, importing: Importing, tmp_path: Path) -> None:
    tally = importing("inspect", eval_log(tmp_path / "log.eval", *(busy(number) for number in range(1, 4))))
    found = held(ledger)
    assert tally.threads == found["thread.created"] == 3
    assert tally.runs == found["run.created"]
    assert tally.messages == found["message.added"]
    assert tally.tool_calls == found["tool.called"]
    assert tally.tool_errors == found["tool.failed"]
    assert tally.decisions == found["decision.made"]
    assert tally.approvals == found["approval.requested"]
    assert (tally.input_tokens, tally.output_tokens) == (found["input_tokens"], found["output_tokens"])
    assert found["run.completed"] == tally.runs
    assert found["usage.cost_reported"] == 3


def test_a_sample_that_stands_in_two_logs_is_counted_once(importing: Importing, tmp_path: Path) -> None:
    eval_log(tmp_path / "a.eval", busy(1), busy(2))
    json_log(tmp_path / "b.json", busy(2), busy(3), eval_id="eval-2")
    tally = importing("inspect", tmp_path)
    assert (tally.threads, tally.runs, tally.messages, tally.input_tokens) == (3, 6, 24, 900)


def test_a_log_that_grows_ends_as_if_it_had_come_at_once(
    ledger: Ledger, settings: Settings, importing: Importing, tmp_path: Path
) -> None:
    whole = busy()
    for cut in range(len(whole["events"]) + 1):
        growing = {**whole, "events": whole["events"][:cut], "messages": [], "scores": {}, "completed_at": None}
        tally = importing("inspect", eval_log(tmp_path / f"{cut}.eval", growing, status="started"))
        assert tally.problems == []
    ended = [recorded.context.agent_id for recorded in ledger.events(types=("run.completed",))]
    assert ended == ["helper"], "what goes on has not ended"
    last = eval_log(tmp_path / "last.eval", whole)
    assert importing("inspect", last).problems == []
    with Ledger.open(settings=settings.model_copy(update={"tenant": "another"})) as another:
        assert import_paths(another, "inspect", [last]).problems == []
        assert _without_order(ledger) == _without_order(another)


def _without_order(ledger: Ledger) -> dict[str, list[str]]:
    left_out = {"thread.imported", "run.waiting", "run.resumed"}
    return {
        stream: sorted(data for _, kind, data, _ in events if kind not in left_out)
        for stream, events in everything(ledger).items()
    }


def test_what_of_a_log_is_broken_is_told_and_the_rest_goes_in(importing: Importing, tmp_path: Path) -> None:
    good = eval_log(tmp_path / "a.eval", busy(1), busy(2), method=DEFLATE).read_bytes()
    (tmp_path / "a.eval").write_bytes(good[: good.index(b"samples/riddle-2") + 400])
    (tmp_path / "b.json").write_text('{"status": "success", "eval": {"task": "t"}, "samples": [{"id": 1, "uuid": "s"}, {"id": ')
    (tmp_path / "c.eval").write_text("no zip")
    (tmp_path / "d.json").write_text('{"simulations": []}')
    (tmp_path / "e.eval").write_bytes(b"")
    (tmp_path / "f.json").write_text('{"status": "success", "eval": {}, "samples": [7, {"id": NaN, "epoch": 1, "uuid": "nan"}]}')
    tally = importing("inspect", tmp_path)
    assert tally.threads == 3
    problems = "\n".join(str(problem).removeprefix(f"{tmp_path}/") for problem in tally.problems)
    assert "a.eval: is not a whole zip file" in problems
    assert "b.json:1: samples.1" in problems
    assert "c.eval: is not" in problems
    assert "d.json: is not a log of Inspect" in problems
    assert "e.eval: is not" in problems
    assert "f.json:1: samples.0: is not a sample of Inspect" in problems


def test_a_packed_log_and_standard_input_are_read(importing: Importing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = eval_log(tmp_path / "log.eval", busy())
    packed = tmp_path / "log.eval.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert importing("inspect", packed).threads == 1
    with path.open("rb") as opened:
        monkeypatch.setattr("sys.stdin", type("Input", (), {"buffer": opened}))
        assert importing("inspect", "-").skipped == 1


@pytest.mark.fault("F10")
def test_a_member_that_grows_too_large_is_one_problem_and_the_others_go_in(settings: Settings, tmp_path: Path) -> None:
    bomb = {**busy(1), "store": {"words": " " * 2**20}}
    path = eval_log(tmp_path / "log.eval", bomb, busy(2))
    with Ledger.open(settings=settings.model_copy(update={"max_import_bytes": 2**20})) as ledger:
        tally = import_paths(ledger, "inspect", [path])
    (problem,) = tally.problems
    assert str(problem).endswith(
        "log.eval/samples/riddle-1_epoch_1.json:1: is larger than 1,048,576 bytes once it is unpacked; "
        "raise RUNFOLD_MAX_IMPORT_BYTES"
    )
    assert tally.threads == 1


def test_an_image_that_is_too_large_is_named_and_the_rest_of_its_sample_goes_in_once(
    ledger: Ledger, importing: Importing, tmp_path: Path
) -> None:
    log = SampleLog()
    log.answer("m-1", [{"type": "image", "image": "data:image/png;base64," + "A" * 3_000_000}, {"type": "text", "text": "Look."}])
    log.answer("m-2", "x" * 3_000_000)
    sample = log.done()
    assert importing("inspect", json_log(tmp_path / "a.json", sample)).problems == []
    position = ledger.position()
    again = importing("inspect", json_log(tmp_path / "b.json", {**sample, "working_time": 1}))
    assert (again.problems, [item.type for item in ledger.subscribe(after=position, follow=False)]) == ([], ["thread.imported"])


def test_a_compaction_is_recorded_where_it_was(ledger: Ledger, importing: Importing, tmp_path: Path) -> None:
    log = SampleLog()
    log.answer("m-1")
    log.event("compaction", type="summary", tokens_before=900, tokens_after=100)
    log.answer("m-2")
    for _ in range(2):
        assert importing("inspect", eval_log(tmp_path / "log.eval", log.done())).problems == []
    (compacted,) = ledger.events(types=("context.compacted",))
    (second,) = list(ledger.events(types=("usage.recorded",)))[1:]
    assert compacted.position < second.position


def test_a_log_without_samples_is_noted(importing: Importing, tmp_path: Path) -> None:
    tally = importing("inspect", eval_log(tmp_path / "log.eval", status="started"))
    assert ([note.kind for note in tally.notes], tally.problems, tally.threads) == (["logs without samples"], [], 0)


@pytest.mark.parametrize("seed", range(2))
def test_whatever_is_changed_in_a_log_nothing_is_raised(seed: int) -> None:
    """A value anywhere in a log is another, of any kind; the rest of the log is read."""
    chance = random.Random(seed)  # noqa: S311
    odd = [
        None,
        12.5,
        "x",
        {},
        [],
        -1,
        True,
        2**70,
        float("nan"),
        "\ud800\0",
        [[]],
        {"a": {"b": 1}},
        "2026-01-01",
        [None],
        [1, "a"],
    ]
    for _ in range(150):
        whole = {**header(), "samples": [busy(1)]}
        at: Any = whole["samples"]
        while (keys := list(at) if isinstance(at, dict) else [*range(len(at))]) and (key := chance.choice(keys)) is not None:
            if not isinstance(at[key], dict | list) or chance.random() < 0.1:
                at[key] = chance.choice(odd)
                break
            at = at[key]
        raw, reports = json.dumps(whole).encode(), Reports()
        threads = list(read([SourceFile("a.json", None, len(raw), raw)], reports.take))
        assert threads or reports.problems or reports.by_kind
        assert not [str(problem) for problem in reports.problems if "cannot be read (" in str(problem)]


def test_a_started_logs_samples_without_an_end_run_on(ledger: Ledger, importing: Importing, tmp_path: Path) -> None:
    sample = {**busy(), "completed_at": None, "scores": {}}
    importing("inspect", eval_log(tmp_path / "log.eval", sample, status="started"))
    agents = {recorded.stream: recorded.context.agent_id for recorded in ledger.events(types=("run.created",))}
    assert {agent: ledger.run(run_id).view().status for run_id, agent in agents.items()} == {
        "react": "running",
        "helper": "completed",
    }


def test_who_let_a_call_run_and_what_was_changed_is_on_record(ledger: Ledger, importing: Importing, tmp_path: Path) -> None:
    importing("inspect", json_log(tmp_path / "log.json", busy()))
    votes = [
        (recorded.event.voter, recorded.event.verdict, recorded.event.comment)  # type: ignore[attr-defined]
        for recorded in ledger.events(types=("approval.vote_cast",))
    ]
    assert votes == [
        ("human:human", "approve", "fine"),
        ("service:monitor", "approve", None),
        ("human:human", "deny", "not this"),
    ]
    granted = [recorded.event for recorded in ledger.events(types=("approval.granted",))]
    assert [json.loads(event.effective_arguments_text) for event in granted] == [{"x": 1}, {"x": 20}]  # type: ignore[attr-defined]
    people = {
        recorded.metadata.actor.id for recorded in ledger.subscribe(follow=False) if recorded.metadata.actor.kind == "human"
    }
    assert people == {"human"}


def test_a_byte_that_is_not_utf_8_loses_no_sample_of_a_zip(tmp_path: Path) -> None:
    sample = json.dumps(SampleLog().done()).encode().replace(b"What is", b"What\xff is")
    members = {"header.json": json.dumps(header()).encode(), "samples/one_epoch_1.json": sample}
    reports, path = Reports(), zip_file(tmp_path / "log.eval", members, DEFLATE)
    assert len([*read([SourceFile(str(path), path, path.stat().st_size)], reports.take)]) == 1
    assert [problem.reason for problem in reports.problems] == ["is not UTF-8 throughout; what is not stands escaped"]
