"""Event ↔ stored row: limits, and what is not of ours."""

import sys

import psycopg
import pytest

from runfold import InvalidEvent, Ledger
from runfold.errors import UnknownEventType, UnreadableEvent
from runfold.projections.fold import touched
from runfold.projections.messages import Messages
from runfold.projections.run_summaries import RunSummaries
from runfold.settings import MIB

FORGED = (
    "SELECT runfold.append(ARRAY[%(stream)s], ARRAY[%(version)s]::int8[], ARRAY[%(type)s], ARRAY[%(schema)s]::int2[],"
    " ARRAY[%(state)s]::bytea[], '{NULL}', '{default}', ARRAY[%(thread)s], ARRAY[gen_random_uuid()],"
    " '{\"{}\"}', '{\"{}\"}', '{}', '{}')"
)


def forge(database, ledger: Ledger, **forged: object) -> int:
    """Write an event as somebody would who holds the application's rights and not its code."""
    run = ledger.create_thread(agent_id="support").start_run()
    facts = {
        "stream": run.id,
        "version": 3,
        "type": "run.waiting",
        "schema": 1,
        "state": b'{"reason":"input"}',
        "thread": "thread_x",
    }
    with psycopg.connect(database.url, autocommit=True, options="-c runfold.tenant=*") as connection:
        connection.execute(FORGED, {**facts, **forged})
    return ledger.position()


@pytest.mark.fault("F16", "H6", "F13")
def test_a_forged_type_is_a_named_error_and_imports_nothing(database, ledger: Ledger, tmp_path, monkeypatch) -> None:
    (tmp_path / "trap.py").write_text("raise SystemExit('the log chose what to import')")
    monkeypatch.syspath_prepend(tmp_path)
    position = forge(database, ledger, type="trap:Trap")
    with pytest.raises(UnknownEventType, match=f"at position {position} has type 'trap:Trap' version 1") as refused:
        ledger.recorder.reader.page()
    assert [(each.type, each.is_raw) for each in ledger.events() if each.position == position] == [("trap:Trap", True)]
    assert (refused.value.type, refused.value.position) == ("trap:Trap", position)
    assert "trap" not in sys.modules


@pytest.mark.fault("F13")
def test_an_event_is_read_when_it_is_asked_for_and_then_kept(database, ledger: Ledger) -> None:
    position = forge(database, ledger, state=b'{"reason":"because"}')
    reader = ledger.recorder.reader
    for found in (list(reader.events()), reader.stretch().events, list(reader.at_positions(range(1, position + 1)).values())):
        assert [each.position for each in found] == [1, 2, 3, 4]
        assert [each.type for each in found] == ["thread.created", "run.created", "run.started", "run.waiting"]
        assert [each.context.run_id for each in found][1] == found[1].stream
        assert all(each.event is each.event for each in found[:3])
        for _ in range(2):
            with pytest.raises(UnreadableEvent, match=rf"run\.waiting at position {position} cannot be read: .*reason"):
                _ = found[3].event
        before = found[0].event
        for _ in range(2):
            found[0].let_go()
        assert found[0].event == before
        assert found[0].event is not before
        assert "cannot be read" in repr(found[3])
        with pytest.raises(AttributeError, match="words"):
            _ = found[3].words


def test_events_of_types_that_nobody_looks_at_are_not_read(database, ledger: Ledger) -> None:
    forge(database, ledger, state=b'{"reason":"because"}')
    assert touched(Messages(), ledger.recorder.reader.events()) == []
    assert [each.type for each in ledger.subscribe(types=["run.created"], follow=False)] == ["run.created"]
    with pytest.raises(UnreadableEvent):
        touched(RunSummaries(), ledger.recorder.reader.events())


@pytest.mark.fault("F13")
def test_an_event_of_a_later_schema_version_is_a_named_error(database, ledger: Ledger) -> None:
    forge(database, ledger, schema=99)
    with pytest.raises(UnknownEventType, match=r"'run.waiting' version 99"):
        ledger.recorder.reader.page()


@pytest.mark.fault("F13", "I4")
@pytest.mark.parametrize(
    ("state", "reason"), [(b"{", "JSON"), (b'{"reason":"because"}', "reason"), (b'{"reason":"input","more":1}', "more")]
)
def test_a_payload_that_does_not_fit_its_type_is_a_named_error(database, ledger: Ledger, state: bytes, reason: str) -> None:
    position = forge(database, ledger, state=state)
    with pytest.raises(UnreadableEvent, match=rf"run\.waiting at position {position} cannot be read: .*{reason}"):
        ledger.recorder.reader.page()


def test_other_streams_stay_readable_beside_a_forged_event(database, ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="support").start_run()
    forge(database, ledger, type="trap:Trap")
    run.add_message("user", "still here")
    assert [message.text for message in run.messages()] == ["still here"]


@pytest.mark.fault("F9")
def test_the_largest_string_and_the_largest_event_are_taken(ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="support").start_run()
    run.add_message("user", "x" * 2 * MIB)
    run.add_message("user", [{"type": "text", "text": "x" * (2 * MIB - 100)} for _ in range(4)])
    assert [len(message.text) for message in run.messages()] == [2 * MIB, 8 * MIB - 400]


@pytest.mark.fault("F9")
def test_a_string_that_is_too_long_is_refused_with_its_path_and_nothing_is_stored(ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="support").start_run()
    before = ledger.position()
    with pytest.raises(InvalidEvent, match=f"is {2 * MIB + 1} bytes; a string takes {2 * MIB}") as refused:
        run.add_message("user", [{"type": "text", "text": "short"}, {"type": "text", "text": "x" * (2 * MIB + 1)}])
    assert refused.value.path == "content.1.text"
    with pytest.raises(InvalidEvent, match="a string takes") as refused:
        run.call_tool("search", {"query": {"words": ["ä" * (MIB + 1)]}})
    assert refused.value.path in {"arguments.query.words.0", "arguments_text"}
    with pytest.raises(InvalidEvent, match=r"\(key\)"):
        run.set_state({"k" * (2 * MIB + 1): 1})
    assert ledger.position() == before


@pytest.mark.fault("F9")
def test_an_event_that_is_too_large_is_refused_and_the_run_goes_on(ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="support").start_run()
    with pytest.raises(InvalidEvent, match="bytes of JSON; an event takes"):
        run.add_message("user", [{"type": "text", "text": "x" * MIB} for _ in range(9)])
    run.add_message("user", "shorter")
    assert [message.text for message in run.messages()] == ["shorter"]


@pytest.mark.fault("F9")
def test_the_limits_can_be_set(database) -> None:
    with Ledger.open(database.url, max_string_bytes=10, max_event_bytes=300) as ledger:
        thread = ledger.create_thread(title="0123456789")
        with pytest.raises(InvalidEvent, match="a string takes 10"):
            thread.rename("01234567890")
        with pytest.raises(InvalidEvent, match="an event takes 300"):
            ledger.create_thread(metadata={str(number): "x" for number in range(100)})


@pytest.mark.fault("F1", "F2", "F3", "F4", "F6", "F8")
@pytest.mark.parametrize(
    "value",
    ["nul \0", "\ud800", float("nan"), float("inf"), 10**400, {1: 2}, (1, 2), {3}, b"raw", "deep"],
    ids=["NUL", "surrogate", "NaN", "infinity", "huge integer", "integer key", "tuple", "set", "bytes", "nesting"],
)
def test_what_could_not_be_kept_exactly_is_refused_and_not_stored(shared_ledger: Ledger, value) -> None:
    if value == "deep":
        for _ in range(100_000):
            value = [value]
    run = shared_ledger.create_thread(agent_id="support").start_run()
    before = shared_ledger.position()
    with pytest.raises(InvalidEvent):
        run.set_state({"here": value})
    assert shared_ledger.position() == before


@pytest.mark.fault("F7", "F11", "H7")
@pytest.mark.parametrize(
    "value",
    [
        {"_type_": "nope", "_data_": 1},
        {"_type_": "uuid_hex", "_data_": "ab" * 16},
        "ne\u0301e n\xe9e \u202e \u200b 👩‍🚀 \uffff",
        2**63 - 1,
        -(2**63),
        1.5e300,
        0.1,
        [],
        {},
        "",
        None,
        True,
        [None],
        {"": {"": []}},
    ],
    ids=str,
)
def test_json_of_the_user_comes_back_as_it_was_given(shared_ledger: Ledger, value) -> None:
    run = shared_ledger.create_thread(agent_id="support").start_run(input=value)
    run.set_state({"kept": value})
    assert (run.view().input, run.state()) == (value, {"kept": value})
