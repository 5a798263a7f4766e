"""Where commands leave for a ledger elsewhere: sent at once, or in the order of the streams that they name."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar, get_args

from uuid_utils import uuid7

from runfold.api.route import CommandRoute
from runfold.commands.plan import Plan
from runfold.commands.submitted import Receipt, Submitted, settle
from runfold.domain.security import Scope
from runfold.domain.values import Actor
from runfold.errors import LedgerClosed, LedgerError, QueueFull
from runfold.handles.calling.handle import Child, Handle
from runfold.ids import new_id
from runfold.method_call import MethodCall
from runfold.proofs.receipt import ToldEvent, from_json
from runfold.queries.reading import Reading
from runfold.remote.calls import CommandRequest, request_of
from runfold.remote.client import Client
from runfold.remote.reading import remote_reading

T = TypeVar("T")

ANYBODY = Actor(kind="service", id="runfold")
"""Stands for whoever acts where a plan is made here for its ids: who really acts, the server knows."""
WORKERS = 16
"""Requests on their way at a time for those who do not wait for each."""
MOST_WAITING = 10_000


class RemoteExecutor:
    """Sends the commands and questions of handles to a ledger elsewhere."""

    actor = ANYBODY
    is_import = False

    def __init__(self, client: Client) -> None:
        self.client = client
        self.ledger_identity = client
        self.shards = Shards(WORKERS, MOST_WAITING)

    def clock(self) -> datetime:
        """Return the time by which a plan is made here. The server judges by its own."""
        return datetime.now(UTC)

    def require_scope(self, scope: Scope) -> None:
        """Leave it to the server, which knows what the key is for."""

    def require_address(self, url: str, path: str) -> None:
        """Leave it to the server, which knows where it may send to."""

    def new_id(self, prefix: str) -> str:
        """Return an id for what a command creates."""
        return new_id(prefix)

    def reading(self, moment: int | datetime | None = None) -> Reading:
        """Return the questions, as the ledger stands or stood."""
        return remote_reading(self.client).at(moment)

    def execute(self, call: MethodCall[Plan[T]]) -> T:
        """Send a command, and wait: for those that were sent before it on the same streams, too. Raises LedgerError."""
        request = request_of(call)
        if self.shards.is_busy(request.streams):
            return self._submit(request, call.owner).result()  # type: ignore[no-any-return]  # the route says of which type
        return answered(request.route, call.owner, *self._send(request, request.path, request.body))  # type: ignore[no-any-return]

    def submit(self, call: MethodCall[Plan[T]]) -> Submitted[T]:
        """Send a command without waiting for it; those that name the same thread, run or approval go in their order."""
        return self._submit(request_of(call), call.owner)

    def close(self) -> None:
        """Wait for what is on its way."""
        self.shards.close()

    def _submit(self, request: CommandRequest, handle: Handle) -> Submitted[Any]:
        path, body = request.path, request.body
        ids: list[str] = []

        def send() -> Receipt:
            answered_id, receipt = self._send(request, path, body)
            ids.append(answered_id)
            return receipt

        return submitted_in(self.shards, request.streams, send, lambda receipt: answered(request.route, handle, ids[0], receipt))

    def _send(self, request: CommandRequest, path: str, body: bytes) -> tuple[str, Receipt]:
        answer = self.client.request(request.route.verb, path, body=body, key=uuid7().hex)
        return answer.json(lambda said: (str(said["id"]), receipt_of(said)))


def receipt_of(said: dict[str, Any]) -> Receipt:
    """Return where a command's last event stands, as the server says it."""
    recorded_at = said["recorded_at"] and datetime.fromisoformat(said["recorded_at"])
    told = told_in(said)
    return Receipt(said["stream"], said["position"], said["version"], recorded_at, said["appended"], told_by=told)


def told_in(said: dict[str, Any]) -> Callable[[], tuple[ToldEvent, ...]] | None:
    """Return what finds what the server told of each event, if it told that. What is found is found when it is asked for."""
    return partial(from_json, said) if said.get("events") else None


def answered(route: CommandRoute, handle: Handle, id: str, receipt: Receipt) -> Any:
    """Return what a command's method returns: the handle of what it made, an id, or the receipt."""
    (kind,) = get_args(route.answer)
    if kind is Receipt:
        return receipt
    if kind is str:
        return id
    if issubclass(kind, Child):
        return kind(id, handle.executor, handle.id, receipt)
    return kind(id, handle.executor, receipt)


# Order


def submitted_in(
    shards: "Shards", streams: frozenset[str], send: Callable[[], Receipt], answer: Callable[[Receipt], T]
) -> Submitted[T]:
    """Have something sent once what names one of the streams and came before is answered; do not wait for it."""
    submitted = Submitted(answer)

    def work() -> None:
        try:
            receipt = send()
        except Exception as error:
            settle([(submitted, error)])
        else:
            settle([(submitted, receipt)])

    try:
        shards.put(streams, work)
    except LedgerError as error:
        settle([(submitted, error)])
    return submitted


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
        """Return whether a job in one of these shards is not done."""
        return not self._last.keys().isdisjoint(shards)

    def put(self, shards: frozenset[str], work: Callable[[], None]) -> None:
        """One more job. Raises QueueFull, LedgerClosed."""
        job = _Job(work, shards)
        with self._turn:
            if self._closed:
                raise LedgerClosed
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
