"""Somebody who does what a page says, from top to bottom: one shell, one Python, one folder, one ledger."""

import contextlib
import io
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from runfold import Ledger, RemoteLedger
from runfold.store.address import as_url, parts_of
from tests.docs.pages import DOCS, ROOT, Block

if TYPE_CHECKING:
    from tests.databases import TestDatabase

SERVED = "http://127.0.0.1:8765"
PATIENT = r"""
curl() {
    case " $* " in *" -m "*) ;; *) command curl "$@"; return ;; esac
    exec 3< <(exec curl "$@" -m 60)
    local curl=$! line=
    until [[ $line = *caught_up* ]]; do read -r line <&3 || break; echo "$line"; done
    while read -r -t 2 line <&3; do echo "$line"; done
    kill $curl
}
"""
"""A stream that a page breaks off after some seconds (`-m`) is broken off so long after it has caught up."""
MADE_ROLES = ("ada", "agents_app", "agents_projector", "agents_reader", "agents_sealer")
"""The logins that pages make."""
_OWN_SERVER = re.compile(r"postgresql://postgres@db/(\w+)")
"""How pages write the address of a server of one's own."""
_URLS = " ".join(f"RUNFOLD_{name}_URL" for name in ("DATABASE", "ADMIN", "PROJECTOR", "READER"))
_KEY = re.compile(r"rf_key_[\w-]+")
_HISTORY = re.compile(r"(?<=\d)@[0-9a-f]{8}\b")
_CHANGES = [
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?([+-]\d\d:\d\d|Z)?"), "TIME"),
    (re.compile(r"\b\d\d:\d\d:\d\d\b"), "TIME"),
    (re.compile(r"\d{4}-\d\d-\d\d(?= UTC)"), "DAY"),
    (_HISTORY, "@HISTORY"),
]
"""What differs each time that a page is followed."""


def same_each_time(text: str) -> str:
    """A text without what differs each time."""
    for pattern, word in _CHANGES:
        text = pattern.sub(word, text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def shows(shown: str, printed: str) -> bool:
    """Whether that is what was printed; `…` stands for anything."""
    pattern = ".*?".join(re.escape(part) for part in same_each_time(shown).split("…"))
    return re.fullmatch(pattern, same_each_time(printed), re.DOTALL) is not None


def make_clone(folder: Path, programs: Path) -> None:
    """Make a folder like a clone after `make demo`, as far as pages look: copies, for they write there, and what to activate."""
    shutil.copytree(DOCS, folder / "docs")
    for name in ("README.md", "CHANGELOG.md", "Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    (folder / ".venv" / "bin").mkdir(parents=True)
    activate = f'. {shlex.quote(sys.prefix)}/bin/activate\nPATH={shlex.quote(str(programs))}:"$PATH"\n'
    (folder / ".venv" / "bin" / "activate").write_text(activate, encoding="utf-8")


def _path_of_a_new_shell() -> str:
    here = Path(sys.prefix, "bin")
    return os.pathsep.join(each for each in os.environ["PATH"].split(os.pathsep) if Path(each) != here)


class Reader:
    """Who follows a page. `close` ends all that was begun."""

    def __init__(self, database: "TestDatabase", folder: Path, programs: Path) -> None:
        self._database = database
        self._folder = folder
        self._names: dict[str, Any] = {"__name__": "__page__"}
        self._history = ""
        self._server: subprocess.Popen[str] | None = None
        self._address, self._key = SERVED, "rf_…"
        self._own: list[str] = []
        make_clone(folder, programs)
        self._shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PATH": _path_of_a_new_shell()},
            cwd=folder,
        )
        self.type(PATIENT)

    def follow(self, block: Block, printed_by_it: str | None) -> None:
        """Do what a block says, and see that it prints what the page shows."""
        if block.is_file:
            path = self._folder / block.is_file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif block.language == "console":
            for command, shown in steps(block.text):
                printed = self.serve(command) if re.match(r"runfold serve( |$)", command) else self.type(command)
                assert shows(shown, self.as_on_the_page(printed)), f"{block}: {command}\n{printed}"
        elif block.language == "python":
            printed = self.run(block)
            assert shows(printed_by_it or "", self.as_on_the_page(printed)), f"{block} printed:\n{printed}"
        else:
            self.ask(block)

    def type(self, command: str) -> str:
        """Give a command to the shell; what it prints."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        mark = uuid.uuid4().hex
        self._shell.stdin.write(f"{self.on_own_server(command)}\nprintf '\\n%s\\n' {mark}\n")
        self._shell.stdin.flush()
        printed = []
        while (line := self._shell.stdout.readline()).rstrip() != mark:
            assert line, f"the shell has ended at: {command}"
            printed.append(line)
        text = "".join(printed)
        if found := _HISTORY.search(text):
            self._history = found[0]
        return text

    def run(self, block: Block) -> str:
        """Run a block of Python; what it prints."""
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(self.as_it_is_here(block.text), str(block), "exec"), self._names)
        return printed.getvalue()

    def ask(self, block: Block) -> None:
        """Give SQL to the database, as who may read and no more; each question has an answer."""
        url = make_conninfo(self._database.url, user="runfold_reader")
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in filter(None, (part.strip() for part in block.text.split(";"))):
                answer = connection.execute(statement)  # type: ignore[call-overload]  # the page's own text
                assert answer.description is None or answer.fetchall(), f"{block} has no answer"

    def serve(self, command: str) -> str:
        """Start `runfold serve` at a free port; what it prints until it has said all."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._address = f"http://127.0.0.1:{port}"
        words = [sys.executable, "-m", "runfold.cli.main", *command.split("#", maxsplit=1)[0].split()[1:], "--port", str(port)]
        with (self._folder / "server.log").open("w") as log:
            self._server = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log, text=True, cwd=self._folder)
        assert self._server.stdout is not None
        printed = ""
        while "openapi.json" not in printed:
            line = self._server.stdout.readline()
            assert line, f"the server has ended: {printed}"
            printed += line
        self._key = found[0] if (found := _KEY.search(printed)) else self._key
        os.environ["RUNFOLD_KEY"] = self._key
        return printed

    def on_own_server(self, command: str) -> str:
        """A command as it is here; one for a server of one's own with the address of a database that is made for it."""
        if not _OWN_SERVER.search(command) and "--env-file" not in command:
            return self.as_it_is_here(command)
        for name in _OWN_SERVER.findall(command):
            self._own.append(name)
            with psycopg.connect(self._database.admin_url, autocommit=True) as connection:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        command = _OWN_SERVER.sub(lambda found: shlex.quote(self._own_url(found[1])), command)
        return f"(unset {_URLS}; {command})"

    def _own_url(self, name: str) -> str:
        return as_url({**parts_of(self._database.admin_url), "dbname": name})

    def _drop_what_was_made(self) -> None:
        with psycopg.connect(self._database.admin_url, autocommit=True) as connection:
            for name in self._own:
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
            for role in MADE_ROLES:
                connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))

    def as_it_is_here(self, text: str) -> str:
        """A page's text with the address, the key and the history that are here."""
        text = text.replace(SERVED, self._address).replace("rf_key_…", self._key).replace("rf_…", self._key)
        return _HISTORY.sub(self._history, text) if self._history else text

    def as_on_the_page(self, text: str) -> str:
        """What was printed, with the page's address."""
        return text.replace(self._address, SERVED)

    def close(self) -> None:
        """End all that was begun."""
        for value in self._names.values():
            if isinstance(value, Ledger | RemoteLedger):
                value.close()
        if self._server is not None:
            self._server.terminate()
            self._server.wait(60)
            assert self._server.stdout is not None
            self._server.stdout.close()
        assert self._shell.stdin is not None
        self._shell.stdin.close()
        self._shell.wait(60)
        assert self._shell.stdout is not None
        self._shell.stdout.close()
        self._drop_what_was_made()


def steps(text: str) -> list[tuple[str, str]]:
    """Each command of a block, and what the page shows of its answer."""
    found = []
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        while command.endswith("\\"):
            more, _, shown = shown.partition("\n")
            command += "\n" + more
        found.append((command, shown))
    return found
