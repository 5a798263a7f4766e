"""Requests that carry several commands, all recorded or none: of one run, votes on approvals, changes to a thread or a run."""

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, get_args

import orjson
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from runfold.api.former_names import FORMER_NAMES
from runfold.api.route import CommandRoute, Scope
from runfold.api.table import COMMANDS
from runfold.commands.plan import Plan
from runfold.commands.submitted import Receipt
from runfold.domain.approval_events import ClosedStatus
from runfold.errors import AlreadyAppended, CommandRefused, InvalidEvent, TooLarge, VersionConflict
from runfold.handles.calling.executor import LocalExecutor
from runfold.handles.calling.local import BatchExecutor
from runfold.handles.ledgers.batch import Batch
from runfold.handles.ledgers.tenant_ledger import TenantLedger
from runfold.http import bodies
from runfold.http.routes import receipts
from runfold.http.routes.batch_bodies import Ballots, BatchReply, Item, RunBatch, RunChange, ThreadChange, ThreadDeletions
from runfold.http.routes.commands import HEADERS, body_of, envelope, identity, plan_of
from runfold.http.routing import Handler, NamedRoute, Operation, route_of
from runfold.http.server_state import ServerState

MOST_TRIES = 20
DECIDE: Scope = "approvals:decide"
_RUN = "/runs/{run_id}"


class BatchCommand(NamedTuple):
    """One command of a batch: its route, the ids in its path, and its arguments."""

    route: CommandRoute
    ids: Mapping[str, str]
    said: Mapping[str, Any]


ParseCommands = Callable[[Request, bytes], Sequence[BatchCommand]]
"""Reads the commands of a request. Raises InvalidEvent."""


def _batch(name: str, verb: str, path: str, summary: str, body: type[BaseModel], scope: Scope = "runs:write") -> Operation:
    return Operation(name, verb, path, summary, BatchReply, scope, body=body, headers=HEADERS)


EXECUTE = _batch("runs.execute_commands", "POST", f"{_RUN}/events", "Record several commands of a run, all or none.", RunBatch)
VOTE = _batch("approvals.vote_many", "POST", "/approvals/resolve", "Vote on many approvals, all or none.", Ballots, DECIDE)
DELETE = _batch("threads.delete_many", "POST", "/threads/delete", "Delete several threads, all or none.", ThreadDeletions)
CHANGE_THREAD = _batch(
    "threads.update", "PATCH", "/threads/{thread_id}", "Rename a thread, archive or restore it, or both.", ThreadChange
)
CHANGE_RUN = _batch("runs.update", "PATCH", _RUN, "Set a run's metadata, its timing, or both.", RunChange)
OPERATIONS = (EXECUTE, VOTE, DELETE, CHANGE_THREAD, CHANGE_RUN)


def batch_routes(server: ServerState) -> list[NamedRoute]:
    """Return the routes whose requests carry several commands."""

    def of_run(request: Request, raw: bytes) -> list[BatchCommand]:
        batch = bodies.parsed(request, raw, RunBatch)
        if len(batch.commands) > server.limits.batch_commands:  # before they are looked at one by one
            raise TooLarge("the batch", server.limits.batch_commands, "commands")
        ids = {"run_id": request.path_params["run_id"]}
        commands = [_command(number, item, ids) for number, item in enumerate(batch.commands)]
        return _with_version(commands, batch.expected_version) if commands else []

    return [
        route_of(EXECUTE, _handler(server, of_run)),
        route_of(VOTE, _handler(server, _votes, DECIDE)),
        route_of(DELETE, _handler(server, _deletions)),
        route_of(CHANGE_THREAD, _handler(server, _thread_change)),
        route_of(CHANGE_RUN, _handler(server, _run_change)),
    ]


def _handler(server: ServerState, parse: ParseCommands, scope: Scope = "runs:write") -> Handler:
    async def handle(request: Request) -> Response:
        async with server.commanding(request, scope) as (ledger, raw):
            commands = await server.parsed(request, raw, parse)
            if len(commands) > server.limits.batch_commands:
                raise TooLarge("the batch", server.limits.batch_commands, "commands")
            for more in {command.route.scope for command in commands} - {scope}:
                await server.caller(request, more)
            said = envelope(request, {})
            if commands and said:
                first = commands[0]
                commands = [BatchCommand(first.route, first.ids, {**first.said, **said}), *commands[1:]]
            try:
                ids, receipt, position = await server.pools.commands.run(_carry_out, ledger, commands)
            except CommandRefused as refused:
                plain = server.ledger.on_behalf(ledger.caller._replace(key=None, request=None))
                await server.pools.commands.run(_keep_late_vote, plain, commands, refused)
                raise
            told = await receipts.told(server, request, receipt)
        return _reply(ids, receipt, position, told)

    return handle


def _carry_out(ledger: TenantLedger, commands: Sequence[BatchCommand]) -> tuple[list[str], Receipt | None, int]:
    """Execute all commands in one transaction; on a version conflict start again, unless the request expects a version."""
    patient = not any("expected_version" in command.said for command in commands)
    for tries in range(MOST_TRIES):
        receipt = ledger.recorded_under_key()
        executor = BatchExecutor(ledger.command_executor, ledger.caller)
        batch = Batch(executor)
        if receipt is not None:
            return _recorded_ids(executor, _plans(batch, commands), receipt), receipt, receipt.position
        try:
            ids = [_execute(executor, plan) for plan in _plans(batch, commands)]
            batch.finish()
        except AlreadyAppended:
            continue  # what was recorded under the key is the answer
        except VersionConflict:
            if not patient or tries == MOST_TRIES - 1:
                raise
        else:
            return ids, batch.receipt, ledger.position() if batch.receipt is None else batch.receipt.position
    raise AlreadyAppended(commands[0].ids.get("run_id", "the ledger"))


def _recorded_ids(executor: BatchExecutor, plans: Iterable[Plan[Any]], receipt: Receipt) -> list[str]:
    """Return the ids that the same commands answered when they were recorded."""
    return [identity(executor.as_recorded(plan.answer(receipt), receipt), receipt) for plan in plans]


def _keep_late_vote(ledger: TenantLedger, commands: Sequence[BatchCommand], refused: CommandRefused) -> None:
    """Record a vote on an approval that was closed already: it is kept as late, though the batch is refused."""
    if refused.state in get_args(ClosedStatus):
        for command in commands:
            if command.ids.get("approval_id") == refused.stream:
                with contextlib.suppress(CommandRefused):
                    _execute(ledger.executor, plan_of(ledger, command.route, command.ids, command.said))


def _plans(batch: Batch, commands: Sequence[BatchCommand]) -> Iterator[Plan[Any]]:
    for number, command in enumerate(commands):
        try:
            yield plan_of(batch, command.route, command.ids, command.said)
        except InvalidEvent as error:
            raise InvalidEvent(f"commands.{number}.{error.path}", error.reason, error.event_type) from None


def _execute(executor: LocalExecutor, plan: Plan[Any]) -> str:
    made, receipt = executor.execute_plan(plan.with_receipt())
    return identity(made, receipt)


# How each request is read

_BY_NAME = {route.name: route for route in COMMANDS}
_OF_RUN = [
    (route, re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", route.path.removeprefix(_RUN))))
    for route in COMMANDS
    if route.path.startswith(f"{_RUN}/")
]
_NAMED_OF_RUN = {route.name: route for route, _ in _OF_RUN}
_IDS_BESIDE = {route.name: {*route.path_names} - {"run_id"} for route, _ in _OF_RUN}


def _command(number: int, item: Item, ids: Mapping[str, str]) -> BatchCommand:
    at = f"commands.{number}"
    if item.name is None and item.path is None:
        raise InvalidEvent(f"{at}.name", "is missing; send the name of a command, such as messages.add")
    if item.name is not None and item.path is not None:
        raise InvalidEvent(f"{at}.path", "is not sent together with a name; send the name and the ids alone")
    route, more = _by_path(at, item.verb, item.path) if item.path is not None else _by_name(at, item)
    body = bodies.checked(body_of(route), item.body, orjson.dumps(item.body), f"{at}.body")
    return BatchCommand(route, {**ids, **more}, bodies.said(body))


def _by_name(at: str, item: Item) -> tuple[CommandRoute, Mapping[str, str]]:
    """Return the route that an item names, and the ids in its path beside the run's. Raises InvalidEvent."""
    given = str(item.name)
    route = _NAMED_OF_RUN.get(FORMER_NAMES.get(given, given))
    if route is None:
        known = ", ".join(sorted(_NAMED_OF_RUN))
        raise InvalidEvent(f"{at}.name", f"{given[:80]!r} is not a command of a run; expected one of {known}")
    expected = _IDS_BESIDE[route.name]
    if item.ids.keys() != expected:
        wrong = min(item.ids.keys() ^ expected)
        ids = f"the ids {', '.join(sorted(expected))}" if expected else "no ids"
        fault = "missing" if wrong in expected else "unknown"
        raise InvalidEvent(f"{at}.ids.{wrong[:80]}", f"is {fault}; {route.name} takes {ids}")
    return route, item.ids


def _by_path(at: str, verb: str, path: str) -> tuple[CommandRoute, Mapping[str, str]]:
    """Return the route at a verb and a path relative to the run, and the ids in that path. Raises InvalidEvent."""
    for route, pattern in _OF_RUN:
        found = pattern.fullmatch(path)
        if route.verb == verb and found is not None:
            return route, found.groupdict()
    known = ", ".join(sorted(_NAMED_OF_RUN))
    raise InvalidEvent(f"{at}.path", f"{verb} {path[:80]!r} is not a command of a run; send a name instead, one of {known}")


def _votes(request: Request, raw: bytes) -> list[BatchCommand]:
    ballots = bodies.parsed(request, raw, Ballots)
    together = {"expected_open": frozenset(ballot.approval_id for ballot in ballots.votes)} if ballots.complete else {}
    return [
        *(_split(_BY_NAME["approvals.vote"], ballot, "approval_id", together) for ballot in ballots.votes),
        *(_split(_BY_NAME["messages.add"], message, "run_id", {"role": "user"}) for message in ballots.messages),
    ]


def _split(route: CommandRoute, item: BaseModel, id: str, more: Mapping[str, Any]) -> BatchCommand:
    """Return the command that an item of a body asks for; the field `id` of the item goes into the path."""
    said = bodies.said(item)
    return BatchCommand(route, {id: said.pop(id)}, {**said, **more})


def _deletions(request: Request, raw: bytes) -> list[BatchCommand]:
    asked = bodies.parsed(request, raw, ThreadDeletions)
    route = _BY_NAME["threads.delete"]
    return [BatchCommand(route, {"thread_id": thread_id}, {"reason": asked.reason}) for thread_id in asked.thread_ids]


def _thread_change(request: Request, raw: bytes) -> list[BatchCommand]:
    change = bodies.parsed(request, raw, ThreadChange)
    ids = {"thread_id": request.path_params["thread_id"]}
    commands = []
    if change.title is not None:
        commands.append(BatchCommand(_BY_NAME["threads.rename"], ids, {"title": change.title}))
    if change.archived is not None:
        commands.append(BatchCommand(_BY_NAME["threads.archive" if change.archived else "threads.restore"], ids, {}))
    return _with_version(commands, change.expected_version)


def _run_change(request: Request, raw: bytes) -> list[BatchCommand]:
    change = bodies.parsed(request, raw, RunChange)
    ids = {"run_id": request.path_params["run_id"]}
    commands = []
    if change.metadata is not None:
        commands.append(BatchCommand(_BY_NAME["runs.merge_metadata"], ids, {"patch": change.metadata}))
    timing = {name: value for name in ("ttft_ns", "total_duration_ns") if (value := getattr(change, name)) is not None}
    if timing:
        commands.append(BatchCommand(_BY_NAME["runs.record_timing"], ids, timing))
    return _with_version(commands, change.expected_version)


def _with_version(commands: list[BatchCommand], version: int | None) -> list[BatchCommand]:
    """Let the first command expect the stream at that version; the others build on it. Raises InvalidEvent for no commands."""
    if not commands:
        raise InvalidEvent("body", "says nothing to change; send at least one field")
    if version is not None:
        commands[0] = BatchCommand(commands[0].route, commands[0].ids, {**commands[0].said, "expected_version": version})
    return commands


def _reply(ids: list[str], receipt: Receipt | None, position: int, more: Mapping[str, Any]) -> Response:
    body = {
        "ids": ids,
        "version": receipt.version if receipt else 0,
        "position": position,
        "recorded_at": receipt.recorded_at if receipt else None,
        "appended": receipt.appended if receipt else 0,
        **more,
    }
    headers = {"Runfold-Position": str(position), **({"ETag": f'"{receipt.version}"'} if receipt else {})}
    return Response(orjson.dumps(body), 200, headers, "application/json")
