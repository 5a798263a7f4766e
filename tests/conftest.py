"""A real PostgreSQL for all tests, a database of its own for each, and runs to write to."""

import atexit
import contextlib
import gc
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import httpcore2
import httpx2
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from starlette.applications import Starlette

from runfold import Ledger, Run, Settings, Thread
from runfold.embedded.server import EmbeddedServer
from runfold.http.app import create_app
from runfold.projections.registry import known
from runfold.projector.worker import Worker
from runfold.queries.reading import Reading
from runfold.store.datastore import Datastore
from runfold.store.setup.migrate import migrate
from tests.backups import empty_database
from tests.databases import TestDatabase, fresh_database, go_on_in
from tests.folders import own_folder
from tests.serving import Anybody, serving

SHARED = Path(__file__).parents[2] / "shared"
TRAJECTORIES = SHARED / "data" / "trajectories"
ROOM = 4 * 2**30
"""What a test server may need, in bytes: the WAL, and the databases of a few tests."""

APART = ("alone", "paired")
"""The marks of tests that are run by themselves, after all others."""

_MARKS = own_folder("marks") / "marks.json"
atexit.register(shutil.rmtree, _MARKS.parent, ignore_errors=True)
os.environ["RUNFOLD_MARK_FILE"] = str(_MARKS)  # what fixtures of a whole module open is noted here too

# The tests start many hundreds of programs of ours: each would compile all of src again, which takes it a quarter of a second.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Each client of HTTP would read all certificates of the machine, which takes it longer than most tests: they are read once.
httpcore2.default_ssl_context = cache(httpcore2.default_ssl_context)

# A shell that runs the tests in the background has Ctrl-C ignored, and the commands that tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--long`: nothing is left out."""
    parser.addoption("--long", action="store_true", help="run the tests that are marked long too")


@cache
def _says(path: Path, mark: str) -> bool:
    return f"pytest.mark.{mark}" in path.read_text(encoding="utf-8")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """For `-m alone` only the files are loaded that say it: to load all takes longer than half of those tests."""
    mark = config.getoption("markexpr")
    if mark in APART and collection_path.suffix == ".py" and not _says(collection_path, mark):
        return True
    return None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes long, unless it is asked for."""
    for mark in APART:
        unsaid = [item.nodeid for item in items if item.get_closest_marker(mark) and not _says(item.path, mark)]
        if unsaid:
            raise pytest.UsageError(f"the file of a test that is {mark} says so itself (pytest.mark.{mark}): {unsaid}")
    if not config.getoption("--long"):
        sampled = [item for item in items if item.get_closest_marker("sampled")]
        left_out = {id(item) for number, item in enumerate(sampled) if number % 6}
        for item in items:
            if item.get_closest_marker("long") or id(item) in left_out:
                item.add_marker(pytest.mark.skip(reason="takes its time; --long runs it"))


def pytest_collection_finish() -> None:
    """What there is now stays, and need not be looked through for cycles again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the person who runs the tests reaches them."""
    for name in [name for name in os.environ if name.startswith("RUNFOLD_") and not name.startswith("RUNFOLD_TEST_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RUNFOLD_MARK_FILE", str(_MARKS))
    monkeypatch.chdir(tmp_path)


def _in_memory() -> Path | None:
    """A folder in memory, where there is one with room for a server: a database is made there in a tenth of the time."""
    memory = Path("/dev/shm")
    if "TMPDIR" in os.environ or not os.access(memory, os.W_OK) or shutil.disk_usage(memory).free < ROOM:
        return None
    return memory


@pytest.fixture(scope="session")
def admin_url() -> Iterator[str]:
    """A superuser's URL: of RUNFOLD_TEST_ADMIN_URL's server, else of an embedded one of this session's own."""
    if given := os.environ.get("RUNFOLD_TEST_ADMIN_URL"):
        yield given
        return
    home = own_folder("server", _in_memory())
    server = EmbeddedServer.start(home)
    try:
        yield server.admin_url
    finally:
        server.stop_now()
        server.close()
        server.delete()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def migrated(admin_url: str) -> Iterator[str]:
    """A migrated, empty database, to be copied. Its name is this process's own: others may test on the same server."""
    name = f"runfold_template_{os.getpid()}"
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    migrate(make_conninfo(admin_url, dbname=name))
    with psycopg.connect(admin_url, autocommit=True) as connection:
        for role in ("runfold_owner", "runfold_app", "runfold_projector", "runfold_reader", "runfold_sealer"):
            connection.execute(sql.SQL("ALTER ROLE {} LOGIN").format(sql.Identifier(role)))
    yield name
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def begun(admin_url: str, migrated: str) -> Iterator[str]:
    """The same, and all read models have begun, at position 0: to make them takes as long as all else that most tests do."""
    with fresh_database(admin_url, migrated, "begun") as made:
        folding = Worker(Datastore(made.projector_url), known())
        folding.catch_up()
        folding.close()
        yield made.name


@pytest.fixture(scope="session")
def template(migrated: str) -> str:
    """What the databases of tests are copies of. Where most tests fold, their folder says that it is `begun`."""
    return migrated


@pytest.fixture
def new_database(
    request: pytest.FixtureRequest, admin_url: str, migrated: str, template: str
) -> Iterator[Callable[[], TestDatabase]]:
    """Makes databases, each a copy of the template, dropped after the test."""
    source = migrated if request.node.get_closest_marker("not_begun") else template
    with contextlib.ExitStack() as made:
        yield lambda: made.enter_context(fresh_database(admin_url, source, "test"))


@pytest.fixture
def copy_of(admin_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], TestDatabase]]:
    """Makes a copy of the database of that name, in which is told what all tests of a module begin with; dropped after the test.

    Nobody sees that it is one. As all copies have one history, how far this one was is noted in a place of its own.
    """
    monkeypatch.setenv("RUNFOLD_MARK_FILE", str(tmp_path / "marks.json"))
    with contextlib.ExitStack() as made:

        def copy(name: str) -> TestDatabase:
            copied = made.enter_context(fresh_database(admin_url, name, "copy"))
            go_on_in(copied)
            return copied

        yield copy


@pytest.fixture
def shares(request: pytest.FixtureRequest) -> bool:
    """Whether this test is one of those of its module that share a ledger."""
    return request.node.get_closest_marker("shares") is not None


@pytest.fixture
def database(request: pytest.FixtureRequest, shares: bool) -> TestDatabase:
    """This test's own migrated, empty database; where it is marked so, the one that it shares."""
    if shares:
        shared: TestDatabase = request.getfixturevalue("shared_database")
        return shared
    new_database: Callable[[], TestDatabase] = request.getfixturevalue("new_database")
    return new_database()


@pytest.fixture
def empty(database: TestDatabase) -> Iterator[TestDatabase]:
    """A database with nothing in it."""
    with empty_database(database) as made:
        yield made


@pytest.fixture
def settings(database: TestDatabase) -> Settings:
    """Settings that point at this test's database."""
    return database.settings


@pytest.fixture
def ledger(request: pytest.FixtureRequest, shares: bool, settings: Settings) -> Iterator[Ledger]:
    """A ledger on this test's own database, or the one that it shares."""
    if shares:
        yield request.getfixturevalue("shared_ledger")
        return
    with Ledger.open(settings=settings) as opened:
        yield opened


@pytest.fixture(scope="module")
def shared_database(admin_url: str, template: str) -> Iterator[TestDatabase]:
    """One database for the tests of a module that do not mind each other's events."""
    with fresh_database(admin_url, template, "shared") as made:
        yield made


@pytest.fixture(scope="module")
def shared_settings(shared_database: TestDatabase) -> Settings:
    """Settings that point at it."""
    return shared_database.settings


@pytest.fixture(scope="module")
def shared_ledger(shared_settings: Settings) -> Iterator[Ledger]:
    """A ledger on it."""
    with Ledger.open(settings=shared_settings) as opened:
        yield opened


@pytest.fixture(scope="module")
def shared_app(shared_ledger: Ledger) -> Starlette:
    """The service of that. It lets everybody in."""
    return create_app(shared_ledger, Anybody())


@pytest.fixture(scope="module")
def shared_address(shared_app: Starlette) -> Iterator[str]:
    """Where that is."""
    with serving(shared_app) as address:
        yield address


@pytest.fixture(scope="module")
def shared_url(shared_database: TestDatabase) -> str:
    """Where it is."""
    return shared_database.url


@pytest.fixture
def folded(ledger: Ledger) -> Callable[[], Reading]:
    """Folds what tells how agents do, and reads."""

    def fold() -> Reading:
        ledger.fold("run_summaries", "decision_log", "problems", "goals", "attention")
        return ledger.now

    return fold


@pytest.fixture
def thread(ledger: Ledger) -> Thread:
    return ledger.create_thread(agent_id="support")


@pytest.fixture
def run(thread: Thread) -> Run:
    return thread.start_run()


@pytest.fixture
def other(settings: Settings) -> Iterator[Ledger]:
    """What another process would have open on the same database: it shares nothing with `ledger` but that."""
    with Ledger.open(settings=settings) as opened:
        yield opened


@pytest.fixture
def stalled(database: TestDatabase) -> Callable[[], contextlib.AbstractContextManager[None]]:
    """While it is entered, no append gets through: what is submitted stays on its way, for as long as that takes."""
    with psycopg.connect(database.admin_url, autocommit=True) as connection:
        for function in ("append_events", "append_events_in_groups"):
            connection.execute(f"ALTER FUNCTION runfold.{function} SET lock_timeout = 0")

    @contextlib.contextmanager
    def stall() -> Iterator[None]:
        with psycopg.connect(database.admin_url) as connection:
            connection.execute("SELECT * FROM runfold.head FOR UPDATE")
            yield

    return stall


@pytest.fixture
def app(request: pytest.FixtureRequest, shares: bool, ledger: Ledger) -> Starlette:
    """This test's service, or the one that it shares. It lets everybody in."""
    return request.getfixturevalue("shared_app") if shares else create_app(ledger, Anybody())


@pytest.fixture
def address(request: pytest.FixtureRequest, shares: bool, app: Starlette) -> Iterator[str]:
    """Where that is."""
    if shares and app is request.getfixturevalue("shared_app"):
        yield request.getfixturevalue("shared_address")
        return
    with serving(app) as address:
        yield address


@pytest.fixture
def client(address: str) -> Iterator[httpx2.Client]:
    """A client of this test's service."""
    with httpx2.Client(base_url=address, timeout=60) as client:
        yield client


@pytest.fixture(scope="session")
def trajectories() -> Path:
    """The folder of real agent runs. Skips where it is not, except in CI, where it must be."""
    if not TRAJECTORIES.is_dir():
        reason = f"the real agent runs are not at {TRAJECTORIES}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return TRAJECTORIES
