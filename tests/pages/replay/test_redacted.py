"""What was redacted is on no page that tells of a conversation, whichever event is looked at, on any branch, as of any moment."""

import httpx2

from runfold import Ledger
from runfold.http.app import create_app
from tests.pages.browser import READ_MODELS, sign_in
from tests.serving import serving

MARK = "zwetschge"


def _told(ledger: Ledger) -> tuple[str, list[str], list[int]]:
    """A thread with two runs that knew of it, streamed, revised, and redacted after both ended; and where the events are."""
    thread = ledger.create_thread(agent_id="a")
    root = thread.start_run()
    whole = root.add_message("user", f"{MARK} whole", name=f"{MARK} name")
    streamed = root.add_message("assistant", f"{MARK} begins", streaming=True)
    streamed.append_text(f"{MARK} goes on")
    streamed.seal()
    branch = root.branch()
    branch.start()
    for run in (root, branch):
        for message in (whole, streamed):
            run.message(message.id).revise(f"{MARK} anew")
    for run in (root, branch):
        for message in (whole, streamed):
            run.message(message.id).redact(legal_basis="art17", fields=["content", "name"])
        run.complete()
    return thread.id, [root.id, branch.id], [each.position for each in ledger.events(thread_id=thread.id)]


def test_no_page_of_a_conversation_shows_it(ledger: Ledger) -> None:
    thread_id, runs, positions = _told(ledger)
    ledger.fold(*READ_MODELS)
    pages = [f"/ui/threads/{thread_id}?run={run_id}&item={item}" for run_id in runs for item in positions]
    pages += [f"/ui/threads/{thread_id}?run={runs[0]}&at={at}" for at in positions]
    pages += [f"/ui/threads/{thread_id}?run={runs[0]}&see={at}" for at in positions[2:]]
    pages += [f"/ui/diff?a={runs[0]}&b={runs[1]}", "/ui/threads"]
    with serving(create_app(ledger)) as address, httpx2.Client(base_url=address, timeout=60, follow_redirects=True) as client:
        client.get(f"/ui/login?token={sign_in(ledger)}")
        answers = {page: client.get(page) for page in pages}
        assert {page: found.status_code for page, found in answers.items() if found.status_code != 200} == {}
        assert [page for page, found in answers.items() if MARK in found.text] == []
        assert MARK in client.get(f"/ui/events/{positions[2]}").text, "the log is as it was"
