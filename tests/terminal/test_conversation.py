"""A conversation as it is drawn: nothing is missing from it, and everything is in its place."""

import contextlib
import io
import random
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runfold import Ledger, LedgerError, Run, Thread
from runfold.domain.recorded import Recorded
from runfold.terminal.console import console, print_whole
from runfold.terminal.conversation import Conversation

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
WORD = re.compile(r"word\d+w")


def conversation(ledger: Ledger, run: Run, *, full: bool = False) -> Conversation:
    """The conversation at the end of a run."""
    view = ledger.now.run(run.id)
    return Conversation.of(view.thread_id, ledger.now.history(run.id), ledger.position(), full=full)


def drawn(shown: Conversation) -> list[str]:
    """Its lines as they are printed where there is no terminal."""
    stream = io.StringIO()
    print_whole(console(stream), shown.drawn())
    return stream.getvalue().splitlines()


class Story:
    """Makes up what happens along one path, each word another one."""

    def __init__(self, dice: random.Random, thread: Thread) -> None:
        self.dice, self.thread, self.count = dice, thread, 0
        self.now = NOON
        self.run = self.begun()
        self.made: dict[str, list[Any]] = {"message": [], "call": [], "approval": [], "decision": []}

    def begun(self, **parent: Any) -> Run:
        """A run of it."""
        goal = {"id": "g", "description": self.words()}
        return self.thread.start_run(self.json(), goal=goal, metadata={"m": self.words()}, occurred_at=self.now, **parent)

    def words(self) -> str:
        """A text, of several lines or one, long or short."""
        number = self.dice.choice([1, 3, 40])
        found = [f"word{self.count + each}w" for each in range(number)]
        self.count += number
        return "".join(word + self.dice.choice([" ", "  ", "\n", "\n\n", ", ", '"']) for word in found)

    def json(self) -> Any:
        """A value."""
        return self.dice.choice([{"a": self.words(), "b": [self.words(), {"c": self.words()}]}, self.words(), [self.words()]])

    def go_on(self) -> None:
        """One thing more; what is refused is left out."""
        self.now += timedelta(minutes=self.dice.choice([0, 1, 700, -3]))
        name = self.dice.choice(MOVES)
        with contextlib.suppress(LedgerError, IndexError):
            getattr(self, name)(occurred_at=self.now)

    def one(self, kind: str) -> Any:
        """A thing that was made before."""
        return self.dice.choice(self.made[kind][-3:])

    def say(self, **when: Any) -> None:
        parts: list[Any] = [{"type": "text", "text": self.words()}]
        parts += self.dice.choice(
            [
                [],
                [{"type": "reasoning", "text": self.words()}],
                [
                    {"type": "data", "data": self.json()},
                    {"type": "file", "media_type": "a/b", "name": self.words(), "url": self.words()},
                ],
                [{"type": "source", "title": self.words(), "url": self.words(), "document_id": self.words()}],
            ]
        )
        role, streaming = self.dice.choice(["user", "assistant", "system"]), self.dice.random() < 0.3
        self.made["message"].append(self.run.add_message(role, parts, streaming=streaming, **when))

    def change(self, **when: Any) -> None:
        message = self.one("message")
        match self.dice.choice(["append", "revise", "seal"]):
            case "append":
                message.append_text(self.words())
            case "revise":
                message.revise(self.words(), reason=self.words(), **when)
            case _:
                message.seal(finish_reason=self.words())

    def call(self, **when: Any) -> None:
        said = self.run.add_message("assistant", "", **when) if self.dice.random() < 0.3 else None
        needs = self.dice.random() < 0.3
        arguments = self.dice.choice([self.json(), {"order": 7}])
        call = self.run.call_tool("search", arguments, message_id=said and said.id, needs_approval=needs, **when)
        self.made["call"].append(call)

    def end_call(self, **when: Any) -> None:
        call = self.one("call")
        match self.dice.choice(["succeed", "succeed", "answer", "fail", "cancel", "start"]):
            case "succeed":
                call.succeed(self.json(), **when)
            case "answer":
                call.succeed(self.dice.choice([None, "short"]), **when)
                self.run.add_message("tool", self.words(), tool_call_id=call.id, **when)
            case "fail":
                call.fail(self.words(), code="no", error_type=self.words(), result=self.json(), **when)
            case "cancel":
                call.cancel(self.words(), **when)
            case _:
                call.start(**when)

    def ask(self, **when: Any) -> None:
        call_id = self.one("call").id if self.dice.random() < 0.6 and self.made["call"] else None
        asked = self.run.request_approval(
            "refund",
            arguments=self.json(),
            call_id=call_id,
            message=self.words(),
            quorum=self.dice.choice([1, 2]),
            choices=[{"id": "a", "label": self.words(), "description": self.words()}],
            **when,
        )
        self.made["approval"].append(asked)

    def decide_approval(self, **when: Any) -> None:
        asked, actor = self.one("approval"), self.dice.choice(["human:ada", "human:bob"])
        match self.dice.choice(["grant", "edit", "answer", "deny"]):
            case "grant":
                asked.grant(comment=self.words(), actor=actor, **when)
            case "edit":
                asked.grant(comment=self.words(), arguments=self.json(), actor=actor, **when)
            case "answer":
                asked.grant(response={"r": self.words()}, actor=actor, **when)
            case _:
                asked.deny(self.words(), actor=actor, **when)

    def decide(self, **when: Any) -> None:
        options = [{"id": "a", "description": self.words(), "pros": [self.words()]}]
        made = self.run.decide(self.words(), options=options, chosen="a", reasoning=self.words(), **when)
        made.outcome(success=self.dice.random() < 0.5, summary=self.words(), error=self.words(), **when)

    def report(self, **when: Any) -> None:
        found = self.run.report_problem("warning", self.words(), root_cause=self.words(), suggested_fix=self.words(), **when)
        found.resolve(self.words(), **when)
        self.run.start_step(self.words()).finish(error=self.words())

    def end(self, **when: Any) -> None:
        match self.dice.choice(["complete", "fail", "cancel", "wait"]):
            case "complete":
                self.run.complete(self.json(), narrative=self.words(), **when)
            case "fail":
                self.run.fail(self.words(), code="no", **when)
            case "cancel":
                self.run.cancel(self.words(), **when)
            case _:
                return
        self.run = self.begun(parent=self.run.id, kind="continues")


MOVES = ["say", "say", "change", "call", "call", "end_call", "end_call", "ask", "decide_approval", "decide_approval"]
MOVES += ["decide", "report", "end"]


def told(ledger: Ledger, run: Run) -> Iterator[Recorded]:
    """Everything recorded along the path of a run, with its approvals."""
    history = ledger.now.history(run.id)
    yield from history.events()
    for events in history.approvals().values():
        yield from events


@pytest.mark.sampled
@pytest.mark.parametrize("seed", [3, 14, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(20, 60))])
def test_every_word_that_was_recorded_is_found_in_full(ledger: Ledger, seed: int) -> None:
    story = Story(random.Random(seed), ledger.create_thread(agent_id="a"))  # noqa: S311  a story, not a secret
    for _ in range(120):
        story.go_on()
    recorded = {word for each in told(ledger, story.run) for word in WORD.findall(each.event.model_dump_json())}
    printed = drawn(conversation(ledger, story.run, full=True))
    assert len(recorded) > 300
    assert sorted(recorded - set(WORD.findall("\n".join(printed)))) == []
    brief = drawn(conversation(ledger, story.run))
    assert [number for number, line in enumerate(brief) if not line.strip()] == [], "no row is blank"
    assert len(brief) < len(printed)


@pytest.fixture
def run(ledger: Ledger) -> Run:
    return ledger.create_thread(agent_id="support").start_run(occurred_at=NOON)


def told_words(ledger: Ledger, run: Run) -> list[tuple[str, str, str]]:
    """Who, whose doing and what, line by line."""
    return [(line.who.plain, line.by, line.words.plain) for line in conversation(ledger, run).lines()]


def test_what_was_asked_and_what_was_executed_stand_with_the_call_and_its_approval(ledger: Ledger, run: Run) -> None:
    call = run.call_tool("refund", {"order": 7, "amount": 52}, needs_approval=True, actor="agent:support", occurred_at=NOON)
    assert told_words(ledger, run)[-1][2] == "refund order=7, amount=52 → waits for approval"
    asked = run.request_approval("refund", arguments={"amount": 52, "order": 7}, call_id=call.id, actor="agent:support")
    assert told_words(ledger, run) == [
        ("tool", "agent:support", "refund order=7, amount=52 → waits for approval"),
        ("approval", "agent:support", "asks for refund → waits for approval"),
    ]
    asked.grant(arguments={"order": 7, "amount": 46}, comment="The goods.", actor="human:ada")
    assert told_words(ledger, run)[0][2] == "refund order=7, amount=52; allowed with order=7, amount=46 → …"
    call.start(approval=asked.id)
    call.succeed({"paid": 46})
    assert told_words(ledger, run) == [
        ("tool", "agent:support", "refund order=7, amount=52; executed with order=7, amount=46 → paid=46"),
        ("approval", "agent:support", "asks for refund"),
        ("approval", "human:ada", "granted with other arguments: order=7, amount=46: The goods."),
    ]
    view = conversation(ledger, run).tool_calls[0]
    assert (view.arguments, view.effective_arguments) == ({"order": 7, "amount": 52}, {"order": 7, "amount": 46})
    listed = ledger.now.tool_calls(run_id=run.id).items[0]
    assert (listed.arguments, listed.effective_arguments) == (view.arguments, view.effective_arguments)
    other = ledger.create_thread(agent_id="support").start_run()
    steps = [pair.a for pair in ledger.now.diff(run.id, other.id).pairs_of("tool_call")]
    assert steps[0] is not None
    assert (steps[0].facts["arguments"], steps[0].facts["executed_with"]) == (view.arguments, view.effective_arguments)


def test_results_of_parallel_calls_stand_at_their_calls(ledger: Ledger, run: Run) -> None:
    said = run.add_message("assistant", "")
    first, second = (run.call_tool(name, {"n": 1}, message_id=said.id) for name in ("one", "two"))
    second.succeed(None)
    first.succeed({"n": 1})
    run.add_message("tool", "the second", tool_call_id=second.id)
    run.add_message("tool", '{"n":1}', tool_call_id=first.id)
    assert [words for _, _, words in told_words(ledger, run)] == ["one n=1 → n=1", "two n=1 → the second"]


def test_a_branch_knows_of_an_approval_what_was_decided_before_it_left(ledger: Ledger, run: Run) -> None:
    run.request_approval("refund", approval_id="approval_1")
    branch = ledger.thread(run.view().thread_id).start_run(parent=run.id, kind="branches")
    ledger.approval("approval_1").deny("no", actor="human:ada")
    assert told_words(ledger, branch) == [("approval", "service:runfold", "asks for refund → waits for approval")]
    assert told_words(ledger, run)[-1] == ("approval", "human:ada", "denied: no")


def test_times_are_shown_with_the_day_where_it_begins(ledger: Ledger, run: Run) -> None:
    run.add_message("user", "hello", occurred_at=NOON, actor="human:mira")
    run.add_message("assistant", "hello\n\nagain", occurred_at=NOON + timedelta(hours=13), actor="agent:support")
    lines = [line.split() for line in drawn(conversation(ledger, run))]
    first, second = (message.added_position for message in ledger.now.messages(run_id=run.id))
    assert lines == [
        ["2026-03-01", "UTC"],
        [str(first), "12:00:00", "user", "human:mira", "hello"],
        ["2026-03-02", "UTC"],
        [str(second), "01:00:00", "assistant", "agent:support", "hello"],
        ["again"],
    ]
