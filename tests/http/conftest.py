"""How the service is asked."""

import pytest

from runfold.http.routes import health


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """/readyz and /metrics wait for the database as long as it takes, for on a busy machine that may be long."""
    monkeypatch.setattr(health, "PATIENCE_SECONDS", 30.0)
