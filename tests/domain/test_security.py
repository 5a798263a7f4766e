"""A key: made once, good until it is revoked or its time is over, for what its scopes say."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from runfold.domain.security import (
    AccessDenied,
    KeyCreated,
    KeyRevoked,
    Security,
    key_id_of,
    key_stream,
    key_text,
    read_key,
    secret_digest,
)

from .samples import ADA, BOB, NOON, ONE_O_CLOCK
from .story import Given, evolved

SECRET = "s" * 43
OTHER = "o" * 43
created = KeyCreated(owner=ADA, scopes=("runs:read",), label="Ada", secret_digest=secret_digest(SECRET), expires_at=ONE_O_CLOCK)
for_ever = created.model_copy(update={"expires_at": None})
revoked = KeyRevoked(reason="lost")


def key(*events) -> Security:
    return evolved(Security("security_1"), *events)


def given(*events) -> Given:
    return Given(key(*events))


def test_a_key_is_made_once() -> None:
    given().when(lambda key: key.create(created)).then(created)
    given(created).when(lambda key: key.create(created)).known("key", version=1)


def test_a_key_is_revoked_once_and_stays_so() -> None:
    given(created).when(lambda key: key.revoke("lost")).then(revoked)
    given(created, revoked).when(lambda key: key.revoke("again")).then()


def test_what_is_no_key_is_neither_revoked_nor_made_one() -> None:
    denied = AccessDenied(reason="no_key")
    given().when(lambda key: key.revoke()).refused("only a key")
    given(denied).when(lambda key: key.revoke()).refused("only a key")
    given(denied).when(lambda key: key.create(created)).refused("the id is already used")


def test_two_keys_that_differ_in_their_secret_alone_are_the_same_that_was_asked_for() -> None:
    again = created.model_copy(update={"secret_digest": secret_digest(OTHER), "expires_at": NOON})
    assert again.differs_from(created) is None
    assert created.model_copy(update={"owner": BOB}).differs_from(created) == "owner"
    assert created.model_copy(update={"scopes": ("admin",)}).differs_from(created) == "scopes"


@pytest.mark.fault("I10")
def test_only_its_own_secret_opens_anything_and_only_in_its_time() -> None:
    assert key(created).fault(SECRET, NOON) is None
    assert key(created).fault(OTHER, NOON) == "wrong_secret"
    assert key(created).fault("", NOON) == "wrong_secret"
    assert key(created).fault(SECRET, ONE_O_CLOCK) == "expired"
    assert key(created).fault(SECRET, ONE_O_CLOCK - timedelta(microseconds=1)) is None
    assert key(for_ever).fault(SECRET, ONE_O_CLOCK + timedelta(days=10_000)) is None
    assert key(created, revoked).fault(SECRET, NOON) == "revoked"
    assert key().fault(SECRET, NOON) == "unknown"
    assert key(AccessDenied(reason="no_key")).fault(SECRET, NOON) == "unknown"


def test_one_that_is_revoked_and_past_its_time_is_revoked() -> None:
    assert [key(*events).status(ONE_O_CLOCK) for events in ([created], [for_ever], [created, revoked])] == [
        "expired",
        "active",
        "revoked",
    ]


def test_a_scope_allows_itself_and_admin_allows_all() -> None:
    assert key(created).allows("runs:read")
    assert not key(created).allows("runs:write")
    assert not key(created).allows("admin")
    assert not key().allows("runs:read")
    admin = created.model_copy(update={"scopes": ("admin",)})
    assert all(key(admin).allows(scope) for scope in ("runs:write", "audit:read", "projections:rebuild", "admin"))


def test_a_key_without_scopes_or_with_one_that_is_none_cannot_be_recorded() -> None:
    for scopes in ((), ("runs:delete",), ("runs:read", "")):
        with pytest.raises(ValidationError):
            KeyCreated(owner=ADA, scopes=scopes, label="Ada", secret_digest=secret_digest(SECRET))


@pytest.mark.parametrize("id", ["key_1", "key_a_b", "key_A-9__", f"key_{'x' * 100}"])
@pytest.mark.parametrize("secret", [SECRET, "_" * 43, "-_" * 21 + "x"])
def test_a_keys_text_says_which_key_it_is_and_its_secret(id: str, secret: str) -> None:
    assert read_key(key_text(id, secret)) == (id, secret)
    assert key_id_of(key_stream(id)) == id


@pytest.mark.fault("I10")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "rf_",
        "rf_key_1",
        f"rf_key_1_{SECRET[1:]}",
        f"rf_key__{SECRET}",
        f"rf_run_1_{SECRET}",
        f"key_1_{SECRET}",
        f"rf_key_1_{SECRET}\n",
        f" rf_key_1_{SECRET}",
        f"rf_key_../1_{SECRET}",
        f"rf_key_{'x' * 101}_{SECRET}",
        f"rf_key_1_{'é' * 43}",
        f"rf_key_\uff11_{SECRET}",
        f"rf_key_1\0_{SECRET}",
        f"RF_key_1_{SECRET}",
    ],
)
def test_text_that_can_be_no_key_is_none(text: str) -> None:
    assert read_key(text) is None


def test_the_secret_is_not_in_what_is_recorded() -> None:
    assert SECRET not in created.model_dump_json()
