"""Two tenants use the same ids in one process: each can do, and sees, what it could and would alone."""

import itertools
import random
from collections.abc import Callable
from typing import Any

import pytest

from runfold import Ledger, RunNotFound, ThreadNotFound
from runfold.commands.caller import Caller
from runfold.domain.recorded import Recorded
from runfold.domain.values import Actor
from runfold.handles.ledgers.tenant_ledger import TenantLedger
from tests.databases import TestDatabase
from tests.projections.histories import DAWN, History

ADA = Actor.parse("human:ada")


class Numbering(Caller):
    """Somebody whose things are called run_1, run_2, …: as in every other tenant."""

    numbers: "itertools.count[int]"

    def new_id(self, prefix: str, number: int) -> str:
        return f"{prefix}_{next(self.numbers)}"


def desk_of(ledger: Ledger, tenant: str) -> TenantLedger:
    caller = Numbering(tenant, ADA)
    caller.numbers = itertools.count(1)
    ledger.command_executor.clock = lambda: DAWN
    return ledger.on_behalf(caller)


def go_on(history: History, desk: TenantLedger, moves: int) -> None:
    """So many tries at a move: in one transaction, or each by itself."""
    if history.dice.random() < 0.4:
        history.go_on(desk, moves)  # type: ignore[arg-type]  # all it asks of it is a batch
        return
    batch = desk.batch
    desk.batch = lambda: _each_by_itself(desk)  # type: ignore[method-assign,assignment]
    try:
        history.go_on(desk, moves)  # type: ignore[arg-type]
    finally:
        desk.batch = batch  # type: ignore[method-assign]


class _each_by_itself:  # noqa: N801  read as a call
    def __init__(self, desk: TenantLedger) -> None:
        self.desk = desk

    def __enter__(self) -> TenantLedger:
        return self.desk

    def __exit__(self, *_: object) -> None: ...


def said(recorded: Recorded) -> dict[str, Any]:
    """What an event says, but for where and when in the ledger."""
    whole = recorded.as_json()
    return {name: whole[name] for name in ("stream", "version", "type", "thread_id", "context", "metadata", "data")}


def seen(desk: TenantLedger, history: History) -> list[Any]:
    """What a tenant sees of its things, but for where and when in the ledger."""
    now, found = desk.now, []
    for thread_id in history.threads:
        tree = now.tree(thread_id)
        found += [sorted(tree.heads.items()), sorted(tree.nodes), now.thread(thread_id).title]
        found += [message.text for message in now.messages(thread_id)]
        found += [event.stream for event in now.thread_events(thread_id)]
    for run_id in history.runs:
        run = now.run(run_id)
        found += [
            run.status,
            run.version,
            run.thread_id,
            now.state(run_id),
            [call.name for call in now.tool_calls(run_id=run_id).items],
        ]
        found += [message.text for message in now.messages(run_id=run_id)]
    found += [(approval_id, now.approval(approval_id).status) for approval_id in history.approvals]
    return found


@pytest.mark.fault("I8", "H-3")
@pytest.mark.parametrize("seed", range(3))
def test_what_a_tenant_can_do_and_sees_is_what_it_would_alone(
    ledger: Ledger, new_database: Callable[[], TestDatabase], seed: int
) -> None:
    with Ledger.open(settings=new_database().settings) as lone:
        alone, here, there = desk_of(lone, "acme"), desk_of(ledger, "acme"), desk_of(ledger, "globex")
        histories = [History(random.Random(number)) for number in (seed, seed, seed + 100)]  # noqa: S311
        for _ in range(12):
            for history, desk in zip(histories, (alone, here, there), strict=True):
                go_on(history, desk, 12)
        mine, also_mine, theirs = histories
        assert [said(event) for event in here.subscribe(follow=False)] == [said(event) for event in alone.subscribe(follow=False)]
        assert seen(here, also_mine) == seen(alone, mine)
    assert set(mine.runs) & set(theirs.runs), "they have the same ids"
    assert len(mine.runs) > 5


def test_a_tenants_command_watches_its_own_streams(ledger: Ledger) -> None:
    mine, theirs = (ledger.on_behalf(Caller(tenant, ADA)) for tenant in ("acme", "globex"))
    for desk in (mine, theirs):
        desk.create_thread(thread_id="thread_1", agent_id="support").start_run(run_id="run_1")
    theirs.thread("thread_1").archive()
    theirs.run("run_1").complete()
    assert mine.thread("thread_1").start_run(run_id="run_2", parent=None).view().status == "running"
    with pytest.raises(RunNotFound):
        theirs.run("run_2").view()
    mine.run("run_1").add_message("user", "still going on")
    assert [message.text for message in mine.run("run_1").messages()] == ["still going on"]
    assert theirs.run("run_1").messages() == []


def test_a_thing_that_only_another_tenant_has_is_not_there_and_its_id_is_free(ledger: Ledger) -> None:
    mine, theirs = (ledger.on_behalf(Caller(tenant, ADA)) for tenant in ("acme", "globex"))
    mine.create_thread(thread_id="thread_1", agent_id="support", title="mine").start_run(run_id="run_1")
    with pytest.raises(ThreadNotFound):
        theirs.thread("thread_1").start_run()
    own = theirs.create_thread(thread_id="thread_1", agent_id="sales", title="theirs")
    run = own.start_run(run_id="run_1")
    run.request_approval("send", approval_id="approval_1")
    mine.run("run_1").request_approval("send", approval_id="approval_1").deny(actor="human:bob")
    assert (mine.now.approval("approval_1").status, theirs.now.approval("approval_1").status) == ("denied", "open")
    assert [desk.now.thread("thread_1").title for desk in (mine, theirs)] == ["mine", "theirs"]
    assert [desk.now.run("run_1").agent_id for desk in (mine, theirs)] == ["support", "sales"]


def test_the_next_of_a_tenants_commands_waits_for_none_of_anothers_on_a_stream_of_that_name(ledger: Ledger) -> None:
    mine, theirs = (ledger.on_behalf(Caller(tenant, ADA)) for tenant in ("acme", "globex"))
    handed_over = ledger.command_executor.backlog.waiting
    handed_over["acme", "thread_1"] += 1  # as while the worker is at a command of theirs
    submitted = theirs.submit_create_thread(thread_id="thread_1", agent_id="support")
    assert list(handed_over) == [("acme", "thread_1")] or submitted.result(60)
    del handed_over["acme", "thread_1"]
    assert submitted.result(60).id == "thread_1"
    assert mine.create_thread(thread_id="thread_1").receipt is not None
