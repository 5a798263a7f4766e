"""Two handles are equal where they name the same thing, in the same tenant and open ledger; their hashes agree with that."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import product
from typing import Any

import pytest

from runfold import Ledger, Settings
from runfold.api.route import KINDS
from runfold.commands.caller import Caller
from runfold.domain.values import Actor
from runfold.handles.calling.executor import Executor
from runfold.handles.calling.handle import Child, Handle
from runfold.handles.calling.local import BatchExecutor
from runfold.handles.ledgers.ledger_handle import LedgerHandle
from runfold.remote.batch import RemoteBatchExecutor
from runfold.remote.client import Client
from runfold.remote.executor import RemoteExecutor

Named = tuple[tuple[object, ...], Handle]
"""All that a handle names, and the handle."""


@pytest.fixture
def executors(ledger: Ledger, settings: Settings) -> Iterator[Sequence[tuple[str, Executor]]]:
    """Executors of all kinds, and the tenant and open ledger that each leads to."""
    ada, bob = Actor.parse("human:ada"), Actor.parse("human:bob")
    with ExitStack() as opened:
        other = opened.enter_context(Ledger.open(settings=settings))
        clients = [Client("http://127.0.0.1:9", None, timeout=1, patience=1) for _ in range(2)]
        for client in clients:
            opened.callback(client.close)
        yield [
            ("own", ledger.executor),
            ("own", ledger.on_behalf(Caller(ledger.caller.tenant_id, ada)).executor),
            ("own", BatchExecutor(ledger.command_executor, ledger.caller)),
            ("acme", ledger.on_behalf(Caller("acme", ada)).executor),
            ("acme", ledger.on_behalf(Caller("acme", bob, key="k")).executor),
            ("other", other.executor),
            ("first remote", RemoteExecutor(clients[0])),
            ("first remote", RemoteBatchExecutor(RemoteExecutor(clients[0]))),
            ("second remote", RemoteExecutor(clients[1])),
        ]


def handles(kind: type[Handle], where: str, executor: Executor) -> Iterator[Named]:
    """Handles of one kind, of several ids, in several runs where the kind is of a run."""
    made: Any = kind
    if kind is LedgerHandle:
        yield (kind, where), made(executor)
    elif issubclass(kind, Child):
        for name, run_id in product(("one", "two"), ("run_1", "run_2")):
            yield (kind, where, run_id, name), made(name, executor, run_id)
    else:
        for name in ("one", "two"):
            yield (kind, where, name), made(name, executor)


def test_handles_are_equal_just_where_they_name_the_same_thing(executors: Sequence[tuple[str, Executor]]) -> None:
    every = [named for kind, (where, executor) in product(KINDS, executors) for named in handles(kind, where, executor)]
    wrong = [
        (mine, theirs)
        for (my_name, mine), (their_name, theirs) in product(every, every)
        if (mine == theirs) is not (my_name == their_name) or (mine == theirs and hash(mine) != hash(theirs))
    ]
    assert wrong == []
    assert len({handle for _, handle in every}) == len({name for name, _ in every}) < len(every)
    assert all(handle not in (name, handle.id) for name, handle in every)


def test_where_a_handle_came_from_makes_no_difference(ledger: Ledger) -> None:
    thread = ledger.create_thread(agent_id="support")
    run = thread.start_run()
    with ledger.batch() as batch:
        message = batch.run(run.id).add_message("user", "hello", message_id="m1")
    assert message == run.message("m1") != thread.start_run().message("m1")
    assert {run, ledger.run(run.id), batch.run(run.id)} == {run}
    assert repr(message) == "Message('m1')"
