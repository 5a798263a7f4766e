"""Events that this program cannot read, or that an older one wrote: they stop only who looks at them, or nobody."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import pytest

from runfold import Ledger
from runfold.commands import session
from runfold.domain import event as domain_event
from runfold.domain.message import MessageAdded
from runfold.domain.tool_call import ToolCalled
from runfold.projections.projection import AnyProjection
from runfold.projector import checkpoints
from runfold.projector.folding import shard
from runfold.store import codec
from runfold.store.codec import Row as LogRow
from tests.databases import TestDatabase
from tests.projector.conftest import Fill, Work
from tests.projector.soundness import Books, require_sound
from tests.projector.toys import TOYS, OpenCalls, Tally, Tools


@pytest.fixture(autouse=True)
def hardly_any_pause(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard, "PAUSES", (0.01, 0.01, 0.01))


def append(ledger: Ledger, type: str, state: bytes, schema_version: int = 1) -> int:
    """An event as another program, or another time, stored it; returns its position."""
    stream = f"run_{uuid4().hex}"
    metadata = '{"actor": {"kind": "service", "id": "test"}}'
    row = LogRow(stream, 1, type, schema_version, state, None, "default", "thread_a", uuid4().bytes, "{}", metadata)
    ledger.recorder.writer.append([row])
    return ledger.position()


def trouble(books: Books) -> dict[str, tuple[Any, ...]]:
    return {model.name: (model.trouble_position, model.event_type, model.error) for model in books.models() if model.trouble}


@pytest.mark.fault("F13", "J3")
def test_a_newer_schema_version_stops_only_who_looks_at_that_type(ledger: Ledger, fill: Fill, work: Work, books: Books) -> None:
    fill()
    position = append(ledger, "message.added", b'{"message_id":"m","role":"user","parts":[]}', schema_version=99)
    head = fill()
    work().catch_up()
    assert trouble(books) == {"tally": (position, "message.added", "PoisonEvent")}
    assert books.model("tally").message == (
        f"tally failed on the message.added at position {position}: the event at position {position} has type"
        " 'message.added' version 99, which this Runfold does not know; upgrade Runfold, or run `runfold check` if nothing newer"
        " wrote here; fix the projection, restart the worker, and run `runfold projections retry tally`"
    )
    assert books.faults(Tally(), position - 1) == []
    require_sound(books.url, [toy for name, toy in TOYS.items() if name != "tally"], head)


@pytest.mark.fault("F13", "J3")
def test_an_unknown_type_stops_nobody_because_nobody_looks_at_it(ledger: Ledger, fill: Fill, work: Work, books: Books) -> None:
    fill()
    append(ledger, "message.dreamt", b"{}")
    head = fill()
    work().catch_up()
    assert trouble(books) == {}
    require_sound(books.url, TOYS.values(), head)


@pytest.mark.fault("F13")
@pytest.mark.parametrize("state", [b'{"call_id":"c"', b"\xff\xfe", b'{"call_id":1,"name":"a","arguments_text":"{}"}', b"[]", b""])
def test_a_payload_that_cannot_be_read_stops_only_who_looks_at_its_type(
    ledger: Ledger, fill: Fill, work: Work, books: Books, state: bytes
) -> None:
    fill()
    position = append(ledger, "tool.succeeded", state)
    head = fill()
    work().catch_up()
    assert trouble(books) == {"open_calls": (position, "tool.succeeded", "PoisonEvent")}
    assert f"the tool.succeeded at position {position} cannot be read" in (books.model("open_calls").message or "")
    assert books.faults(OpenCalls(), position - 1) == []
    require_sound(books.url, [toy for name, toy in TOYS.items() if name != "open_calls"], head)


def as_newer(monkeypatch: pytest.MonkeyPatch, event: type[domain_event.Event], version: int) -> None:
    """Let the program know a newer schema of an event, as one that was just started."""
    monkeypatch.setattr(event, "schema_version", version)
    monkeypatch.setattr(domain_event.event_types, "_validators", {})
    looked_up_anew = codec.form_of.__wrapped__
    for module in (codec, session):
        monkeypatch.setattr(module, "form_of", looked_up_anew)


@pytest.mark.fault("F13", "J3")
def test_once_the_program_knows_the_newer_schema_it_goes_on(
    ledger: Ledger, fill: Fill, work: Work, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill()
    position = append(ledger, "tool.succeeded", b'{"call_id":"call_9","result":1}', schema_version=2)
    fill()
    folding = work()
    folding.catch_up()
    assert books.model("open_calls").trouble_position == position
    as_newer(monkeypatch, domain_event.event_types["tool.succeeded"], 2)
    monkeypatch.setitem(domain_event.event_types._upcasts, ("tool.succeeded", 1), lambda fields: fields)
    checkpoints.end_trouble(books.connection, "open_calls", 1)
    folding.catch_up()
    require_sound(books.url, TOYS.values())


# Yesterday's shapes


@pytest.mark.fault("J1")
def test_an_event_of_an_old_shape_is_folded_as_one_of_today(
    database: TestDatabase, ledger: Ledger, fill: Fill, work: Work, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As stored in version 1 a tool call had a `tool`, and in version 2 a `tool_name`."""
    upcasts: Mapping[tuple[str, int], domain_event.Upcast] = {
        ("tool.called", 1): lambda fields: {"tool_name": fields.pop("tool"), **fields},
        ("tool.called", 2): lambda fields: {"name": fields.pop("tool_name"), **fields},
    }
    for version, function in upcasts.items():
        monkeypatch.setitem(domain_event.event_types._upcasts, version, function)
    as_newer(monkeypatch, ToolCalled, 3)
    append(ledger, "tool.called", b'{"call_id":"call_1","tool":"search","arguments_text":"{}","arguments":{}}', 1)
    append(ledger, "tool.called", b'{"call_id":"call_2","tool_name":"search","arguments_text":"{}","arguments":{}}', 2)
    ledger.create_thread(agent_id="a").start_run().call_tool("search", {"q": 1})
    work().catch_up()
    assert [(key[1], standing.row.calls) for key, standing in books.rows(Tools()).items()] == [("search", 3)]
    stored = books.connection.execute("SELECT data FROM runfold.events WHERE position = 1").fetchone()
    assert stored == {"data": {"call_id": "call_1", "tool": "search", "arguments_text": "{}", "arguments": {}}}
    require_sound(database.projector_url, TOYS.values())


@pytest.mark.fault("J1")
def test_an_upcast_that_fails_is_poison_that_names_the_event(
    ledger: Ledger, fill: Fill, work: Work, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(domain_event.event_types._upcasts, ("message.added", 1), lambda fields: {"role": fields["author"]})
    position = append(ledger, "message.added", b'{"message_id":"m","role":"user","parts":[]}', 1)
    as_newer(monkeypatch, MessageAdded, 2)
    head = fill()
    work().catch_up()
    assert trouble(books) == {"tally": (position, "message.added", "PoisonEvent")}
    assert "as version 1 it is KeyError('author')" in (books.model("tally").message or "")
    others: list[AnyProjection] = [toy for name, toy in TOYS.items() if name != "tally"]
    require_sound(books.url, others, head)
