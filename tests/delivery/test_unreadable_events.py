"""Events of a newer Runfold, and damaged ones: what hangs on them waits until they can be read, and nothing else does."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta

import psycopg
import pytest

from runfold import Ledger, Run
from runfold.delivery.loop import ReactorLoop
from runfold.delivery.sweeper import Sweeper, sweepers
from runfold.delivery.sweeper_rules import RULES
from runfold.domain.sweep_policy import SweepPolicy
from runfold.errors import Damage
from runfold.settings import Settings
from tests.databases import TestDatabase
from tests.delivery.receiver import Receiver, receiving
from tests.delivery.sending import due_now, send, sending_ledger

UNREADABLE = {
    "a higher schema version": "schema_version = 9",
    "a field that is added": "state = convert_to((convert_from(state, 'UTF8')::jsonb || '{\"mood\": \"good\"}')::text, 'UTF8')",
    "a payload that is cut off": "state = '{\"run\":'",
}
every_kind = pytest.mark.parametrize("change", UNREADABLE.values(), ids=[*UNREADABLE])
Spoil = Callable[[int, str], Callable[[], None]]


@pytest.fixture
def spoil(database: TestDatabase) -> Iterator[Spoil]:
    """Makes the event at a position one that cannot be read; returns what makes it as it was."""
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute("ALTER TABLE runfold.log DISABLE TRIGGER USER")

        def spoiled(position: int, change: str) -> Callable[[], None]:
            asked = "SELECT topic, schema_version, state FROM runfold.log WHERE notification_id = %s"
            was = admin.execute(asked, [position]).fetchone()
            admin.execute(f"UPDATE runfold.log SET {change.replace('%', '%%')} WHERE notification_id = %s", [position])
            back = "UPDATE runfold.log SET (topic, schema_version, state) = (%s, %s, %s) WHERE notification_id = %s"
            return lambda: admin.execute(back, [*(was or ()), position]) and None

        yield spoiled


@pytest.fixture
def told(settings: Settings) -> Iterator[tuple[Ledger, Receiver]]:
    """A ledger that sends, of steps too, and who is sent it."""
    with receiving() as receiver, sending_ledger(_with_steps(settings, receiver)) as ledger:
        send(ledger)  # from here on it is known what ends
        yield ledger, receiver


def _with_steps(settings: Settings, receiver: Receiver) -> Settings:
    return settings.model_copy(update={"step_webhook_url": receiver.url("/step")})


def paths(receiver: Receiver) -> list[str]:
    found = sorted(f"{request.path} {json.loads(request.body).get('step_id', '')}".strip() for request in receiver.requests)
    receiver.requests.clear()
    return found


@every_kind
def test_a_run_that_cannot_be_read_keeps_no_other_from_being_swept(
    ledger: Ledger, settings: Settings, spoil: Spoil, change: str
) -> None:
    of_a, _ = (_leased(ledger, run_id) for run_id in ("run_a", "run_b"))
    mend = spoil(of_a, change)
    now = ledger.command_executor.clock() + timedelta(days=1)
    leases = next(rule for rule in RULES if rule.name == "sweeper.leases")
    with Ledger.open(settings=settings) as other:
        sweeper = Sweeper(leases, other.command_executor, SweepPolicy(), lambda: now)
        assert sweeper.react().done == {"leases_lost": 1}
        assert [each.stream for each in other.events(types="run.stuck")] == ["run_b"]
        with pytest.raises(Damage) as raised:
            sweeper.react()
        assert f"position {of_a}" in str(raised.value)
        mend()
        assert sweeper.react().done == {"leases_lost": 1}
        assert sweeper.react().done == {}


def test_a_rule_that_fails_over_a_run_keeps_no_other_rule_from_what_is_due(
    ledger: Ledger, settings: Settings, spoil: Spoil
) -> None:
    spoil(_leased(ledger, "run_a"), UNREADABLE["a higher schema version"])
    approval = ledger.create_thread(agent_id="desk").start_run().request_approval("refund", expires_in="1h")
    silent = ledger.create_thread(agent_id="desk").start_run()
    ledger.fold("run_progress", "approval_queue")
    now = ledger.command_executor.clock() + timedelta(days=1)
    policy = SweepPolicy.model_validate({"runs": "live", "idle_after": "15m"})
    with Ledger.open(settings=settings) as other:
        with pytest.raises(Damage):
            ReactorLoop(other.recorder.store, sweepers(other, RULES, policy, lambda: now)).once()
        assert other.now.approval(approval.id).status == "expired"
        assert other.now.run(silent.id).status == "stuck"


@every_kind
def test_a_webhook_that_cannot_be_read_keeps_no_other_from_being_sent_anything(
    told: tuple[Ledger, Receiver], settings: Settings, spoil: Spoil, change: str
) -> None:
    ledger, receiver = told
    webhooks = [ledger.create_webhook(receiver.url(f"/{name}"), types=["run.*"]) for name in "ab"]
    run = ledger.create_thread(agent_id="desk").start_run()
    send(ledger)
    assert paths(receiver) == ["/a", "/a", "/b", "/b"]
    webhooks[0].disable()
    mend = spoil(webhooks[0].enable().position, change)
    run.complete()
    send(ledger)
    assert paths(receiver) == ["/b"]
    mend()
    send(ledger)
    assert paths(receiver) == ["/a"]


@every_kind
def test_webhooks_are_listed_though_one_cannot_be_read_and_it_is_said_which(ledger: Ledger, spoil: Spoil, change: str) -> None:
    url = "https://hooks.example.com/"
    made, changed, _ = (ledger.create_webhook(url, webhook_id=f"webhook_{name}", label=name) for name in "abc")
    mend = [spoil(made.receipt.position, change), spoil(changed.disable().position, change)]
    found = {view.id: view for view in ledger.now.webhooks()}
    assert {name: (view.status, view.url, view.label) for name, view in found.items()} == {
        "webhook_a": ("unreadable", "", None),
        "webhook_b": ("unreadable", url, "b"),
        "webhook_c": ("active", url, "c"),
    }
    for webhook, position in ((made, made.receipt.position), (changed, ledger.position())):
        assert f"position {position}" in (found[webhook.id].reason or "")
        with pytest.raises(Damage, match=f"position {position}"):
            ledger.now.webhook(webhook.id)
    for each in mend:
        each()
    assert [view.status for view in ledger.now.webhooks()] == ["active", "disabled", "active"]


@every_kind
@pytest.mark.parametrize("which", [0, 1, 2, 3], ids=["beginning", "step's beginning", "step's end", "end"])
def test_an_end_that_cannot_be_read_is_told_once_it_can_be_and_holds_up_nobody_elses(
    told: tuple[Ledger, Receiver], spoil: Spoil, change: str, which: int
) -> None:
    ledger, receiver = told
    positions = _worked(ledger, "run_a", receiver)
    mend = spoil(positions[which], change)
    _worked(ledger, "run_b", receiver)
    send(ledger)
    before = paths(receiver)
    assert {"/run_b", "/step step_run_b", "/step step_run_b_open"} <= {*before}
    mend()
    due_now(ledger)
    send(ledger)
    after = paths(receiver)
    assert {"/run_a", "/step step_run_a", "/step step_run_a_open"} <= {*before, *after}
    assert not {"/run_b", "/step step_run_b", "/step step_run_b_open"} & {*after}


def _leased(ledger: Ledger, run_id: str) -> int:
    """Let a run be worked on; return the position of what it says."""
    run = ledger.create_thread(agent_id="desk").start_run(run_id=run_id)
    run.claim("worker", lease="5m")
    position = run.add_message("user", "hello").receipt.position
    ledger.fold("run_progress", "approval_queue")
    return position


def _worked(ledger: Ledger, run_id: str, receiver: Receiver) -> list[int]:
    """Let a run begin, do a step, begin another and end; return where its beginning, the step's and the ends are."""
    run: Run = ledger.create_thread(agent_id="desk").start_run(run_id=run_id, callback_url=receiver.url(f"/{run_id}"))
    step = run.start_step("look", step_id=f"step_{run_id}")
    step.finish()
    run.start_step("look", step_id=f"step_{run_id}_open")
    run.cancel()
    found = {(each.type, each.stream): each.position for each in reversed(ledger.events(run_id=run_id))}
    return [found[kind, run_id] for kind in ("run.created", "step.started", "step.finished", "run.cancelled")]
