"""Spans as stories: which runs they make, what was said in them, called, used and answered, by conventions old and new."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from runfold.domain.parts import DataPart, ReasoningPart
from runfold.importers.acts.kinds import Began, Called, CallEnded, Ended, ModelCalled, Place, Said, Used
from runfold.importers.otlp.meaning import kind_of, tokens_of
from runfold.importers.otlp.spans import LogRecord, Span, SpanEvent, items
from runfold.importers.otlp.story import TOLD_OTHERWISE, story_of
from runfold.importers.otlp.thread import Tree, began_at
from runfold.importers.tally import Reports
from tests.importers.counted import counts_of
from tests.importers.otlp.stories import of, talk, told
from tests.importers.otlp.traces import (
    agent,
    answers,
    any_value,
    asks,
    attributes,
    chat,
    record,
    request,
    span,
    text,
    tool,
    turn,
)
from tests.promises.growth import TIMES, growth


def key(number: int, trace: int = 1) -> tuple[str, str]:
    return f"{trace:032x}", f"{number:016x}"


def test_an_agents_span_is_a_run_with_its_messages_calls_and_usage_once() -> None:
    story, reports = told(*turn(), conversation="conv-1")
    assert [(began.run, began.agent, began.parent, began.kind) for began in of(story, Began)] == [
        (key(1001), "support", None, "continues"),
        (key(1004), "helper", key(1001), "spawned_by"),
    ]
    assert talk(story) == [
        ("user", "Question 1?"),
        ("assistant", "Let me see."),
        ("tool", "it is"),
        ("assistant", "Answer 1."),
    ]
    (called,) = of(story, Called)
    assert (called.tool, called.arguments, called.provider_id) == ("find", {"q": 1}, "c-1")
    assert called.message == of(story, Said)[1].name
    (ended,) = of(story, CallEnded)
    assert (ended.name, ended.how, ended.result) == (called.name, "succeeded", "it is")
    assert of(story, Said)[2].call == called.name
    assert [(used.run, used.tokens["input_tokens"]) for used in of(story, Used)] == [
        (key(1001), 100),
        (key(1004), 7),
        (key(1001), 200),
    ]
    assert [(end.run, end.how) for end in of(story, Ended)] == [(key(1004), "completed"), (key(1001), "completed")]
    assert {act.traceparent for act in story.acts if isinstance(act, Used)} == {
        f"00-{1:032x}-{number:016x}-01" for number in (1002, 1005, 1006)
    }
    assert not [said for said in of(story, Said) if said.actor.startswith("human:")], "that a person spoke is nowhere stated"
    assert (reports.problems, reports.by_kind) == ([], {})


def test_a_tool_that_runs_within_the_answer_that_asks_for_it_is_called_once() -> None:
    """Also where the answer ends as the tool begins."""
    for began in (1.5, 2):
        story, _ = told(agent(1, lasts=9), chat(2, 1, gave=[asks("Let me see.", q=1)], at=1), tool(3, 1, at=began, lasts=0.1))
        (called,) = of(story, Called)
        assert (called.arguments, called.message) == ({"q": 1}, of(story, Said)[0].name)
        assert [ended.how for ended in of(story, CallEnded)] == ["succeeded"]


def test_the_order_of_spans_and_their_repetition_change_nothing() -> None:
    spans = [*turn(1), *turn(2)]
    whole, _ = told(*spans, conversation="conv-1")
    for seed in range(20):
        chance = random.Random(seed)  # noqa: S311
        shuffled = chance.choices(spans, k=5) + chance.sample(spans, len(spans))
        again, _ = told(*shuffled, conversation="conv-1")
        assert [replace(act, place=Place("")) for act in again.acts] == [replace(act, place=Place("")) for act in whole.acts]


def test_a_span_that_is_told_twice_is_noted_where_it_is_told_otherwise() -> None:
    ended, open_ = chat(2, 1, at=1), chat(2, 1, at=1, lasts=None)
    for again, count in (([ended, open_], 0), ([open_, ended], 0), ([ended, chat(2, 1, tokens=(7, 3), at=1)], 1)):
        story, reports = told(agent(1, lasts=9), *again)
        assert sum(note.count for note in reports.by_kind.values() if note.kind == TOLD_OTHERWISE) == count
        assert [used.tokens["input_tokens"] for used in of(story, Used)] == [100]


@pytest.mark.parametrize(
    ("name", "attrs", "kind"),
    [
        ("gen_ai.evaluation.result", {}, "events of spans of the kind 'gen_ai.evaluation.result', which are not imported"),
        ("gen_ai.user.message", {}, None),
        ("exception", {}, None),
        ("gen_ai.client.operation.exception", {}, None),
        ("http.retry", {}, None),
        (
            "gen_ai.client.inference.operation.details",
            {"gen_ai.input.messages_ref": "s3://words/1"},
            "spans whose words stand elsewhere ('gen_ai.input.messages_ref'), from where they are not imported",
        ),
    ],
)
def test_what_is_not_read_of_the_conventions_is_noted(name: str, attrs: dict[str, Any], kind: str | None) -> None:
    event = {"name": name, "timeUnixNano": "1", "attributes": attributes(attrs)}
    _, reports = told(agent(1, lasts=9), chat(2, 1, at=1, events=[event]))
    assert [*reports.by_kind] == ([] if kind is None else [kind])


def test_events_that_were_logged_are_told_apart_without_comparing_each_with_each(monkeypatch: pytest.MonkeyPatch) -> None:
    compared, equal = [0], SpanEvent.__eq__

    def counting(one: SpanEvent, other: object) -> bool:
        compared[0] += 1
        return equal(one, other)

    monkeypatch.setattr(SpanEvent, "__eq__", counting)
    found = [*items(request(agent(1)), Place("t.jsonl", 1), lambda _: None)]
    (whole,) = [one for one in found if isinstance(one, Span)]
    logged = [LogRecord(whole.trace, whole.id, SpanEvent(f"e{number}", 1, {})) for number in range(200)]
    tree = Tree([whole], [*logged, *logged], None)
    assert len(tree.by_key[whole.trace, whole.id].events) == 200
    assert compared[0] < 1000


def test_many_spans_of_one_run_are_not_looked_through_for_each_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither for the run's first, where its own span is not there, nor for the call that a tool's span is of."""
    asked = [0]

    def counting(span: Span) -> int:
        asked[0] += 1
        return began_at(span)

    monkeypatch.setattr("runfold.importers.otlp.thread.began_at", counting)
    spans = []
    for number in range(200):
        says = {"type": "tool_call", "name": "find", "arguments": {"q": number}}
        answer = {"role": "assistant", "parts": [says], "finish_reason": "stop"}
        spans.append(chat(2 * number + 2, 1, [], [answer], at=2 * number, lasts=0.5))
        spans.append(tool(2 * number + 3, 1, "find", at=2 * number + 1, call=None))
    story, _ = told(*spans)
    assert [(ended.name, ended.how) for ended in of(story, CallEnded)] == [(c.name, "succeeded") for c in of(story, Called)]
    assert [called.arguments for called in of(story, Called)] == [{"q": number} for number in range(200)]
    assert asked[0] < 50 * len(spans)


def test_a_message_that_every_turn_repeats_is_not_compared_with_all_that_were_told() -> None:
    compared = [0]

    class Compared(str):
        """A trace's id that counts with how many it is compared."""

        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            compared[0] += 1
            return str.__eq__(self, other)

    turns = [chat(n, None, [text("user", "Go on.")], [text("assistant", "Done.")], at=n, trace=n) for n in range(1, 301)]
    spans = [item for item in items(request(*turns), Place("t.jsonl", 1), lambda _: None) if isinstance(item, Span)]
    for each in spans:
        each.trace = Compared(each.trace)
    story = story_of(None, spans, [], lambda _: None)
    assert story is not None
    assert len(of(story, Said)) == 600
    assert compared[0] < 50 * len(spans)


def test_a_next_trace_of_a_conversation_continues_it_and_its_history_is_not_told_again() -> None:
    first, second = turn(1), turn(2)
    history = [text("user", "Question 1?"), asks("Let me see.", q=1), answers("it is"), text("assistant", "Answer 1.")]
    for number in (0, 4):
        given = json.loads(second[number]["attributes"][3]["value"]["stringValue"])
        second[number]["attributes"][3]["value"]["stringValue"] = json.dumps([*history, *given])
    story, _ = told(*first, *second, conversation="conv-1")
    assert [words for _, words in talk(story)] == [
        "Question 1?",
        "Let me see.",
        "it is",
        "Answer 1.",
        "Question 2?",
        "Let me see.",
        "it is",
        "Answer 2.",
    ]
    assert [began.parent for began in of(story, Began) if began.kind == "continues"] == [None, key(1001)]
    assert counts_of(story).tool_calls == 2


def test_equal_answers_of_several_calls_are_several_messages() -> None:
    guards = [
        chat(number, 1, [text("user", f"Is {number} safe?")], [text("assistant", "safe")], at=number) for number in (2, 3, 4)
    ]
    story, _ = told(agent(1, lasts=9), *guards)
    assert [words for _, words in talk(story)].count("safe") == 3


def test_a_conversation_of_spans_without_agents_has_a_run_for_each_topmost_span() -> None:
    story, _ = told(
        span(1, name="POST /chat", lasts=5),
        chat(2, 1, at=1),
        chat(3, at=10, attrs={"gen_ai.agent.name": "lone"}),
        span(4, 3, name="POST", at=10),
    )
    assert [(began.run, began.agent) for began in of(story, Began)] == [(key(1), "shop"), (key(3), "lone")]
    assert [end.run for end in of(story, Ended)] == [key(1), key(3)]


def test_a_span_whose_parent_is_missing_is_in_the_run_that_the_parent_will_be() -> None:
    alone, _ = told(chat(2, 1, at=1))
    assert [(began.run, began.agent) for began in of(alone, Began)] == [(key(1), "shop")]
    assert of(alone, Ended) == [], "nobody saw its end"
    whole, _ = told(chat(2, 1, at=1), agent(1, lasts=5))
    assert [began.run for began in of(whole, Began)] == [key(1)]
    assert [end.run for end in of(whole, Ended)] == [key(1)]
    assert [used.name for used in of(alone, Used)] == [used.name for used in of(whole, Used)]


def test_what_has_no_end_goes_on() -> None:
    story, _ = told(agent(1, lasts=None), chat(2, 1, at=1, lasts=None, tokens=None), tool(3, 1, at=2, lasts=None))
    assert (of(story, Ended), of(story, CallEnded)) == ([], [])
    assert [called.is_answered for called in of(story, ModelCalled)] == [False]
    assert len(of(story, Called)) == 1


@pytest.mark.parametrize(
    ("more", "how", "code"),
    [
        ({}, "completed", "error"),
        ({"status": {"code": 1}}, "completed", "error"),
        ({"status": {"code": "STATUS_CODE_OK"}}, "completed", "error"),
        ({"status": {"code": 2, "message": "no"}}, "failed", "error"),
        ({"status": {"code": "STATUS_CODE_ERROR"}, "attrs": {"error.type": "KeyError"}}, "failed", "KeyError"),
        ({"attrs": {"error.type": "rate_limit"}}, "failed", "rate_limit"),
        ({"status": {"code": 2}, "attrs": {"error.type": "asyncio.CancelledError"}}, "cancelled", "asyncio.CancelledError"),
        *(
            (
                {"status": {"code": 2}, "events": [{"name": name, "attributes": attributes({"exception.type": "ValueError"})}]},
                "failed",
                "ValueError",
            )
            for name in ("exception", "gen_ai.client.operation.exception", "gen_ai.execute_tool.exception")
        ),
    ],
)
def test_a_span_ended_as_it_says(more: dict[str, Any], how: str, code: str) -> None:
    story, _ = told(agent(1, **more))
    assert [(end.how, end.code) for end in of(story, Ended)] == [(how, code)]
    story, _ = told(agent(1, lasts=9), tool(2, 1, **more))
    assert [(end.how, end.code) for end in of(story, CallEnded)] == [("succeeded" if how == "completed" else how, code)]
    story, _ = told(agent(1, lasts=9), chat(2, 1, **more))
    assert [called.error is None for called in of(story, ModelCalled)] == [how == "completed"]


def test_tools_without_call_ids_belong_to_the_calls_of_their_name_in_their_order() -> None:
    story, _ = told(
        agent(1, lasts=20),
        chat(2, 1, gave=[asks("One.", "", "find", q=1)], at=1),
        tool(3, 1, call=None, at=3, attrs={"gen_ai.tool.call.result": "first"}),
        chat(4, 1, gave=[asks("Two.", "", "find", q=2)], at=5),
        tool(5, 1, call=None, at=7, attrs={"gen_ai.tool.call.result": "second"}),
        tool(6, 1, "other", call=None, at=9, attrs={"gen_ai.tool.call.arguments": '{"x": 1}'}),
    )
    calls = {called.name: called.arguments for called in of(story, Called)}
    assert [calls[end.name] for end in of(story, CallEnded)] == [{"q": 1}, {"q": 2}, '{"x": 1}']
    assert [end.result for end in of(story, CallEnded)] == ["first", "second", None]


def test_a_call_id_that_comes_again_is_another_call() -> None:
    story, _ = told(
        agent(1, lasts=20),
        *(chat(number, 1, gave=[asks("Go.", "find:0", q=number)], at=number * 2) for number in (2, 4)),
        *(tool(number, 1, call="find:0", at=number * 2, attrs={"gen_ai.tool.call.result": f"of {number}"}) for number in (3, 5)),
    )
    results = {end.name: end.result for end in of(story, CallEnded)}
    assert [(called.arguments, results[called.name]) for called in of(story, Called)] == [({"q": 2}, "of 3"), ({"q": 4}, "of 5")]


def test_a_call_that_only_messages_tell_of_ends_with_its_result() -> None:
    story, _ = told(
        agent(1, lasts=20),
        chat(2, 1, gave=[asks("Go.", q=1)], at=1),
        chat(3, 1, [asks("Go.", q=1), answers({"found": 2})], [text("assistant", "Two.")], at=5),
    )
    (ended,) = of(story, CallEnded)
    assert (ended.how, ended.result) == ("succeeded", {"found": 2})


@pytest.mark.parametrize("role", ["tool", "user"])
@pytest.mark.parametrize("of_tool", ["no span", "spans that do not say it"])
def test_results_that_one_message_holds_are_each_its_own_calls(role: str, of_tool: str) -> None:
    """As providers have it whose tools run in parallel: nobody's result is told of another's call, and none stays open."""
    cities = ("Kiel", "Ulm", "Bonn")
    wish = {"role": "assistant", "parts": [asks("", city, q=city)["parts"][1] for city in cities]}
    results = {"role": role, "parts": [answers(f"in {city}", city)["parts"][0] for city in cities]}
    story, _ = told(
        agent(1, lasts=20),
        chat(2, 1, gave=[wish], at=1),
        *(tool(at, 1, call=city, at=at) for at, city in enumerate(cities, 3) if of_tool != "no span"),
        chat(9, 1, [wish, results], [text("assistant", "Three.")], at=9),
    )
    found = {end.name: (end.how, end.result) for end in of(story, CallEnded)}
    said = [(called.provider_id, found.get(called.name)) for called in of(story, Called)]
    assert said == [(city, ("succeeded", f"in {city}")) for city in cities]


def test_a_tools_span_without_its_result_takes_it_from_the_message_that_repeats_it() -> None:
    said_by_user = {**answers("two"), "role": "user"}
    story, _ = told(
        agent(1, lasts=20, attrs={"gen_ai.system_instructions": '[{"type": "text", "content": "Be brief."}]'}),
        chat(
            2,
            1,
            gave=[asks("Go.", q=1)],
            at=1,
            attrs={"gen_ai.system_instructions": '[{"type": "text", "content": "Be brief."}]'},
        ),
        tool(3, 1, at=3),
        chat(4, 1, [asks("Go.", q=1), said_by_user], [text("assistant", "Two.")], at=5),
    )
    assert [(end.how, end.result) for end in of(story, CallEnded)] == [("succeeded", "two")]
    assert talk(story) == [("system", "Be brief."), ("assistant", "Go."), ("tool", "two"), ("assistant", "Two.")]


def test_a_call_that_two_libraries_saw_is_one_and_an_agents_sum_is_no_usage() -> None:
    story, reports = told(
        agent(1, lasts=20, attrs={"gen_ai.usage.input_tokens": 107}),
        chat(2, 1, at=1, lasts=5),
        chat(3, 2, at=2, lasts=3),
        tool(4, 1, at=7, lasts=5),
        tool(5, 4, at=8, lasts=3),
        span(6, 3, name="POST", at=2),
        span(7, 1, attrs={"gen_ai.operation.name": "create_agent"}),
    )
    assert counts_of(story).input_tokens == 100
    assert counts_of(story).tool_calls == 1
    assert {note.kind: note.count for note in reports.by_kind.values()} == {
        "spans within another of the same call, which are not counted again": 2,
        "sums of usage on agents' spans, which are not counted": 1,
        "spans of scope 'my.scope', which are no run, model call or tool call": 1,
        "spans of operation 'create_agent', which are no run, model call or tool call": 1,
    }


@pytest.mark.parametrize("outer", [None, (100, 10)])
def test_an_answer_that_the_library_below_tells_of_too_is_told_once(outer: tuple[int, int] | None) -> None:
    """Whichever of the two knows what was used."""
    said = asks("Let me see.", q=1)
    question = text("user", "Question?")
    inner = chat(3, 2, [question], [said], at=1.2, lasts=0.5)
    story, _ = told(agent(1, lasts=9), chat(2, 1, [question], [said], outer, at=1), inner, tool(4, 1, at=3))
    assert talk(story) == [("user", "Question?"), ("assistant", "Let me see.")]
    assert [used.tokens["input_tokens"] for used in of(story, Used)] == [100]
    assert [ended.how for ended in of(story, CallEnded)] == ["succeeded"]
    assert len(of(story, Called)) == 1


QUESTION, ANSWER = text("user", "Hi?"), asks("Hello.", q=1)
TALK = [("user", "Hi?"), ("assistant", "Hello.")]
OLD = {
    "gen_ai.system": "openai",
    "gen_ai.request.model": "gpt-4",
    "gen_ai.usage.prompt_tokens": 5,
    "gen_ai.usage.completion_tokens": 2,
}
CALLS = [{"id": "c-1", "type": "function", "function": {"name": "find", "arguments": '{"q": 1}'}}]


def old(**more: Any) -> dict[str, Any]:
    """A model call by older conventions."""
    return span(2, 1, "chat gpt-4", 1, attrs={"gen_ai.operation.name": "chat", **OLD, **more.pop("attrs", {})}, **more)


def event(name: str, **values: Any) -> dict[str, Any]:
    return {"name": name, "timeUnixNano": "1772359201000000000", "attributes": attributes(values)}


CONTENTS: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "attributes as text": (chat(2, 1, [QUESTION], [ANSWER], (5, 2), at=1), []),
    "attributes as values": (
        chat(2, 1, (), (), (5, 2), at=1, attrs={"gen_ai.input.messages": [QUESTION], "gen_ai.output.messages": [ANSWER]}),
        [],
    ),
    "an event of details": (
        chat(
            2,
            1,
            (),
            (),
            (5, 2),
            at=1,
            events=[
                event(
                    "gen_ai.client.inference.operation.details",
                    **{"gen_ai.input.messages": [QUESTION], "gen_ai.output.messages": [ANSWER]},
                )
            ],
        ),
        [],
    ),
    "a logged event of details": (
        old(),
        [
            record(
                old(),
                "gen_ai.client.inference.operation.details",
                {"gen_ai.input.messages": [QUESTION], "gen_ai.output.messages": [ANSWER]},
            )
        ],
    ),
    "a logged event for each message": (
        old(),
        [
            record(old(), "gen_ai.user.message", {"content": "Hi?"}),
            record(old(), "gen_ai.choice", {"index": 0, "message": {"content": "Hello.", "tool_calls": CALLS}}, 5),
        ],
    ),
    "an event of the span for each message": (
        old(
            events=[
                event("gen_ai.user.message", content="Hi?", role="user"),
                event("gen_ai.choice", message=json.dumps({"role": "assistant", "content": "Hello.", "tool_calls": CALLS})),
            ]
        ),
        [],
    ),
    "events of the span with content": (
        old(
            events=[
                event("gen_ai.user.message", **{"gen_ai.event.content": json.dumps({"role": "user", "content": "Hi?"})}),
                event(
                    "gen_ai.choice",
                    **{"gen_ai.event.content": json.dumps({"message": {"content": "Hello.", "tool_calls": CALLS}})},
                ),
            ]
        ),
        [],
    ),
    "the first events": (
        old(
            events=[
                event("gen_ai.content.prompt", **{"gen_ai.prompt": json.dumps([{"role": "user", "content": "Hi?"}])}),
                event(
                    "gen_ai.content.completion",
                    **{"gen_ai.completion": json.dumps([{"role": "assistant", "content": "Hello.", "tool_calls": CALLS}])},
                ),
            ]
        ),
        [],
    ),
    "numbered attributes": (
        old(
            attrs={
                "gen_ai.prompt.0.role": "user",
                "gen_ai.prompt.0.content": "Hi?",
                "gen_ai.completion.0.role": "assistant",
                "gen_ai.completion.0.content": "Hello.",
                "gen_ai.completion.0.tool_calls.0.id": "c-1",
                "gen_ai.completion.0.tool_calls.0.name": "find",
                "gen_ai.completion.0.tool_calls.0.arguments": '{"q": 1}',
            }
        ),
        [],
    ),
}


@pytest.mark.parametrize("content", CONTENTS)
def test_content_is_read_wherever_it_stands(content: str) -> None:
    model, records = CONTENTS[content]
    story, reports = told(agent(1, lasts=9), model, records=tuple(records))
    assert talk(story) == TALK
    (called,) = of(story, Called)
    arguments = called.arguments if isinstance(called.arguments, dict) else json.loads(called.arguments)
    assert (called.tool, called.provider_id, arguments) == ("find", "c-1", {"q": 1})
    (used,) = of(story, Used)
    assert (used.tokens["input_tokens"], used.tokens["output_tokens"], used.provider) == (5, 2, "openai")
    assert reports.problems == []


def test_content_that_stands_in_two_places_is_told_once() -> None:
    details = event("gen_ai.client.inference.operation.details", **{"gen_ai.input.messages": [QUESTION]})
    story, _ = told(agent(1, lasts=9), chat(2, 1, [QUESTION], [ANSWER], at=1, events=[details, details]))
    assert talk(story) == TALK


def test_an_agents_own_messages_are_those_of_its_model_calls() -> None:
    own = {"gen_ai.input.messages": json.dumps([QUESTION]), "gen_ai.output.messages": json.dumps([ANSWER])}
    story, _ = told(agent(1, lasts=9, attrs=own), chat(2, 1, [QUESTION], [ANSWER], at=1))
    assert talk(story) == TALK
    alone, _ = told(agent(1, lasts=9, attrs=own))
    assert talk(alone) == TALK


def test_who_of_a_role_says_something_is_kept() -> None:
    """By the name that the message has, or by a role that is none of ours; a tool's name is its call's."""
    given = [
        {**text("user", "Hi?"), "name": "ada"},
        text("critic", "No."),
        {**answers("it is"), "name": "find"},
        text("user", "And?"),
    ]
    story, reports = told(agent(1, lasts=9), chat(2, 1, given, at=1))
    assert [(said.role, said.author) for said in of(story, Said)] == [
        ("user", "ada"),
        ("user", "critic"),
        ("tool", None),
        ("user", None),
    ]
    assert reports.problems == []


def test_parts_of_all_kinds_are_kept() -> None:
    parts = [
        {"type": "reasoning", "content": "Hm."},
        {"type": "text", "content": "Look:"},
        {"type": "blob", "mime_type": "image/png", "modality": "image", "content": "QUJD"},
        {"type": "uri", "mime_type": "image/png", "uri": "https://example.com/a.png"},
        {"type": "file", "modality": "image", "file_id": "f-1"},
        {"type": "dream", "content": {"of": "sheep"}},
        "plain",
        7,
    ]
    story, _ = told(agent(1, lasts=9), chat(2, 1, gave=[{"role": "assistant", "parts": parts}], at=1))
    (said,) = of(story, Said)
    assert [part.type for part in said.parts] == ["reasoning", "text", "file", "file", "file", "data", "text", "data"]
    assert isinstance(said.parts[0], ReasoningPart)
    assert isinstance(said.parts[5], DataPart)
    assert said.parts[5].data == parts[5]


@pytest.mark.parametrize("written", ["cache_write.input_tokens", "cache_creation.input_tokens", "cache_write_input_tokens"])
def test_all_counts_of_usage_are_read(written: str) -> None:
    counts = {
        "gen_ai.usage.cache_read.input_tokens": 60,
        f"gen_ai.usage.{written}": 20,
        "gen_ai.usage.reasoning.output_tokens": 4,
        "gen_ai.usage.cost": 0.5,
        "openai.response.service_tier": "flex",
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.response.finish_reasons": ["stop"],
    }
    story, _ = told(agent(1, lasts=9), chat(2, 1, attrs=counts, at=1))
    (used,) = of(story, Used)
    assert used.tokens == {
        "input_tokens": 100,
        "output_tokens": 10,
        "total_tokens": 110,
        "cache_read_input_tokens": 60,
        "cache_creation_input_tokens": 20,
        "reasoning_output_tokens": 4,
    }
    assert (used.model, used.cost, used.service_tier) == ("gpt-4o-2024-08-06", 0.5, "flex")
    assert of(story, ModelCalled)[0].finish_reasons == ("stop",)


@pytest.mark.parametrize("cached", ["cache_read.input_tokens", "cache_write.input_tokens", "cache_creation.input_tokens"])
def test_what_is_cached_is_part_of_the_input_by_the_conventions_of_today(cached: str) -> None:
    story, _ = told(agent(1, lasts=9), chat(2, 1, attrs={f"gen_ai.usage.{cached}": 60}, at=1))
    assert of(story, Used)[0].tokens["total_tokens"] == 110


def test_a_cost_is_told_where_no_tokens_are() -> None:
    story, reports = told(
        agent(1, lasts=9), chat(2, 1, [QUESTION], [ANSWER], tokens=None, at=1, attrs={"gen_ai.usage.cost": 0.25})
    )
    assert [(used.cost, used.tokens) for used in of(story, Used)] == [(0.25, {})]
    assert reports.problems == []


@pytest.mark.parametrize("name", ["gen_ai.usage.cost", "gen_ai.response.time_to_first_chunk"])
@pytest.mark.parametrize("odd", ["0.02", -0.02, True, 1e300, "NaN"])
def test_a_number_that_does_not_fit_is_a_problem_and_the_rest_goes_in(name: str, odd: Any) -> None:
    story, reports = told(agent(1, lasts=9), chat(2, 1, [QUESTION], [ANSWER], at=1, attrs={name: odd}))
    (problem,) = reports.problems
    assert str(problem).startswith(f"t.jsonl:1: resourceSpans.0.scopeSpans.0.spans.1.{name}: is ")
    assert (of(story, Used)[0].cost, of(story, ModelCalled)[0].ttft_ns) == (None, None)
    assert talk(story) == TALK


@pytest.mark.parametrize("odd", [12.5, "n/a", -1, True, 2**70])
def test_an_odd_count_is_a_problem_and_the_rest_goes_in(odd: Any) -> None:
    story, reports = told(agent(1, lasts=9), chat(2, 1, [QUESTION], [ANSWER], at=1, attrs={"gen_ai.usage.input_tokens": odd}))
    (problem,) = reports.problems
    assert str(problem).startswith("t.jsonl:1: resourceSpans.0.scopeSpans.0.spans.1.gen_ai.usage.input_tokens: is ")
    assert of(story, Used)[0].tokens == {"output_tokens": 10}
    assert talk(story) == TALK


@pytest.mark.parametrize(
    ("field", "odd"),
    [
        ("startTimeUnixNano", "soon"),
        ("endTimeUnixNano", -5),
        ("parentSpanId", "xyz"),
        ("attributes", "none"),
        ("events", {}),
        ("name", 7),
    ],
)
def test_an_odd_field_is_a_problem_and_the_rest_goes_in(field: str, odd: Any) -> None:
    reports = Reports()
    found = [*items(request({**chat(2, 1, at=1), field: odd}, chat(3, 1, at=2)), Place("t.jsonl", 1), reports.take)]
    assert len(found) == 2
    (problem,) = reports.problems
    assert str(problem).startswith(f"t.jsonl:1: resourceSpans.0.scopeSpans.0.spans.0.{field}: is ")


def test_a_span_without_ids_is_a_problem_and_ids_in_base64_are_read() -> None:
    reports = Reports()
    odd = {**chat(2, 1), "traceId": "AAAAAAAAAAAAAAAAAAAAAQ==", "spanId": "AAAAAAAAAAI="}
    first, second = items(request(odd, {**chat(3), "spanId": ""}, chat(4)), Place("t.jsonl", 1), reports.take)
    assert isinstance(first, Span)
    assert isinstance(second, Span)
    assert ((first.trace, first.id), (second.trace, second.id)) == (key(2), key(4))
    (problem,) = reports.problems
    assert "spans.1: has no traceId or no spanId" in str(problem)


def test_an_attribute_without_a_name_is_a_problem() -> None:
    reports = Reports()
    nameless = {"keyStrindex": 3, "value": {"stringValue": "Hello"}}
    (found,) = items(request({**chat(2), "attributes": [nameless, None, {}]}), Place("t.jsonl", 1), reports.take)
    assert isinstance(found, Span)
    assert found.attributes == {}
    (problem,) = reports.problems
    assert str(problem).endswith("spans.0.attributes.0.key: is missing; the attribute is left out")


def test_values_are_taken_as_json_whatever_they_are() -> None:
    value = {"a": [1, 2.5, True, "x", {"b": []}], "c": 2**40}
    (found,) = items(request(span(1, attrs={"v": value, "bytes": "x"})), Place("t"), lambda _: None)
    assert isinstance(found, Span)
    assert found.attributes == {"v": value, "bytes": "x"}
    assert any_value(7) == {"intValue": "7"}


Shape = Callable[[int], dict[str, Any]]
SHAPES: dict[str, Shape] = {
    "agents one in another": lambda number: agent(number, number - 1 or None, at=number / 1000, lasts=1000),
    "calls one in another": lambda number: chat(number, number - 1 or None, at=number / 1000, lasts=1000),
    "others one in another": lambda number: span(number, number - 1 or None),
    "a chain whose beginning is missing": lambda number: chat(number, number + 1_000_000 if number == 1 else number - 1),
    "tools in others in turns": lambda number: (tool if number % 2 else span)(number, number - 1 or None),
    "all in one": lambda number: agent(1, lasts=1000) if number == 1 else chat(number, 1, at=number),
    "agents at once": lambda number: agent(number, lasts=1000),
    "agents one after another": lambda number: agent(number, at=number, lasts=0.5),
    "each around all that follow": lambda number: agent(number, at=number / 1000, lasts=1000 - number / 1000),
    "calls that share an id, with their spans": lambda number: (
        tool(number, 10**6, at=number)
        if number % 2
        else chat(number, 10**6, (), [asks("Let me see.", q=number)], at=number - 1.5)
    ),
    "calls that share an id, and messages with their results": lambda number: chat(
        number, 10**6, [answers(f"it is {number}")], [asks("Let me see.", q=number)], at=number
    ),
    "in a circle": lambda number: chat(number, number - 1 or 400),
}


@pytest.mark.fault("K1")
@pytest.mark.parametrize("shape", SHAPES)
def test_spans_are_read_in_proportion_to_their_number(shape: str) -> None:
    def made(count: int) -> list[Span]:
        spans = request(*(SHAPES[shape](number) for number in range(1, count + 1)), chat(10**9, trace=2))
        return [item for item in items(spans, Place("t.jsonl", 1), lambda _: None) if isinstance(item, Span)]

    found = growth(lambda spans: story_of(None, spans, [], lambda _: None), made, 50)
    assert found.calls < 1.5 * TIMES, found


def test_the_run_and_the_call_around_a_span_are_those_of_a_plain_walk() -> None:
    """Told again here as simply as can be, over trees of every shape."""
    chosen = random.Random(20261130)  # noqa: S311  the same each time
    kinds = [agent, chat, tool, span]
    for _ in range(60):
        size = chosen.randrange(1, 40)
        reach = chosen.choice([1, 3, 40])
        spans = [
            chosen.choice(kinds)(number, chosen.choice([None, *range(max(1, number - reach), number)]), at=chosen.random())
            for number in range(1, size + 1)
        ]
        chosen.shuffle(spans)
        tree = Tree([item for item in items(request(*spans), Place("t"), lambda _: None) if isinstance(item, Span)], [], None)
        for one in tree.by_key.values():
            ways = [one]
            while (above := tree.by_key.get((one.trace, ways[-1].parent or ""))) is not None:
                ways.append(above)
            agents = [each for each in ways if kind_of(each) == "agent"]
            assert tree.run_of(one) == (one.trace, agents[0].id if agents else ways[-1].parent or ways[-1].id)
            around = next((each for each in ways[1:] if kind_of(each) in {"agent", kind_of(one)}), None)
            is_inner = around is not None and kind_of(around) == kind_of(one) == "model" and bool(tokens_of(around)[0])
            assert tree.inner(one) is is_inner or kind_of(one) == "tool"
        for run in tree.runs.values():
            depth, at = 0, run
            while at.parent is not None:
                depth, at = depth + 1, tree.runs[at.parent]
            assert tree.depth(run) == depth
