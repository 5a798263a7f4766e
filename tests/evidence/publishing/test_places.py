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

ORIGIN = "runfold/ab12"


class Notary(BaseHTTPRequestHandler):
    """Takes PUT and gives GET."""

    kept: ClassVar[dict[str, bytes]] = {}
    refuses: ClassVar[bool] = False

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
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def notary() -> Iterator[str]:
    Notary.kept, Notary.refuses = {}, False
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
