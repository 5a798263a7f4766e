"""Signing secrets lie encrypted in the database, with a key that is not in it."""

import stat
from pathlib import Path

import pytest
import structlog
from cryptography.fernet import Fernet

from runfold import Ledger
from runfold.errors import SecretSealed, UsageError
from runfold.store.sealed_secrets import SealedSecrets


def test_a_secret_is_made_once_and_read_only_with_the_key(ledger: Ledger, tmp_path: Path) -> None:
    store, file = ledger.recorder.store, tmp_path / "home" / "keys"
    secrets = SealedSecrets(file, store)
    with structlog.testing.capture_logs() as told:
        made = secrets.secret("default", "webhook_a", 1)
        secrets.secret("default", "webhook_b", 1)
    assert [line["file"] for line in told] == [str(file)], "who does not know of the file keeps no copy of it"
    assert made == SealedSecrets(file, store).secret("default", "webhook_a", 1)
    assert len({made, *(secrets.secret(*of) for of in (("default", "webhook_a", 2), ("acme", "webhook_a", 1)))}) == 3
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with store.reading() as connection:
        kept = [bytes(row["sealed"]) for row in connection.execute("SELECT sealed FROM runfold.webhook_secrets").fetchall()]
    assert all(made.removeprefix("whsec_").encode() not in sealed for sealed in kept)
    other = tmp_path / "other"
    other.write_bytes(Fernet.generate_key())
    with pytest.raises(SecretSealed, match="RUNFOLD_WEBHOOK_KEYS"):
        SealedSecrets(other, store).secret("default", "webhook_a", 1)
    with pytest.raises(SecretSealed, match="was encrypted with a key"):
        SealedSecrets(tmp_path / "missing", store).secret("default", "webhook_b", 1)
    assert not (tmp_path / "missing").exists(), "a second key would only hide that the first is not there"
    other.write_text("no key\n")
    with pytest.raises(UsageError, match="one Fernet key on each line"):
        SealedSecrets(other, store).secret("default", "webhook_a", 1)


def test_a_new_key_on_the_first_line_takes_over(ledger: Ledger, tmp_path: Path) -> None:
    store, file = ledger.recorder.store, tmp_path / "keys"
    secrets = SealedSecrets(file, store)
    made = secrets.secret("default", "webhook_a", 1)
    old, new = file.read_text(), Fernet.generate_key().decode() + "\n"
    file.write_text(new + old)
    assert secrets.secret("default", "webhook_a", 1) == made
    assert (secrets.encrypt_anew(), secrets.encrypt_anew()) == (1, 0)
    file.write_text(new)
    assert secrets.secret("default", "webhook_a", 1) == made
    file.write_text(old)
    with pytest.raises(SecretSealed):
        secrets.secret("default", "webhook_a", 1)
