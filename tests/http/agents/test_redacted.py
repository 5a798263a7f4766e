"""A client that connects to a run is not told what may no longer be shown."""

import json

import httpx2

from runfold import Ledger
from tests.http.agents.talking import asked, run, user


def test_what_was_redacted_after_the_end_is_told_to_nobody_who_connects(agents: httpx2.Client, ledger: Ledger) -> None:
    said = run(agents, "/agents/demo", asked("r1", user("u1", "where is order 7"), thread_id="t1"))
    words = "".join(event["delta"] for event in said if event["type"] == "TEXT_MESSAGE_CONTENT")
    connect = asked("r1", thread_id="t1")
    assert words
    assert words in json.dumps(run(agents, "/agents/demo/connect", connect))
    own = ledger.run(said[0]["metadata"]["runfold"]["stream"])
    for message in ledger.now.messages(run_id=own.id):
        if message.role == "assistant":
            own.message(message.id).redact(legal_basis="asked")
    assert words not in json.dumps(run(agents, "/agents/demo/connect", connect))
