"""A ledger for all tests of a module, where they do not mind each other's events."""

import contextlib
from collections.abc import Iterator

from runfold import Ledger
from tests.databases import fresh_database


@contextlib.contextmanager
def module_ledger(admin_url: str, template: str, module: str) -> Iterator[Ledger]:
    """Opened on a database of its own, with a role that may fold read models."""
    with fresh_database(admin_url, template, module) as made, Ledger.open(settings=made.settings) as ledger:
        yield ledger
