"""Who asks for what is not folded yet is told whether a worker is at it, and what to do where none is."""

import httpx2
import pytest

from runfold import Ledger
from runfold.errors import ReadModelBehind
from runfold.projector import checkpoints
from tests.databases import TestDatabase

BY_NOBODY, BY_A_WORKER = "nobody folds it yet: run `runfold work`, or give the command again with --fold", "a worker is at it"


def say_that_a_worker_folds(ledger: Ledger, *names: str, ago: str = "0 s") -> None:
    """As a worker does that has not come far yet."""
    with ledger.folding.connected() as connection:
        checkpoints.beat(connection, "worker_far", "elsewhere", 1, [f"{name}/1/abc" for name in names])
        connection.execute("UPDATE runfold.workers SET beaten_at = beaten_at - %s::interval", [ago])


@pytest.mark.parametrize("is_built", [False, True])
@pytest.mark.parametrize("folding", ["nobody", "a worker", "a worker of others", "a worker that is gone"])
def test_it_is_told_whether_anybody_folds_what_is_asked_for(
    ledger: Ledger, address: str, database: TestDatabase, capsys: pytest.CaptureFixture[str], folding: str, is_built: bool
) -> None:
    ledger.create_thread(agent_id="support")
    if is_built:
        ledger.fold("threads")
        ledger.create_thread(agent_id="support")
    asked = {"min_position": ledger.position(), "wait_seconds": 0}
    match folding:
        case "a worker":
            say_that_a_worker_folds(ledger, "usage", "threads")
        case "a worker of others":
            say_that_a_worker_folds(ledger, "usage", "thread_tree")
        case "a worker that is gone":
            say_that_a_worker_folds(ledger, "threads", ago="2 min")
    told = BY_A_WORKER if folding == "a worker" else BY_NOBODY
    with Ledger.connect(address) as remote:
        for each in (ledger, remote):
            with pytest.raises(ReadModelBehind) as raised:
                each.now.threads(**asked)
            assert (told in str(raised.value), raised.value.is_folded) == (True, folding == "a worker")
    answer = httpx2.get(f"{address}/threads", params=asked)
    assert (answer.status_code, answer.json()["is_folded"], told in answer.json()["detail"]) == (503, folding == "a worker", True)
