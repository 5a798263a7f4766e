"""A ledger that was closed says so, whatever it is asked, wherever it is: and whoever follows it is woken."""

import contextlib
import inspect
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runfold import Ledger, LedgerUnavailable, RemoteLedger
from runfold.errors import LedgerClosed
from runfold.feed.asked import Asked
from tests.remote.asking import ASKED, ASKS_NOTHING, OF_LEDGER, QUESTIONED

SECONDS = 30.0

OF_DATABASE: dict[str, Callable[[Ledger], object]] = {
    "create_key": lambda ledger: ledger.create_key(owner="human:ada", scopes=["admin"], label="x"),
    "revoke_key": lambda ledger: ledger.revoke_key("key_a"),
    "keys": lambda ledger: ledger.keys(),
    "fold": lambda ledger: ledger.fold(),
    "fold_to_read": lambda ledger: ledger.fold_to_read(),
    "projections": lambda ledger: ledger.projections(),
    "retry": lambda ledger: ledger.retry("usage"),
    "rebuild": lambda ledger: ledger.rebuild("usage"),
    "roll_back": lambda ledger: ledger.roll_back("usage"),
    "drop_projection": lambda ledger: ledger.drop_projection("mine"),
    "make_schema": lambda ledger: ledger.make_schema("mine", "usage"),
    "schemas": lambda ledger: ledger.schemas(),
    "drop_schema": lambda ledger: ledger.drop_schema("mine"),
    "preparer": lambda ledger: ledger.preparer(),
    "reactors": lambda ledger: ledger.reactors(),
    "find": lambda ledger: ledger.find(Asked.of(0, run_id="run_a")),
    "head": lambda ledger: ledger.head(),
    "lineage": lambda ledger: ledger.lineage(),
    "moments_of": lambda ledger: ledger.moments_of("default").all(),
    "on_behalf": lambda ledger: ledger.on_behalf(ledger.caller).events(),
}
ASKS_FOR_NOTHING = {"open", "recorded_under_key"}
NOT_HERE = {"make_bundle", "prove_absence"}
"""What `Ledger` has no method for."""


@pytest.fixture(scope="module")
def closed(shared_address: str, shared_url: str) -> dict[str, Ledger | RemoteLedger]:
    """Two that were open."""
    ledgers = {"here": Ledger.open(shared_url), "over HTTP": Ledger.connect(shared_address)}
    for ledger in ledgers.values():
        ledger.position()
        ledger.close()
    return ledgers


@pytest.mark.shares
@pytest.mark.parametrize("asked", [*ASKED, *QUESTIONED])
def test_whatever_a_closed_ledger_is_asked_it_says_that_it_is_closed(
    closed: dict[str, Ledger | RemoteLedger], asked: str, tmp_path: Path
) -> None:
    for where, ledger in closed.items():
        if (where, asked) not in {("here", name) for name in NOT_HERE}:
            with pytest.raises(LedgerClosed, match=r"^the ledger is closed; open it again$"):
                {**ASKED, **QUESTIONED}[asked](ledger, tmp_path)


@pytest.mark.shares
@pytest.mark.parametrize("asked", OF_DATABASE)
def test_nor_is_its_database_connected_to_again(closed: dict[str, Any], asked: str) -> None:
    with pytest.raises(LedgerClosed, match=r"^the ledger is closed; open it again$"):
        OF_DATABASE[asked](closed["here"])


def test_every_method_that_asks_is_tried_here() -> None:
    public = {name for name, _ in inspect.getmembers(Ledger) if not name.startswith(("_", "submit_"))}
    assert public == (OF_LEDGER.keys() - NOT_HERE) | ASKS_NOTHING | OF_DATABASE.keys() | ASKS_FOR_NOTHING


@pytest.mark.parametrize("where", ["here", "over HTTP"])
def test_whoever_follows_a_ledger_that_is_closed_is_woken_and_told(
    ledger: Ledger, address: str, database: Any, where: str
) -> None:
    run = ledger.create_thread(agent_id="support").start_run()
    followed = Ledger.open(database.url) if where == "here" else Ledger.connect(address)
    begun, told = threading.Barrier(4, timeout=SECONDS), list[Exception]()
    followed.subscription("billing").put(after="now")

    def follow(following: Callable[[], Iterator[object]]) -> None:
        found = following()
        try:
            next(found)
            begun.wait()
            for _ in found:
                pass
        except LedgerUnavailable as error:
            told.append(error)

    ways: list[Callable[[], Iterator[object]]] = [
        lambda: iter(followed.subscribe()),
        lambda: iter(followed.subscribe(run_id=run.id)),
        lambda: iter(followed.subscribe(patience=1)),
    ]
    assert len(ways) == begun.parties - 1
    threads = [threading.Thread(target=follow, args=(way,), daemon=True) for way in ways]
    for thread in threads:
        thread.start()
    begun.wait()
    followed.close()
    for thread in threads:
        thread.join(SECONDS)
    assert [type(error) for error in told] == [LedgerClosed] * 3


def test_an_error_of_a_block_after_which_the_ledger_is_closed_is_the_first(ledger: Ledger) -> None:
    with contextlib.suppress(ZeroDivisionError), ledger.batch() as batch:
        batch.create_thread(agent_id="support")
        ledger.close()
        raise ZeroDivisionError
    with pytest.raises(LedgerClosed), ledger.batch() as batch:
        batch.create_thread(agent_id="support")
