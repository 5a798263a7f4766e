"""A real PostgreSQL for all tests, and a database of its own for each."""

import itertools
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from runfold import Ledger, Settings
from runfold.store.embedded import EmbeddedServer
from runfold.store.migrate import migrate

SHARED = Path(__file__).parents[2] / "shared"
TRAJECTORIES = SHARED / "data" / "trajectories"

_numbers = itertools.count(1)

# A shell that runs the tests in the background has Ctrl-C ignored, and the commands that tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--long`: nothing is left out."""
    parser.addoption("--long", action="store_true", help="run the tests that are marked long too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes long, unless it is asked for."""
    if not config.getoption("--long"):
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(pytest.mark.skip(reason="takes its time; --long runs it"))


@dataclass(frozen=True)
class TestDatabase:
    """One test's database: its URL as the application's role, as the owner of the log, as projector, and as superuser."""

    __test__ = False

    url: str
    owner_url: str
    admin_url: str
    projector_url: str


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the person who runs the tests reaches them."""
    for name in [name for name in os.environ if name.startswith("RUNFOLD_") and not name.startswith("RUNFOLD_TEST_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def admin_url() -> Iterator[str]:
    """A superuser's URL: of RUNFOLD_TEST_ADMIN_URL's server, else of an embedded one of this session's own."""
    if given := os.environ.get("RUNFOLD_TEST_ADMIN_URL"):
        yield given
        return
    home = Path(tempfile.mkdtemp(prefix="runfold-tests-"))
    home.chmod(0o711)  # the server runs as another user where the tests run as root
    server = EmbeddedServer.start(home)
    try:
        yield server.admin_url
    finally:
        server.stop_now()
        server.close()
        server.delete()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def template(admin_url: str) -> Iterator[str]:
    """A migrated, empty database, to be copied. Its name is this process's own: others may test on the same server."""
    name = f"runfold_template_{os.getpid()}"
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    migrate(make_conninfo(admin_url, dbname=name))
    with psycopg.connect(admin_url, autocommit=True) as connection:
        for role in ("runfold_owner", "runfold_app", "runfold_projector", "runfold_reader"):
            connection.execute(sql.SQL("ALTER ROLE {} LOGIN").format(sql.Identifier(role)))
    yield name
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))


@pytest.fixture
def new_database(admin_url: str, template: str) -> Iterator[Callable[[], TestDatabase]]:
    """Makes databases, each a copy of the template, dropped after the test."""
    made: list[str] = []

    def make() -> TestDatabase:
        name = f"runfold_test_{os.getpid()}_{next(_numbers)}"
        with psycopg.connect(admin_url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
            # What a role may do with a database as such is not copied with it.
            connection.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO runfold_projector").format(sql.Identifier(name)))
        made.append(name)
        return TestDatabase(
            url=make_conninfo(admin_url, dbname=name, user="runfold_app"),
            owner_url=make_conninfo(admin_url, dbname=name, user="runfold_owner"),
            admin_url=make_conninfo(admin_url, dbname=name),
            projector_url=make_conninfo(admin_url, dbname=name, user="runfold_projector"),
        )

    yield make
    with psycopg.connect(admin_url, autocommit=True) as connection:
        for name in made:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def database(new_database: Callable[[], TestDatabase]) -> TestDatabase:
    """This test's own migrated, empty database."""
    return new_database()


@pytest.fixture
def settings(database: TestDatabase) -> Settings:
    """Settings that point at this test's database."""
    return Settings(database_url=database.url, admin_url=database.admin_url, projector_url=database.projector_url)


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    """A ledger on this test's own database."""
    with Ledger.open(settings=settings) as opened:
        yield opened


@pytest.fixture(scope="session")
def trajectories() -> Path:
    """The folder of real agent runs. Skips where it is not, except in CI, where it must be."""
    if not TRAJECTORIES.is_dir():
        reason = f"the real agent runs are not at {TRAJECTORIES}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return TRAJECTORIES
