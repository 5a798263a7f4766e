"""A head is reached by its name, here and over HTTP; a name by which it could not be is refused when it is given."""

import pytest

from runfold import Ledger
from runfold.errors import InvalidEvent

pytestmark = pytest.mark.shares


@pytest.mark.parametrize("name", ["run_2", "run_", "a/b", "/", "a/", ".", ".."])
def test_a_name_that_reaches_no_head_is_refused_when_it_is_given(ledger: Ledger, address: str, name: str) -> None:
    run = ledger.create_thread(agent_id="a").start_run()
    thread_id = run.view().thread_id
    with Ledger.connect(address, "rf_any") as remote:
        for anywhere in (ledger, remote):
            with pytest.raises(InvalidEvent, match=r"name: .*choose one"):
                anywhere.thread(thread_id).name_head(name, run)
        with pytest.raises(InvalidEvent, match=r"name: .*choose one"):
            ledger.thread(thread_id).put_head(name, run)
    assert ledger.thread(thread_id).tree().heads == {"main": run.id}


@pytest.mark.parametrize("name", ["é ☃", "a b", " main", "?x=1", "#1", "%2F", "%", "..x", "a;b&c", "a\nb", "runs", "move", "\\"])
def test_whatever_else_a_head_is_named_it_is_moved_and_gone_on_with_everywhere(ledger: Ledger, address: str, name: str) -> None:
    first = ledger.create_thread(agent_id="a").start_run()
    thread_id, second = first.view().thread_id, first.branch()
    ledger.thread(thread_id).name_head(name, first)
    with Ledger.connect(address, "rf_any") as remote:
        remote.thread(thread_id).move_head(name, second.id)
        assert remote.thread(thread_id).tree().heads[name] == second.id
        remote.thread(thread_id).put_head(name, first.id)
        gone_on = remote.thread(thread_id).start_run(parent=name)
    assert ledger.thread(thread_id).tree().heads[name] == gone_on.id
