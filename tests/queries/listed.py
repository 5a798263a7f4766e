"""A ledger full of runs to list: real ones, and made-up ones in every state, many of them at the same moment."""

import contextlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from runfold import CommandRefused, Ledger, Run
from runfold.handles.ledgers.batch import Batch
from runfold.handles.tool_call import ToolCall
from runfold.importers.importing import import_paths
from runfold.projections.fold import fold_all
from runfold.projections.projection import Projection, R, Row
from runfold.queries.page import Page
from tests.databases import fresh_database

REAL = {"ag-ui-streams": "ag-ui", "tau-bench-airline": "tau-bench", "claude-code": "claude-code"}
MODELS = ("run_summaries", "approval_queue", "decision_log", "problems", "tool_calls")
DAWN = datetime(2026, 3, 1, 6, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
TOOLS, NODES, VOTERS = ("search", "refund", "mail"), ("plan", "act", "check"), ("human:ada", "human:bob")


@dataclass
class Listed:
    """The ledger, folded, and the same rows folded in memory. Only to be read."""

    ledger: Ledger
    _rows: dict[str, list[Any]] = field(default_factory=dict)

    def rows(self, projection: Projection[R]) -> list[R]:
        """What the read model must hold for this tenant."""
        if projection.name not in self._rows:
            folded = fold_all(projection, self.ledger.recorder.reader.events())
            self._rows[projection.name] = [standing.row for (tenant, *_), standing in folded.items() if tenant == "default"]
        return self._rows[projection.name]

    def all(self, name: str, limit: int, /, **asked: Any) -> list[Any]:
        """A whole list, by name of the method, page by page."""
        found: list[Any] = []
        cursor = None
        while True:
            page: Page[Any] = getattr(self.ledger.now, name)(**asked, limit=limit, cursor=cursor)
            assert len(page.items) == limit or page.next_cursor is None
            found += map(_row_of, page.items)
            if (cursor := page.next_cursor) is None:
                return found


def _row_of(item: Any) -> Any:
    """The row of the read model that an item of a list is, without what was read from the log."""
    kind = next((kind for kind in type(item).__mro__ if Row in kind.__bases__), None)
    return item if kind in {None, type(item)} else kind(**{name: getattr(item, name) for name in kind.model_fields})


@pytest.fixture(scope="session")
def listed(admin_url: str, template: str, trajectories: Path) -> Iterator[Listed]:
    """The ledger to list from."""
    with fresh_database(admin_url, template, "listed") as made, Ledger.open(settings=made.settings) as ledger:
        for folder, kind in REAL.items():
            import_paths(ledger, kind, [trajectories / folder])
        tell(ledger, seed=1, threads=14)
        with Ledger.open(settings=made.settings.model_copy(update={"tenant": "other"})) as other:
            tell(other, seed=2, threads=2)
        ledger.fold(*MODELS)
        yield Listed(ledger)


def tell(ledger: Ledger, seed: int, threads: int) -> None:
    """Record runs in every state. Only a few moments, so that many of them are created, end or take as long alike."""
    chance = random.Random(seed)  # noqa: S311  runs, not secrets
    for _ in range(threads):
        with ledger.batch() as batch:
            _tell_thread(batch, chance)


def _tell_thread(batch: Batch, chance: random.Random) -> None:
    thread = batch.create_thread(agent_id=chance.choice(["support", "sales"]), user_id=chance.choice(["mira", "teo"]))
    ended: list[str] = []
    for _ in range(chance.randrange(3, 12)):
        began = DAWN + MINUTE * chance.randrange(5)
        parent = chance.choice([None, *ended])
        asked: dict[str, Any] = {"kind": chance.choice(["continues", "branches", "retries"])} if parent else {}
        goal = chance.choice([None, {"id": "g1"}, {"id": "g2"}])
        run = batch.thread(thread.id).create_run(
            agent_id=chance.choice(["support", "sales", "ops"]),
            parent=parent,
            goal=goal,
            background=chance.random() < 0.3,
            occurred_at=began,
            **asked,
        )
        if chance.random() < 0.9 and _tell_run(run, chance, began):
            ended.append(run.id)


def _tell_run(run: Run, chance: random.Random, began: datetime) -> bool:
    """Whether it ended."""
    run.start(occurred_at=began)
    if chance.random() < 0.3:
        run.link(chance.choice(["flow-1", "flow-2"]))
    for number in range(chance.randrange(4)):
        run.start_step(f"step {number}", node_id=chance.choice([*NODES, None]))
        call = run.call_tool(chance.choice(TOOLS), {"number": number}, occurred_at=began)
        if chance.random() < 0.8:
            _end_call(call, chance.choice(["succeed", "cancel", "fail"]), began + MINUTE * chance.randrange(3))
    _decide(run, chance)
    _ask(run, chance)
    return _end(run, chance, began + MINUTE * chance.choice([-1, 0, 1, 1, 2, 3]))


def _end_call(call: ToolCall, how: str, at: datetime) -> None:
    if how == "fail":
        call.fail("no", occurred_at=at)
    else:
        (call.succeed if how == "succeed" else call.cancel)(occurred_at=at)


def _decide(run: Run, chance: random.Random) -> None:
    for number in range(chance.randrange(4)):
        options = [{"id": "one", "description": f"first of {number}"}, {"id": "other", "description": f"second of {number}"}]
        decision = run.decide(
            f"intent {number}", options=options, chosen=chance.choice(["one", "other"]), node_id=chance.choice(NODES)
        )
        if chance.random() < 0.7:
            decision.outcome(success=chance.random() < 0.6, summary=chance.choice(["", f"did {number}"]))
        if chance.random() < 0.3:
            decision.evaluate(outcome_quality=chance.choice([0.5, 0.8, 0.9]))
    for number in range(chance.choice([0, 0, 1, 3])):
        problem = run.report_problem(chance.choice(["critical", "warning", "minor"]), f"wrong {number}")
        if chance.random() < 0.4:
            problem.resolve("mended")


def _ask(run: Run, chance: random.Random) -> None:
    """Ask for approvals; each is decided, or left open, in which case the run stays as it is."""
    for number in range(chance.choice([0, 0, 1, 2])):
        expires_at = chance.choice([None, DAWN, DAWN + MINUTE, DAWN + timedelta(days=36500)])
        name = chance.choice(TOOLS)
        call = chance.choice([None, run.call_tool(name, {"number": number}, needs_approval=True, occurred_at=DAWN)])
        approval = run.request_approval(
            name,
            arguments={"number": number},
            call_id=call and call.id,
            expires_at=expires_at,
            actor=chance.choice(["agent:a", "agent:b"]),
            occurred_at=DAWN + MINUTE * number,
            times_judged_by="producer",
        )
        if expires_at in {DAWN, DAWN + MINUTE}:
            if chance.random() < 0.7:
                approval.expire()
        elif (verdict := chance.choice(["grant", "edit", "deny", "none"])) != "none":
            voter = chance.choice(VOTERS)
            if verdict == "deny":
                approval.deny("no", actor=voter)
            else:
                approval.grant(arguments={"number": -1} if verdict == "edit" else None, actor=voter)


def _end(run: Run, chance: random.Random, at: datetime) -> bool:
    """End it, or leave it in one of the states between; whether it ended."""
    ends: list[Callable[[], object]] = [
        lambda: run.complete(occurred_at=at),
        lambda: run.complete(stop_reason="max_steps", narrative="as far as it got", occurred_at=at),
        lambda: run.fail("no more", occurred_at=at),
        lambda: run.fail("overrun", stop_reason="budget_exceeded", occurred_at=at),
        lambda: run.cancel("no longer wanted", occurred_at=at),
    ]
    others: list[Callable[[], object]] = [
        lambda: run.mark_stuck(occurred_at=at),
        lambda: run.wait("input", occurred_at=at),
        lambda: None,
    ]
    move = chance.choice([*ends, *others])
    with contextlib.suppress(CommandRefused):  # a run that waits for an approval cannot simply complete
        move()
        return move in ends
    return False
