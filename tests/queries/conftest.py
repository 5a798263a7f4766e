"""What the questions are asked of."""

from tests.queries.listed import listed  # noqa: F401  a fixture of several modules
