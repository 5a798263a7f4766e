"""Places to which checkpoints are published: what they were given, they give back."""

import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from runfold import Ledger, Settings
from runfold.errors import SealingRefused
from runfold.evidence.publishing.places import Folder, Git, Place, PlaceFailed, Web, places
from runfold.evidence.sealer import Sealer
from runfold.evidence.sealing.comparing import stored_trees
from tests.evidence.publishing.liars import answering, ok

ORIGIN = "runfold/ab12"


class Notary(BaseHTTPRequestHandler):
    """Takes PUT and gives GET."""

    kept: ClassVar[dict[str, bytes]] = {}
    refuses: ClassVar[bool] = False
    lets_in: ClassVar[str | None] = None
    """The `Authorization` that is asked for."""

    def do_GET(self) -> None:
        self._answer(200 if self.path in self.kept else 404, self.kept.get(self.path, b""))

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.refuses:
            self.kept[self.path] = body
        self._answer(507 if self.refuses else 201, b"")

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""

    def _answer(self, status: int, body: bytes) -> None:
        if self.lets_in not in {None, self.headers["Authorization"]}:
            status, body = 401, b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def notary() -> Iterator[str]:
    Notary.kept, Notary.refuses, Notary.lets_in = {}, False, None
    with ThreadingHTTPServer(("127.0.0.1", 0), Notary) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/ledger"
        server.shutdown()
        thread.join()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    return folder


def test_a_place_gives_the_last_checkpoint_that_it_was_given(tmp_path: Path, repository: Path, notary: str) -> None:
    every: list[Place] = [Folder(tmp_path / "folder"), Git(repository), Web(notary)]
    for place in every:
        assert place.read(ORIGIN) is None
        for note in ("first\n1\nroot\n", "first\n2\nroot\n", "first\n2\nroot\n"):
            place.write(ORIGIN, note)
            assert place.read(ORIGIN) == note
        assert place.read("runfold/other") is None
    log = subprocess.run(["git", "-C", str(repository), "log", "--format=%s"], check=True, capture_output=True, text=True).stdout
    assert log.splitlines() == [f"{ORIGIN}: 2 events", f"{ORIGIN}: 1 events"]


def test_a_place_that_fails_says_so(tmp_path: Path, notary: str) -> None:
    Notary.refuses = True
    (tmp_path / "file").write_text("")
    every: list[Place] = [Folder(tmp_path / "file"), Git(tmp_path / "none"), Web(notary), Web("http://127.0.0.1:1")]
    for place in every:
        with pytest.raises(PlaceFailed):
            place.write(ORIGIN, "x\n1\n\n")


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"",
        ok(b"runfold/ab12\n1\n")[:-5],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\nrunfold/ab12",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        ok(b"", status="302 Found"),
    ],
)
def test_what_is_no_whole_answer_of_the_web_is_no_checkpoint_and_nothing_worse(said: bytes) -> None:
    with answering(said) as address:
        for asked in (lambda: Web(address).read(ORIGIN), lambda: Web(address).write(ORIGIN, "x\n1\n\n")):
            with pytest.raises(PlaceFailed):
                asked()


def test_a_name_and_password_of_an_address_are_shown_to_the_place_and_to_nobody_else(notary: str) -> None:
    Notary.lets_in = "Basic YWRhOnMvZWNyZXQ="
    place = Web(notary.replace("http://", "http://ada:s%2Fecret@"))
    place.write(ORIGIN, "x\n1\n\n")
    assert place.read(ORIGIN) == "x\n1\n\n"
    assert place.name == notary
    with pytest.raises(PlaceFailed, match="answers 401"):
        Web(notary).read(ORIGIN)


def test_a_folder_of_a_repository_is_a_place_also_from_a_hook_of_another_one(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / "ledger").mkdir()
    subprocess.run(["git", "init", "-q", str(tmp_path / "another")], check=True)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "another" / ".git"))
    place = Git(repository / "ledger")
    for note in ("first\n1\nroot\n", "first\n2\nroot\n"):
        place.write(ORIGIN, note)
        assert place.read(ORIGIN) == note
    assert list((repository / ".git" / "refs" / "heads").iterdir())


def test_places_that_differ_by_their_port_are_two(settings: Settings, notary: str) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Another", (Notary,), {"kept": {}})) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        another = f"http://127.0.0.1:{server.server_port}/ledger"
        with Ledger.open(settings=settings.model_copy(update={"seal_publish": f"{notary},{another}"})) as ledger:
            ledger.create_thread(agent_id="desk")
            Sealer(ledger).seal_all()
            origin = ledger.checkpoint().origin
        assert Web(notary).read(origin)
        assert Web(another).read(origin) == Web(notary).read(origin)
        server.shutdown()
        thread.join()


def test_places_are_folders_repositories_and_https(tmp_path: Path) -> None:
    found = places("/srv/one, git:/srv/two,https://ada:secret@notary.example/x,", tmp_path)
    assert [place.name for place in found] == [str(tmp_path / "sealed"), "/srv/one", "git:/srv/two", "https://notary.example/x"]


@pytest.mark.fault("B9")
def test_what_another_machine_published_is_compared_and_a_place_that_is_away_holds_up_nothing(
    settings: Settings, tmp_path: Path, repository: Path, notary: str
) -> None:
    settings = settings.model_copy(update={"seal_publish": f"{tmp_path / 'shared'},git:{repository},{notary},http://127.0.0.1:1"})
    with Ledger.open(settings=settings) as ledger:
        run = ledger.create_thread(agent_id="desk").start_run()
        Sealer(ledger).seal_all()
        with ledger.recorder.store.reading() as connection:
            (tree,) = stored_trees(connection)
        for place in places(settings.seal_publish, settings.home)[:4]:
            assert place.read(tree.origin) == tree.note
        run.add_message("user", "more")
        longer = (tree.note or "").replace(f"\n{tree.size}\n", f"\n{tree.size + 7}\n")
        Folder(tmp_path / "shared").write(tree.origin, longer)
        with pytest.raises(SealingRefused, match="is not a checkpoint of ours: the signature"):
            Sealer(ledger).seal_all()
