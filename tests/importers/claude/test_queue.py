"""Words typed while the agent worked, in older files: said where they were taken out of the queue, and once."""

from typing import Any

import pytest

from runfold.importers.claude.queue import Queue
from runfold.importers.claude.speakers import speaker_of
from tests.promises.growth import TIMES, growth

WORDS = "Do not touch the database."
NOTICE = "<task-notification><task-id>t</task-id></task-notification>"


def queued(operation: str, content: str | None = None, **more: Any) -> dict[str, Any]:
    """An operation on the queue."""
    said = {} if content is None else {"content": content}
    return {"type": "queue-operation", "operation": operation, "timestamp": "2026-03-01T10:00:00.000Z", **said, **more}


def answer(uuid: str = "a1", message_id: str = "msg-1", **more: Any) -> dict[str, Any]:
    """A line of an answer."""
    return {"type": "assistant", "uuid": uuid, "parentUuid": "u9", "sessionId": "s", "message": {"id": message_id}, **more}


def line(words: str) -> dict[str, Any]:
    """A prompt."""
    return {"type": "user", "uuid": "u", "message": {"content": words}}


def attached(words: Any) -> dict[str, Any]:
    """The words as newer files keep them."""
    return {"type": "attachment", "uuid": "q", "attachment": {"type": "queued_command", "prompt": words, "commandMode": "prompt"}}


def said(*records: dict[str, Any]) -> list[str]:
    """The words that stand nowhere else."""
    queue = Queue()
    return [made["attachment"]["prompt"] for record in records for made in queue.take(record)]


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([queued("enqueue", WORDS), queued("remove"), answer()], [WORDS]),
        ([queued("enqueue", WORDS), queued("remove", WORDS, reason="absorbed_mid_turn"), answer()], [WORDS]),
        ([queued("remove", WORDS), answer()], [WORDS]),
        ([queued("enqueue", "a"), queued("enqueue", "b"), queued("remove"), queued("remove"), answer()], ["a", "b"]),
        ([queued("enqueue", "a"), queued("enqueue", "b"), queued("remove", "b"), answer()], ["b"]),
        ([queued("enqueue", NOTICE), queued("enqueue", WORDS), queued("remove"), answer()], [NOTICE]),
        ([queued("enqueue", WORDS), queued("remove"), attached(WORDS), answer()], []),
        ([queued("enqueue", WORDS), queued("remove"), attached([{"type": "text", "text": WORDS}]), answer()], []),
        ([queued("enqueue", WORDS), attached(WORDS), queued("remove"), answer()], []),
        ([queued("enqueue", WORDS), queued("remove"), line(WORDS), answer()], []),
        ([queued("enqueue", WORDS), queued("dequeue"), line(WORDS), answer()], []),
        ([queued("enqueue", WORDS), queued("dequeue"), answer()], []),
        ([queued("enqueue", WORDS), queued("popAll"), queued("remove"), answer()], []),
        ([queued("enqueue", WORDS), queued("popAll", WORDS), answer()], []),
        ([queued("enqueue", WORDS), queued("remove", WORDS, reason="cancelled"), answer()], []),
        ([queued("enqueue", WORDS), answer()], []),
        ([queued("enqueue", WORDS), queued("remove")], []),
        ([queued("remove"), answer()], []),
        ([queued("enqueue"), queued("remove"), answer()], []),
        ([queued("enqueue", WORDS), queued("remove"), answer(isSidechain=True), answer("a2", "msg-2")], [WORDS]),
        ([answer(), queued("enqueue", WORDS), queued("remove"), answer("a2"), answer("a3", "msg-2")], [WORDS]),
        (
            [attached(WORDS), queued("enqueue", WORDS), queued("remove"), queued("enqueue", WORDS), queued("remove"), answer()],
            [WORDS],
        ),
    ],
)
def test_words_that_were_taken_out_for_the_agent_are_said_once(records: list[dict[str, Any]], words: list[str]) -> None:
    assert said(*records) == words


def test_the_line_that_is_made_hangs_where_the_answer_does_and_is_the_same_every_time() -> None:
    records = [queued("enqueue", WORDS), queued("enqueue", WORDS), queued("remove"), queued("remove")]
    first, second = ([made for record in [*records, answer()] for made in queue.take(record)] for queue in (Queue(), Queue()))
    assert first == second
    one, other = first
    assert one["uuid"] != other["uuid"]
    assert (one["parentUuid"], one["timestamp"]) == ("u9", "2026-03-01T10:00:00.000Z")


@pytest.mark.parametrize(("words", "author"), [(WORDS, "human:user"), (NOTICE, "service:task-notification")])
def test_what_was_queued_is_its_authors(words: str, author: str) -> None:
    queue = Queue()
    (made,) = [made for record in (queued("remove", words), answer()) for made in queue.take(record)]
    speaker = speaker_of(made)
    assert speaker is not None
    assert (speaker.author, speaker.wakes) == (author, "never")


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"type": ["queue-operation"]},
        {"type": "queue-operation", "operation": {}, "content": 3},
        {"type": "queue-operation", "operation": "remove", "content": [1], "reason": {}},
        {"type": "user", "message": None},
        {"type": "attachment", "attachment": None},
        {"type": "assistant", "uuid": 4, "message": {"id": []}},
    ],
)
def test_a_record_of_any_form_is_taken_without_an_error(record: dict[str, Any]) -> None:
    queue = Queue()
    queue.take(queued("remove", WORDS))
    assert queue.take(record) == []


@pytest.mark.fault("K1")
@pytest.mark.parametrize("then", ["remove", "dequeue"])
def test_a_queue_takes_in_proportion_to_its_operations(then: str) -> None:
    def told(count: int) -> list[dict[str, Any]]:
        words = [f"words {number}" for number in range(count)]
        put = [queued("enqueue", each) for each in words]
        out = [queued(then, each) for each in reversed(words)]
        return [*put, *out, *(line(each) for each in reversed(words))]

    def work(records: list[dict[str, Any]]) -> None:
        queue = Queue()
        for record in records:
            queue.take(record)

    found = growth(work, told, 1_000, weighed=True)
    assert found.calls < 1.5 * TIMES, found
    assert found.seconds < 2.5 * TIMES, found
