"""Samples of Inspect's logs as stories: who said what, which calls ran by whose word, what was used, how it ended."""

from typing import Any

import pytest

from runfold.domain.parts import FilePart, TextPart
from runfold.importers.acts.fields import Fields
from runfold.importers.acts.kinds import (
    Asked,
    Began,
    Called,
    CallEnded,
    Chose,
    Compacted,
    Ended,
    ModelCalled,
    Place,
    Reported,
    Said,
    Story,
    Used,
)
from runfold.importers.inspect.log_file import Header, SampleSource
from runfold.importers.inspect.sample import story_of
from runfold.importers.tally import Reports
from tests.importers.counted import counts_of
from tests.importers.inspect.logs import SampleLog, call, header, message, moment, usage


def told(sample: Any, status: str = "success", **about: Any) -> tuple[Story, Reports]:
    """A sample's story, and what was to be said of it."""
    place, reports = Place("log.json", 3, "samples.0"), Reports()
    evaluation = Fields.of(header(**about)["eval"], place, reports.take)
    return story_of(SampleSource(Header(status, evaluation, "react"), sample, "", place, 1), reports.take), reports


def of(story: Story, kind: type) -> list[Any]:
    """The acts of a kind."""
    return [act for act in story.acts if isinstance(act, kind)]


def words(said: Said) -> str:
    return "".join(part.text for part in said.parts if isinstance(part, TextPart))


def talk(story: Story) -> list[tuple[str, str, str]]:
    """Who said what in which role."""
    return [(said.actor, said.role, words(said)) for said in of(story, Said)]


def test_a_sample_is_a_run_with_each_message_once_and_each_calls_own_usage() -> None:
    log = SampleLog()
    log.answer("m-1", "I look.", call("c", cmd="ls"), output={"usage": usage(100, 10, reasoning_tokens=4)})
    log.result("c", "a.txt", "m-2")
    log.answer("m-3", "It is 42.", output={"usage": usage(200, 20, input_tokens_cache_read=50, total_cost=0.25)})
    story, reports = told(log.done(scores={"match": {"value": "C", "answer": "42", "history": []}}))
    assert talk(story) == [
        ("service:dataset", "user", "What is it?"),
        ("agent:react", "assistant", "I look."),
        ("service:environment", "tool", "a.txt"),
        ("agent:react", "assistant", "It is 42."),
    ]
    assert [(used.tokens["input_tokens"], used.tokens["output_tokens"], used.cost) for used in of(story, Used)] == [
        (100, 10, None),
        (200, 20, 0.25),
    ]
    assert of(story, Used)[0].tokens["reasoning_output_tokens"] == 4
    assert of(story, Used)[1].tokens["cache_read_input_tokens"] == 50
    assert {(used.provider, used.model) for used in of(story, Used)} == {("openai", "gpt-4o")}
    (called,), (ended,) = of(story, Called), of(story, CallEnded)
    assert (called.tool, called.arguments, called.provider_id) == ("bash", {"cmd": "ls"}, "c")
    assert (ended.name, ended.how, ended.result) == (called.name, "succeeded", "a.txt")
    assert [(end.how, end.stop_reason) for end in of(story, Ended)] == [("completed", "end_turn")]
    assert [(score.success, score.result["value"], score.judge) for score in of(story, Chose)] == [(True, "C", "service:match")]
    assert (reports.problems, reports.by_kind) == ([], {})
    counts = counts_of(story)
    assert (counts.messages, counts.tool_calls, counts.input_tokens, counts.output_tokens) == (4, 1, 300, 30)


@pytest.mark.parametrize("odd", [-0.5, "0.5", True, 1e12, 1e14, 1e300])
def test_what_is_no_amount_of_money_is_told_and_no_cost(odd: Any) -> None:
    log = SampleLog()
    log.answer("m-1", "It is 42.", output={"usage": usage(200, 20, total_cost=odd)})
    story, reports = told(log.done())
    (used,) = of(story, Used)
    assert (used.cost, used.tokens["input_tokens"]) == (None, 200)
    (problem,) = reports.problems
    assert "usage.total_cost: is " in problem.reason


def test_an_operators_words_are_a_persons_and_nobody_elses_are() -> None:
    log = SampleLog()
    log.heard.insert(0, message("system", "Be brief.", "m-s"))
    log.answer("m-1")
    log.heard.append(message("user", "Stop looking there.", "m-2", source="operator"))
    log.answer("m-3")
    log.heard.append(message("user", "Please go on.", "m-4"))
    log.answer("m-5")
    story, _ = told(log.done())
    actors = [actor for actor, role, _ in talk(story) if role in {"user", "system"}]
    assert actors == ["service:inspect", "service:dataset", "human:operator", "service:inspect"]


@pytest.mark.parametrize("approver", ["auto", "human", "inspect_ai/human", "my_monitor"])
def test_the_five_verdicts_of_approvers(approver: str) -> None:
    log, who = SampleLog(), f"{'human' if approver.endswith('human') else 'service'}:{approver.removeprefix('inspect_ai/')}"
    asked = [call(f"c-{number}", x=number) for number in range(1, 6)]
    log.answer("m-1", "I try.", *asked)
    log.approval(asked[0], "approve", approver, explanation="fine")
    log.result("c-1", "1", "m-2")
    log.approval(asked[1], "modify", approver, modified=call("c-2", x=20))
    log.result("c-2", "20", "m-3")
    log.approval(asked[2], "reject", approver, explanation="no three")
    log.result("c-3", "", "m-4", error={"type": "approval", "message": "no three"})
    log.approval(asked[3], "escalate", "first", explanation="ask above")
    log.approval(asked[3], "approve", approver)
    log.result("c-4", "4", "m-5")
    log.approval(asked[4], "terminate", approver, explanation="enough")
    log.result("c-5", "", failed=True)
    limit = {"type": "operator", "limit": 1.0, "reason": "Tool call approver requested termination."}
    story, reports = told(log.done(limit=limit))
    verdicts = [(ask.approver, ask.verdict, ask.changed, ask.comment) for ask in of(story, Asked)]
    assert verdicts == [
        (who, "approve", None, "fine"),
        (who, "approve", {"x": 20}, None),
        (who, "deny", None, "no three"),
        (who, "approve", None, None),
        (who, "deny", None, "enough"),
    ]
    (passed_on,) = of(story, Chose)
    assert (passed_on.actor, passed_on.chosen, passed_on.reasoning) == ("service:first", "escalate", "ask above")
    assert of(story, Asked)[3].decision == passed_on.name
    assert [end.result for end in of(story, CallEnded)] == ["1", "20", "4"], "what was denied ends with its denial"
    assert [(end.how, end.reason) for end in of(story, Ended)] == [("cancelled", limit["reason"])]
    assert counts_of(story).tool_errors == 2
    assert reports.problems == []


def test_what_was_escalated_to_nobody_is_denied_where_its_tool_says_so_and_open_where_the_sample_goes_on() -> None:
    log, asked = SampleLog(), call("c")
    log.answer("m-1", "I try.", asked)
    log.approval(asked, "escalate", "first")
    running, _ = told(log.value, status="started")
    assert [(ask.verdict, ask.approver) for ask in of(running, Asked)] == [(None, "service:approver")]
    assert of(running, Ended) == []
    log.result("c", "", "m-2", error={"type": "approval", "message": "nobody approved"})
    ended, _ = told(log.done())
    assert [(ask.verdict, ask.approver, ask.comment) for ask in of(ended, Asked)] == [
        ("deny", "service:policy", "nobody approved")
    ]


def test_older_logs_have_a_calls_approval_behind_it() -> None:
    log, asked = SampleLog(), call("c", x=1)
    log.answer("m-1", "I try.", asked)
    log.result("c", "", error={"type": "approval", "message": "no"}, completed=moment(9))
    log.approval(asked, "reject", "human")
    story, _ = told(log.done())
    assert [type(act).__name__ for act in story.acts if isinstance(act, Called | Asked | CallEnded)] == ["Called", "Asked"]


@pytest.mark.parametrize("decision", ["approve", "modify", "reject", "escalate", "terminate"])
@pytest.mark.parametrize("behind", [False, True])
def test_a_verdict_on_what_a_call_returned_let_nothing_run_and_stopped_nothing(decision: str, behind: bool) -> None:
    log, asked = SampleLog(), call("c", x=1)
    log.answer("m-1", "I try.", asked)
    log.approval(asked, "approve", "human", stage="call")
    if behind:
        log.result("c", "out", "m-2", completed=moment(9))
    log.approval(asked, decision, "human", stage="result", modified=call("c", x=2))
    if not behind:
        log.result("c", "out", "m-2")
    story, reports = told(log.done())
    (approved,), (ended,) = of(story, Asked), of(story, CallEnded)
    assert (approved.verdict, approved.changed) == ("approve", None)
    assert (ended.how, ended.result) == ("succeeded", "out")
    assert list(reports.by_kind) == ["events of kind 'approval of a result', which are not imported"]
    assert reports.problems == []


@pytest.mark.parametrize(
    ("fields", "how", "code", "result"),
    [
        ({"error": {"type": "timeout", "message": "too slow"}}, "failed", "timeout", "out"),
        ({"error": {"type": "cancelled", "message": "stopped"}, "failed": True}, "cancelled", "tool_error", None),
        ({"failed": True}, "failed", "tool_error", "out"),
        ({"error": {"type": "approval", "message": "no"}}, "failed", "approval_denied", "out"),
        ({}, "succeeded", "tool_error", "out"),
    ],
)
def test_how_a_tool_ended(fields: dict[str, Any], how: str, code: str, result: Any) -> None:
    log = SampleLog()
    log.answer("m-1", "I try.", call("c"))
    log.result("c", "out", "m-2", **fields)
    story, _ = told(log.done())
    (ended,) = of(story, CallEnded)
    assert (ended.how, ended.code, ended.result) == (how, code, result)


def test_a_pending_tool_and_a_pending_answer_have_not_ended() -> None:
    log = SampleLog()
    log.answer("m-1", "I try.", call("c"))
    log.result("c", "", pending=True)
    log.event("model", model="openai/gpt-4o", input=[*log.heard], output={"choices": []}, pending=True)
    story, reports = told(log.value, status="started")
    assert (of(story, CallEnded), of(story, Ended)) == ([], [])
    assert [model.is_answered for model in of(story, ModelCalled)] == [True, False]
    assert reports.problems == []


def test_a_provider_id_in_two_turns_is_two_calls() -> None:
    log = SampleLog()
    for turn in ("1", "2"):
        log.answer(f"m-{turn}", "I try.", call("bash:0", turn=turn))
        log.result("bash:0", f"out {turn}", f"t-{turn}")
    story, _ = told(log.done())
    assert len({called.name for called in of(story, Called)}) == 2
    assert {end.name: end.result for end in of(story, CallEnded)} == {
        called.name: f"out {called.arguments['turn']}" for called in of(story, Called)
    }


def test_attachments_and_pooled_messages_are_put_back_in_their_place() -> None:
    log = SampleLog()
    log.answer("m-1", "attachment://abc", call("c", text="attachment://abc"))
    log.events[-1] |= {"input": [], "input_refs": [[0, 1]]}
    log.answer("m-3", "Done.")
    log.events[-1] |= {"input": [], "input_refs": [[0, 3]]}
    pool = [log.heard[0], log.heard[1], message("tool", "attachment://def", "m-2", tool_call_id="c")]
    sample = log.done(attachments={"abc": "a long text"}, events_data={"messages": pool, "calls": []})
    sample["messages"] = []
    story, reports = told(sample)
    assert [said for _, _, said in talk(story)] == ["What is it?", "a long text", "attachment://def", "Done."]
    assert of(story, Called)[0].arguments == {"text": "a long text"}
    (missing,) = reports.problems
    assert str(missing).startswith("log.json:3: samples.0.attachments: has no def")


def test_the_same_words_twice_are_two_messages_also_where_a_pool_holds_them_once() -> None:
    log = SampleLog()
    again = message("user", "Go on.", "m-9")
    pool = [log.heard[0], message("assistant", "One.", "m-1"), again, message("assistant", "Two.", "m-2")]
    for refs, answer in (([[0, 1]], pool[1]), ([[0, 3]], pool[3]), ([[0, 4], [2, 3]], message("assistant", "Three.", "m-3"))):
        output = {"model": "gpt-4o", "choices": [{"message": answer}], "usage": usage()}
        log.event("model", model="openai/gpt-4o", input=[], input_refs=refs, output=output)
    sample = log.done(events_data={"messages": pool, "calls": []})
    third = message("user", "Go on.", "m-10")
    sample["messages"] = [*pool, third, message("assistant", "Three.", "m-3")]
    story, _ = told(sample)
    assert [said for _, _, said in talk(story)] == ["What is it?", "One.", "Go on.", "Two.", "Go on.", "Three."]


def test_messages_without_ids_are_told_apart_by_their_place() -> None:
    log = SampleLog(uuid=None)
    log.heard = [message("user", "Say yes.", None)]
    for _ in range(3):
        log.answer(None, "Yes.")
        log.heard.append(message("user", "Again.", None))
    story, _ = told(log.done())
    assert [said for _, _, said in talk(story)] == ["Say yes.", "Yes.", "Again.", "Yes.", "Again.", "Yes.", "Again."]


def test_an_answer_that_the_harness_words_anew_is_revised_and_a_tools_result_is_not() -> None:
    log = SampleLog()
    log.answer("m-1", "Let me submit.", call("c"))
    log.result("c", "a long result", "m-2")
    log.answer("m-3", "Fine.")
    sample = log.done()
    sample["messages"][1] = message("assistant", "Let me submit.\n\n42", "m-1", source="generate")
    sample["messages"][2] = message("tool", "(cleared)", "m-2", tool_call_id="c")
    story, _ = told(sample)
    later = [(words(said), said.later) for said in of(story, Said) if said.later is not None]
    assert later == [("Let me submit.", (TextPart(text="Let me submit.\n\n42"),))]
    assert counts_of(story).messages == 4


def handed_over() -> SampleLog:
    """An agent that hands over to another one, which calls a tool."""
    log = SampleLog()
    log.event("span_begin", id="boss", type="agent", name="boss", span_id="boss")
    log.answer("m-1", "You do it.", call("h"), span_id="boss")
    log.event("span_begin", id="hand", type="handoff", name="helper", parent_id="boss", span_id="hand")
    log.event("span_begin", id="help", type="agent", name="helper", parent_id="hand", span_id="help")
    boss, log.heard = log.heard, [message("system", "Help.", "s-1"), *log.heard]
    log.answer("m-2", "I do it.", call("c"), span_id="help")
    log.result("c", "done", "m-3", span_id="help")
    log.answer("m-4", "Did it.", span_id="help")
    log.event("span_end", id="help", span_id="help")
    log.event("span_end", id="hand", span_id="hand")
    log.heard = boss
    return log


def test_an_agent_that_was_handed_over_to_is_a_spawned_run_with_its_own_words() -> None:
    log = handed_over()
    log.result("h", "handed over", "m-5", span_id="boss", function="transfer_to_helper")
    log.answer("m-6", "Thank you.", span_id="boss")
    log.event("span_end", id="boss", span_id="boss")
    story, reports = told(log.done())
    assert [(began.agent, began.parent, began.kind) for began in of(story, Began)] == [
        ("react", None, "retries"),
        ("helper", ("sample-1",), "spawned_by"),
    ]
    spawned = of(story, Began)[1].run
    assert [words(said) for said in of(story, Said) if said.run == spawned] == ["Help.", "I do it.", "done", "Did it."]
    assert [(end.run == spawned, end.how) for end in of(story, Ended)] == [(True, "completed"), (False, "completed")]
    assert counts_of(story).messages == 8
    assert reports.problems == []


def test_an_agent_within_which_the_sample_failed_failed_too() -> None:
    story, _ = told(handed_over().done(error={"message": "RuntimeError('bang')", "traceback": ""}))
    assert [(end.how, end.code, end.error_type) for end in of(story, Ended)] == [("failed", "sample_error", "RuntimeError")] * 2


def test_attempts_that_were_made_again_are_runs_whose_usage_counts() -> None:
    first = SampleLog()
    first.answer("m-1", "I try.", call("c"))
    first.result("c", "", failed=True)
    log = SampleLog()
    log.answer("m-1", "I try.")
    retried = [{"message": "RuntimeError('bang')", "traceback": "", "traceback_ansi": "", "events": first.events}]
    story, _ = told(log.done(error_retries=retried))
    assert [began.parent for began in of(story, Began)] == [None, ("sample-1", "attempt", "1")]
    assert [(end.how, end.reason) for end in of(story, Ended)] == [("failed", "RuntimeError('bang')"), ("completed", "")]
    assert counts_of(story).input_tokens == 200
    assert counts_of(story).messages == 4


@pytest.mark.parametrize(
    ("more", "status", "ending"),
    [
        ({}, "success", ("completed", "end_turn")),
        ({"error": {"message": "ValueError('x')"}}, "success", ("failed", "error")),
        ({"error": {"message": "CancelledError()"}}, "cancelled", ("cancelled", "cancelled")),
        ({"error": {"message": "Cancelled()"}}, "error", ("cancelled", "cancelled")),
        ({"limit": {"type": "message", "limit": 4.0}}, "success", ("completed", "max_steps")),
        ({"limit": {"type": "token", "limit": 4.0}}, "success", ("failed", "max_tokens_exceeded")),
        ({"limit": {"type": "cost", "limit": 4.0}}, "success", ("failed", "budget_exceeded")),
        ({"limit": {"type": "time", "limit": 4.0}}, "success", ("cancelled", "cancelled")),
        ({"limit": {"type": "of the future"}}, "success", ("cancelled", "cancelled")),
        ({"completed_at": None}, "cancelled", ("cancelled", "cancelled")),
        ({"completed_at": None}, "started", None),
        ({"completed_at": None}, "error", None),
    ],
)
def test_how_a_sample_ended(more: dict[str, Any], status: str, ending: tuple[str, str] | None) -> None:
    log = SampleLog()
    log.answer("m-1")
    story, _ = told(log.done(**more), status=status)
    assert [(end.how, end.stop_reason) for end in of(story, Ended)] == ([] if ending is None else [ending])


@pytest.mark.parametrize(
    ("value", "success"),
    [
        ("C", True),
        ("I", False),
        ("P", False),
        ("N", False),
        (1, True),
        (0.5, False),
        (True, True),
        ("1.0", True),
        ("yes", True),
        ("no", False),
        ("NaN", None),
        ("perhaps", None),
        ([1, 0], None),
        (None, None),
    ],
)
def test_what_a_score_says(value: Any, success: bool | None) -> None:
    story, _ = told(SampleLog().done(scores={"judge": {"value": value}}))
    (score,) = of(story, Chose)
    assert score.success is success
    assert ("score" in score.context) is (success is None), "what says neither is kept all the same"


def test_a_score_of_several_values_is_one_for_each() -> None:
    story, _ = told(SampleLog().done(scores={"judge": {"value": {"style": 1, "facts": 0}, "explanation": "so so"}}))
    assert [(score.judge, score.success, score.result["explanation"]) for score in of(story, Chose)] == [
        ("service:judge.style", True, "so so"),
        ("service:judge.facts", False, "so so"),
    ]


def test_compactions_interruptions_and_invalidations_are_told() -> None:
    log = SampleLog()
    log.answer("m-1")
    log.event("compaction", type="summary", tokens_before=900, tokens_after=100, metadata={"trigger": "threshold"})
    log.event("interrupt", source="user_cancel", interrupted="generate")
    log.event("interrupt", source="limit", interrupted="tool_call")
    story, _ = told(log.done(invalidation={"author": "ada", "reason": "a wrong target", "timestamp": moment(50)}))
    (compacted,) = of(story, Compacted)
    assert (compacted.trigger, compacted.tokens_before, compacted.tokens_after) == ("auto", 900, 100)
    interrupts = [said.actor for said in of(story, Said) if said.activity_type == "interrupt"]
    assert interrupts == ["human:operator", "service:inspect"]
    (report,) = of(story, Reported)
    assert (report.description, report.actor) == ("the sample was invalidated by ada: a wrong target", "service:inspect")
    assert isinstance(story.acts[-1], Reported), "an ended run takes it"


def test_an_answer_from_the_cache_used_nothing() -> None:
    log = SampleLog()
    log.answer("m-1", cache="read")
    log.answer("m-2", cache="write")
    assert len(of(told(log.done())[0], Used)) == 1


def test_a_log_without_events_has_its_messages_results_and_sums() -> None:
    log = SampleLog()
    log.answer("m-1", "I look.", call("c"), call("d"))
    log.heard += [message("tool", "found", "m-2", tool_call_id="c")]
    log.heard += [message("tool", "", "m-3", tool_call_id="d", error={"type": "timeout", "message": "too slow"})]
    sample = log.done(model_usage={"openai/gpt-4o": usage(500, 50)})
    sample["events"] = []
    story, _ = told(sample)
    assert [end.how for end in of(story, CallEnded)] == ["succeeded", "failed"]
    assert [said for _, role, said in talk(story) if role == "tool"] == ["found", "too slow"]
    assert (counts_of(story).input_tokens, counts_of(story).output_tokens, counts_of(story).messages) == (500, 50, 4)


def test_the_steps_of_older_logs_tell_a_scorers_words_from_the_agents() -> None:
    log = SampleLog(uuid=None)
    log.event("step", action="begin", type="solver", name="generate")
    log.answer(None, "tc://abc")
    log.event("step", action="end", type="solver", name="generate")
    log.event("step", action="begin", type="scorer", name="judge")
    own, log.heard = log.heard, [message("user", "Is it right?", None)]
    log.answer(None, "GRADE: C")
    log.event("step", action="end", type="scorer", name="judge")
    log.heard = [own[0], message("assistant", "It is 42.", None, source="generate")]
    sample = log.done()
    sample["transcript"] = {"events": sample.pop("events"), "content": {"abc": "It is 42."}}
    story, reports = told(sample)
    judge = of(story, Began)[1].run
    assert [(said.run == judge, words(said)) for said in of(story, Said)] == [
        (False, "What is it?"),
        (False, "It is 42."),
        (True, "Is it right?"),
        (True, "GRADE: C"),
    ]
    assert [began.agent for began in of(story, Began)] == ["react", "judge"]
    assert reports.problems == []


def test_unknown_kinds_are_counted_and_known_ones_let_by() -> None:
    log = SampleLog()
    for kind in ("state", "store", "dream", "dream", "logger", "review", "sentinel"):
        log.event(kind)
    _, reports = told(log.done())
    assert {text: note.count for text, note in reports.by_kind.items()} == {
        "events of kind 'dream', which are not imported": 2,
        "events of kind 'review', which are not imported": 1,
        "events of kind 'sentinel', which are not imported": 1,
    }


@pytest.mark.parametrize(
    ("path", "odd"),
    [
        (("output", "usage", "output_tokens"), 12.5),
        (("output", "usage", "output_tokens"), "n/a"),
        (("output", "usage", "input_tokens"), -1),
        (("output", "usage", "total_tokens"), 3),
        (("timestamp",), "yesterday"),
        (("completed",), 17),
        (("output", "choices"), "none"),
        (("output",), []),
        (("input",), {"a": 1}),
        (("model",), 5),
    ],
)
def test_an_odd_value_is_one_problem_with_its_place_and_the_rest_goes_in(path: tuple[str, ...], odd: Any) -> None:
    log = SampleLog()
    log.answer("m-1", "One.")
    log.answer("m-2", "Two.")
    event: Any = log.events[0]
    for name in path[:-1]:
        event = event[name]
    event[path[-1]] = odd
    story, reports = told(log.done())
    (problem,) = reports.problems
    assert str(problem).startswith("log.json:3: samples.0.events.0.")
    assert {said for _, _, said in talk(story)} == {"What is it?", "One.", "Two."}
    assert of(story, Ended)


def test_more_reasoning_than_output_stands_beside_it() -> None:
    log = SampleLog()
    log.answer("m-1", output={"usage": usage(100, 10, reasoning_tokens=30, total_tokens=140)})
    story, reports = told(log.done())
    (used,) = of(story, Used)
    assert (used.tokens["reasoning_output_tokens"], used.tokens["reasoning_beside"]) == (30, True)
    assert reports.problems == []


def test_what_no_event_can_hold_stands_escaped_and_images_are_files() -> None:
    log = SampleLog()
    log.answer("m-1", "a\0b \ud800 c")
    log.answer("m-2", [{"type": "image", "image": "data:image/png;base64,QUJD"}, {"type": "image", "image": "https://a/b.png"}])
    story, _ = told(log.done())
    assert talk(story)[1][2] == "a\\u0000b \\ud800 c"
    assert of(story, Said)[2].parts == (
        FilePart(media_type="image/png", data="QUJD"),
        FilePart(media_type="image/*", url="https://a/b.png"),
    )


def test_a_sample_without_an_id_of_its_own_is_named_the_same_wherever_it_stands() -> None:
    log = SampleLog(uuid=None)
    one, _ = told(log.done())
    other, _ = told({**log.done(), "epoch": 2})
    assert one.key == ("eval-1", "one", "1")
    assert other.key == ("eval-1", "one", "2")
