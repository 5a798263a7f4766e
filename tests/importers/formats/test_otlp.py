"""OTLP in the ledger: each encoding the same, twice, span by span, by two tenants; and files of which something is broken."""

import base64
import builtins
import json
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from runfold import Ledger, Settings
from runfold.domain.run_events import RunCreated
from runfold.errors import InvalidEvent
from runfold.importers.acts.kinds import Place
from runfold.importers.files import SourceFile
from runfold.importers.formats.otlp import read
from runfold.importers.importing import import_paths
from runfold.importers.otlp.meaning import conversation_of
from runfold.importers.otlp.spans import OF_NO_SPAN, Span, items
from runfold.importers.otlp.story import story_of
from runfold.importers.otlp.wire import batches
from runfold.importers.tally import Reports, Tally
from tests.importers.conftest import everything
from tests.importers.otlp.traces import agent, chat, lines, logs, protobuf, record, request, span, text, tool, turn

Importing = Callable[..., Tally]


def written(folder: Path, encoding: str, *spans: dict[str, Any]) -> Path:
    """Spans in one of the encodings, each as a batch of its own where there can be several."""
    path = folder / f"traces-{encoding}"
    match encoding:
        case "document.json":
            path.write_text(json.dumps(request(*spans), indent=2))
        case "lines.jsonl":
            lines(path, *(request(each) for each in spans))
        case "list.json":
            path.write_text(json.dumps([request(each) for each in spans]))
        case "whole.pb":
            path.write_bytes(protobuf(request(*spans)))
        case "sized.binpb":
            parts = [protobuf(request(each)) for each in spans]
            path.write_bytes(b"".join(len(part).to_bytes(4, "big") + part for part in parts))
        case "varint.pb":
            parts = [protobuf(request(each)) for each in spans]
            sizes = [bytes([len(part) & 0x7F | 0x80, len(part) >> 7]) for part in parts]
            path.write_bytes(b"".join(size + part for size, part in zip(sizes, parts, strict=True)))
        case "packed.jsonl.zst":
            path.write_bytes(zstandard.ZstdCompressor().compress(json.dumps(request(*spans)).encode()))
    return path


ENCODINGS = ["document.json", "lines.jsonl", "list.json", "whole.pb", "sized.binpb", "varint.pb", "packed.jsonl.zst"]


def test_all_encodings_are_the_same_source(ledger: Ledger, importing: Importing, tmp_path: Path) -> None:
    spans = [*turn(1), *turn(2)]
    first = importing("otlp", written(tmp_path, ENCODINGS[0], *spans))
    counts = (
        first.threads,
        first.runs,
        first.messages,
        first.tool_calls,
        first.tool_errors,
        first.input_tokens,
        first.output_tokens,
    )
    assert counts == (1, 4, 8, 2, 0, 614, 66)
    for encoding in ENCODINGS[1:]:
        again = importing("otlp", written(tmp_path, encoding, *spans))
        assert (again.skipped, again.events, again.problems, again.messages) == (1, 0, [], 8), encoding


def test_the_tally_is_what_the_ledger_holds(ledger: Ledger, importing: Importing, tmp_path: Path) -> None:
    tally = importing("otlp", written(tmp_path, "lines.jsonl", *turn(1), *turn(2, None), *turn(3, "conv-3"), span(9, trace=9)))
    found: dict[str, int] = {}
    for recorded in ledger.subscribe(follow=False):
        found[recorded.type] = found.get(recorded.type, 0) + 1
        if recorded.type == "usage.recorded":
            tokens = recorded.event.tokens  # type: ignore[attr-defined]
            found["input"] = found.get("input", 0) + (tokens.input_tokens or 0)
    assert tally.threads == found["thread.created"] == 3
    assert tally.runs == found["run.created"] == found["run.completed"]
    assert tally.messages == found["message.added"]
    assert tally.tool_calls == found["tool.called"] == found["tool.succeeded"]
    assert tally.input_tokens == found["input"]
    assert tally.problems == []


def _told(ledger: Ledger) -> dict[str, list[str]]:
    """What each kind of event says, without ids and places in streams."""
    told: dict[str, list[str]] = {}
    for events in everything(ledger).values():
        for _, kind, data, _ in events:
            if kind in {"message.added", "usage.recorded", "tool.called", "tool.succeeded", "run.completed"}:
                fields = {name: value for name, value in json.loads(data).items() if not name.endswith("_id")}
                told.setdefault(kind, []).append(json.dumps(fields, sort_keys=True))
    return {kind: sorted(said) for kind, said in told.items()}


@pytest.mark.parametrize("seed", range(4))
def test_spans_that_come_one_by_one_in_any_order_are_in_once(
    ledger: Ledger, settings: Settings, importing: Importing, tmp_path: Path, seed: int
) -> None:
    """The agents' spans last, as exporters send them: a span is sent when it ends."""
    spans = turn(1, None)
    chance = random.Random(seed)  # noqa: S311
    inner, own = spans[:5], spans[5:]
    chance.shuffle(inner)
    inner.sort(key=lambda each: each["name"].startswith("invoke_agent"))
    for number, each in enumerate([*inner, *own, *inner]):
        tally = importing("otlp", lines(tmp_path / f"{number}.jsonl", request(each)))
        assert tally.problems == []
        assert number < len(spans) or tally.events == 0, "it is in already"
    with Ledger.open(settings=settings.model_copy(update={"tenant": "another"})) as another:
        import_paths(another, "otlp", [lines(tmp_path / "whole.jsonl", request(*spans))])
        ours, whole = _told(ledger), _told(another)
    assert ours["usage.recorded"] == whole["usage.recorded"]
    assert ours["tool.succeeded"] == whole["tool.succeeded"]
    assert len(ours["tool.called"]) == len(whole["tool.called"])
    assert ours["run.completed"] == whole["run.completed"]
    assert len(ours["message.added"]) == len(whole["message.added"])


def test_a_file_that_grows_ends_as_if_it_had_come_at_once(
    ledger: Ledger, settings: Settings, importing: Importing, tmp_path: Path
) -> None:
    spans = [*turn(1), *turn(2)]
    for count in range(1, len(spans) + 1):
        assert importing("otlp", lines(tmp_path / "traces.jsonl", *(request(each) for each in spans[:count]))).problems == []
    assert importing("otlp", tmp_path / "traces.jsonl").events == 0
    made = {recorded.stream for recorded in ledger.events(types=("thread.created",))}
    (conversation,) = made - {recorded.stream for recorded in ledger.events(types=("thread.superseded",))}
    messages = [message.text for message in ledger.thread(conversation).messages()]
    with Ledger.open(settings=settings.model_copy(update={"tenant": "another"})) as another:
        import_paths(another, "otlp", [tmp_path / "traces.jsonl"])
        assert messages == [message.text for message in another.thread(another_thread(another)).messages()]


def another_thread(ledger: Ledger) -> str:
    """The only thread there is."""
    (stream,) = {recorded.stream for recorded in ledger.events(types=("thread.created",))}
    return stream


def test_logged_events_of_another_file_are_the_words_of_their_spans(ledger: Ledger, importing: Importing, tmp_path: Path) -> None:
    model = chat(2, 1, at=1)
    lines(
        tmp_path / "a-logs.jsonl",
        logs(record(model, "gen_ai.user.message", {"content": "Hi?"}), {"body": {"stringValue": "noise"}}),
    )
    lines(tmp_path / "b-traces.jsonl", request(model, agent(1, lasts=5)))
    tally = importing("otlp", tmp_path)
    assert (tally.messages, tally.problems) == (1, [])


def test_broken_parts_are_told_with_their_place_and_the_rest_goes_in(importing: Importing, tmp_path: Path) -> None:
    good = [json.dumps(request(each)) for each in turn(1)]
    odd = [
        good[0][:-40],
        "not json",
        '{"other": 1}',
        '{"resourceSpans": 5}',
        '{"resourceSpans": [{"scopeSpans": [{"spans": [7, {}]}]}]}',
    ]
    (tmp_path / "a.jsonl").write_text("\n".join([good[1], *odd, *good[2:], good[0] + good[0]]))
    (tmp_path / "b.pb").write_bytes(b"\x99\x88nothing")
    (tmp_path / "c.json").write_bytes(b"")
    sized = protobuf(request(*turn(2)))
    (tmp_path / "d.pb").write_bytes(len(sized).to_bytes(4, "big") + sized + b"\0\0\1\0abc")
    (tmp_path / "e.json").write_text('{"simulations": []}')
    (tmp_path / "f.json").write_text('[{"resourceSpans": [')
    tally = importing("otlp", tmp_path)
    assert (tally.messages, tally.input_tokens) == (8, 614)
    problems = [str(problem).removeprefix(f"{tmp_path}/") for problem in tally.problems]
    assert [problem.partition(" ")[0] for problem in problems] == [
        "a.jsonl:2:",
        "a.jsonl:3:",
        "a.jsonl:4:",
        "a.jsonl:5:",
        "a.jsonl:6:",
        "b.pb:",
        "c.json:",
        "d.pb:",
        "e.json:1:",
    ], problems
    assert [(note.file.rpartition("/")[2], note.kind.partition(";")[0]) for note in tally.notes] == [
        ("a.jsonl", "batches without spans and without logged events"),
        ("a.jsonl", "lines that hold several records, of which each is taken"),
        ("f.json", "last lines that break off"),
    ]
    assert "breaks off at byte" in problems[-2]
    assert "resourceSpans.0.scopeSpans.0.spans.0: is 7, not an object" in problems[4]


def test_logged_events_are_read_from_protobuf_too(importing: Importing, tmp_path: Path) -> None:
    model = chat(2, 1, at=1)
    batch = logs(record(model, "gen_ai.user.message", {"content": "Hi?"}))
    for each in batch["resourceLogs"][0]["scopeLogs"][0]["logRecords"]:
        each |= {name: base64.b64encode(bytes.fromhex(each[name])).decode() for name in ("traceId", "spanId")}
    (tmp_path / "logs.pb").write_bytes(ParseDict(batch, ExportLogsServiceRequest()).SerializeToString())
    (tmp_path / "traces.pb").write_bytes(protobuf(request(model, agent(1, lasts=5))))
    tally = importing("otlp", tmp_path)
    assert (tally.messages, tally.runs, tally.problems, tally.notes) == (1, 1, [], [])


def test_spans_that_are_of_no_agent_are_counted_and_no_thread(ledger: Ledger, importing: Importing, tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", request(*(span(number, trace=number) for number in range(1, 4))), {"resourceMetrics": []})
    tally = importing("otlp", path)
    assert (tally.threads, ledger.position()) == (0, 0)
    assert [(note.kind, note.count) for note in tally.notes] == [
        ("spans of scope 'my.scope', which are no run, model call or tool call", 3)
    ]


def test_a_second_turn_continues_the_first_also_where_it_comes_later(
    ledger: Ledger, importing: Importing, tmp_path: Path
) -> None:
    first = importing("otlp", lines(tmp_path / "monday.jsonl", request(*turn(1))))
    second = importing("otlp", lines(tmp_path / "tuesday.jsonl", request(*turn(2))))
    assert (first.threads, second.threads, second.problems) == (1, 1, [])
    kinds = [
        recorded.event.parent for recorded in ledger.events(types=("run.created",)) if isinstance(recorded.event, RunCreated)
    ]
    assert [None if parent is None else parent.kind for parent in kinds] == [None, "spawned_by", "continues", "spawned_by"]
    texts = [message.text for message in ledger.thread(another_thread(ledger)).messages()]
    assert texts == ["Question 1?", "Let me see.", "it is", "Answer 1.", "Question 2?", "Let me see.", "it is", "Answer 2."]


def test_without_its_library_protobuf_is_one_problem_that_names_the_extra(
    importing: Importing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, "whole.pb", *turn(1))
    written(tmp_path, "lines.jsonl", *turn(2))
    found = builtins.__import__

    def missing(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith(("google.protobuf", "opentelemetry")):
            raise ImportError(name)
        return found(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    tally = importing("otlp", tmp_path)
    assert tally.threads == 1
    (problem,) = tally.problems
    assert "pip install 'runfold[importers]'" in str(problem)


def _mutated(raw: bytes, chance: random.Random) -> bytes:
    """A few bytes changed, left out or doubled."""
    changed = bytearray(raw)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(changed))
        match chance.randrange(4):
            case 0:
                changed[at] = chance.randrange(256)
            case 1:
                del changed[at : at + chance.randint(1, 20)]
            case 2:
                changed[at:at] = changed[at : at + chance.randint(1, 20)]
            case _:
                changed[at : at + 1] = chance.choice([b"null", b"12.5", b'"x"', b"{}", b"[]", b"-1", b"1e400", b"\\ud800"])
        if not changed:
            return b"{"
    return bytes(changed)


@pytest.mark.parametrize("encoding", ["lines.jsonl", "document.json", "sized.binpb"])
def test_whatever_is_changed_in_a_file_nothing_is_raised(tmp_path: Path, encoding: str) -> None:
    raw = written(tmp_path, encoding, *turn(1), *turn(2)).read_bytes()
    chance = random.Random(encoding)  # noqa: S311
    for _ in range(150):
        changed, reports = _mutated(raw, chance), Reports()
        threads = list(read([SourceFile("a.json", None, len(changed), changed)], reports.take))
        assert threads or reports.problems
        assert all("cannot be read" not in str(problem) for problem in reports.problems), reports.problems


def test_of_no_file_more_is_said_than_of_its_first_lines(tmp_path: Path) -> None:
    raw = b"{not json}\n" * 5000
    reports = Reports()
    with pytest.raises(InvalidEvent, match="the rest is not read"):
        list(batches(SourceFile("a.json", None, len(raw), raw), reports.take))
    assert len(reports.problems) < 50
    assert Place("a", 1, "b").at(3, "c").problem("is odd").reason == "b.3.c: is odd"


def test_of_json_lines_one_conversation_is_in_memory_at_a_time(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        words = {"gen_ai.prompt": "x" * 20_000}
        path = lines(tmp_path / "a.jsonl", *(request(chat(1, trace=trace, attrs=words)) for trace in range(1, count + 1)))
        tracemalloc.start()
        for _ in read([SourceFile(str(path), path, path.stat().st_size)], lambda _: None):
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    few, many = peak(60), peak(300)
    assert many < few + 2**21, "five megabytes more were read"


def test_a_batch_without_spans_is_noted(tmp_path: Path) -> None:
    raw, reports = b'{"resourceSpans": [{"scopeSpanz": [{"spans": []}]}]}', Reports()
    assert list(read([SourceFile("a.json", None, len(raw), raw)], reports.take)) == []
    assert list(reports.by_kind) == ["batches without spans and without logged events"]


@pytest.mark.parametrize(
    ("logged", "kind"),
    [
        ({"traceId": ""}, OF_NO_SPAN),
        ({"spanId": ""}, OF_NO_SPAN),
        ({"spanId": f"{99:016x}"}, OF_NO_SPAN),
        ({"traceId": f"{99:032x}"}, OF_NO_SPAN),
        ({"eventName": ""}, "log records that name no event"),
    ],
)
@pytest.mark.parametrize("is_alone", [True, False])
def test_a_log_record_that_cannot_be_placed_is_noted(logged: dict[str, Any], kind: str, is_alone: bool, tmp_path: Path) -> None:
    of = chat(1, attrs={"gen_ai.conversation.id": "c"})
    batches = [] if is_alone else [request(of, chat(2, trace=2)), logs(record(of, "gen_ai.user.message", {"content": "Hi"}, 1))]
    lost = {**record(of, "gen_ai.user.message", {"content": "Hello"}), **logged}
    path, reports = lines(tmp_path / "a.jsonl", *batches, logs(lost)), Reports()
    found = [*read([SourceFile(str(path), path, path.stat().st_size)], reports.take)]
    assert len(found) == (0 if is_alone else 2)
    assert (reports.by_kind[kind].count, reports.problems) == (1, [])


def _scattered(chance: random.Random, count: int) -> list[dict[str, Any]]:
    """Spans of one trace, each below any other one, in which any may name a conversation."""
    found = []
    for number in range(1, count + 1):
        named = {"gen_ai.conversation.id": chance.choice("abc")} if chance.random() < 0.4 else {}
        parent = chance.choice([None, *range(1, count + 3)])
        kind = chance.choice([chat, agent, tool])
        found.append(kind(number, parent, at=chance.randrange(50), attrs=named))
    return found


@pytest.mark.parametrize("seed", range(20))
def test_a_trace_of_several_conversations_is_told_apart_as_by_looking_through_all_of_it_for_each(
    seed: int, tmp_path: Path
) -> None:
    spans = _scattered(random.Random(seed), 30)  # noqa: S311  # not a secret
    path = lines(tmp_path / "a.jsonl", request(*spans))
    found = {item.id: item for item in items(request(*spans), Place(str(path), 1), lambda _: None) if isinstance(item, Span)}
    for thread in read([SourceFile(str(path), path, path.stat().st_size)], lambda _: None):
        story = thread.record.args[0]  # type: ignore[attr-defined]  # a partial of it
        assert story == story_of(thread.label, found.values(), [], lambda _: None)


def test_a_trace_of_many_conversations_is_not_looked_through_for_each_of_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = [0]

    def counting(span: Span) -> str | None:
        asked[0] += 1
        return conversation_of(span)

    monkeypatch.setattr("runfold.importers.otlp.thread.conversation_of", counting)
    spans = [span(1)]
    for number in range(100):
        spans += [agent(10 * number + 2, 1, conversation=f"c{number}"), chat(10 * number + 3, 10 * number + 2)]
    path = lines(tmp_path / "a.jsonl", request(*spans))
    assert len([*read([SourceFile(str(path), path, path.stat().st_size)], lambda _: None)]) == 100
    assert asked[0] < 20 * len(spans)


def test_a_question_and_an_answer_of_two_traces_are_not_one(importing: Importing, tmp_path: Path) -> None:
    again = [
        chat(
            trace * 10,
            None,
            [text("user", "Go on.")],
            [text("assistant", "Done.")],
            trace=trace,
            at=trace * 10,
            attrs={"gen_ai.conversation.id": "c"},
        )
        for trace in (1, 2, 3)
    ]
    tally = importing("otlp", lines(tmp_path / "a.jsonl", request(*again)))
    assert (tally.threads, tally.runs, tally.messages) == (1, 3, 6)
