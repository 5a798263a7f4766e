"""Many commands of one run in one request: all recorded, or none."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, NoReturn, TypeVar

from uuid_utils import uuid7

from runfold.api.route import id_name
from runfold.commands.plan import Plan, planned
from runfold.commands.stored_parts import StoredParts
from runfold.commands.submitted import Receipt, Submitted, known
from runfold.domain.json_text import json_text
from runfold.domain.security import Scope
from runfold.errors import LedgerError, UsageError
from runfold.handles.calling.handle import Handle
from runfold.ids import new_id
from runfold.method_call import MethodCall
from runfold.queries.reading import Reading
from runfold.remote.calls import CommandRequest, request_of
from runfold.remote.executor import ANYBODY, RemoteExecutor, receipt_of, submitted_in
from runfold.remote.reading import remote_reading

T = TypeVar("T")

_TEXTS = {"runs.claim": "execution_id", "tool_calls.start": "execution_key"}
"""The arguments that methods return."""


class RemoteBatchExecutor:
    """Collects commands of one run, and sends them together."""

    actor = ANYBODY
    is_import = False

    def __init__(self, sender: RemoteExecutor) -> None:
        """What is submitted goes out after what `sender` was given before on the same streams."""
        self._client, self._shards = sender.client, sender.shards
        self.parts = StoredParts()
        """What became of what was stored, or is on its way."""
        self.ledger_identity = sender.client
        self._requests: list[CommandRequest] = []
        self._run_id: str | None = None

    def __len__(self) -> int:
        """Return how many commands are collected."""
        return len(self._requests)

    def require_scope(self, scope: Scope) -> None:
        """Leave it to the server, which knows what the key is for."""

    def require_address(self, url: str, path: str) -> None:
        """Leave it to the server, which knows where it may send to."""

    def new_id(self, prefix: str) -> str:
        """Return an id for what a command creates."""
        return new_id(prefix)

    def clock(self) -> datetime:
        """Return the time by which a plan is made here. The server judges by its own."""
        return datetime.now(UTC)

    def collected(self) -> NoReturn:
        """Raise UsageError: which events the commands will be, the server decides."""
        raise UsageError("which events a batch over HTTP will be is not known before it is stored")

    def reading(self, moment: int | datetime | None = None) -> Reading:
        """Return the questions of the ledger without what is collected, which it does not know yet. Raises LedgerError."""
        self.parts.wait()
        return remote_reading(self._client).at(moment)

    def execute(self, call: MethodCall[Plan[T]]) -> T:
        """Collect a command. Raises InvalidEvent, and UsageError for one that is not of the batch's run, or after its end."""
        self.parts.require_open()
        request = request_of(call)
        run_id = request.ids.get("run_id")
        if run_id is None or self._run_id not in {None, run_id}:
            raise UsageError(
                f"a batch over HTTP holds commands of one run, here {self._run_id or 'the first that is named'}; "
                f"give {request.route.name} of {call.owner.id} outside of it"
            )
        answer = planned(call).answer(Receipt(run_id, 0, 0, None, 0))
        if isinstance(answer, Handle):
            request = request._replace(said={**request.said, id_name(type(answer)): answer.id})
        elif isinstance(answer, str):
            request = request._replace(said={**request.said, _TEXTS[request.route.name]: answer})
        json_text(request.said)
        self._requests.append(request)
        self._run_id = run_id
        return answer

    def submit(self, call: MethodCall[Any]) -> NoReturn:
        """Raise UsageError: a batch is sent at its end, so nothing in it can be on its way."""
        raise UsageError(f"submit_{call.method.__name__} has no meaning inside a batch; call {call.method.__name__} itself")

    def store(self) -> None:
        """Send what was collected, and begin anew."""
        self.parts.wait()
        if not self._requests:
            return
        send = self._sending()
        try:
            receipt = send()
        except LedgerError as error:
            self.parts.fail(error)
            raise
        self._requests = []
        self.parts.take(receipt)

    def submit_store(self) -> Submitted[Receipt | None]:
        """Send what was collected without waiting for the answer, and begin anew, once what was sent so before is stored."""
        self.parts.wait()
        if not self._requests:
            return known(self.parts.receipt)
        send, streams = self._sending(), frozenset().union(*(request.streams for request in self._requests))
        self._requests = []
        return self.parts.submit(partial(submitted_in, self._shards, streams, send))

    def finish(self) -> None:
        """Send the rest."""
        self.store()

    def forget(self) -> None:
        """Forget what was collected and is not sent."""
        self._requests = []

    def _sending(self) -> Callable[[], Receipt]:
        """Return what sends the commands, once, under a key of its own."""
        run_id = self._run_id or ""
        body = json_text({"commands": [request.in_batch for request in self._requests]}).encode()

        def send() -> Receipt:
            answer = self._client.request("POST", f"/runs/{run_id}/events", body=body, key=uuid7().hex)
            return answer.json(lambda said: receipt_of({**said, "stream": run_id}))

        return send
