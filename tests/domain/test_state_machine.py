"""Any commands in any order: the rules and a small model of them never disagree. And the machine notices when they do."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from runfold.domain.approval import Approval
from runfold.domain.decision import Outcome
from runfold.domain.event import AlreadyRecorded, Event, Events
from runfold.domain.problem import ProblemReported
from runfold.domain.run import Run
from runfold.domain.run_events import RunCompleted
from runfold.domain.tool_call import ToolSucceeded
from runfold.domain.values import Actor, digest
from runfold.errors import CommandRefused

from .model import ALREADY, ENDED, HAPPENS, REFUSED, ApprovalModel, RunModel, Verdict
from .samples import FAILURE, NOON, called, created, decided, message, requested
from .steady import STEADY
from .story import evolved, picture

VOTERS = ("human:ada", "human:bob", "human:cleo", "agent:support")
ASKED, EDITED = "refund 7", "refund 5"

voters, texts = st.sampled_from(VOTERS), st.sampled_from([ASKED, ASKED, EDITED])
ids, executions, hours = st.sampled_from("ab"), st.sampled_from("xy"), st.integers(1, 3)
approvals = st.sampled_from(["approval_1", "approval_2"])
verdicts = st.sampled_from(["approve", "approve", "approve", "deny"])


class AnyCommands(RuleBasedStateMachine):
    """A run, its approvals, and the model of both."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.model = RunModel()
        self.models: dict[str, ApprovalModel] = {}
        self.states: dict[str, Run | Approval] = {"run_1": Run("run_1")}
        self.logs: dict[str, list[Event]] = {"run_1": []}

    @property
    def run_1(self) -> Any:
        return self.states["run_1"]

    def give(self, stream: str, verdict: Verdict, command: Callable[[Any], Events]) -> None:
        """The command comes to what the model says; refused, it leaves the state as it was."""
        state = self.states[stream]
        before = picture(state)
        try:
            events = command(state)
            came_to = HAPPENS if events else ALREADY
        except CommandRefused:
            events, came_to = [], REFUSED
        except AlreadyRecorded:
            events, came_to = [], ALREADY
        assert came_to == verdict, f"{events} {came_to}, but by the model it {verdict}"
        assert picture(state) == before
        self.happened(stream, events)

    def happened(self, stream: str, events: Events) -> None:
        evolved(self.states[stream], *events)
        self.logs[stream] += events

    # The run

    @initialize(begun=st.sampled_from([True, True, True, False]))
    def create(self, begun: bool) -> None:
        self.give("run_1", HAPPENS, lambda run: run.create(created))
        if begun:
            self.start()

    @rule()
    def time_passes(self) -> None:
        self.now += 1

    @rule()
    def start(self) -> None:
        self.give("run_1", self.model.start(), lambda run: run.start())

    @rule(reason=st.sampled_from(["input", "external"]))
    def wait(self, reason: Any) -> None:
        self.give("run_1", self.model.wait(reason), lambda run: run.wait(reason))

    @rule()
    def resume(self) -> None:
        self.give("run_1", self.model.resume(), lambda run: run.resume())

    @rule()
    def get_stuck(self) -> None:
        self.give("run_1", self.model.get_stuck(), lambda run: run.mark_stuck())

    @precondition(lambda self: self.run_1.version > 12 or self.run_1.status != "running")
    @rule()
    def complete(self) -> None:
        self.give("run_1", self.model.end("completed"), lambda run: run.complete(output=1))

    @precondition(lambda self: self.run_1.version > 12)
    @rule(how=st.sampled_from(["failed", "cancelled"]))
    def end_badly(self, how: str) -> None:
        waited_for = list(self.model.approvals)
        ends: Callable[[Run], Events] = (lambda run: run.fail(FAILURE)) if how == "failed" else (lambda run: run.cancel())
        self.give("run_1", self.model.end(how), ends)
        for approval in waited_for if self.model.status == how else ():
            self.models[approval].status = "withdrawn"
            self.give(approval, HAPPENS, lambda approval: approval.withdraw("run_cancelled"))

    @rule(execution=executions, lease=hours, take_over=st.booleans())
    def claim(self, execution: str, lease: int, take_over: bool) -> None:
        verdict = self.model.claim(execution, self.now + lease, self.now, take_over=take_over)
        until, now = NOON + timedelta(hours=self.now + lease), NOON + timedelta(hours=self.now)
        self.give("run_1", verdict, lambda run: run.lease.claim(execution, "w", until, now, take_over=take_over))

    @rule(execution=executions)
    def release(self, execution: str) -> None:
        self.give("run_1", self.model.release(execution), lambda run: run.lease.release(execution))

    # What is recorded in it

    @rule(what=st.sampled_from(["message", "call", "answer"]), name=ids)
    def work(self, what: str, name: str) -> None:
        match what:
            case "message":
                added = message.model_copy(update={"message_id": name})
                self.give("run_1", self.model.add_message(name), lambda run: run.messages.add(added))
            case "call":
                asked = called.model_copy(update={"call_id": name})
                self.give("run_1", self.model.call(name), lambda run: run.calls.call(asked))
            case _:
                self.give("run_1", self.model.end_call(name), lambda run: run.calls.end(ToolSucceeded(call_id=name)))

    @rule(name=ids, chosen=st.sampled_from(["howto", "bug", "neither"]))
    def decide(self, name: str, chosen: str) -> None:
        made = decided.model_copy(update={"decision_id": name, "chosen_option_id": chosen})
        self.give("run_1", self.model.decide(name, among_the_options=chosen != "neither"), lambda run: run.decisions.make(made))

    @rule(name=ids, result=hours, correcting=st.booleans())
    def outcome(self, name: str, result: int, correcting: bool) -> None:
        outcome = Outcome(success=True, result=result)
        if correcting:
            self.give("run_1", self.model.correct(name, result), lambda run: run.decisions.correct_outcome(name, outcome))
        else:
            self.give("run_1", self.model.outcome(name, result), lambda run: run.decisions.record_outcome(name, outcome))

    @rule(what=st.sampled_from(["wish", "link", "report", "resolve"]), name=ids)
    def say(self, what: str, name: str) -> None:
        match what:
            case "wish":
                self.give("run_1", self.model.wish_away(), lambda run: run.request_cancellation())
            case "link":
                self.give("run_1", self.model.link(name), lambda run: run.details.link(name))
            case "report":
                reported = ProblemReported(problem_id=name, severity="minor", description="odd")
                self.give("run_1", self.model.report(name), lambda run: run.problems.report(reported))
            case _:
                self.give("run_1", self.model.resolve(name), lambda run: run.problems.resolve(name, "mended"))

    # Its approvals

    @rule(approval=approvals, quorum=st.sampled_from([1, 2, 2]), excluding=st.booleans(), lasts=hours)
    def ask(self, approval: str, quorum: int, excluding: bool, lasts: int) -> None:
        eligible = VOTERS[:2] if approval == "approval_1" else VOTERS
        asked = requested(
            ASKED,
            expires_at=NOON + timedelta(hours=self.now + lasts),
            quorum=quorum,
            eligible=eligible,
            requester_excluded=excluding,
        )
        if approval in self.models:
            self.give(approval, ALREADY, lambda state: state.ask(asked, NOON + timedelta(hours=self.now)))
            return
        verdict = self.model.ask(approval)
        self.give("run_1", verdict, lambda run: run.wait_for_approval(approval))
        if verdict == HAPPENS:
            excluded = "agent:support" if excluding else None
            self.models[approval] = ApprovalModel(quorum, set(eligible), excluded, self.now + lasts)
            self.states[approval], self.logs[approval] = Approval(approval), []
            self.give(approval, HAPPENS, lambda state: state.ask(asked, NOON + timedelta(hours=self.now)))

    def on_approval(self, approval: str, verdict: Verdict, command: Callable[[Any], Events]) -> None:
        """A command on an approval; when that ends it, its run hears of it."""
        self.give(approval, verdict, command)
        if self.models[approval].status != "open":
            self.model.resolved(approval)
            self.happened("run_1", self.run_1.approval_resolved(approval))

    @precondition(lambda self: self.models)
    @rule(data=st.data(), voter=voters, ballots=st.lists(st.tuples(verdicts, texts), min_size=1, max_size=2))
    def vote(self, data: st.DataObject, voter: str, ballots: list[tuple[Any, str]]) -> None:
        """Once or twice by the same person, who may change their mind."""
        approval = data.draw(st.sampled_from(sorted(self.models)))
        for verdict, text in ballots:
            edited = text if verdict == "approve" and text == EDITED else None
            expected = self.models[approval].vote(voter, verdict, edited or ASKED)
            self.on_approval(
                approval,
                expected,
                lambda state, verdict=verdict, edited=edited: state.vote(Actor.parse(voter), verdict, edited=edited),
            )

    @precondition(lambda self: self.models)
    @rule(data=st.data())
    def expire(self, data: st.DataObject) -> None:
        approval = data.draw(st.sampled_from(sorted(self.models)))
        now = NOON + timedelta(hours=self.now)
        self.on_approval(approval, self.models[approval].expire(self.now), lambda state: state.expire(now))

    @precondition(lambda self: self.models)
    @rule(data=st.data(), text=texts, key=executions)
    def consume(self, data: st.DataObject, text: str, key: str) -> None:
        approval = data.draw(st.sampled_from(sorted(self.models)))
        now, ended = NOON + timedelta(hours=self.now), self.model.status in ENDED
        expected = self.models[approval].consume(text, key, self.now, run_ended=ended)
        self.give(approval, expected, lambda state: state.consume(digest(text), key, now, self.model.status if ended else None))

    # What is always so

    @invariant()
    def the_states_are_what_the_model_says(self) -> None:
        assert (self.run_1.status, list(self.run_1.waiting_for)) == (self.model.status, self.model.approvals)
        assert {name: state.status for name, state in self.states.items() if name != "run_1"} == {
            name: model.status for name, model in self.models.items()
        }

    @invariant()
    def the_states_are_the_folds_of_their_events(self) -> None:
        for stream, events in self.logs.items():
            assert picture(self.states[stream]) == picture(evolved(type(self.states[stream])(stream), *events))


MANY = settings(STEADY, max_examples=3 * STEADY.max_examples, stateful_step_count=40, report_multiple_bugs=False)


@pytest.mark.row("LT-24")
@pytest.mark.fault("F14")
def test_the_rules_and_their_model_agree_on_any_commands() -> None:
    run_state_machine_as_test(AnyCommands, settings=MANY)


# Testing the test


class Bugged:
    """Methods with a bug in them."""

    honest_complete, honest_vote, honest_resume = Run.complete, Approval.vote, Run.resume

    @staticmethod
    def complete_while_it_waits(run: Run, **said: Any) -> Events:
        waits = run.status == "waiting"
        return [RunCompleted(stop_reason="end_turn", output=1)] if waits else Bugged.honest_complete(run, **said)

    @staticmethod
    def vote_again_while_open(approval: Approval, *args: Any, **said: Any) -> Events:
        kept, voices = approval.ballots, approval.voices
        if approval.status == "open":
            approval.ballots = {f"{voter} before": ballot for voter, ballot in kept.items()}
            approval.voices = {}
        try:
            return Bugged.honest_vote(approval, *args, **said)
        finally:
            approval.ballots, approval.voices = kept, voices

    @staticmethod
    def resume_and_change_the_state(run: Run) -> Events:
        run.version += run.status == "stuck"
        return Bugged.honest_resume(run)


@pytest.mark.parametrize(
    ("kind", "method", "bug", "noticed"),
    [
        (Run, "complete", Bugged.complete_while_it_waits, "RunCompleted.* but by the model it is refused"),
        (Approval, "vote", Bugged.vote_again_while_open, "ApprovalVoteCast.* but by the model it is"),
        (Run, "resume", Bugged.resume_and_change_the_state, "'version'"),
    ],
    ids=["complete allowed from waiting", "a vote counted twice", "a refusal that changes the state"],
)
def test_a_planted_bug_is_noticed(monkeypatch: pytest.MonkeyPatch, kind: type, method: str, bug: Any, noticed: str) -> None:
    monkeypatch.setattr(kind, method, bug)
    with pytest.raises(AssertionError, match=noticed):
        run_state_machine_as_test(
            AnyCommands, settings=settings(MANY, phases=[Phase.generate], max_examples=10 * MANY.max_examples)
        )
