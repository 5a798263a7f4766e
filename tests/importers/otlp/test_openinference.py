"""OpenInference's attributes: numbered messages with parts and calls, counts, values as they are, and LangChain's tools."""

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from runfold.domain.parts import FilePart, ReasoningPart, TextPart
from runfold.importers.acts.kinds import Called, ModelCalled, Place, Said, Story, Used
from runfold.importers.otlp.spans import Span, items
from runfold.importers.otlp.story import story_of
from runfold.importers.tally import Reports
from tests.importers.otlp.conventions import Talk, openinference
from tests.importers.otlp.stories import expected, of, summary, talk, told
from tests.importers.otlp.traces import request, span
from tests.promises.growth import TIMES, growth

OI = {"openinference.span.kind": "LLM"}


def _one(attrs: dict[str, Any]) -> tuple[Story, Reports]:
    """The story of one model call by OpenInference."""
    return told(span(2, 1, "call", at=1, attrs={**OI, **attrs}))


def test_all_that_openinference_counts_is_read() -> None:
    counts = {
        "llm.token_count.prompt": 100,
        "llm.token_count.completion": 10,
        "llm.token_count.prompt_details.cache_read": 60,
        "llm.token_count.prompt_details.cache_write": 20,
        "llm.token_count.completion_details.reasoning": 4,
        "llm.cost.total": 0.25,
        "llm.finish_reason": "stop",
    }
    story, _ = _one(counts)
    (used,) = of(story, Used)
    assert used.tokens == {
        "input_tokens": 100,
        "output_tokens": 10,
        "total_tokens": 110,
        "cache_read_input_tokens": 60,
        "cache_creation_input_tokens": 20,
        "reasoning_output_tokens": 4,
    }
    assert (used.cost, used.raw) == (0.25, {name: value for name, value in counts.items() if name != "llm.finish_reason"})
    assert of(story, ModelCalled)[0].finish_reasons == ("stop",)


def test_the_parts_of_a_numbered_message_are_told_by_their_kind() -> None:
    prefix = "llm.input_messages.0.message"
    contents = {
        "0.message_content.type": "text",
        "0.message_content.text": "Look:",
        "2.message_content.type": "image",
        "2.message_content.image.image.url": "data:image/png;base64,QUJD",
        "10.message_content.type": "reasoning",
        "10.message_content.text": "Hm.",
        "9.message_content.type": "document",
        "9.message_content.document.document.url": "https://example.com/a.pdf",
        "9.message_content.document.document.mime_type": "application/pdf",
    }
    story, reports = _one({f"{prefix}.role": "user", **{f"{prefix}.contents.{key}": value for key, value in contents.items()}})
    (said,) = of(story, Said)
    assert [part.type for part in said.parts] == ["text", "file", "file", "reasoning"]
    assert said.parts[1:3] == (
        FilePart(media_type="image/png", data="QUJD"),
        FilePart(media_type="application/pdf", url="https://example.com/a.pdf"),
    )
    assert reports.by_kind == {}


@pytest.mark.parametrize(
    ("attrs", "said"),
    [
        ({"input.value": "Hi?", "output.value": "Hello."}, [("user", "Hi?"), ("assistant", "Hello.")]),
        (
            {"input.value": '{"messages": [{"role": "user", "content": "Hi?"}]}', "input.mime_type": "application/json"},
            [("user", "Hi?")],
        ),
        (
            {
                "llm.input_messages.0.message.role": "system",
                "llm.input_messages.0.message.content": "Be kind.",
                "input.value": "Hi?",
            },
            [("system", "Be kind."), ("user", "Hi?")],
        ),
        (
            {"llm.prompts": ["Once upon"], "output.value": "a time"},
            [("user", "Once upon"), ("assistant", "a time")],
        ),
        ({"openinference.span.kind": "EMBEDDING", "input.value": "Hi?", "output.value": "[0.1]"}, []),
        (
            {
                "llm.output_messages.0.message.role": "assistant",
                "llm.output_messages.0.message.function_call_name": "find",
                "llm.output_messages.0.message.function_call_arguments_json": '{"q": 1}',
            },
            [("assistant", "")],
        ),
    ],
)
def test_what_is_no_numbered_message_is_read_as_far_as_it_says(attrs: dict[str, Any], said: list[tuple[str, str]]) -> None:
    story, reports = _one(attrs)
    assert talk(story) == said
    assert reports.problems == []
    assert [call.tool for call in of(story, Called)] == (["find"] if said == [("assistant", "")] else [])


def test_a_call_that_stands_among_the_parts_too_is_asked_for_once() -> None:
    """As of Anthropic's messages, whose content holds their calls."""
    prefix = "llm.output_messages.0.message"
    call = {"id": "c-1", "function.name": "find", "function.arguments": '{"q": 1}'}
    parts = {
        f"{prefix}.contents.0.message_content.type": "reasoning",
        f"{prefix}.contents.0.message_content.text": "Hm.",
        f"{prefix}.contents.1.message_content.type": "text",
        f"{prefix}.contents.1.message_content.text": "Let me see.",
        f"{prefix}.contents.2.message_content.type": "tool_use",
        **{f"{prefix}.contents.2.tool_call.{name}": value for name, value in call.items()},
    }
    for beside in ({}, {f"{prefix}.tool_calls.0.tool_call.{name}": value for name, value in call.items()}):
        story, reports = _one({**parts, **beside})
        assert [(call.tool, call.provider_id, call.arguments) for call in of(story, Called)] == [("find", "c-1", '{"q": 1}')]
        assert of(story, Said)[0].parts == (ReasoningPart(text="Hm."), TextPart(text="Let me see."))
        assert reports.by_kind == {}


def test_a_number_out_of_reach_is_noted_and_costs_nothing() -> None:
    attrs = {
        "llm.input_messages.999999999.message.content": "far",
        "llm.input_messages.999999.message.content": "near",
        "llm.input_messages.0.message.tool_calls.99999.tool_call.id": "c",
        "llm.input_messages.0.message.dream": "sheep",
        "gen_ai.prompt.99999999.content": "far",
    }
    story, reports = _one(attrs)
    assert talk(story) == [("user", "near")]
    assert {note.kind: note.count for note in reports.by_kind.values()} == {
        "attributes like 'llm.input_messages.N.message.content', which are not imported": 1,
        "attributes like 'llm.input_messages.N.message.tool_calls.N.tool_call.id', which are not imported": 1,
        "attributes like 'llm.input_messages.N.message.dream', which are not imported": 1,
        "attributes like 'gen_ai.prompt.N.content', which are not imported": 1,
    }


def test_a_tool_of_langchain_is_the_call_that_its_message_names_also_outside_of_the_run_that_asked() -> None:
    made = Talk.by_chance(5)
    spans = [each for each in openinference(made) if each["name"] not in {"weather", "find"}]
    calls = [(10 * number + 5, call) for number, step in enumerate(made.steps) for call in step.calls]
    node = span(900, 999, "agent", attrs={"openinference.span.kind": "AGENT"}, lasts=100)
    inside = [{**each, "parentSpanId": node["spanId"]} for each in spans if "parentSpanId" in each]
    tools = []
    for number, (at, call) in enumerate(calls):
        status = "error" if call.failed else "success"
        message = {"type": "tool", "content": call.result, "tool_call_id": call.id, "status": status}
        attrs = {
            "openinference.span.kind": "TOOL",
            "tool.name": call.tool,
            "input.value": "Kiel",
            "output.value": json.dumps({"type": "tool", "data": message} if number % 2 else message),
        }
        tools.append(span(2000 + number, 999, call.tool, at=at, attrs=attrs))
    graph = span(999, None, "LangGraph", lasts=200, attrs={"openinference.span.kind": "CHAIN"})
    story, _ = told(graph, node, *inside, *random.Random(1).sample(tools, len(tools)))  # noqa: S311
    found = [call for call in summary(story)["calls"] if call[0] is not None]
    assert len(of(story, Called)) == len(calls)
    assert found == expected(made)["calls"]


HOSTILE: dict[str, Callable[[int], dict[str, Any]]] = {
    "messages": lambda number: {f"llm.input_messages.{999_999 - number}.message.content": f"m {number}"},
    "calls of one message": lambda number: {
        f"llm.output_messages.0.message.tool_calls.{number % 9999}.tool_call.id": f"c {number}"
    },
    "parts of one message": lambda number: {f"llm.input_messages.7.message.contents.{number % 9999}.message_content.text": "t"},
    "fields of one part": lambda number: {f"llm.input_messages.7.message.contents.0.message_content.f{number}.url": 7},
    "what is not read": lambda number: {f"llm.input_messages.{10**9 + number}.message.{'x.' * 30}": "t"},
}


@pytest.mark.fault("K1")
@pytest.mark.parametrize("shape", HOSTILE)
def test_hostile_attributes_take_time_and_memory_in_proportion_to_their_number(shape: str) -> None:
    def made(count: int) -> list[Span]:
        attrs = {**OI, **{key: value for number in range(count) for key, value in HOSTILE[shape](number).items()}}
        found = items(request(span(2, 1, at=1, attrs=attrs)), Place("t.jsonl", 1), lambda _: None)
        return [item for item in found if isinstance(item, Span)]

    found = growth(lambda spans: story_of(None, spans, [], Reports().take), made, 200)
    assert found.calls < 1.5 * TIMES, found
