"""Read models whose tables another version of the program made: whoever asks is told so, and what to do."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import httpx2
import psycopg
import pytest

from runfold import Ledger
from runfold.api.route import QuestionRoute
from runfold.api.table import QUESTIONS
from runfold.cli.main import main
from runfold.errors import ReadModelBehind
from runfold.http.app import create_app
from runfold.projections.registry import known
from runfold.projections.usage import Usage
from runfold.projector.tables.table import fingerprint
from tests.databases import TestDatabase, fresh_database
from tests.questions import REQUIRED
from tests.serving import Anybody, serving

EVERY = sorted(known())
Alter = Callable[..., AbstractContextManager[None]]


@pytest.fixture(scope="module")
def database(admin_url: str, template: str) -> Iterator[TestDatabase]:
    """One for all."""
    with fresh_database(admin_url, template, "versions") as made:
        yield made


@pytest.fixture(scope="module")
def folded_once(database: TestDatabase) -> Iterator[Ledger]:
    """A run that failed, in all read models."""
    with Ledger.open(settings=database.settings) as ledger:
        run = ledger.create_thread(thread_id="thread_1", agent_id="a").start_run(run_id="run_1", goal={"id": "g"})
        run.fail("timeout")
        ledger.fold()
        yield ledger


@pytest.fixture
def altered(database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> Alter:
    """Plays a program of another version: a column that it reads is called otherwise in the table, or all are the same."""

    @contextmanager
    def alter(name: str, by: int, *, columns: bool = True) -> Iterator[None]:
        projection = known()[name]
        column = next(each for each in reversed(projection.row.model_fields) if each not in projection.key)
        mark = "UPDATE runfold.read_models SET fingerprint = %s WHERE name = %s"
        view = f"ALTER VIEW runfold_read.{name} RENAME COLUMN"
        with psycopg.connect(database.admin_url, autocommit=True) as connection, monkeypatch.context() as patch:
            patch.setattr(type(projection), "version", projection.version + by)
            if columns:
                connection.execute(mark, ["of others", name])
                connection.execute(f"{view} {column} TO of_others")
            try:
                yield
            finally:
                if columns:
                    connection.execute(f"{view} of_others TO {column}")
                    connection.execute(mark, [fingerprint(projection), name])

    return alter


def asked(ledger: Ledger) -> dict[str, str | None]:
    """Every question; of those that are not answered, the read model that is named."""
    ids = {"thread_id": "thread_1", "run_id": "run_1", "goal_id": "g", "node_id": "n", "run": "run_1", "thread": "thread_1"}
    found: dict[str, str | None] = {}
    for route in QUESTIONS:
        if not isinstance(route, QuestionRoute) or route.log:
            continue
        names = route.path_names if route.narrowed is None else [route.narrowed]
        given = {name: ids[name] for name in names} | REQUIRED.get(route.name, {})
        try:
            route.method(ledger.now, **given)
        except ReadModelBehind as behind:
            found[route.name] = behind.name if behind.fact else "one that is not built"
        else:
            found[route.name] = None
    return found


@pytest.mark.parametrize("name", EVERY)
def test_every_question_over_an_older_table_says_so_and_all_others_are_answered(
    folded_once: Ledger, altered: Alter, name: str
) -> None:
    assert set(asked(folded_once).values()) == {None}
    with altered(name, 1):
        assert set(asked(folded_once).values()) <= {None, name}
        version = known()[name].version
        said = rf"{name} has a table of the older version {version - 1}, and this program reads version {version}; "
        with pytest.raises(ReadModelBehind, match=f"{said}run `runfold work`, or .* --fold; `runfold rebuild {name}`"):
            folded_once.now.rows(name)
        with pytest.raises(ReadModelBehind, match=said):
            folded_once.now.read_models.standing(name)
    assert folded_once.now.rows(name).standing.behind_events == 0


def test_every_question_is_over_a_table_that_can_be_older(folded_once: Ledger, altered: Alter) -> None:
    refused: set[str] = set()
    for name in EVERY:
        with altered(name, 1):
            refused |= {question for question, behind in asked(folded_once).items() if behind is not None}
    assert asked(folded_once).keys() - refused == {"tool_calls.list_of_run"}, "those of one run are told from the log"


def test_a_newer_table_and_one_of_the_same_version_are_told_of_otherwise(folded_once: Ledger, altered: Alter) -> None:
    with altered("usage", -1), pytest.raises(ReadModelBehind, match=r"of the newer version.*upgrade this program"):
        folded_once.now.usage()
    with altered("usage", 0), pytest.raises(ReadModelBehind, match=r"of other columns.*set the projection's version to"):
        folded_once.now.usage()


def test_a_table_of_the_same_columns_is_read_until_its_successor_is_there(folded_once: Ledger, altered: Alter) -> None:
    with altered("threads", 1, columns=False):
        assert len(folded_once.now.threads().items) == 1


def test_http_answers_503_at_once_and_the_command_line_names_the_next_step(
    folded_once: Ledger, altered: Alter, database: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(create_app(folded_once, Anybody())) as address, altered("threads", 1):
        for path, narrowed in itertools.product(("/threads",), ("", "?min_position=1&wait_seconds=5")):
            answer = httpx2.get(f"{address}{path}{narrowed}")
            assert (answer.status_code, answer.json()["name"]) == (503, "threads")
            assert "of the older version" in answer.json()["detail"]
        with Ledger.connect(address) as connected, pytest.raises(ReadModelBehind, match="of the older version") as raised:
            connected.now.threads()
        assert raised.value.fact
        assert main(["threads", "--database-url", database.url]) == 1
        assert "--fold" in capsys.readouterr().err


def test_folding_makes_the_table_of_this_version(
    folded_once: Ledger, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last test: the table is another one afterwards."""
    monkeypatch.setattr(Usage, "version", Usage.version + 1)
    with psycopg.connect(database.admin_url, autocommit=True) as connection:
        connection.execute("UPDATE runfold.read_models SET fingerprint = 'of others' WHERE name = 'usage'")
        connection.execute("ALTER VIEW runfold_read.usage RENAME COLUMN run_id TO of_others")
    with pytest.raises(ReadModelBehind, match="usage has a table of the older version"):
        folded_once.now.usage()
    folded_once.fold("usage")
    assert folded_once.now.usage().standing.behind_events == 0
    assert list(folded_once.now.rows("usage").items) == []
