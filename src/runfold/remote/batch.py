"""Many commands of one run in one request: all recorded, or none."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

import orjson
from uuid_utils import uuid7

from runfold.api.route import id_name
from runfold.commands.batch import BatchExecutor
from runfold.commands.submitted import Receipt, Submitted
from runfold.domain.values import Actor, json_text
from runfold.errors import LedgerError, LedgerUnavailable, UsageError
from runfold.handles.command import Elsewhere, Handle, planned
from runfold.handles.tenant_ledger import Batch
from runfold.ids import new_id
from runfold.queries.reading import Reading
from runfold.remote.calls import Call, call_of
from runfold.remote.client import Client
from runfold.remote.reading import RemoteReading

_RUN = "/runs/{run_id}"
_TEXTS = {"Life.claim": "execution_id", "ToolCall.start": "execution_key"}
"""The arguments that methods return."""


class RemoteBatch(Batch):
    """Commands of one run, sent together at the end. They are checked there: a refused one refuses them all.

    What a command returns before that says what it is, and not yet where it stands.
    """

    def __init__(self, client: Client) -> None:
        self._sender = RemoteBatchExecutor(client)
        super().__init__(cast("BatchExecutor", self._sender))  # it has what a batch asks of its executor

    def store(self) -> Receipt | None:
        """Send what was collected so far, and go on collecting. Raises what any of the commands raises."""
        receipt = self._sender.store()
        self.appended += receipt.appended if receipt else 0
        self.receipt = receipt or self.receipt
        return receipt


class RemoteBatchExecutor(Elsewhere):
    """An executor that collects."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._calls: list[Call] = []
        self._run_id: str | None = None
        self._broken: LedgerError | None = None
        self.actor = Actor(kind="service", id="runfold")
        """For plans, which are made here for their ids and thrown away: who really acts, the server knows."""

    def __len__(self) -> int:
        return len(self._calls)

    def new_id(self, prefix: str) -> str:
        """An id for what a command creates."""
        return new_id(prefix)

    def clock(self) -> datetime:
        """Now."""
        return datetime.now(UTC)

    def reading(self, moment: int | datetime | None = None) -> Reading:
        """The ledger without what is collected, which it does not know yet."""
        return RemoteReading(self._client).at(moment)

    def give(self, method: Callable[..., Any], handle: Handle, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Collect a command. Raises InvalidEvent, and UsageError for one that is not of the batch's run."""
        self._require_whole()
        call = call_of(method, handle, args, kwargs)
        run_id = call.ids.get("run_id")
        if run_id is None or self._run_id not in {None, run_id}:
            raise UsageError(
                f"a batch over HTTP holds commands of one run, here {self._run_id or 'the first that is named'}; "
                f"give {call.route.name} of {handle.id} outside of it"
            )
        made = planned(method, handle, *args, **kwargs).answer(Receipt(run_id, 0, 0, None, 0))
        if isinstance(made, Handle):
            call = call._replace(said={**call.said, id_name(type(made)): made.id})
        elif isinstance(made, str):
            call = call._replace(said={**call.said, _TEXTS[call.route.name]: made})
        json_text(call.said)
        self._calls.append(call)
        self._run_id = run_id
        return made

    def send(self, method: Callable[..., Any], handle: Handle, *_: Any) -> Submitted[Any]:
        """A batch is sent at its end, so nothing in it can be on its way."""
        raise UsageError(f"submit_… has no meaning inside a batch ({method.__name__} of {handle.id}); call the command itself")

    def store(self) -> Receipt | None:
        """Send what was collected, and begin anew. None when nothing was new."""
        self._require_whole()
        if not self._calls:
            return None
        start = len(_RUN.format(run_id=self._run_id))
        commands = [{"path": call.path[start:], "verb": call.route.verb, "body": dict(call.said)} for call in self._calls]
        try:
            answer = self._client.request(
                "POST", f"/runs/{self._run_id}/events", body=json_text({"commands": commands}).encode(), key=uuid7().hex
            )
        except LedgerError as error:
            self._broken = error
            raise
        self._calls = []
        told = orjson.loads(answer.content)
        if not told["recorded_at"]:
            return None
        at = datetime.fromisoformat(told["recorded_at"])
        return Receipt(self._run_id or "", told["position"], told["version"], at, told["appended"])

    def finish(self) -> None:
        """Nothing remains to be given back."""

    def _require_whole(self) -> None:
        if self._broken is not None:
            raise LedgerUnavailable(f"the batch is void ({self._broken})", "begin another", retriable=False)
