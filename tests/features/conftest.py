"""Every story here uses the public names alone, on a ledger of its own."""

import pytest

from runfold import Ledger, Run, Thread


@pytest.fixture
def thread(ledger: Ledger) -> Thread:
    return ledger.create_thread(agent_id="support", user_id="u_1", title="Orders")


@pytest.fixture
def run(thread: Thread) -> Run:
    return thread.start_run({"ticket": 42})
