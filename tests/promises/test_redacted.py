"""What was redacted is told by no question: not on another branch, and not as of a moment of before. The log alone keeps it."""

from collections.abc import Iterator

from runfold import Ledger, Run, Thread
from runfold.api.table import QUESTIONS
from runfold.errors import LedgerError
from runfold.queries.reading import Reading
from runfold.terminal.conversation import Conversation
from tests.questions import REQUIRED

MARK = "zwetschge"
OF_RUNS = {"run_id", "run_a"}


def _worded(run: Run) -> list[tuple[str, dict[str, object]]]:
    """Messages worded in all ways, each with how all of it is redacted where the mark stands."""
    whole = {"name": f"{MARK} n", "author": f"{MARK} a", "encrypted_value": f"{MARK} e"}
    fields = ("content", "name", "author", "encrypted_value")
    said, revised, first = (run.add_message("user", f"{MARK} whole", **whole) for _ in range(3))  # type: ignore[arg-type]  # its fields
    for message in (revised, first):
        message.revise("nothing", reason="it is better")
    streamed = run.add_message("assistant", f"{MARK} begins", streaming=True, name=f"{MARK} n", author=f"{MARK} a")
    streamed.append_text(f" {MARK} goes on")
    streamed.seal()
    second = run.add_message("user", "nothing")
    second.revise(f"{MARK} anew")
    return [
        (said.id, {"fields": fields}),
        (revised.id, {"fields": fields}),
        (first.id, {"fields": fields, "revision": 1}),
        (streamed.id, {"fields": ("content", "name", "author")}),
        (second.id, {"fields": ("content",), "revision": 2}),
    ]


def _answers(reading: Reading, thread: Thread, runs: list[Run]) -> Iterator[tuple[str, object]]:
    """What is answered about a thread, and along each of its runs."""
    for route in QUESTIONS:
        if not ({"thread_id", "run_id"} & {*route.path_names} and route.log) and route.name not in {"search.list", "runs.diff"}:
            continue
        for run in runs if OF_RUNS & {*route.path_names} else runs[:1]:
            ids = {"thread_id": thread.id, "run_id": run.id, "run_a": runs[0].id, "run_b": run.id}
            given = {name: ids[name] for name in route.path_names} | REQUIRED.get(route.name, {})
            if route.name == "search.list":
                given = {"words": MARK, "thread_id": thread.id}
            try:
                yield route.name, route.method(reading, **given)
            except LedgerError as error:  # there is none of it
                yield route.name, error
    for run in runs:
        yield "items along a run", reading.items(thread.id, run.id)
        yield "terminal", Conversation.of(thread.id, reading.history(run.id), 0, full=True).lines()


def _told(reading: Reading, thread: Thread, runs: list[Run]) -> list[str]:
    return sorted({name for name, answer in _answers(reading, thread, runs) if MARK in repr(answer)})


def test_no_question_tells_it(ledger: Ledger) -> None:
    """Two runs go on with the messages, one is compared with them; they are redacted once all have ended."""
    thread = ledger.create_thread(agent_id="a")
    root = thread.start_run()
    messages = _worded(root)
    runs = [root, root.branch(), thread.start_run(parent=root), thread.start_run(parent=None)]
    runs[1].start()
    before = ledger.position()
    ledger.fold("search")
    happened = ledger.events()[-1].happened_at
    moments = (ledger.now, ledger.at(before), ledger.happened_at(happened))
    for reading in moments[:2]:
        assert len(_told(reading, thread, runs)) >= 7, "it is told before"
    for run in runs:
        run.complete() if run is not runs[1] else run.fail("enough")
    for message_id, redacted in messages:
        root.message(message_id).redact(legal_basis="art17", **redacted)  # type: ignore[arg-type]  # its fields
    ledger.fold("search")
    assert [_told(reading, thread, runs) for reading in moments[:2]] == [[], []]
    for run in runs:
        then = moments[2]
        assert MARK not in repr((then.messages(run_id=run.id), then.items(thread.id, run.id), then.ag_ui(run.id)))
    assert any(MARK in repr(recorded.event) for recorded in ledger.events(thread_id=thread.id)), "the log is as it was"
