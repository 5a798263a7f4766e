"""Where an embedded server lies on disk, and whose it is.

An ordinary user's server lies in HOME/postgres, a folder of mode 0700:

    data/           PostgreSQL's data folder, 0700, with the socket in it
    server.log      what the server said
    watchdog.log    what the watchdog said
    share.lock      shared by every process that uses the server
    turn.lock       held while somebody starts or stops it
    watchdog.lock   held by the watchdog

PostgreSQL does not run as root, so root's server runs as `postgres` or `nobody`, and that user must be able to pass
through every folder above `data`. A folder that is private stays private: where the user cannot pass, the whole lies in
/var/lib/runfold/NAME instead, and the file HOME/postgres.location says so. Only `data` belongs to that user; the
rest stays root's. A location that is gone is an error, never a reason to begin an empty ledger.
"""

import fcntl
import hashlib
import os
import pwd
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path

from runfold.durable_files import write_whole
from runfold.embedded.binaries import ROOTS_FOLDER, ServerUser, make_open_folder, run_as
from runfold.errors import EmbeddedServerFailed
from runfold.file_errors import at_home

# What fits into sockaddr_un.sun_path beside its closing zero byte.
LONGEST_SOCKET = 107 if sys.platform == "linux" else 103
SOCKET = ".s.PGSQL.5432"
_SEPARATORS = set(",\"'\\")


@dataclass(frozen=True)
class Place:
    """The folder of one embedded server; `user` is None where the server runs as ourselves."""

    home: Path
    folder: Path
    user: ServerUser | None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log_file(self) -> Path:
        return self.folder / "server.log"

    @property
    def socket_folder(self) -> Path:
        """The data folder, or a short private one where its path is too long, no UTF-8, or would read as a list of paths."""
        path = os.fsencode(self.data / SOCKET)
        is_plain = not _SEPARATORS & set(str(self.data)) and path.decode(errors="replace").encode() == path
        if is_plain and len(path) <= LONGEST_SOCKET:
            return self.data
        digest = hashlib.sha256(os.fsencode(self.data)).hexdigest()[:12]
        return Path(f"/tmp/runfold-{self._server_uid}-{digest}")  # noqa: S108  short, and checked when it is made

    @property
    def _server_uid(self) -> int:
        return self.user.uid if self.user else os.geteuid()

    def make_socket_folder(self) -> None:
        """Anybody may make names under /tmp, so only a folder of the server's user, and private, is good enough."""
        folder = self.socket_folder
        if folder == self.data:
            return
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            found = folder.lstat()
            if found.st_uid != self._server_uid or found.st_mode & 0o170777 != 0o040700:
                raise EmbeddedServerFailed(
                    f"{folder} is needed for the server's socket and is not a private folder of its user",
                    "remove it, or set RUNFOLD_HOME to a shorter path",
                ) from None
        else:
            self.give_to_server(folder)

    def give_to_server(self, path: Path) -> None:
        if self.user:
            os.chown(path, self.user.uid, self.user.gid, follow_symlinks=False)

    def open_own(self, name: str, flags: int = os.O_RDWR) -> int:
        """A descriptor of a private file in the folder. Root gives what it makes to the folder's owner."""
        path = self.folder / name
        try:
            file = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return os.open(path, flags | os.O_NOFOLLOW)
        if os.geteuid() == 0:
            owner = self.folder.stat()
            os.fchown(file, owner.st_uid, owner.st_gid)
        return file


def find_place(home: Path) -> Place:
    """Make HOME if missing, and say where its server lies."""
    home = at_home(home).absolute()
    if os.geteuid() != 0:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        home = home.resolve()
        folder = home / "postgres"
        folder.mkdir(mode=0o700, exist_ok=True)
        return Place(home, folder, None)
    make_open_folder(home)
    return _find_roots_place(home.resolve())


def _find_roots_place(home: Path) -> Place:
    pointer = home / "postgres.location"
    turn = os.open(home, os.O_RDONLY)
    try:
        fcntl.flock(turn, fcntl.LOCK_EX)
        folder = _pointed_folder(pointer)
        if folder is None:
            folder = _choose_folder(home, pointer)
    finally:
        os.close(turn)
    return Place(home, folder, _server_user(folder / "data"))


def _pointed_folder(pointer: Path) -> Path | None:
    """Root follows no pointer but its own: the home may be another user's, who could lead it anywhere."""
    if not pointer.exists():
        return None
    folder = Path(pointer.read_text("utf-8", "surrogateescape").strip())
    if not folder.is_dir():
        raise EmbeddedServerFailed(
            f"{pointer} says that the ledger lies in {folder}, and that folder is gone",
            "bring it back from a backup, or remove the file to begin an empty ledger",
        )
    if pointer.lstat().st_uid != 0 or folder.stat().st_uid != 0:
        raise EmbeddedServerFailed(f"{pointer} or the folder that it names is not root's", "set RUNFOLD_HOME")
    return folder


def _choose_folder(home: Path, pointer: Path) -> Path:
    inside = home / "postgres"
    if (inside / "data").exists() or _can_enter(_server_user(inside / "data"), home):
        make_open_folder(inside)
        return inside
    make_open_folder(ROOTS_FOLDER)
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:8]
    outside = ROOTS_FOLDER / f"{digest}-{secrets.token_hex(4)}"
    make_open_folder(outside)
    (outside / "home").write_text(f"{home}\n", "utf-8", "surrogateescape")
    write_whole(pointer, os.fsencode(outside) + b"\n")
    return outside


def _server_user(data: Path) -> ServerUser:
    """The owner of the data folder that is there, so that root can use an ordinary user's; else a system user."""
    if data.exists() and (owner := data.stat()).st_uid != 0:
        return ServerUser(f"with id {owner.st_uid}", owner.st_uid, owner.st_gid)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return ServerUser(name, entry.pw_uid, entry.pw_gid)
    raise EmbeddedServerFailed(
        "PostgreSQL does not run as root, and there is no user `postgres` or `nobody` to run it as",
        "run Runfold as an ordinary user, or set RUNFOLD_DATABASE_URL",
    )


def _can_enter(user: ServerUser, folder: Path) -> bool:
    return run_as(user, ["/bin/sh", "-c", 'cd "$1"', "sh", str(folder)]).returncode == 0
