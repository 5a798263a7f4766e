"""Has witnesses sign each checkpoint, beside the sealer and never in its way: a note waits for them a while, then goes without.

What each said is kept, so that bundles and readers have the signatures, and so that one that does not answer is told of.
"""

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import NamedTuple

from runfold.errors import LedgerError
from runfold.evidence.publishing.cosigning import require_address, shown, signatures
from runfold.evidence.sealing.comparing import StoredTree, tile_reader
from runfold.logs import logger
from runfold.proofs.note import read_note
from runfold.proofs.tiles import Tiles
from runfold.store.datastore import Connection, Datastore
from runfold.store.queries import named_queries

WAIT_SECONDS = 5.0
"""After that long a note is published without those who have not signed it."""
_ASK_SECONDS = 3.0
_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 60.0
"""One that did not answer is left alone for a while, longer each time."""
_QUERIES = named_queries("runfold.evidence.publishing", "witnessing.sql")
_Tree = tuple[str, int]


class _Said(NamedTuple):
    lines: str | None
    error: str | None


@dataclass
class _Asked:
    """A note that witnesses were asked to sign."""

    tree: StoredTree
    began: float
    missing: set[str]
    said: dict[str, _Said] = field(default_factory=dict)
    is_kept: bool = False

    @property
    def is_over(self) -> bool:
        """Return whether nobody is waited for any more."""
        return not self.missing or time.monotonic() - self.began > WAIT_SECONDS

    def note(self) -> str:
        """Return the note with the signatures that are there."""
        return f"{self.tree.note}{''.join(said.lines for _, said in sorted(self.said.items()) if said.lines)}"


@dataclass
class _Rest:
    """How long a witness that did not answer is left alone."""

    until: float = 0.0
    pause: float = _FIRST_PAUSE


class Witnessing:
    """Asks the witnesses of a sealer. `publishable` is called by its thread alone."""

    def __init__(self, addresses: Iterable[str], datastore: Datastore) -> None:
        """Raises UsageError for what is no address of a witness."""
        self._addresses: Mapping[str, str] = {shown(address): require_address(address) for address in addresses}
        self._datastore = datastore
        self._asked: dict[_Tree, _Asked] = {}
        self._sizes: dict[tuple[str, str], int] = {}
        self._rests: dict[str, _Rest] = {name: _Rest() for name in self._addresses}
        self._work: dict[str, SimpleQueue[_Asked]] = {name: SimpleQueue() for name in self._addresses}
        self._told: set[str] = set()
        """Those of which it was said that they do not sign."""
        self._turn = threading.Lock()
        self._has_begun = False

    @property
    def is_waiting(self) -> bool:
        """Return whether a note is waited for."""
        return any(not asked.is_over for asked in self._asked.values())

    def forget(self) -> None:
        """Believe nothing of what was asked: the database may be another one by now."""
        self._asked.clear()
        self._sizes.clear()

    def publishable(self, connection: Connection, tree: StoredTree) -> str | None:
        """Return the last note of a tree that nobody is waited for any more, with its signatures; None before the first."""
        if not self._addresses or tree.note is None:
            return tree.note
        key, before = (tree.tenant_id, tree.generation), None
        asked = self._asked.get(key)
        if asked is not None and asked.is_over:
            before = self._over(connection, asked)
        if asked is None or (before is not None and asked.tree.note != tree.note):
            self._asked[key] = self._ask(connection, tree)
        return before

    def _over(self, connection: Connection, asked: _Asked) -> str:
        is_new = False
        with self._turn:
            said = dict(asked.said)
            late = sorted(asked.missing)
            if not asked.is_kept:
                asked.is_kept = is_new = True
                for name in late:
                    self._let_rest(name)
        if is_new:
            said |= {name: _Said(None, f"it did not answer within {WAIT_SECONDS:g} seconds") for name in late}
            for name, each in said.items():
                self._keep(connection, asked.tree, name, each)
        return asked.note()

    def _keep(self, connection: Connection, tree: StoredTree, name: str, said: _Said) -> None:
        whose = [tree.tenant_id, tree.generation, name]
        if said.lines is None:
            found = connection.execute(_QUERIES["not signed"], [*whose, said.error]).rowcount
            assert found == 1, "it is noted"  # noqa: S101
            if name not in self._told:
                self._told.add(name)
                logger().warning("a witness has not signed a checkpoint", witness=name, origin=tree.origin, error=said.error)
            return
        self._told.discard(name)
        has_map = read_note(tree.note or "").checkpoint().map_root is not None
        connection.execute(_QUERIES["signed"], [*whose, tree.size, has_map, said.lines])

    def _ask(self, connection: Connection, tree: StoredTree) -> _Asked:
        self._begin(connection)
        now = time.monotonic()
        wanted = [name for name in self._addresses if now >= self._rests[name].until]
        asked = _Asked(tree, now, set(wanted))
        for name in wanted:
            self._work[name].put(asked)
        return asked

    def _begin(self, connection: Connection) -> None:
        if self._has_begun:
            return
        self._has_begun = True
        connection.execute(_QUERIES["forget others"], [list(self._addresses)])
        for name in self._addresses:  # each by itself, so that one that is slow holds up no other
            threading.Thread(target=self._work_for, args=[name], name=f"runfold-witness {name}", daemon=True).start()

    def _work_for(self, name: str) -> None:
        while True:
            if not (asked := self._work[name].get()).is_over:
                self._answer(asked, name)

    def _let_rest(self, name: str) -> None:
        rest = self._rests[name]
        rest.until, rest.pause = time.monotonic() + rest.pause, min(_LONGEST_PAUSE, 2 * rest.pause)

    def _answer(self, asked: _Asked, name: str) -> None:
        """Ask one witness; what comes too late is for the next note to tell."""
        said = self._said(asked, name)
        with self._turn:
            if said.lines is None:
                self._let_rest(name)
            else:
                self._rests[name] = _Rest()
                self._sizes[name, asked.tree.origin] = asked.tree.size
            if not asked.is_kept:
                asked.said[name] = said
                asked.missing.discard(name)

    def _said(self, asked: _Asked, name: str) -> _Said:
        tree = asked.tree

        def consistency(old: int, new: int) -> list[bytes]:
            with self._datastore.reading() as connection:  # not while the witness is waited for
                return Tiles(tile_reader(connection, tree.tenant_id, tree.generation)).consistency(old, new)

        try:
            old = self._sizes.get((name, tree.origin), 0)
            return _Said(signatures(tree.note or "", self._addresses[name], consistency, old=old, seconds=_ASK_SECONDS), None)
        except LedgerError as error:
            return _Said(None, str(error))
        except Exception as error:
            return _Said(None, f"{type(error).__name__}: {error}")
