"""An idempotency key belongs to who asks, and on whose behalf; what was recorded while it was the tenant's is still found."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from runfold import Ledger, Run
from runfold.access.denials import record_denial
from runfold.commands.caller import Caller
from runfold.domain.security import AccessDenied
from runfold.domain.values import Actor
from runfold.errors import AlreadyAppended, KeyReused
from runfold.handles.ledgers.tenant_ledger import TenantLedger

ADA, BOB = Actor.parse("human:ada"), Actor.parse("human:bob")


def asking(
    ledger: Ledger, actor: Actor = ADA, key: str | None = "one", request: str | None = "digest", **more: Any
) -> TenantLedger:
    return ledger.on_behalf(Caller("default", actor, key, request, **more))


@pytest.mark.fault("K10")
def test_who_acts_for_two_people_is_two_callers(ledger: Ledger, run: Run) -> None:
    callers = [ADA, BOB] + [Actor(kind="agent", id="a", on_behalf_of=who) for who in (None, "human:ada", "human:bob")]
    for _ in range(2):
        for actor in callers:
            asking(ledger, actor).run(run.id).add_message("assistant", str(actor))
    assert len(run.messages()) == len(callers)
    recorded = ledger.events(types=["message.added"])
    assert [event.metadata.actor for event in recorded] == callers


@pytest.mark.fault("K10")
def test_a_command_that_names_who_acts_is_that_actors(ledger: Ledger, run: Run) -> None:
    approval = run.request_approval("refund", quorum=2)
    for _ in range(2):
        for voter in ("human:ada", "human:bob"):
            asking(ledger, Actor.parse("service:desk")).approval(approval.id).grant(actor=voter)
    assert [vote.voter for vote in ledger.now.approval(approval.id).votes] == ["human:ada", "human:bob"]


@pytest.mark.fault("K10")
def test_a_batch_under_a_key_is_its_callers(ledger: Ledger, run: Run) -> None:
    for actor in (ADA, BOB):
        with asking(ledger, actor).batch() as batch:
            batch.run(run.id).add_message("assistant", "hello")
        assert asking(ledger, actor).recorded_under_key() is not None
    with pytest.raises(AlreadyAppended), asking(ledger).batch() as batch:
        batch.run(run.id).add_message("assistant", "hello", message_id="msg_other")
    assert len(run.messages()) == 2


# The rule of before


OLD: dict[str, Callable[[TenantLedger, Run], Any]] = {
    "a thread": lambda desk, _: desk.create_thread(agent_id="support").id,
    "a run": lambda desk, run: desk.thread(run.view().thread_id).start_run("hello", parent=None).id,
    "a message": lambda desk, run: desk.run(run.id).add_message("assistant", "hello").id,
    "a claim": lambda desk, run: desk.run(run.id).claim("w"),
    "a start": lambda desk, run: desk.run(run.id).tool_call("call_1").start(),
    "an approval": lambda desk, run: desk.run(run.id).request_approval("refund").id,
    "a key": lambda desk, _: desk.create_key(owner="human:bob", scopes=["runs:read"], label="b").id,
    "state": lambda desk, run: desk.run(run.id).set_state({"a": 1}).position,
}


@pytest.mark.fault("K10", "H-1")
@pytest.mark.parametrize("what", OLD)
def test_what_was_recorded_under_the_tenants_key_is_its_callers_answer_and_nobody_elses(
    ledger: Ledger, run: Run, what: str
) -> None:
    run.call_tool("refund", call_id="call_1")
    first = OLD[what](asking(ledger, key_of="tenant"), run)
    before = ledger.position()
    assert OLD[what](asking(ledger), run) == first
    submitted = asking(ledger).recorded_under_key()
    assert submitted is not None
    assert ledger.position() == before
    for stranger in (BOB, Actor(kind="human", id="ada", on_behalf_of="human:bob")):
        assert asking(ledger, stranger).recorded_under_key() is None
    with pytest.raises(KeyReused):
        OLD[what](asking(ledger, request="another"), run)
    assert ledger.position() == before


@pytest.mark.fault("K10")
def test_what_another_recorded_under_the_tenants_key_keeps_nobody_from_using_it(ledger: Ledger) -> None:
    theirs = asking(ledger, BOB, key_of="tenant").create_thread(agent_id="support")
    mine = [asking(ledger).create_thread(agent_id="support") for _ in range(2)]
    assert mine[0].id == mine[1].id != theirs.id
    assert ledger.position() == 2


def test_a_former_command_of_the_server_is_no_clients(ledger: Ledger) -> None:
    server = asking(ledger, key="first key after 0", request=None, key_of="tenant").create_thread(agent_id="x")
    assert asking(ledger, key="first key after 0").create_thread(agent_id="x").id != server.id


# The server's own


def first_key(ledger: Ledger) -> Any:
    """As `runfold serve` makes it."""
    desk = ledger.on_behalf(ledger.caller._replace(key="first key after 0", key_of="server"))
    return desk.create_key(owner=ADA, scopes=["admin"], label="first")


@pytest.mark.fault("K10")
def test_no_key_of_a_client_keeps_the_server_from_its_own_commands(ledger: Ledger, other: Ledger) -> None:
    for actor in (ledger.caller.actor, ADA):
        for key in ("first key after 0", "security", "server", "\x1ffirst key after 0"):
            asking(ledger, actor, key).create_thread(agent_id="x")
    made, lost = first_key(ledger), first_key(other)
    assert made.text is not None
    assert (lost.id, lost.text) == (made.id, None)
    before = ledger.position()
    for _ in range(2):
        record_denial(ledger.executor, AccessDenied(reason="no_key")).result(30)
    assert ledger.position() == before + 2


# However long after


@pytest.mark.fault("H-4")
def test_a_repeat_years_later_has_the_same_answer_and_the_log_itself_refuses_it_otherwise(
    ledger: Ledger, other: Ledger, run: Run, database, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = asking(ledger).run(run.id).add_message("assistant", "hello")
    before, later = ledger.position(), ledger.command_executor.clock() + timedelta(days=3650)
    monkeypatch.setattr(other.command_executor, "clock", lambda: later)
    assert asking(other).run(run.id).add_message("assistant", "hello").id == first.id
    assert ledger.position() == before
    with psycopg.connect(database.admin_url) as connection:
        ((unique,),) = connection.execute(
            "SELECT count(*) FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)"
            " WHERE i.indrelid = 'runfold.log'::regclass AND i.indisunique AND i.indnkeyatts = 1 AND a.attname = 'event_id'"
        )
    assert unique == 1
    monkeypatch.setattr(other.command_executor.answers, "recorded_under", lambda _: None)  # as if nobody had looked first
    with pytest.raises(AlreadyAppended), asking(other).batch() as batch:
        batch.run(run.id).add_message("assistant", "hello", message_id="msg_other")
    assert ledger.position() == before
