"""Where checkpoints are published, so that who administers the database cannot take them back: folders, Git, HTTPS.

A place keeps the last checkpoint of each tree under NAME/checkpoint. What it holds is read before anything is written there:
a tree that has shrunk, or that has another past, is not published over it.
"""

import base64
import contextlib
import http.client
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from runfold.durable_files import write_whole
from runfold.evidence.publishing.cosigning import shown
from runfold.file_errors import at_home, why
from runfold.proofs.note import MOST_BYTES

_SECONDS = 10.0
_NOT_FOUND = {404, 410}
_OF_ANOTHER = {"GIT_DIR", "GIT_COMMON_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX"}
"""What a hook of another repository leaves in the environment, to which git would commit else."""


class PlaceFailed(Exception):
    """A place cannot be read or written just now."""


class Place(Protocol):
    """Keeps the last checkpoint of each tree."""

    name: str
    every: float
    """Seconds from one checkpoint to the next there."""

    def read(self, origin: str) -> str | None:
        """Return the last checkpoint of a tree; None where there is none. Raises PlaceFailed."""

    def write(self, origin: str, note: str) -> None:
        """Put a checkpoint in its place. Raises PlaceFailed."""


def places(text: str, home: Path) -> list[Place]:
    """The places that settings name, the folder of this machine first. Raises FileNotFoundError for a ~ that names nobody."""
    found: list[Place] = [Folder(home / "sealed")]
    for said in (part.strip() for part in text.split(",")):
        if said.startswith("git:"):
            found.append(Git(at_home(Path(said.removeprefix("git:")))))
        elif "://" in said:
            found.append(Web(said.rstrip("/")))
        elif said:
            found.append(Folder(at_home(Path(said))))
    return found


def path_of(origin: str) -> str:
    """Where a tree's checkpoint is in a place."""
    return f"{origin.rpartition('/')[2]}/checkpoint"


class Folder:
    """A folder: of another machine, of a bucket that keeps what was written, or of this machine."""

    every = 0.0

    def __init__(self, folder: Path) -> None:
        self.name = str(folder)
        self.folder = folder

    def read(self, origin: str) -> str | None:
        """Return the last checkpoint of a tree; None where there is none. Raises PlaceFailed."""
        try:
            with (self.folder / path_of(origin)).open(encoding="utf-8") as file:
                return file.read(MOST_BYTES + 1)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise PlaceFailed(f"{self.name} cannot be read ({why(error)})") from None

    def write(self, origin: str, note: str) -> None:
        """Put a checkpoint in its place, whole or not at all. Raises PlaceFailed."""
        path = self.folder / path_of(origin)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, note.encode(), mode=0o644)
        except OSError as error:
            raise PlaceFailed(f"{self.name} cannot be written ({why(error)})") from None


class Git:
    """A Git repository, in which each checkpoint is a commit, which is pushed where the repository has a remote."""

    every = 60.0

    def __init__(self, folder: Path) -> None:
        self.name = f"git:{folder}"
        self._folder = folder

    def read(self, origin: str) -> str | None:
        """Return what was committed last. Raises PlaceFailed."""
        if not self._run("rev-list", "-n1", "--all"):
            return None
        listed = self._run("ls-tree", "--name-only", "HEAD", "--", path_of(origin))
        return self._run("show", f"HEAD:./{path_of(origin)}") if listed else None

    def write(self, origin: str, note: str) -> None:
        """Commit a checkpoint, and push it. Raises PlaceFailed."""
        Folder(self._folder).write(origin, note)
        path = path_of(origin)
        self._run("add", "--", path)
        if self._run("status", "--porcelain", "--", path):
            size = note.split("\n", 2)[1]
            by = ("-c", "user.name=runfold", "-c", "user.email=runfold@localhost", "-c", "commit.gpgsign=false")
            self._run(*by, "commit", "-q", "-m", f"{origin}: {size} events", "--", path)
        if self._run("remote"):
            self._run("push", "-q")

    def _run(self, *words: str) -> str:
        try:
            done = subprocess.run(  # noqa: S603
                ["git", "-C", str(self._folder), *words],  # noqa: S607
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=3 * _SECONDS,
                check=False,
                env={name: value for name, value in os.environ.items() if name not in _OF_ANOTHER} | {"GIT_TERMINAL_PROMPT": "0"},
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise PlaceFailed(f"{self.name}: git cannot be run ({why(error)})") from None
        if done.returncode:
            said = " ".join(done.stderr.decode(errors="replace").split())
            raise PlaceFailed(f"{self.name}: git {words[0]} failed ({said[:300]})")
        return done.stdout.decode(errors="replace")


class Web:
    """An address that takes PUT and gives GET."""

    every = 5.0

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self.name = shown(address)
        self._address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        self._headers = {"Content-Type": "text/plain; charset=utf-8"}
        if "@" in parts.netloc:
            known = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
            self._headers["Authorization"] = f"Basic {base64.b64encode(known.encode()).decode()}"

    def read(self, origin: str) -> str | None:
        """Return what it gives. Raises PlaceFailed."""
        try:
            return self._ask("GET", origin, None).decode()
        except urllib.error.HTTPError as error:
            if error.code in _NOT_FOUND:
                return None
            raise PlaceFailed(f"{self.name} answers {error.code}") from None
        except ValueError as error:
            raise PlaceFailed(f"{self.name} answers what is no text ({error})") from None

    def write(self, origin: str, note: str) -> None:
        """Put a checkpoint there. Raises PlaceFailed."""
        try:
            self._ask("PUT", origin, note.encode())
        except urllib.error.HTTPError as error:
            raise PlaceFailed(f"{self.name} refuses the checkpoint ({error.code})") from None

    def _ask(self, method: str, origin: str, body: bytes | None) -> bytes:
        request = urllib.request.Request(  # noqa: S310  the address was checked to be https
            f"{self._address}/{path_of(origin)}", body, self._headers, method=method
        )
        try:
            with contextlib.closing(_without_redirects.open(request, timeout=_SECONDS)) as answer:
                return _read(answer)
        except urllib.error.HTTPError:
            raise
        except (OSError, ValueError, http.client.HTTPException) as error:
            said = " ".join(f"{type(error).__name__}: {why(error)}".split())
            raise PlaceFailed(f"{self.name} does not answer ({said[:300]})") from None


def _read(answer: http.client.HTTPResponse) -> bytes:
    """Read what a place answers, all of it unless it is no checkpoint. Raises OSError, HTTPException."""
    raw, ends, said = b"", time.monotonic() + _SECONDS, answer.headers.get("Content-Length", "")
    most = min(int(said), MOST_BYTES + 1) if said.isascii() and said.isdecimal() and len(said) < 20 else None
    while len(raw) < (MOST_BYTES + 1 if most is None else most):
        piece = answer.read1(MOST_BYTES)
        if not piece and most is not None:
            raise http.client.IncompleteRead(raw, most - len(raw))
        if not piece:
            break
        raw += piece
        if time.monotonic() > ends:
            raise TimeoutError(f"its answer takes more than {_SECONDS:g} seconds")
    return raw


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        """Follow none: what is published is for the address that was named."""


_without_redirects = urllib.request.build_opener(_NoRedirect)


def names(found: Sequence[Place]) -> str:
    """The names of some places, for people."""
    return ", ".join(place.name for place in found)
