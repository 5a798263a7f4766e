"""`runfold events`."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings

from runfold import Ledger
from runfold.demo_story import Cast
from runfold.domain.catalogue import event_types
from runfold.domain.event import Event
from runfold.domain.parts import DataPart, FilePart, Part, ReasoningPart, SourcePart, TextPart
from runfold.domain.recorded import Recorded
from runfold.terminal.events import in_a_few_words
from tests.cli.conftest import Command, Process
from tests.promises.any_event import any_of


def test_events_are_listed_in_order_with_the_position_the_list_is_true_as_of(runfold: Command, story: Cast) -> None:
    lines = runfold("events").out.splitlines()
    assert [int(line.split()[0]) for line in lines[:-1]] == list(range(1, 81))
    assert lines[-1] == "80 events as of position 80"
    assert "Hello! My" in lines[4]


def test_each_event_is_one_json_line_and_the_page_says_where_to_go_on(runfold: Command, story: Cast, ledger: Ledger) -> None:
    answer = runfold("events", "--after", "10", "--limit", "5", "--json")
    assert [line["position"] for line in answer.lines] == [11, 12, 13, 14, 15]
    assert {"stream", "version", "type", "event_id", "thread_id", "recorded_at", "data"} <= answer.lines[0].keys()
    assert answer.error == {"as_of": 80, "events": 5, "next_after": ledger.cursor(15)}
    last = runfold("events", "--type", "thread.created", "--after", "1", "--json")
    assert (last.lines, last.error["next_after"]) == ([], ledger.cursor(80))


def test_events_are_narrowed_by_thread_run_and_type(runfold: Command, story: Cast, ledger: Ledger) -> None:
    ledger.create_thread(agent_id="other").start_run()
    of_thread = runfold("events", "--thread", story.thread_id, "--json").lines
    assert {line["thread_id"] for line in of_thread} == {story.thread_id}
    of_run = runfold("events", "--run", story.id("run", "claim"), "--json").lines
    assert {line["stream"] for line in of_run} == {story.id("run", "claim"), story.id("approval", "refund")}
    of_types = runfold("events", "--type", "approval.*", "--type", "run.cancelled", "--json").lines
    assert {line["type"] for line in of_types} == {
        "approval.requested",
        "approval.vote_cast",
        "approval.granted",
        "approval.consumed",
        "approval.denied",
        "approval.withdrawn",
        "run.cancelled",
    }


@pytest.mark.parametrize("event_class", event_types.all().values(), ids=event_types.all())
def test_any_event_is_shown_in_a_few_words(event_class: type[Event]) -> None:
    @settings(max_examples=15, deadline=None, database=None, derandomize=True)
    @given(any_of(event_class))
    def hold(event: Event) -> None:
        recorded = Recorded(1, "run_1", 1, event, bytes(16), "default", "thread_1", datetime.now(UTC), 1, "{}", "{}")
        assert "\n" not in in_a_few_words(recorded)

    hold()


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (TextPart(text=""), ""),
        (TextPart(text="hello"), "hello"),
        (ReasoningPart(text=""), ""),
        (FilePart(media_type="image/png"), "file"),
        (SourcePart(url="https://example.org"), "source"),
        (DataPart(data=[]), "data"),
    ],
)
def test_a_message_is_shown_by_its_words_or_by_the_kinds_of_its_parts(
    runfold: Command, ledger: Ledger, part: Part, words: str
) -> None:
    ledger.create_thread(agent_id="a").start_run().add_message("user", [part])
    answer = runfold("events", "--type", "message.added")
    assert answer.code == 0, answer.err
    assert f" user {words}".rstrip() in answer.out.splitlines()[0]


def test_a_type_that_no_event_has_is_a_mistake_in_the_call(runfold: Command) -> None:
    answer = runfold("events", "--type", "approvals.*")
    assert answer.code == 2
    assert "approval." in answer.err


def test_following_shows_an_event_that_is_recorded_later(started: Process, ledger: Ledger) -> None:
    ledger.create_thread(agent_id="a", title="before")
    process = started(["events", "--follow", "--after", "0", "--limit", "2", "--json"])
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["data"]["title"] == "before"
    ledger.create_thread(agent_id="a", title="later")
    assert json.loads(process.stdout.readline())["data"]["title"] == "later"
    _, err = process.communicate(timeout=60)
    assert (process.returncode, json.loads(err.splitlines()[-1])) == (0, {"next_after": ledger.cursor(2)})


def test_following_ends_quietly_when_it_is_interrupted(started: Process, ledger: Ledger) -> None:
    ledger.create_thread(agent_id="a")
    process = started(["events", "--follow"])
    assert process.stdout is not None
    assert "thread.created" in process.stdout.readline()
    assert process.stderr is not None
    assert process.stderr.readline() == "following after position 0; press Ctrl-C to stop\n"
    assert process.stderr.readline() == "caught up at position 1; waiting for more\n"
    process.send_signal(2)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.endswith(f"go on with --after {ledger.cursor(1)}\n"), "a line that is cut short by the signal may come again"


def test_following_a_run_ends_with_it_and_says_when_all_that_was_there_has_been_shown(started: Process, ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="a").start_run()
    process = started(["events", "--follow", "--run", run.id, "--type", "run.*", "--json"])
    assert process.stdout is not None
    assert process.stderr is not None
    assert [json.loads(process.stdout.readline())["type"] for _ in range(2)] == ["run.created", "run.started"]
    assert json.loads(process.stderr.readline()) == {"caught_up": ledger.cursor(3)}
    run.add_message("user", "not of these types")
    run.complete()
    out, err = process.communicate(timeout=60)
    assert (process.returncode, json.loads(out)["type"]) == (0, "run.completed")
    assert json.loads(err) == {"next_after": ledger.cursor(5)}


def test_events_are_narrowed_by_agent_goal_user_actor_and_time(runfold: Command, ledger: Ledger) -> None:
    thread = ledger.create_thread(agent_id="support", user_id="mira")
    run = thread.start_run(goal={"id": "g1"})
    run.add_message("user", "hello", actor="human:ada")
    ledger.create_thread(agent_id="sales").start_run()
    of_all = ledger.events()
    for words, wanted in (
        (["--agent", "support"], [1, 2, 3, 4]),
        (["--agent", "support", "--agent", "sales"], [1, 2, 3, 4, 5, 6, 7]),
        (["--goal", "g1"], [2, 3, 4]),
        (["--user", "mira", "--type", "run.*"], [2, 3]),
        (["--actor", "human:ada"], [4]),
        (["--after", of_all[3].recorded_at.isoformat()], [each.position for each in of_all[4:]]),
        (["--after", "now"], []),
        (["--after", "2000-01-01", "--zone", "Europe/Berlin"], [1, 2, 3, 4, 5, 6, 7]),
    ):
        assert [line["position"] for line in runfold("events", *words, "--json").lines] == wanted, words
    for words in (["--actor", "ada"], ["--after", "2999-01-01"], ["--after", "99"], ["--run", "run_none"]):
        assert runfold("events", *words).code in {1, 2, 3}, words


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_reader_that_goes_away_ends_it_quietly(started: Process, ledger: Ledger, form: list[str]) -> None:
    with ledger.batch() as batch:
        for number in range(1000):
            batch.create_thread(agent_id="a", title=f"{number} " * 20)
    process = started(["events", "--limit", "1000", *form])
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=60) == 141
    process.stderr.close()
