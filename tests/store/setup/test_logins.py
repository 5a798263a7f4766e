"""On a fresh server: what an administrator is told to run is enough, and logins are made that may do just what they are for."""

import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from runfold import Ledger, Settings
from runfold.embedded.place import find_place
from runfold.embedded.postgres import ROLES
from runfold.embedded.server import EmbeddedServer
from runfold.errors import MigrationRefused
from runfold.store.address import parts_of
from runfold.store.setup.logins import SETTINGS
from runfold.store.setup.migrate import logins, migrate


@pytest.fixture(scope="module")
def fresh() -> Iterator[str]:
    """A superuser's URL of a server that has never heard of Runfold."""
    home = Path(tempfile.mkdtemp(prefix="rf-", dir="/tmp"))
    home.chmod(0o711)
    server = EmbeddedServer.start(home)
    admin = server.url("postgres", "postgres")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute("DROP DATABASE runfold")
        for role in ROLES:
            connection.execute(f"DROP ROLE {role}")
        connection.execute("CREATE ROLE plain LOGIN")
        connection.execute("CREATE DATABASE agents OWNER plain")
        connection.execute('CREATE DATABASE "Other agents"')
    yield admin
    server.close()
    EmbeddedServer(find_place(home), None).delete()
    shutil.rmtree(home)


def _as_told(text: str) -> str:
    """The statements of a refusal, with a password filled in."""
    return text.split("\n\n")[1].replace("'…'", "'secret'")


def test_an_owner_without_the_right_to_make_roles_passes_once_an_administrator_did_as_told(fresh: str) -> None:
    plain = make_conninfo(fresh, dbname="agents", user="plain")
    with pytest.raises(MigrationRefused, match="let an administrator run there") as refused:
        migrate(plain)
    text = _as_told(str(refused.value))
    assert text.count("CREATE ROLE") == len(ROLES) + len(SETTINGS)
    with psycopg.connect(make_conninfo(fresh, dbname="agents"), autocommit=True) as admin:
        admin.execute(text)
    assert migrate(plain)
    assert logins(plain) == ([], [])
    urls = {use: make_conninfo(plain, user=f"agents_{use}") for use in SETTINGS}
    settings = Settings(database_url=urls["app"], projector_url=urls["projector"])
    with Ledger.open(settings=settings) as ledger:
        ledger.create_thread(agent_id="support")
        assert ledger.fold() == 1
    with psycopg.connect(urls["reader"]) as reader:
        assert reader.execute("SELECT count(*) FROM runfold_read.threads").fetchone() == (1,)


def test_a_superuser_makes_logins_of_the_database_each_with_a_password_of_its_own(fresh: str) -> None:
    admin = make_conninfo(fresh, dbname="Other agents")
    migrate(admin)
    made, wanted = logins(admin, create=True)
    assert [each.name for each in made] == [
        "Other agents_app",
        "Other agents_projector",
        "Other agents_reader",
        "Other agents_sealer",
    ]
    assert wanted == []
    assert len({parts_of(each.url)["password"] for each in made}) == 4
    by_setting = {each.setting: each.url for each in made}
    settings = Settings(
        database_url=by_setting["RUNFOLD_DATABASE_URL"],  # type: ignore[arg-type]  # as from the environment
        projector_url=by_setting["RUNFOLD_PROJECTOR_URL"],  # type: ignore[arg-type]
    )
    with Ledger.open(settings=settings) as ledger:
        ledger.create_thread(agent_id="support")
        assert ledger.fold() == 1
    with psycopg.connect(admin) as connection:
        kept = connection.execute("SELECT rolpassword FROM pg_authid WHERE rolname LIKE 'Other agents%'").fetchall()
    assert all(password.startswith("SCRAM-SHA-256$") for (password,) in kept)
    assert logins(admin, create=True) == ([], [])


def test_of_those_who_make_logins_at_once_one_is_told_all_passwords(fresh: str) -> None:
    with psycopg.connect(fresh, autocommit=True) as connection:
        connection.execute("CREATE DATABASE hurried")
    admin = make_conninfo(fresh, dbname="hurried")
    migrate(admin)
    with ThreadPoolExecutor(4) as pool:
        found = [*pool.map(lambda _: logins(admin, create=True)[0], range(4))]
    assert sorted(map(len, found)) == [0, 0, 0, len(SETTINGS)]


def test_who_may_not_make_logins_is_told_the_statements(fresh: str) -> None:
    with psycopg.connect(fresh, autocommit=True) as connection:
        connection.execute("CREATE ROLE weak LOGIN")
        connection.execute("CREATE DATABASE weak_agents OWNER weak")
    with pytest.raises(MigrationRefused, match="may not make logins") as refused:
        logins(make_conninfo(fresh, dbname="weak_agents", user="weak"), create=True)
    assert "CREATE ROLE \"weak_agents_reader\" LOGIN PASSWORD '…' IN ROLE runfold_reader;" in str(refused.value)
