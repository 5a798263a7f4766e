"""Other conventions than OpenTelemetry's: one talk is one story, whoever tells it, and what is not read is noted."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runfold import Ledger
from runfold.importers.acts.kinds import CallEnded, ModelCalled, Place, Said, Used
from runfold.importers.importing import import_paths
from runfold.importers.otlp.spans import Span, items
from runfold.importers.otlp.story import story_of
from tests.importers.conftest import everything
from tests.importers.otlp.conventions import AGENT, CONVENTIONS, QUESTION, Talk, ai_sdk, openinference
from tests.importers.otlp.stories import expected, of, summary, talk, told
from tests.importers.otlp.traces import agent, chat, lines, request, span
from tests.importers.robustness.mutations import ODD, mutated
from tests.promises.growth import TIMES, growth

OTHERS = [name for name in CONVENTIONS if name != "opentelemetry"]


@pytest.mark.parametrize("is_tight", [False, True])
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_one_talk_is_one_story_by_every_convention(convention: str, is_tight: bool) -> None:
    for seed in range(60):
        made = replace(Talk.by_chance(seed), is_tight=is_tight)
        story, reports = told(*CONVENTIONS[convention](made), conversation="s-1" if convention == "openinference" else None)
        assert summary(story) == expected(made), seed
        assert reports.problems == []
        assert {said.actor for said in of(story, Said) if said.role != "assistant"} == {"service:shop"}, (
            "nobody is said to be a person"
        )
        assert {said.actor for said in of(story, Said) if said.role == "assistant"} == {f"agent:{AGENT}"}


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_the_order_of_spans_and_their_repetition_change_nothing(convention: str) -> None:
    spans = CONVENTIONS[convention](Talk.by_chance(5))
    conversation = "s-1" if convention == "openinference" else None
    whole, _ = told(*spans, conversation=conversation)
    for seed in range(10):
        chance = random.Random(seed)  # noqa: S311
        again, _ = told(*chance.choices(spans, k=3), *chance.sample(spans, len(spans)), conversation=conversation)
        assert [replace(act, place=Place("")) for act in again.acts] == [replace(act, place=Place("")) for act in whole.acts]


@pytest.mark.parametrize("convention", OTHERS)
def test_what_went_wrong_raises_nothing_and_a_second_import_adds_nothing(
    convention: str, tenants: Callable[[str], Ledger], tmp_path: Path
) -> None:
    ledger = tenants(f"wrong {convention}")
    for seed in range(40):
        chance = random.Random(repr((convention, seed)))  # noqa: S311
        whole = [json.dumps(request(each)).encode() for each in CONVENTIONS[convention](Talk.by_chance(seed))]
        at = chance.randrange(len(whole))
        whole[at] = mutated(chance, whole[at])
        path = tmp_path / f"{seed}.jsonl"
        path.write_bytes(b"\n".join(whole))
        tally = import_paths(ledger, "otlp", [path])
        assert tally.threads or tally.problems or tally.notes, seed
        assert not [problem for problem in tally.problems if "cannot be read" in problem.reason], seed
        assert import_paths(ledger, "otlp", [path]).events == 0, seed


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_words_that_are_odd_in_any_part_lose_nothing_else(convention: str) -> None:
    """A text of JSON, or a value, that was changed in one attribute."""
    conversation = "s-1" if convention == "openinference" else None
    for seed in range(150):
        chance = random.Random(repr(("words", convention, seed)))  # noqa: S311
        spans = CONVENTIONS[convention](Talk.by_chance(seed))
        changed = chance.choice([each for each in spans if "parentSpanId" in each])
        attribute = chance.choice(changed["attributes"])
        held = attribute["value"].get("stringValue", "")
        if held[:1] in {"[", "{"} and chance.random() < 0.8:
            for _ in range(chance.randrange(1, 12)):
                held = mutated(chance, held.encode()).decode(errors="replace")
        else:
            held = chance.choice(ODD)
        attribute["value"] = {"stringValue": held}
        story, _ = told(*spans, conversation=conversation)
        assert len(of(story, ModelCalled)) >= len(Talk.by_chance(seed).steps) - 1, seed


def _in_ledger(ledger: Ledger) -> dict[str, list[str]]:
    """What is in a ledger of what was said, called and used, without ids."""
    found: dict[str, list[str]] = {}
    kinds = {"message.added", "usage.recorded", "tool.called", "tool.succeeded", "tool.failed", "model.called", "run.completed"}
    for recorded in ledger.subscribe(follow=False):
        if recorded.type in kinds and recorded.stream.startswith("run_"):
            told = recorded.event.model_dump(mode="json", exclude={"raw"})
            left_out = "result" if recorded.type == "tool.failed" else "_id"  # which a later message may alone say
            fields = {name: value for name, value in told.items() if not name.endswith(("_id", left_out))}
            found.setdefault(recorded.type, []).append(json.dumps(fields, sort_keys=True))
    return {kind: sorted(said) for kind, said in found.items()}


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_a_file_that_grows_as_spans_end_is_in_the_end_what_it_is_at_once(
    convention: str, tenants: Callable[[str], Ledger], tmp_path: Path
) -> None:
    for seed in (2, 5):
        spans = CONVENTIONS[convention](Talk.by_chance(seed))
        spans.sort(key=lambda each: int(each["endTimeUnixNano"]))
        grown, whole = tenants(f"grown {convention} {seed}"), tenants(f"whole {convention} {seed}")
        for count in range(1, len(spans) + 1):
            path = lines(tmp_path / f"{seed}.jsonl", *(request(each) for each in spans[:count]))
            assert import_paths(grown, "otlp", [path]).problems == []
        import_paths(whole, "otlp", [path])
        assert _in_ledger(grown) == _in_ledger(whole), seed
        assert import_paths(grown, "otlp", [path]).events == 0


def test_agents_whose_model_calls_are_not_there_say_what_they_were_given_and_gave() -> None:
    made = Talk.by_chance(3)
    for convention in OTHERS:
        runs = [each for each in CONVENTIONS[convention](made) if "parentSpanId" not in each]
        story, reports = told(*runs, conversation="s-1" if convention == "openinference" else None)
        said = talk(story)
        assert ("user", QUESTION) in said, convention
        assert said[-1] == ("assistant", "It is fine."), convention
        assert not of(story, Used), "what a run sums up is no model call's"
        sums = "sums of usage on agents' spans, which are not counted"
        assert (sums in reports.by_kind) is (convention != "openinference")


@pytest.mark.fault("K1")
@pytest.mark.parametrize("convention", OTHERS)
def test_calls_that_are_asked_for_at_once_are_found_in_proportion_to_their_number(convention: str) -> None:
    """Neither are a stream's answers looked through for each of its tools."""

    def made(count: int) -> list[Span]:
        one = replace(Talk.by_chance(5), steps=Talk.by_chance(5).steps[:1])
        calls = tuple(replace(one.steps[0].calls[0], id=f"c-{n}", arguments={"n": n}, tool="find") for n in range(count))
        spans = CONVENTIONS[convention](replace(one, steps=(replace(one.steps[0], calls=calls),)))
        return [item for item in items(request(*spans), Place("t.jsonl", 1), lambda _: None) if isinstance(item, Span)]

    conversation = "s-1" if convention == "openinference" else None
    found = growth(lambda spans: story_of(conversation, spans, [], lambda _: None), made, 20)
    assert found.calls < 1.5 * TIMES, found


def test_spans_of_other_kinds_are_noted_by_their_kind() -> None:
    _, reports = told(
        *ai_sdk(Talk.by_chance(1)),
        span(800, 1, attrs={"openinference.span.kind": "RETRIEVER", "retrieval.documents.0.document.content": "x"}),
        span(801, 1, attrs={"ai.operationId": "ai.rerank"}),
        span(802, 1, attrs={"ai.operationId": "ai.embed.doEmbed", "ai.usage.tokens": 4}),
    )
    assert {note.kind for note in reports.by_kind.values()} == {
        "spans of OpenInference's kind 'RETRIEVER', which are no run, model call or tool call",
        "spans of operation 'ai.rerank', which are no run, model call or tool call",
        "texts and vectors of embeddings, which are not imported",
        "sums of usage on agents' spans, which are not counted",
    }


def test_results_of_tools_that_the_user_is_said_to_have_said_are_the_tools() -> None:
    results = [{"type": "tool_call_response", "id": f"c-{number}", "result": "it is"} for number in (1, 2)]
    story, _ = told(agent(1, lasts=9), chat(2, 1, [{"role": "user", "parts": results}], at=1))
    assert [said.role for said in of(story, Said)] == ["tool"]


@pytest.mark.parametrize("flag", [True, False])
def test_a_result_that_is_an_error_ends_a_call_that_no_span_tells_of_as_failed(flag: bool) -> None:
    asked = {"role": "assistant", "content": [{"type": "tool_use", "id": "c-1", "name": "find", "input": {}}]}
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c-1", "content": "full", "is_error": flag}]}
    story, _ = told(agent(1, lasts=9), chat(2, 1, gave=[asked], at=1), chat(3, 1, [asked, result], at=3))
    (ended,) = of(story, CallEnded)
    assert (ended.how, ended.result, ended.reason) == (("failed", "full", "full") if flag else ("succeeded", "full", ""))


def test_a_session_is_a_conversation_by_openinference_alone(tenants: Callable[[str], Ledger], tmp_path: Path) -> None:
    browser = [{**each, "traceId": f"{7:032x}"} for each in ai_sdk(Talk.by_chance(1))]
    browser[-1]["attributes"].append({"key": "session.id", "value": {"stringValue": "s-1"}})
    again = [{**each, "traceId": f"{8:032x}"} for each in openinference(Talk.by_chance(2))]
    ledger = tenants("sessions")
    tally = import_paths(
        ledger, "otlp", [lines(tmp_path / "a.jsonl", request(*openinference(Talk.by_chance(1)), *again, *browser))]
    )
    assert (tally.threads, tally.runs, tally.problems) == (2, 3, [])


def _standing(ledger: Ledger) -> set[str]:
    """The threads for which no others stand."""
    made = {recorded.stream for recorded in ledger.events(types=("thread.created",))}
    return made - {recorded.stream for recorded in ledger.events(types=("thread.superseded",))}


def _as_before(spans: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What an importer saw that knew OpenTelemetry's names alone."""
    return [
        {**each, "attributes": [one for one in each["attributes"] if not one["key"].startswith("ai.")]}
        for each in spans
        if each["name"] != "ai.generateText"
    ]


def test_what_was_imported_before_its_convention_was_read_is_superseded_once_all_of_it_is_there(
    tenants: Callable[[str], Ledger], tmp_path: Path
) -> None:
    ledger, spans = tenants("before"), ai_sdk(Talk.by_chance(5))
    import_paths(ledger, "otlp", [lines(tmp_path / "before.jsonl", request(*_as_before(spans)))])
    (before,) = _standing(ledger)
    import_paths(ledger, "otlp", [lines(tmp_path / "some.jsonl", request(spans[0]))])
    assert len(_standing(ledger)) == 2, "some of it is only there"
    tally = import_paths(ledger, "otlp", [lines(tmp_path / "all.jsonl", request(*spans))])
    assert tally.problems == []
    (now,) = _standing(ledger)
    assert now != before
    known = everything(ledger)
    import_paths(ledger, "otlp", [tmp_path / "all.jsonl"])
    assert everything(ledger) == known


def test_what_was_deleted_is_not_made_anew_where_its_convention_is_read_now(
    tenants: Callable[[str], Ledger], tmp_path: Path
) -> None:
    ledger, spans = tenants("deleted"), ai_sdk(Talk.by_chance(5))
    import_paths(ledger, "otlp", [lines(tmp_path / "before.jsonl", request(*_as_before(spans)))])
    (before,) = _standing(ledger)
    ledger.thread(before).delete("asked for")
    tally = import_paths(ledger, "otlp", [lines(tmp_path / "all.jsonl", request(*spans))])
    assert tally.events == 0
    (problem,) = tally.problems
    assert f"made thread {before} before, which was deleted" in str(problem)
    assert _standing(ledger) == {before}
