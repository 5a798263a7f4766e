"""Where commands leave for a ledger elsewhere: sent at once, or in the order of the streams that they name."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast, get_args

import orjson
from uuid_utils import uuid7

from runfold.api.route import CommandRoute
from runfold.commands.submitted import Receipt, Submitted, settle
from runfold.errors import LedgerError, LedgerUnavailable, QueueFull
from runfold.handles.child import Child
from runfold.handles.command import Elsewhere, Entrance, Handle
from runfold.queries.reading import Reading
from runfold.remote.calls import Call, call_of
from runfold.remote.client import Client
from runfold.remote.reading import RemoteReading

WORKERS = 16
"""Requests on their way at a time for those who do not wait for each."""
MOST_WAITING = 10_000


class RemoteExecutor(Elsewhere):
    """The executor of a ledger elsewhere, as handles know it."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._shards = Shards(WORKERS, MOST_WAITING)

    def give(self, method: Callable[..., Any], handle: Handle, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Send a command, and wait: for those that were sent before it on the same streams, too."""
        call = call_of(method, handle, args, kwargs)
        if self._shards.is_busy(call.streams):
            return self._send(call, handle).result()
        return made(call.route, handle, *self._ask(call, call.path, call.body))

    def send(self, method: Callable[..., Any], handle: Handle, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Submitted[Any]:
        """Send a command without waiting for it; those that name the same thread, run or approval go in their order."""
        return self._send(call_of(method, handle, args, kwargs), handle)

    def reading(self, moment: int | datetime | None = None) -> Reading:
        """The ledger as it stands, or stood."""
        return RemoteReading(self.client).at(moment)

    def close(self) -> None:
        """Wait for what is on its way."""
        self._shards.close()

    def _send(self, call: Call, handle: Handle) -> Submitted[Any]:
        path, body = call.path, call.body
        ids: list[str] = []
        submitted: Submitted[Any] = Submitted(lambda receipt: made(call.route, handle, ids[0], receipt))

        def work() -> None:
            try:
                made_id, receipt = self._ask(call, path, body)
            except Exception as error:
                settle([(submitted, error)])
            else:
                ids.append(made_id)
                settle([(submitted, receipt)])

        try:
            self._shards.put(call.streams, work)
        except LedgerError as error:
            settle([(submitted, error)])
        return submitted

    def _ask(self, call: Call, path: str, body: bytes) -> tuple[str, Receipt]:
        answer = self.client.request(call.route.verb, path, body=body, key=uuid7().hex)
        told = orjson.loads(answer.content)
        return told["id"], receipt_of(told)


def receipt_of(told: dict[str, Any]) -> Receipt:
    """Where a command's last event stands, as the server answers it."""
    recorded_at = told["recorded_at"] and datetime.fromisoformat(told["recorded_at"])
    return Receipt(told["stream"], told["position"], told["version"], recorded_at, told["appended"])


def made(route: CommandRoute, handle: Handle, id: str, receipt: Receipt) -> Any:
    """What a method returns: what it made, an id, or the receipt."""
    (kind,) = get_args(route.answer)
    if kind is Receipt:
        return receipt
    if kind is str:
        return id
    executor = handle._executor
    return kind(id, executor, handle.id, receipt) if issubclass(kind, Child) else kind(id, executor, receipt)


def as_entrance(executor: Elsewhere) -> Entrance:
    """The executor, for handles: of an entrance elsewhere they use nothing but what it has."""
    return cast("Entrance", executor)


# Order


@dataclass(eq=False)
class _Job:
    work: Callable[[], None]
    shards: frozenset[str]
    waits_for: int = 0
    followers: list["_Job"] = field(default_factory=list)


class Shards:
    """Does jobs in a few threads: those that share a shard one after the other, in their order."""

    def __init__(self, workers: int, most: int) -> None:
        self._pool = ThreadPoolExecutor(workers, "runfold-remote")
        self._most = most
        self._last: dict[str, _Job] = {}
        self._waiting = 0
        self._closed = False
        self._turn = threading.Condition()

    def is_busy(self, shards: frozenset[str]) -> bool:
        """Whether a job in one of these shards is not done."""
        return not self._last.keys().isdisjoint(shards)

    def put(self, shards: frozenset[str], work: Callable[[], None]) -> None:
        """One more job. Raises QueueFull, LedgerUnavailable."""
        job = _Job(work, shards)
        with self._turn:
            if self._closed:
                raise LedgerUnavailable("the ledger is closed", "open it again", retriable=False)
            if self._waiting >= self._most:
                raise QueueFull(self._waiting)
            self._waiting += 1
            before = {self._last[shard] for shard in shards if shard in self._last}
            job.waits_for = len(before)
            for earlier in before:
                earlier.followers.append(job)
            self._last.update(dict.fromkeys(shards, job))
            if not before:
                self._pool.submit(self._do, job)

    def close(self) -> None:
        """Take no more, and wait until all is done."""
        with self._turn:
            self._closed = True
            self._turn.wait_for(lambda: not self._waiting)
        self._pool.shutdown()

    def _do(self, job: _Job) -> None:
        try:
            job.work()
        finally:
            with self._turn:
                self._finish(job)

    def _finish(self, job: _Job) -> None:
        for shard in job.shards:
            if self._last.get(shard) is job:
                del self._last[shard]
        for follower in job.followers:
            follower.waits_for -= 1
            if not follower.waits_for:
                self._pool.submit(self._do, follower)
        self._waiting -= 1
        self._turn.notify_all()
