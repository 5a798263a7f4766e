"""A long log verified by several processes, each of which looks at stretches of it; they are told of in order.

What is sealed does not change, so that each may look when it will. Whatever becomes of the other processes, this one goes on:
what they do not verify, it verifies itself.
"""

import base64
import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from runfold.child import run_module, usable_processors
from runfold.evidence.verifying.pages import Ask, Part, Verified, asking, verified_pages
from runfold.proofs.tiles import split
from runfold.store.datastore import Datastore

STRETCH = 10_000
"""Positions that are handed to a process at once."""
LONG = 60_000
"""Where there are fewer, the start of a process takes longer than it saves."""
_MOST_PROCESSES = 3
PATIENCE_SECONDS = 30.0
"""For so long a stretch is waited for that another process is at."""
_MOST_AHEAD = 8
"""Stretches of which the results are held, until those before them are told."""


def shared_pages(datastore: Datastore, ask: Ask, generations: Mapping[str, int], after: int, up_to: int) -> Iterator[Verified]:
    """Yield what is found after a position and up to another, with the help of other processes where it is long."""
    helpers = min(usable_processors() - 1, _MOST_PROCESSES) if up_to - after >= LONG else 0
    if helpers <= 0:
        yield from verified_pages(ask, generations, after, up_to)
        return
    stretches = Stretches(after, up_to)
    helping: list[Helper] = []
    with contextlib.suppress(OSError):  # the system starts no more
        helping += (Helper(datastore, generations) for _ in range(helpers))
    threads = [threading.Thread(target=_help, args=(stretches, each), name="runfold-verifying") for each in helping]
    for thread in threads:
        thread.start()
    try:
        for number in range(len(stretches.ends)):
            while (own := stretches.own(number)) is not None:
                stretches.give(own, list(verified_pages(ask, generations, *stretches.ends[own])))
            yield from stretches.found(number)
    finally:
        stretches.end()
        for each in helping:
            each.end()
        for thread in threads:
            thread.join()


class Stretches:
    """Who verifies which stretch, and what was found."""

    def __init__(self, after: int, up_to: int) -> None:
        self.ends = [(first, min(first + STRETCH, up_to)) for first in range(after, up_to, STRETCH)]
        self._changed = threading.Condition()
        self._told = 0
        self._next = 0
        self._helping: set[int] = set()
        self._found: dict[int, list[Verified]] = {}
        self._ended = False

    def own(self, number: int) -> int | None:
        """Return what who tells in order is to verify before it tells of a stretch; None once that was verified."""
        with self._changed:
            self._told = number
            self._changed.notify_all()
            if number in self._helping:
                if (other := self._untaken()) is not None:
                    return other
                self._changed.wait_for(lambda: number not in self._helping, PATIENCE_SECONDS)
            self._next = max(self._next, number + 1)
            return None if number in self._found else number

    def found(self, number: int) -> list[Verified]:
        """Return what was found of a stretch that was verified."""
        with self._changed:
            return self._found.pop(number)

    def take(self) -> int | None:
        """Return a stretch that nobody is at, as soon as there is one that is not too far ahead; None where there is no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._next <= self._told + _MOST_AHEAD)
            number = None if self._ended else self._untaken()
            if number is not None:
                self._helping.add(number)
            return number

    def _untaken(self) -> int | None:
        if self._next >= len(self.ends) or self._next > self._told + _MOST_AHEAD:
            return None
        self._next += 1
        return self._next - 1

    def give(self, number: int, found: list[Verified] | None) -> None:
        """Take what was found of a stretch, or None where it was not to be found out."""
        with self._changed:
            self._helping.discard(number)
            if found is not None:
                self._found[number] = found
            self._changed.notify_all()

    def end(self) -> None:
        """Let nobody take any more."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()


class Helper:
    """A process that verifies stretches."""

    def __init__(self, datastore: Datastore, generations: Mapping[str, int]) -> None:
        self._told = {"url": datastore.url, "timeout": datastore.connect_timeout, "generations": dict(generations)}
        self._process = run_module("runfold.evidence.verifying.sharing", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def begin(self) -> None:
        """Wait until it can be asked. Raises OSError, ValueError where it is gone."""
        self._say(self._told)
        if self._line() != "ready\n":
            raise ValueError("it says something else")

    def verify(self, first: int, last: int) -> list[Verified]:
        """Return what it finds after a position and up to another. Raises OSError, ValueError where it is gone."""
        self._say([first, last])
        found: list[Verified] = []
        while (line := self._line()) != "end\n":
            after, until, events, parts = json.loads(line)
            read = None if parts is None else {tenant: _part(*part) for tenant, part in parts.items()}
            found.append(Verified(after, until, events, read))
        return found

    def end(self) -> None:
        """End it, wherever it is."""
        self._process.kill()
        with self._process:  # which waits, and closes what it is talked to through
            pass

    def _say(self, what: Any) -> None:
        assert self._process.stdin is not None, "it was asked for"  # noqa: S101
        self._process.stdin.write(f"{json.dumps(what)}\n")
        self._process.stdin.flush()

    def _line(self) -> str:
        assert self._process.stdout is not None, "it was asked for"  # noqa: S101
        return self._process.stdout.readline()


def _help(stretches: Stretches, helper: Helper) -> None:
    """Have a process verify stretches until there are no more, or it is gone."""
    with contextlib.suppress(OSError, ValueError):
        helper.begin()
        while (number := stretches.take()) is not None:
            found = None
            try:
                found = helper.verify(*stretches.ends[number])
            finally:
                stretches.give(number, found)


def _part(first_seq: int, hashes: str) -> Part:
    return Part(first_seq, split(base64.b64decode(hashes)))


# In a process of its own


def main() -> None:
    """The body of a process: verify the stretches that standard input names, and tell of each page what was found."""
    told = json.loads(sys.stdin.readline())
    with Datastore(told["url"], told["timeout"]).reading() as connection:
        _tell("ready")
        for line in sys.stdin:
            for page in verified_pages(asking(connection), told["generations"], *json.loads(line)):
                _tell(json.dumps([page.after, page.until, page.events, _written(page.parts)]))
            _tell("end")


def _written(parts: Mapping[str, Part] | None) -> dict[str, Any] | None:
    if parts is None:
        return None
    return {tenant: [part.first_seq, base64.b64encode(b"".join(part.hashes)).decode()] for tenant, part in parts.items()}


def _tell(line: str) -> None:
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
