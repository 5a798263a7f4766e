"""A process that was started before a migration goes on appending, with what it has prepared and over new connections."""

import os
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from runfold import Ledger
from runfold.maintenance.checking import LogCheck
from runfold.store.setup.migrate import migrate, migrations

CALL = (
    "SELECT first_position, conflicts, actual_versions, conflicting_tenants FROM runfold.append("
    "%s::text[], %s::int8[], %s::text[], %s::int2[], %s::bytea[], %s::text[], %s::text[], %s::text[], %s::uuid[],"
    " %s::text[], %s::text[], %s::text[], %s::int8[], %s::text[], %s::bytea)"
)
"""As the versions from 0005 on call it."""


def append(connection: psycopg.Connection[Any], *versions: int, watched: int | None = None) -> Any:
    """Events of a thread of its own, whose salts are told by their versions."""
    n = len(versions)
    given = [
        ["thread_old"] * n,
        list(versions),
        ["thread.created" if version == 1 else "thread.renamed" for version in versions],
        [1] * n,
        [b'{"agent_id":"a","metadata":{}}' if version == 1 else b'{"title":"x"}' for version in versions],
        [None] * n,
        ["default"] * n,
        ["thread_old"] * n,
        [uuid4() for _ in versions],
        ["{}"] * n,
        ['{"actor": {"kind": "service", "id": "old"}}'] * n,
        [] if watched is None else ["thread_old"],
        [] if watched is None else [watched],
        [] if watched is None else ["default"],
        b"".join(salt(version) for version in versions),
    ]
    return connection.execute(CALL, given, prepare=True).fetchone()


def salt(version: int) -> bytes:
    return version.to_bytes(1) * 16


@pytest.fixture
def old(admin_url: str, template: str) -> Iterator[str]:
    name = f"runfold_before_{os.getpid()}"
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    url = make_conninfo(admin_url, dbname=name)
    migrate(url, [file for file in migrations() if file.number < 12])
    yield url
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.mark.fault("J2", "J3")
def test_a_process_of_the_version_before_appends_as_before_once_appends_take_an_event_in_one_value(old: str) -> None:
    app = make_conninfo(old, user="runfold_app")
    with psycopg.connect(app, autocommit=True, options="-c runfold.tenant=*") as begun:
        assert append(begun, 1) == (1, None, None, None)
        migrate(old)
        assert append(begun, 2) == (2, None, None, None)
        with psycopg.connect(app, autocommit=True, options="-c runfold.tenant=*") as anew:
            for connection, at in ((begun, 2), (anew, 5)):
                assert append(connection, at + 1, at + 2, at + 3) == (at + 1, None, None, None)
                assert append(connection, at + 1) == (None, ["thread_old"], [at + 3], ["default"])
                assert append(connection, at + 5, at + 4) == (None, ["thread_old"], [at + 3], ["default"])
                assert append(connection, watched=at + 2) == (None, ["thread_old"], [at + 3], ["default"])
    with Ledger.open(app) as ledger:
        assert list(LogCheck(ledger.recorder.reader).findings()) == []
        assert [event.salt for event in ledger.events()] == [salt(version) for version in range(1, 9)]
        assert ledger.create_thread(agent_id="support").id
