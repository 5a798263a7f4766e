"""The producer checker accepts what is right, and names the first rule that is broken, where it is and what would be right."""

import collections
import json
from typing import Any

import pytest
from ag_ui.core import RunFinishedEvent, RunStartedEvent
from ag_ui_validate import Validator

from runfold.agui.checker import Checker, check
from runfold.agui.reading import events_in
from runfold.agui.rules import CHECKED, RULES, Broken

from .streams import RIGHT, WRONG, ev, finished, started, text

OF_THE_TEXT = {"json", "sse-lines", "sse-fields", "frame-size", "content-type"}
"""Rules of what a stream is written as, and sent with: see `test_reading`."""

_NOT_ENDED = {"AGUI003", "AGUI508", "AGUI103", "AGUI203", "AGUI007", "AGUI604"}
"""What it says of a stream that stops, as these do, at the first fault; for these five rules that is the fault."""
_OF_ENDS = {"text-end", "call-end", "step-end", "subagent-end", "terminal"}

NOT_SEEN = {
    "no-null": "it takes an optional field that is null for one that is absent",
    "outcome": "it looks at the fields of an event, and not within them",
    "fields": "it looks at the fields of an event, and not within them",
    "same-run": "it warns of it",
    "same-thread": "it warns of it",
    "reasoning-once": "it asks of reasoning only that it has a start",
    "reasoning-end": "it warns of it",
    "span-start": "it asks of reasoning only that its messages have a start",
    "span-once": "it asks of reasoning only that its messages have a start",
    "span-end": "it warns of it",
    "step-once": "it counts steps of one name",
    "step-start": "it does not ask whose a step is",
    "result-after-call": "it warns of it",
    "subagent-parent": "it warns of it",
    "known-owner": "it does not ask who owns what",
    "same-owner": "it warns of it",
    "state-patch": "it does not know the state that the run was given",
    "activity-known": "it does not look at activities",
    "activity-type": "it does not look at activities",
    "activity-patch": "it does not look at activities",
    "message-ids": "it does not look into snapshots",
    "interrupt-ids": "it does not look at interrupts",
    "interrupt-call": "it does not look at interrupts",
    "interrupt-schema": "it does not look at interrupts",
    "interrupt-expiry": "it does not look at interrupts",
    "resume-all": "it does not look at answers",
}
"""The rules of which at least one breach is no error to the second opinion, and why."""

STRICTER = {
    "chunks": ["AGUI504"],  # of a result's content it knows text, and not parts
    "sub-agents": ["AGUI207"],  # a run that resumes tells results of calls of the run before it
    "an error may leave things open, and may come late": ["AGUI005"],  # the protocol allows one late RUN_ERROR
    "a type that is not known passes": ["AGUI503"],  # clients let newer types by
    "an error before the start": ["AGUI001"],  # a run that could not start has no start
}
"""What it calls an error, and the protocol does not."""


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_stream_passes(name: str) -> None:
    assert check(RIGHT[name]) is None


@pytest.mark.parametrize(("rule", "index", "events"), WRONG, ids=[f"{number}-{rule}" for number, (rule, *_) in enumerate(WRONG)])
def test_the_first_rule_that_is_broken_is_named_with_its_place_and_what_is_right(
    rule: str, index: int, events: list[Any]
) -> None:
    found = check(events)
    assert found is not None
    assert (found.rule, found.index) == (rule, index), str(found)
    assert found.right == RULES[rule].right
    assert found.right in str(found)


def test_each_rule_is_broken_by_a_stream_that_is_tried() -> None:
    assert {rule for rule, *_ in WRONG} == CHECKED - OF_THE_TEXT


def test_a_second_opinion_agrees_or_the_difference_is_known() -> None:
    unseen = {
        rule for rule, _, events in WRONG if events and not set(_errors(events)) - (set() if rule in _OF_ENDS else _NOT_ENDED)
    }
    assert unseen == NOT_SEEN.keys()
    assert {name: _errors(events) for name, events in RIGHT.items() if _errors(events)} == STRICTER


def _errors(events: list[Any]) -> list[str]:
    validator = Validator()
    for event in events:
        validator.feed(event)
    validator.finalize()
    return [found.rule for found in validator.report().diagnostics if found.severity == "error"]


def test_models_of_the_protocol_are_checked_as_what_they_are_written_as() -> None:
    assert check([RunStartedEvent(thread_id="t", run_id="r"), RunFinishedEvent(thread_id="t", run_id="r")]) is None


def test_after_the_first_violation_nothing_more_is_looked_at_and_types_that_passed_are_counted() -> None:
    checker = Checker()
    for event in (started(), ev("NEW"), ev("NEW"), text("END"), text("CONTENT"), finished("r9")):
        checker.take(event)
    found = checker.end()
    assert found is not None
    assert (found.index, found.rule, checker.unknown) == (3, "text-start", {"NEW": 2})


def test_ids_are_forgotten_before_they_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runfold.agui.owners._MOST", 10)
    checker = Checker()
    checker.take(started())
    for number in range(1000):
        for phase in ("START", "END"):
            checker.take(text(phase, f"m{number}"))
    assert len(checker._run._owners._owners) <= 10
    assert checker.take(finished()) is None


class TestReading:
    """Events in texts of each kind, in pieces of any size."""

    EVENTS = RIGHT["sub-agents"] + [ev("CUSTOM", name='a "b" \\ [}, {]', value=["\\", '"', {"x": [1, 2]}])]

    @pytest.mark.parametrize("size", [1, 2, 3, 7, 50, 100_000])
    @pytest.mark.parametrize("kind", ["lines", "array", "indented array", "stream"])
    def test_all_come_in_order(self, kind: str, size: int) -> None:
        written = _written(kind, self.EVENTS)
        assert list(events_in(written[at : at + size] for at in range(0, len(written), size))) == self.EVENTS

    @pytest.mark.parametrize(
        ("rule", "before", "text"),
        [
            ("json", 1, '{"type": "A"}\n{"type": '),
            ("json", 0, "[x]"),
            ("json", 1, "[1, "),
            ("json", 0, '[{"a": 1}'),
            ("json", 1, "[1] x"),
            ("json", 1, "[1,]"),
            ("json", 0, "data: {\n\n"),
            ("json", 0, '{"a": NaN}'),
            ("sse-lines", 0, 'data: {"type": "A"}\r\n\r\n'),
            ("sse-fields", 1, 'data: {"type": "A"}\n\nwhat\n\n'),
            ("frame-size", 0, f'data: "{"x" * (10 * 1024 * 1024)}"\n\n'),
            ("frame-size", 0, f'["{"x" * (10 * 1024 * 1024)}"'),
        ],
    )
    def test_what_is_no_event_is_named(self, rule: str, before: int, text: str) -> None:
        seen: list[Any] = []
        with pytest.raises(Broken) as broken:
            collections.deque(map(seen.append, events_in([text])), maxlen=0)
        assert (broken.value.rule, len(seen)) == (rule, before)

    def test_frames_may_have_ids_comments_and_several_lines(self) -> None:
        text = '\ufeff: hello\nid: 1\nevent: x\ndata: {"a":\ndata: 1}\n\n: keep\n\nretry: 5\ndata:{"a": 2}'
        assert list(events_in([text])) == [{"a": 1}, {"a": 2}]


def _written(kind: str, events: list[Any]) -> str:
    match kind:
        case "lines":
            return "\n".join(map(json.dumps, events)) + "\n"
        case "array":
            return json.dumps(events)
        case "indented array":
            return json.dumps(events, indent=2) + "\n"
        case _:
            return "".join(f"id: {number}\ndata: {json.dumps(event)}\n\n" for number, event in enumerate(events))
