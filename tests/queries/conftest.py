"""What the questions are asked of."""

import pytest

from tests.queries.listed import listed  # noqa: F401  a fixture of several modules


@pytest.fixture(scope="session")
def template(begun: str) -> str:
    """Most tests here fold."""
    return begun
