"""Histories that nobody would think of: any commands in any order, through the handles that everybody uses.

What the rules refuse is left out; what they allow stands in the log as it would in earnest. Chance comes in as `dice`: a
seeded `random.Random`, or one of Hypothesis's, which it can make small.
"""

import contextlib
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from runfold import Ledger, LedgerError, Run
from runfold.handles.ledgers.batch import Batch

DAWN = datetime(2026, 3, 1, 22, tzinfo=UTC)
AGENTS, USERS, TOOLS, NODES = ("support", "sales"), ("mira", "teo", None), ("search", "refund"), ("plan", "act", None)
GOALS = (None, {"id": "g1", "description": "a refund"}, {"id": "g2", "description": "an answer", "constraints": [{"id": "c1"}]})
MODELS = (("openai", "gpt-4o"), ("anthropic", "claude-sonnet-4-5"), ("nobody", "unheard-of"), (None, None))
VOTERS = ("human:ada", "human:bob")
ENDS = ("complete", "complete", "fail", "cancel")

Move = Callable[["History"], Any]


class History:
    """Something happens, and then something else."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.now = DAWN
        self.threads: list[str] = []
        self.runs: list[str] = []
        self.thread_of: dict[str, str] = {}
        self.things: dict[str, list[tuple[str, str]]] = {}
        self.approvals: list[str] = []
        self._batch: Batch | None = None

    def go_on(self, ledger: Ledger, moves: int) -> None:
        """So many tries at a move, in one transaction."""
        with ledger.batch() as batch:
            self._batch = batch
            if not self.runs:
                begin_thread(self)
            for _ in range(moves):
                self.now += timedelta(minutes=self.dice.choice([0, 1, 7, -3]))
                with contextlib.suppress(LedgerError, KeyError):  # refused; or there is nothing yet to do it to
                    self.dice.choice(MOVES)(self)
        self._batch = None

    @property
    def batch(self) -> Batch:
        """Where commands go."""
        assert self._batch is not None
        return self._batch

    @property
    def when(self) -> dict[str, Any]:
        """The producer's clock, which not everybody tells."""
        return {"occurred_at": self.now} if self.dice.random() < 0.7 else {}

    def run(self) -> Run:
        """A run, rather one of the last."""
        return self.batch.run(self.dice.choice(self.runs[-4:] if self.dice.random() < 0.7 else self.runs))

    def began(self, run: Run, thread_id: str) -> None:
        """There is a run more."""
        self.runs.append(run.id)
        self.thread_of[run.id] = thread_id

    def keep(self, kind: str, run: Run, made: Any) -> None:
        """Something that was made may be spoken of later."""
        self.things.setdefault(kind, []).append((run.id, made.id))

    def thing(self, kind: str) -> Any:
        """Something made before: of a run, or spoken of in a later run of its path."""
        run_id, made_id = self.dice.choice(self.things[kind])
        if self.dice.random() < 0.15:
            run_id = self.dice.choice(self.runs)
        return getattr(self.batch.run(run_id), kind)(made_id)


def begin_thread(history: History) -> None:
    """A thread with its first run, so that there is always one to go on with."""
    dice = history.dice
    if len(history.threads) == 3:
        return
    thread = history.batch.create_thread(
        agent_id=dice.choice(AGENTS), user_id=dice.choice(USERS), title=dice.choice([None, "Refund"]), **history.when
    )
    history.threads.append(thread.id)
    history.began(thread.start_run("hello", goal=dice.choice(GOALS), **history.when), thread.id)


def start_run(history: History) -> None:
    dice = history.dice
    kind = dice.choice(["continues", "continues", "branches", "resumes", "retries", "spawned_by"])
    asked: dict[str, Any] = {"parent": history.run().id, "kind": kind, "auto_deny": dice.random() < 0.5}
    if dice.random() < 0.2:
        asked["at_version"] = dice.randrange(1, 6)
    thread = history.batch.thread(history.thread_of[asked["parent"]])
    begin = thread.start_run if dice.random() < 0.8 else thread.create_run
    history.began(begin(goal=dice.choice(GOALS), background=dice.random() < 0.2, **asked, **history.when), thread.id)


def change_thread(history: History) -> None:
    dice, run_id = history.dice, history.run().id
    thread = history.batch.thread(history.thread_of[run_id])
    match dice.choice(["rename", "archive", "restore", "restore", "name_head", "move_head"]):
        case "rename":
            thread.rename(dice.choice(["Refund", "Order"]), **history.when)
        case "archive":
            thread.archive(**history.when)
        case "restore":
            thread.restore(**history.when)
        case "name_head":
            thread.name_head(dice.choice(["main", "other"]), run_id)
        case _:
            thread.move_head(dice.choice(["main", "other"]), run_id, reason=dice.choice(["checked_out", "rewound"]))


def say(history: History) -> None:
    run, role = history.run(), history.dice.choice(["user", "assistant", "system"])
    streaming = history.dice.random() < 0.4
    auto_deny = history.dice.random() < 0.5
    history.keep("message", run, run.add_message(role, "words", streaming=streaming, auto_deny=auto_deny, **history.when))


def change_message(history: History) -> None:
    message = history.thing("message")
    match history.dice.choice(["revise", "revise", "append", "seal", "redact"]):
        case "revise":
            message.revise("other words", **history.when)
        case "append":
            message.append_text(" and more")
        case "seal":
            message.seal(finish_reason="stop")
        case _:
            message.redact(legal_basis="asked", fields=history.dice.choice([("content",), ("name", "author")]))


def call_tool(history: History) -> None:
    run = history.run()
    call = run.call_tool(history.dice.choice(TOOLS), {"order": 7}, needs_approval=history.dice.random() < 0.3, **history.when)
    history.keep("tool_call", run, call)
    if len(history.things["tool_call"]) % 4 == 0:  # the model begins to write another, and comes to no end
        run.tool_call(f"{call.id}_written").append_arguments('{"order":', name=TOOLS[0], **history.when)


def go_on_with_call(history: History) -> None:
    call = history.thing("tool_call")
    match history.dice.choice(["start", "start", "succeed", "succeed", "fail", "cancel"]):
        case "start":
            call.start(approval=history.dice.choice([None, None, *history.approvals[-2:]]), **history.when)
        case "succeed":
            call.succeed({"status": "sent"}, **history.when)
        case "fail":
            call.fail("no", **history.when)
        case _:
            call.cancel(**history.when)


def ask_approval(history: History) -> None:
    dice, run = history.dice, history.run()
    calls = [made for run_id, made in history.things.get("tool_call", []) if run_id == run.id]
    expires_at, when = dice.choice([None, DAWN, DAWN + timedelta(days=36500)]), history.when
    if expires_at == DAWN:  # nobody is asked now what was too late long ago
        when |= {"occurred_at": history.now, "times_judged_by": "producer"}
    approval = run.request_approval(
        dice.choice(TOOLS),
        arguments={"order": 7},
        call_id=dice.choice([None, *calls[-2:]]),
        quorum=dice.choice([1, 1, 2]),
        expires_at=expires_at,
        reason=dice.choice([None, "confirmation"]),
        **when,
    )
    history.approvals.append(approval.id)


def decide_approval(history: History) -> None:
    dice = history.dice
    if not history.approvals:
        return
    approval = history.batch.approval(dice.choice(history.approvals[-4:]))
    said: dict[str, Any] = {"actor": dice.choice(VOTERS), **history.when}
    match dice.choice(["grant", "grant", "edit", "deny", "expire", "consume"]):
        case "grant":
            approval.grant(**said)
        case "edit":
            approval.grant(arguments={"order": 8}, **said)
        case "deny":
            approval.deny("not now", **said)
        case "expire":
            approval.expire()
        case _:
            approval.consume({"order": 7}, execution_key="exec_1")


def decide(history: History) -> None:
    dice, run = history.dice, history.run()
    options = [{"id": "one", "description": "first"}, {"id": "other", "description": "second"}]
    made = run.decide(
        dice.choice(["what to do", "whom to ask"]),
        options=options,
        chosen=dice.choice(["one", "other"]),
        node_id=dice.choice(NODES),
        **history.when,
    )
    history.keep("decision", run, made)


def judge(history: History) -> None:
    dice, decision = history.dice, history.thing("decision")
    said: dict[str, Any] = {
        "success": dice.random() < 0.6,
        "tokens_used": dice.choice([None, 0, 12]),
        "latency_ms": dice.choice([None, 340]),
        "error": dice.choice([None, "it broke"]),
        **history.when,
    }
    match dice.choice(["outcome", "outcome", "correct", "evaluate"]):
        case "outcome":
            decision.outcome(**said)
        case "correct":
            decision.correct_outcome(**said)
        case _:
            decision.evaluate(outcome_quality=dice.choice([0.1, 0.9]), goal_aligned=dice.random() < 0.5)


def find_fault(history: History) -> None:
    dice, run = history.dice, history.run()
    match dice.choice(["report", "report", "resolve", "violate"]):
        case "report":
            severity = dice.choice(["critical", "warning", "minor"])
            history.keep("problem", run, run.report_problem(severity, "wrong", **history.when))
        case "resolve":
            history.thing("problem").resolve("mended", **history.when)
        case _:
            run.violate_constraint("c1", dice.choice(["hard", "soft"]), "broken", **history.when)


def use(history: History) -> None:
    dice, run = history.dice, history.run()
    provider, model = dice.choice(MODELS)
    tokens = {"input_tokens": dice.choice([None, 0, 1200]), "output_tokens": dice.choice([None, 80])}
    match dice.choice(["use", "use", "correct", "cost"]):
        case "use":
            history.keep("recorded_usage", run, run.usage(provider=provider, model=model, **tokens, **history.when))
        case "correct":
            history.thing("recorded_usage").correct(reason="counted again", **tokens, **history.when)
        case _:
            usages = [made for _, made in history.things.get("recorded_usage", [])]
            run.report_cost(
                dice.choice(["0.012", "3"]),
                dice.choice(["USD", "EUR"]),
                source=dice.choice(["provider", "local"]),
                usage_id=dice.choice([None, *usages[-3:], "usage_not_recorded"]),
                **history.when,
            )


def step(history: History) -> None:
    dice, run = history.dice, history.run()
    match dice.choice(["step", "model call", "node", "edge", "state", "link", "output", "timing"]):
        case "step":
            started = run.start_step("a step", node_id=dice.choice(NODES), **history.when)
            started.finish(error=dice.choice([None, "no"]), **history.when)
        case "model call":
            run.start_model_call(provider="openai", request_model="gpt-4o").finish(error=dice.choice([None, "no"]))
        case "node":
            run.enter_node("act", **history.when)
        case "edge":
            run.traverse_edge("plan", "act")
        case "state":
            run.set_state({"n": dice.randrange(3)})
        case "link":
            run.link(dice.choice(["flow-1", "flow-2"]))
        case "output":
            run.record_output({"n": dice.randrange(3)})
        case _:
            run.compact_context("auto", tokens_before=9, occurred_at=history.now)
            run.record_timing(ttft_ns=5, total_duration_ns=dice.choice([None, 10**9]))


def live(history: History) -> None:
    dice, run = history.dice, history.run()
    match dice.choice(["start", "again", "wait", "resume", "stuck", "claim", "wish", *ENDS]):
        case "start":
            run.start(**history.when)
        case "again":
            run.start(attempt=2, **history.when)
        case "wait":
            run.wait(dice.choice(["input", "external"]), **history.when)
        case "resume":
            run.resume(**history.when)
        case "stuck":
            run.mark_stuck(dice.choice(["idle", "identical_tool_calls"]), **history.when)
        case "claim":
            run.release(run.claim("worker-1"))
        case "wish":
            run.request_cancellation()
        case "complete":
            run.complete(dice.choice([None, {"n": 1}]), narrative=dice.choice([None, "so it went"]), **history.when)
        case "fail":
            run.fail("no more", stop_reason=dice.choice(["error", "budget_exceeded"]), **history.when)
        case _:
            run.cancel(**history.when)


MOVES: list[Move] = [
    begin_thread,
    start_run,
    start_run,
    change_thread,
    say,
    say,
    change_message,
    call_tool,
    call_tool,
    go_on_with_call,
    go_on_with_call,
    ask_approval,
    ask_approval,
    decide_approval,
    decide_approval,
    decide,
    judge,
    judge,
    find_fault,
    use,
    use,
    step,
    live,
    live,
]
