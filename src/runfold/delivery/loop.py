"""Carries reactors out, each in a thread of its own, until told to stop: one that hangs or fails holds up no other."""

import contextlib
import threading
import time
from collections.abc import Iterable

import psycopg

from runfold.delivery.claims import Claims
from runfold.delivery.reactor import Claim, Reacted, Reactor
from runfold.errors import LedgerError, LedgerUnavailable
from runfold.failpoint import reach
from runfold.logs import logger
from runfold.store.datastore import Datastore

NOTE_SECONDS = 5.0
"""How often a reactor that finds nothing to do notes that it has looked."""
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 15.0
"""Seconds until one that failed is tried again, twice as many each time."""


class ReactorLoop:
    """Carries out some reactors, as far as no other process does."""

    def __init__(self, datastore: Datastore, reactors: Iterable[Reactor], claims: Claims | None = None) -> None:
        self._datastore = datastore
        self._reactors = list(reactors)
        self._claims = claims or Claims(datastore)

    def run(self, stop: threading.Event) -> None:
        """Go on until told to stop. A database that is away is waited for."""
        threads = [threading.Thread(target=self._run, args=(each, stop), name=each.name) for each in self._reactors]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def once(self) -> dict[str, dict[str, int]]:
        """Do what is due now, and return how often each did what. One that another process carries out is left to it.

        Raises LedgerError, once all others have done theirs.
        """
        found: dict[str, dict[str, int]] = {}
        failed: list[LedgerError] = []
        for reactor in self._reactors:
            if (claim := self._claims.take(reactor.name, reactor.hold_seconds)) is None:
                continue
            done = found.setdefault(reactor.name, {})
            try:
                has_more = True
                while has_more and claim is not None:
                    reacted = reactor.react(claim)
                    self._claims.note(claim, reacted)
                    for name, count in reacted.done.items():
                        done[name] = done.get(name, 0) + count
                    has_more = reacted.has_more
                    claim = self._claims.take(reactor.name, reactor.hold_seconds)
            except LedgerUnavailable:
                raise
            except LedgerError as error:
                failed.append(error)
            finally:
                if claim is not None:
                    self._claims.release(claim)
        if failed:
            raise failed[0]
        return found

    def _run(self, reactor: Reactor, stop: threading.Event) -> None:
        turn = _Turn(reactor, self._claims)
        pause = FIRST_PAUSE
        while not stop.is_set():
            try:
                wait = turn.take()
                pause = FIRST_PAUSE
            except Exception as error:  # whatever it is, the others go on, and this one is tried again
                wait, pause = pause, min(pause * 2, LONGEST_PAUSE)
                turn.failed(error, wait)
                self._datastore.revive()
            stop.wait(wait)
        turn.end()


class _Turn:
    """One reactor, and whether it is claimed here."""

    def __init__(self, reactor: Reactor, claims: Claims) -> None:
        self._reactor, self._claims = reactor, claims
        self._claim: Claim | None = None
        self._renew_at = self._note_at = self._due_at = 0.0
        self._noted = Reacted()

    def take(self) -> float:
        """Carry the reactor out once, unless another does; return the seconds until it is to be looked at again."""
        hold = self._reactor.hold_seconds
        if self._claim is None or time.monotonic() >= self._renew_at:
            self._claim = self._claims.take(self._reactor.name, hold)
            self._renew_at = time.monotonic() + hold / 3
        if self._claim is None:
            return min(max(self._reactor.pause, 1.0), hold / 4)
        if (wait := self._due_at - time.monotonic()) <= 0:
            reacted = self._reactor.react(self._claim)
            reach("reacted")
            self._note(self._claim, reacted)
            wait = 0.0 if reacted.has_more else self._reactor.pause
            self._due_at = time.monotonic() + wait
        return min(wait, hold / 3)

    def failed(self, error: Exception, wait: float) -> None:
        """Say why it cannot go on, where that can be said."""
        said = " ".join(str(error).split())
        logger().warning("a reactor failed, and is tried again", reactor=self._reactor.name, error=said, after_seconds=wait)
        claim, self._claim = self._claim, None
        self._note_at = self._due_at = 0.0
        if claim is not None:
            with contextlib.suppress(LedgerError, psycopg.Error):  # it is in the log of this process already
                self._claims.fail(claim, said)

    def end(self) -> None:
        """Give the reactor back, so that others can go on at once."""
        if self._claim is not None:
            with contextlib.suppress(LedgerError, psycopg.Error):  # its time runs out by itself
                self._claims.release(self._claim)

    def _note(self, claim: Claim, reacted: Reacted) -> None:
        has_moved = reacted.position not in {None, claim.position}
        is_news = bool(reacted.done) or has_moved or reacted.due_since != self._noted.due_since
        if not is_news and time.monotonic() < self._note_at:
            return
        held = self._claims.note(claim, reacted)
        self._note_at = time.monotonic() + NOTE_SECONDS
        self._noted = reacted
        if reacted.done:
            logger().info("reacted", reactor=self._reactor.name, **reacted.done)
        moved = claim if reacted.position is None else claim._replace(position=reacted.position, epoch=reacted.epoch)
        self._claim = moved if held else None
