"""Keys: made for somebody, shown once, listed without looking through the log, revoked."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from runfold import DuplicateWithDifferentContent, InvalidEvent, Ledger, VersionConflict
from runfold.access.denials import record_denial
from runfold.commands.caller import Caller
from runfold.domain.security import AccessDenied, read_key
from runfold.domain.values import Actor
from runfold.errors import KeyNotFound
from runfold.maintenance.checking import LogCheck

ADA = {"owner": "human:ada", "scopes": ["runs:read", "approvals:decide"], "label": "Ada's laptop"}


def desk_of(ledger: Ledger, tenant: str, key: str | None = None):
    return ledger.on_behalf(Caller(tenant, Actor.parse("human:root"), key))


def test_a_key_is_made_and_listed(ledger: Ledger) -> None:
    made = ledger.create_key(**ADA, expires_in="1h", actor="human:root")
    assert made.text is not None
    assert read_key(made.text).id == made.id
    (view,) = ledger.keys()
    assert (view.id, view.owner, view.label, view.status) == (made.id, "human:ada", "Ada's laptop", "active")
    assert view.scopes == ("approvals:decide", "runs:read")
    assert (view.created_by, view.created_position, view.revoked_at) == ("human:root", 1, None)
    assert timedelta(minutes=59) < view.expires_at - datetime.now(UTC) <= timedelta(hours=1)


def test_neither_the_log_nor_a_keys_picture_holds_its_secret(ledger: Ledger, database) -> None:
    made = ledger.create_key(**ADA)
    assert made.text is not None
    secret = read_key(made.text).secret
    assert secret not in repr(made)
    assert secret not in repr(ledger.keys())
    with psycopg.connect(database.admin_url) as connection:
        ((row,),) = connection.execute("SELECT log::text || convert_from(state, 'UTF8') FROM runfold.log")
    assert made.id.removeprefix("key_") in row
    assert secret not in row


def test_a_key_that_is_revoked_stays_in_the_list(ledger: Ledger) -> None:
    made = ledger.create_key(**ADA)
    assert ledger.revoke_key(made.id, "lost", actor="human:root").appended == 1
    assert ledger.revoke_key(made.id, "lost again").appended == 0
    (view,) = ledger.keys()
    assert (view.status, view.reason, view.revoked_by) == ("revoked", "lost", "human:root")


def test_a_key_past_its_time_is_expired_without_another_event(ledger: Ledger) -> None:
    ledger.create_key(**ADA, expires_in=timedelta(microseconds=1))
    (view,) = ledger.keys()
    assert (view.status, ledger.position()) == ("expired", 1)


def test_the_same_key_asked_for_again_is_not_made_again_and_has_no_text(ledger: Ledger) -> None:
    first = ledger.create_key(**ADA, expires_in="1h", key_id="key_ci")
    again = ledger.create_key(**ADA, expires_in="2h", key_id="key_ci")
    assert first.text is not None
    assert (again.id, again.text, again.receipt.appended) == ("key_ci", None, 0)
    with pytest.raises(DuplicateWithDifferentContent, match="key_ci is already recorded with a different label"):
        ledger.create_key(owner="human:eve", scopes=["admin"], label="Eve", key_id="key_ci")
    assert ledger.position() == 1


@pytest.mark.fault("H-1")
def test_under_one_idempotency_key_one_key_is_made_and_shown_once(ledger: Ledger) -> None:
    made = [desk_of(ledger, "default", "one").create_key(**ADA) for _ in range(3)]
    assert len({key.id for key in made}) == len(ledger.keys()) == 1
    assert [key.text is None for key in made] == [False, True, True]


def test_scopes_are_what_they_are_in_whatever_order_and_how_often_they_are_named(ledger: Ledger) -> None:
    ledger.create_key(owner="human:ada", scopes=["runs:read", "events:read"], label="Ada", key_id="key_a")
    again = ledger.create_key(owner="human:ada", scopes=["events:read", "runs:read", "runs:read"], label="Ada", key_id="key_a")
    assert again.receipt.appended == 0


@pytest.mark.shares
@pytest.mark.fault("F15")
@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"owner": "ada"}, "owner"),
        ({"owner": "robot:ada"}, "owner"),
        ({"owner": f"human:{'a' * 501}"}, "owner"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["runs:delete"]}, "scopes.0"),
        ({"scopes": "everything"}, "scopes.0"),
        ({"label": ""}, "label"),
        ({"label": "a\0b"}, "label"),
        ({"label": "\ud800"}, "label"),
        ({"expires_in": "soon"}, "expires_in"),
        ({"expires_in": "0s"}, "expires_in"),
        ({"expires_in": "9999999d"}, "expires_in"),
        ({"expires_in": f"{'9' * 30}d"}, "expires_in"),
        ({"key_id": "ci"}, "key_id"),
        ({"key_id": "key_"}, "key_id"),
        ({"key_id": "key__x"}, "key_id"),
        ({"key_id": "key_a/../b"}, "key_id"),
        ({"key_id": "key_a';--"}, "key_id"),
        ({"key_id": f"key_{'x' * 101}"}, "key_id"),
    ],
)
def test_what_can_be_no_key_is_refused_with_the_field(ledger: Ledger, wrong: dict, path: str) -> None:
    with pytest.raises(InvalidEvent) as refused:
        ledger.create_key(**{**ADA, **wrong})
    assert refused.value.path == path
    assert ledger.position() == 0


@pytest.mark.fault("I8")
def test_another_tenants_key_is_not_there(ledger: Ledger) -> None:
    mine, theirs = desk_of(ledger, "default"), desk_of(ledger, "stranger")
    made = mine.create_key(**ADA, key_id="key_1")
    own = theirs.create_key(**ADA)
    with pytest.raises(KeyNotFound, match="there is no key 'key_1'; `runfold keys list` lists them all"):
        theirs.revoke_key("key_1")
    taken = theirs.create_key(**ADA, key_id="key_1")  # a taken id of another tenant is free here
    (own_view, taken_view), (my_view,) = theirs.keys(), mine.keys()
    assert (own_view.id, taken_view.id) == (own.id, "key_1")
    assert (my_view.id, my_view.status) == (made.id, "active")
    assert taken.text not in {None, made.text}
    theirs.revoke_key("key_1")
    assert [view.status for view in (*theirs.keys(), *mine.keys())] == ["active", "revoked", "active"]


@pytest.mark.shares
@pytest.mark.parametrize("id", ["key_1", "", "key_", "1", "security_1", "thread_1", "key_1'; DROP TABLE runfold.log; --"])
def test_what_was_never_made_cannot_be_revoked(ledger: Ledger, id: str) -> None:
    with pytest.raises(KeyNotFound) as missing:
        ledger.revoke_key(id)
    assert missing.value.id == id


def test_a_key_is_revoked_only_at_the_version_that_was_asked_for(ledger: Ledger) -> None:
    made = ledger.create_key(**ADA)
    with pytest.raises(VersionConflict):
        ledger.revoke_key(made.id, expected_version=2)
    assert ledger.revoke_key(made.id, expected_version=1).version == 2


def test_a_denial_is_a_stream_of_its_own_and_no_key(ledger: Ledger) -> None:
    receipts = [
        record_denial(ledger.executor, AccessDenied(reason="no_key", client="192.0.2.7", left_out=4)).result() for _ in range(2)
    ]
    assert [receipt.version for receipt in receipts] == [1, 1]
    with pytest.raises(KeyNotFound):
        ledger.revoke_key(receipts[0].stream.replace("security_", "key_"))
    assert ledger.keys() == []


def test_keys_and_denials_are_sound_in_the_eyes_of_the_check_and_belong_to_no_thread(ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="support").start_run()
    made = ledger.create_key(**ADA)
    ledger.revoke_key(made.id)
    record_denial(ledger.executor, AccessDenied(reason="no_key")).result()
    assert list(LogCheck(ledger.recorder.reader).findings()) == []
    security = [recorded for recorded in ledger.events() if recorded.type.startswith("security.")]
    assert [recorded.thread_id == recorded.stream for recorded in security] == [True] * 3
    assert {recorded.thread_id for recorded in ledger.events(thread_id=run.view().thread_id)} == {run.view().thread_id}


def test_keys_are_listed_from_an_index_however_long_the_log_is(ledger: Ledger, database) -> None:
    ledger.create_key(**ADA)
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute(
            "INSERT INTO runfold.log SELECT n + 10, 'run_' || n, 1, 'run.created', 1, '{}', NULL, 'default', 'thread_1',"
            " gen_random_uuid(), now(), '{}', '{}' FROM generate_series(1, 20000) AS n"
        )
        admin.execute("ANALYZE runfold.log")
        for whose in ("", " AND tenant_id = 'default'"):
            explained = admin.execute(
                "EXPLAIN SELECT state FROM runfold.log WHERE topic IN ('security.key_created', 'security.key_revoked')"
                f"{whose} AND notification_id <= 9999999 ORDER BY notification_id"
            ).fetchall()
            assert "log_keys" in str(explained)
            assert "Seq Scan" not in str(explained)
    assert len(ledger.keys()) == 1
