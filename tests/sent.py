"""What is sent to the database meanwhile."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from runfold.store.reading.tenant_reader import TenantReader


@contextlib.contextmanager
def sent(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, Sequence[Any]]]]:
    """The queries of tenants' readers, of this process, in order, each with its parameters."""
    found: list[tuple[str, Sequence[Any]]] = []
    rows = TenantReader.rows

    def noting(self: TenantReader, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        found.append((query, parameters))
        return rows(self, query, parameters)

    with monkeypatch.context() as patched:
        patched.setattr(TenantReader, "rows", noting)
        yield found
