"""Settings with a home of the test's own, where keys and checkpoints are."""

from pathlib import Path

import pytest

from runfold import Settings
from tests.databases import TestDatabase


@pytest.fixture
def settings(database: TestDatabase, tmp_path: Path) -> Settings:
    return database.settings.model_copy(update={"home": tmp_path / "home"})
