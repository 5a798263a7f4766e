"""Sweepers: what is due by the store's clock happens, through the same commands as anybody's, by the actor `system:sweeper`.

A sweeper finds what is due in read models, which may be behind; what becomes of it, the rules decide on the run or approval as
it is. Each effect has an idempotency key that follows from what it reacts to (an approval, a lease, the event after which a run
was silent), so that it comes once, however many sweepers there are and however late one of them is.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from runfold.commands.caller import Caller
from runfold.commands.executor import CommandExecutor
from runfold.commands.submitted import Receipt
from runfold.delivery.reactor import HOLD_SECONDS, Claim, Reacted
from runfold.domain.sweep_policy import SweepPolicy
from runfold.domain.values import Actor
from runfold.errors import CommandRefused, LedgerError, LedgerUnavailable, NotFound, VersionConflict
from runfold.handles.calling.local import CallerExecutor
from runfold.ledger import Ledger
from runfold.logs import debug
from runfold.store.queries import filled, named_queries
from runfold.store.reading.reader import Reader

ACTOR = Actor(kind="system", id="sweeper")
AT_ONCE = 200
"""What one turn does at most of each tenant's."""
PAUSE_SECONDS = 1.0
_QUERIES = named_queries("runfold.delivery", "sweeper.sql")


class Due(NamedTuple):
    """Something that is due: of whom, since when, and the command that does it, under a key of its own."""

    tenant_id: str
    since: datetime
    subject: str
    """The run or approval."""
    key: str
    act: Callable[[CallerExecutor], Receipt]


class Findings:
    """What read models say is due at a moment."""

    def __init__(self, reader: Reader, now: datetime, limit: int = AT_ONCE) -> None:
        self.now = now
        self._reader, self._limit = reader, limit

    def rows(self, query: str, kinds: Sequence[str], **facts: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a named query, of runs of some kinds."""
        text = filled(_QUERIES[query], tenants=_QUERIES["tenants"])
        with self._reader.datastore.reading() as connection:
            found = connection.execute(text, {"now": self.now, "limit": self._limit, "kinds": list(kinds), **facts})
            return [tuple(row.values()) for row in found]


class Rule(NamedTuple):
    """One kind of thing that happens by itself."""

    name: str
    """The name of its reactor."""
    done: str
    """What it does, as it is counted."""
    find: Callable[[Findings, SweepPolicy], Iterable[Due]]


class Sweeper:
    """The reactor of one rule."""

    pause = PAUSE_SECONDS
    hold_seconds = HOLD_SECONDS

    def __init__(
        self,
        rule: Rule,
        commands: CommandExecutor,
        policy: SweepPolicy,
        clock: Callable[[], datetime] | None = None,
        limit: int = AT_ONCE,
    ) -> None:
        """`clock` says what time it is; else the store does."""
        self.name, self.does = rule.name, rule.done
        self._rule, self._commands, self._policy, self._limit = rule, commands, policy, limit
        self._reader = commands.recorder.reader
        self._clock = clock or self._store_clock

    def find(self) -> list[Due]:
        """Return what is due now; nothing where the read models have not been folded yet. Raises LedgerUnavailable."""
        return self._found(self._clock())

    def react(self, _: Claim | None = None, /) -> Reacted:
        """Do what is due now. A claim saves others the work: the effect does not hang on it.

        What fails of one run holds up no other: it is raised once there is nothing else to do. Raises LedgerError.
        """
        now = self._clock()
        found = self._found(now)
        left, failed = self._act_on(found, now)
        done = len(found) - len(left)
        if failed and not done:
            raise failed[0]
        counted = {self._rule.done: done} if done else {}
        return Reacted(counted, due_since=min(left, default=None), has_more=done > 0 and len(found) >= self._limit)

    def _found(self, now: datetime) -> list[Due]:
        if self._reader.rows(_QUERIES["missing"]) != [(0,)]:
            return []
        return list(self._rule.find(Findings(self._reader, now, self._limit), self._policy))

    def _act_on(self, found: Iterable[Due], now: datetime) -> tuple[list[datetime], list[LedgerError]]:
        """Do all of it; return since when what was not done has been due, and what failed. Raises LedgerUnavailable."""
        left, failed = [], []
        for due in found:
            try:
                if self._act(due, now):
                    continue
            except LedgerUnavailable:
                raise
            except LedgerError as error:
                failed.append(error)
            left.append(due.since)
        return left, failed

    def _act(self, due: Due, now: datetime) -> bool:
        """Do one thing, unless it was done; return whether it was done here."""
        caller = Caller(due.tenant_id, ACTOR, key=due.key, key_of="server")
        try:
            receipt = due.act(CallerExecutor(self._commands, caller, lambda: now))
        except (CommandRefused, NotFound, VersionConflict) as refused:  # it has changed since: the next turn looks again
            debug("not due any more", reactor=self.name, subject=due.subject, reason=str(refused))
            return False
        return receipt.appended > 0 and not receipt.is_repeated

    def _store_clock(self) -> datetime:
        ((now,),) = self._reader.rows(_QUERIES["now"])
        found: datetime = now
        return found


def sweepers(
    ledger: Ledger, rules: Iterable[Rule], policy: SweepPolicy | None = None, clock: Callable[[], datetime] | None = None
) -> list[Sweeper]:
    """Return a sweeper for each rule. The policy is else that of the settings."""
    return [Sweeper(rule, ledger.command_executor, policy or ledger.settings.sweep, clock) for rule in rules]
