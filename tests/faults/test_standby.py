"""A hot standby is read with everything that reads; what must write says that it is a standby, and to use the primary."""

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import httpx2
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from runfold import Ledger, LedgerUnavailable, Settings
from runfold.access.keys import Keys
from runfold.demo_story import AGENT, Cast, tell
from runfold.embedded.place import find_place
from runfold.embedded.server import EmbeddedServer
from runfold.errors import LedgerError, ReadModelBehind
from runfold.http.app import create_app
from runfold.queries.reading import Reading
from tests.cli.conftest import Command, calling
from tests.cli.reads import READS
from tests.faults.copies import copied, settings_of, stopped
from tests.folders import own_folder
from tests.serving import Anybody, serving

pytestmark = pytest.mark.fault("C-11")


class Pair(NamedTuple):
    """A primary, with the demo's story recorded and folded, and the server that follows it."""

    primary: Settings
    url: str
    standby_admin_url: str
    server_log: Path
    """What the standby said."""
    cast: Cast

    def replayed(self) -> None:
        """Wait until the standby has all that the primary has."""
        assert self.primary.admin_url is not None
        with psycopg.connect(self.primary.admin_url.get_secret_value(), autocommit=True) as primary:
            (wanted,) = primary.execute("SELECT pg_current_wal_insert_lsn()").fetchone() or ("",)
        with psycopg.connect(self.standby_admin_url, autocommit=True) as standby:
            asked = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
            _until(lambda: standby.execute(asked, [wanted]).fetchone() == (True,))


def _until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, "it was never so"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """Two servers of this module's own, one of which follows the other."""
    with contextlib.ExitStack() as stack:
        homes = [own_folder(name) for name in ("primary", "standby")]
        for home in homes:
            stack.callback(_delete, home)
        cast = Cast.of(7, "default")
        with Ledger.open(settings=settings_of(homes[0]).model_copy(update={"actor": AGENT})) as ledger:
            tell(ledger, cast)
            ledger.fold()
        data = find_place(homes[1]).data
        copied(stopped(homes[0]), data)
        copied(data / "PG_VERSION", data / "standby.signal")
        primary = stack.enter_context(EmbeddedServer.start(homes[0]))
        host = conninfo_to_dict(primary.admin_url)["host"]
        with (data / "postgresql.auto.conf").open("a") as configuration:
            configuration.write(f"primary_conninfo = 'host={host} port=5432 user=postgres'\nhot_standby_feedback = on\n")
        standby = stack.enter_context(EmbeddedServer.start(homes[1]))
        told = Settings(
            database_url=primary.url(),
            admin_url=primary.admin_url,
            projector_url=primary.url("runfold_projector"),
            mark_file=homes[0] / "marks.json",
            actor=AGENT,
        )
        pair = Pair(told, standby.url(), standby.admin_url, standby.log_file, cast)
        pair.replayed()
        yield pair


def _delete(home: Path) -> None:
    with contextlib.suppress(LedgerError, FileNotFoundError):
        EmbeddedServer.start(home).delete()
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def reader(pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command of a person who names the standby, and nothing else."""
    monkeypatch.setenv("RUNFOLD_DATABASE_URL", pair.url)
    monkeypatch.setenv("RUNFOLD_HOME", str(tmp_path / "home"))

    return calling(capsys)


COMMANDS: dict[str, Callable[[Cast], list[str]]] = {
    **READS,
    "run then": lambda cast: ["run", cast.id("run", "claim"), "--at", "20"],
    "moments": lambda _: ["moments", "list"],
    "doctor": lambda _: ["doctor"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_that_reads_reads_a_standby(reader: Command, pair: Pair, name: str) -> None:
    answer = reader(*COMMANDS[name](pair.cast), "--json")
    assert answer.code == 0, answer.err
    assert answer.out


def test_doctor_says_that_it_is_a_standby(reader: Command, pair: Pair) -> None:
    standby = [check for check in reader("doctor", "--json").json["checks"] if check["about"] == "standby"]
    assert [(check["state"], "primary" in check["next_step"]) for check in standby] == [("note", True)]


WRITES = {
    "work": ["work"],
    "rebuild": ["rebuild", "usage"],
    "rebuild as of": ["rebuild", "usage", "--at", "20", "--into", "past"],
    "moment": ["moments", "prepare", "20"],
    "key": ["keys", "create", "--owner", "human:ada", "--scope", "admin"],
    "migrate": ["migrate"],
    "serve": ["serve", "--no-work", "--port", "0", "--owner", "human:ada"],
}


@pytest.mark.parametrize("name", WRITES)
def test_every_command_that_writes_says_that_it_is_a_standby_and_names_the_primary(reader: Command, name: str) -> None:
    answer = reader(*WRITES[name], "--json")
    assert answer.code in {1, 2}
    message = answer.err.splitlines()[-1]
    assert [word for word in ("standby", "primary") if word not in message] == [], message
    assert "defect" not in message


OF_THREADS: dict[str, Callable[[Reading, Cast], object]] = {
    "runs": lambda at, cast: at.runs(thread_id=f"thread_{cast.name}"),
    "approvals": lambda at, cast: at.approvals(thread_id=f"thread_{cast.name}"),
    "attention": lambda at, cast: at.attention(thread_id=f"thread_{cast.name}"),
    "usage of a thread": lambda at, cast: at.usage("model", thread=f"thread_{cast.name}"),
    "usage of a tree": lambda at, cast: at.usage("run", run=cast.id("run", "claim"), scope="tree"),
    "summary": lambda at, cast: at.summary(cast.id("run", "claim")),
    "tool_calls": lambda at, cast: at.tool_calls(run_id=cast.id("run", "claim")),
    "view": lambda at, cast: at.run(cast.id("run", "claim")),
}


@pytest.mark.parametrize("name", OF_THREADS)
def test_a_thread_is_asked_of_a_standby_as_it_stood(pair: Pair, name: str) -> None:
    ask = OF_THREADS[name]
    with Ledger.open(settings=pair.primary) as primary, Ledger.open(pair.url) as standby:
        assert ask(standby.now, pair.cast) == ask(primary.now, pair.cast)
        for position in (20, 45, 80):
            assert ask(standby.at(position), pair.cast) == ask(primary.at(position), pair.cast)


def test_the_whole_past_is_refused_until_the_primary_has_prepared_it(pair: Pair) -> None:
    with Ledger.open(settings=pair.primary) as primary, Ledger.open(pair.url) as standby:
        for ask in (lambda: standby.at(30).runs(), lambda: standby.prepare(30)):
            with pytest.raises(LedgerUnavailable, match=r"is a standby.*use the primary") as refused:
                ask()
            assert not refused.value.retriable
        primary.prepare(30)
        pair.replayed()
        assert standby.at(30).runs().items == primary.at(30).runs().items


def test_what_is_recorded_at_the_primary_comes_to_who_follows_a_standby(
    pair: Pair, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """The standby refuses LISTEN: it is asked again and again, and nobody's log fills."""
    begun = len(pair.server_log.read_text().splitlines())
    with Ledger.open(settings=pair.primary) as primary, Ledger.open(pair.url) as standby:
        position = standby.position()
        following = standby.subscribe(after=position, follow=True)
        for number in range(1, 4):
            made = primary.create_thread(agent_id="support")
            recorded = next(following)
            assert (recorded.position, recorded.thread_id) == (position + number, made.id)
        assert standby.tail.failure is None
        with pytest.raises(LedgerUnavailable, match=r"standby.*use the primary") as refused:
            standby.create_thread(agent_id="support")
        assert not refused.value.retriable
    printed = capsys.readouterr()
    assert (printed.out, printed.err, caplog.records) == ("", "", [])
    said = pair.server_log.read_text().splitlines()[begun:]
    assert not [line for line in said if "LISTEN" in line]


def test_a_standby_that_is_behind_says_how_far_it_is(pair: Pair) -> None:
    """What happened since is not answered as if it had not: a position that is to come can be waited for."""
    with Ledger.open(settings=pair.primary) as primary, Ledger.open(pair.url) as standby:
        primary.fold()
        pair.replayed()
        with psycopg.connect(pair.standby_admin_url, autocommit=True) as admin:
            admin.execute("SELECT pg_wal_replay_pause()")
            try:
                seen = standby.position()
                primary.create_thread(agent_id="support")
                wanted = primary.fold()
                page = standby.now.runs()
                assert (page.standing.position, page.standing.head) == (seen, seen)
                with pytest.raises(ReadModelBehind):
                    standby.now.runs(min_position=wanted, wait_seconds=0)
            finally:
                admin.execute("SELECT pg_wal_replay_resume()")
        assert standby.now.runs(min_position=wanted, wait_seconds=60).standing.position >= wanted


def test_the_service_at_a_standby_answers_questions_and_refuses_commands(pair: Pair) -> None:
    thread = f"thread_{pair.cast.name}"
    paths = (
        "/healthz",
        "/readyz",
        "/threads",
        "/runs",
        "/events",
        f"/threads/{thread}",
        f"/runs/{pair.cast.id('run', 'claim')}",
        "/approvals",
        "/projections",
        "/usage",
        "/keys",
        "/moments",
        f"/runs?thread_id={thread}&as_of=20",
    )
    with (
        Ledger.open(pair.url) as ledger,
        serving(create_app(ledger, Anybody())) as address,
        httpx2.Client(base_url=address, timeout=60) as client,
    ):
        for path in paths:
            answer = client.get(path)
            assert answer.status_code == 200, (path, answer.text)
        for path, body in (("/threads", {"agent_id": "support"}), ("/moments", {"as_of": "25"})):
            refused = client.post(path, json=body)
            assert refused.status_code == 503, (path, refused.text)
            assert "a standby" in refused.json()["detail"], (path, refused.text)
            assert refused.json()["next_step"].endswith("use the primary"), (path, refused.text)
        whole = client.get("/runs?as_of=25")
        assert whole.status_code == 409, whole.text


def test_a_key_of_the_primary_opens_the_service_at_a_standby(pair: Pair) -> None:
    with Ledger.open(settings=pair.primary) as primary:
        key = primary.create_key(owner="human:ada", scopes=["runs:read"], label="reads").text
    pair.replayed()
    with Ledger.open(pair.url) as ledger, serving(create_app(ledger, Keys(ledger))) as address:
        answer = httpx2.get(f"{address}/threads", headers={"Authorization": f"Bearer {key}"})
        assert answer.status_code == 200, answer.text
