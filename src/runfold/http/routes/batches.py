"""Several commands in one request, all recorded or none: of one run, votes on many approvals, changes to threads or a run."""

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

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
from runfold.handles.batch import Batch
from runfold.handles.executor import LocalExecutor
from runfold.handles.local import BatchExecutor
from runfold.handles.tenant_ledger import TenantLedger
from runfold.http import bodies
from runfold.http.routes.batch_bodies import Ballots, BatchReply, Item, RunBatch, RunChange, ThreadChange, ThreadDeletions
from runfold.http.routes.commands import HEADERS, body_of, envelope, identity, planned
from runfold.http.routing import Handler, NamedRoute, Operation, route_of
from runfold.http.server_state import ServerState

MOST_TRIES = 20
DECIDE: Scope = "approvals:decide"
_RUN = "/runs/{run_id}"


@dataclass(frozen=True)
class Step:
    """One command of a batch, ready to be carried out in any ledger."""

    route: CommandRoute
    ids: Mapping[str, str]
    said: Mapping[str, Any]


Reading = Callable[[Request, bytes], Sequence[Step]]
"""A request → its commands. Raises InvalidEvent."""


def _batch(name: str, verb: str, path: str, summary: str, body: type[BaseModel], scope: Scope = "runs:write") -> Operation:
    return Operation(name, verb, path, summary, BatchReply, scope, body=body, headers=HEADERS)


EXECUTE = _batch("runs.execute_commands", "POST", f"{_RUN}/events", "Record several commands of a run, all or none.", RunBatch)
VOTE = _batch("approvals.vote_many", "POST", "/approvals/resolve", "Vote on many approvals, all or none.", Ballots, DECIDE)
DELETE = _batch("threads.delete_many", "POST", "/threads/delete", "Delete several threads, all or none.", ThreadDeletions)
CHANGE_THREAD = _batch("threads.update", "PATCH", "/threads/{thread_id}", "Rename a thread, put it away, or both.", ThreadChange)
CHANGE_RUN = _batch("runs.update", "PATCH", _RUN, "Set a run's metadata, its timing, or both.", RunChange)
OPERATIONS = (EXECUTE, VOTE, DELETE, CHANGE_THREAD, CHANGE_RUN)


def batch_routes(service: ServerState) -> list[NamedRoute]:
    """The routes whose requests are several commands."""

    def of_run(request: Request, raw: bytes) -> list[Step]:
        batch = bodies.parsed(request, raw, RunBatch)
        if len(batch.commands) > service.limits.batch_commands:  # before they are looked at one by one
            raise TooLarge("the batch", service.limits.batch_commands, "commands")
        ids = {"run_id": request.path_params["run_id"]}
        steps = [_step(number, item, ids) for number, item in enumerate(batch.commands)]
        return _with_version(steps, batch.expected_version) if steps else []

    return [
        route_of(EXECUTE, _handler(service, of_run)),
        route_of(VOTE, _handler(service, _votes, DECIDE)),
        route_of(DELETE, _handler(service, _deletions)),
        route_of(CHANGE_THREAD, _handler(service, _thread_change)),
        route_of(CHANGE_RUN, _handler(service, _run_change)),
    ]


def _handler(service: ServerState, read: Reading, scope: Scope = "runs:write") -> Handler:
    async def handle(request: Request) -> Response:
        async with service.commanding(request, scope) as (ledger, raw):
            steps = await service.parsed(request, raw, read)
            if len(steps) > service.limits.batch_commands:
                raise TooLarge("the batch", service.limits.batch_commands, "commands")
            for more in {step.route.scope for step in steps} - {scope}:
                await service.caller(request, more)
            said = envelope(request, {})
            if steps and said:
                first = steps[0]
                steps = [Step(first.route, first.ids, {**first.said, **said}), *steps[1:]]
            try:
                ids, receipt, position = await service.pools.commands.run(_carry_out, ledger, steps)
            except CommandRefused as refused:
                plain = service.ledger.on_behalf(ledger.caller._replace(key=None, request=None))
                await service.pools.commands.run(_keep_late_vote, plain, steps, refused)
                raise
        return _reply(ids, receipt, position)

    return handle


def _carry_out(ledger: TenantLedger, steps: Sequence[Step]) -> tuple[list[str], Receipt | None, int]:
    """All of them, and again from the start where somebody else was first and no version was asked for."""
    patient = not any("expected_version" in step.said for step in steps)
    for tries in range(MOST_TRIES):
        receipt = ledger.recorded_under_key()
        executor = BatchExecutor(ledger.command_executor, ledger.caller)
        batch = Batch(executor)
        if receipt is not None:
            return _recorded_ids(executor, _plans(batch, steps), receipt), receipt, receipt.position
        try:
            ids = [_execute(executor, plan) for plan in _plans(batch, steps)]
            batch.finish()
        except AlreadyAppended:
            continue  # what was recorded under the key is the answer
        except VersionConflict:
            if not patient or tries == MOST_TRIES - 1:
                raise
        else:
            return ids, batch.receipt, ledger.position() if batch.receipt is None else batch.receipt.position
    raise AlreadyAppended(steps[0].ids.get("run_id", "the ledger"))


def _recorded_ids(executor: BatchExecutor, plans: Iterable[Plan[Any]], receipt: Receipt) -> list[str]:
    """Return the ids that the same commands answered when they were recorded."""
    return [identity(executor.as_recorded(plan.answer(receipt), receipt), receipt) for plan in plans]


def _keep_late_vote(ledger: TenantLedger, steps: Sequence[Step], refused: CommandRefused) -> None:
    """A vote that came too late is recorded as such, whatever becomes of the others."""
    if refused.state in get_args(ClosedStatus):
        for step in steps:
            if step.ids.get("approval_id") == refused.stream:
                with contextlib.suppress(CommandRefused):
                    _execute(ledger.executor, planned(ledger, step.route, step.ids, step.said))


def _plans(batch: Batch, steps: Sequence[Step]) -> Iterator[Plan[Any]]:
    for number, step in enumerate(steps):
        try:
            yield planned(batch, step.route, step.ids, step.said)
        except InvalidEvent as error:
            raise InvalidEvent(f"commands.{number}.{error.path}", error.reason, error.event_type) from None


def _execute(executor: LocalExecutor, plan: Plan[Any]) -> str:
    made, receipt = executor.execute_plan(plan.with_receipt())
    return identity(made, receipt)


# Requests as commands

_BY_NAME = {route.name: route for route in COMMANDS}
_OF_RUN = [
    (route, re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", route.path.removeprefix(_RUN))))
    for route in COMMANDS
    if route.path.startswith(f"{_RUN}/")
]
_NAMED_OF_RUN = {route.name: route for route, _ in _OF_RUN}


def _step(number: int, item: Item, ids: Mapping[str, str]) -> Step:
    at = f"commands.{number}"
    if item.name is None and item.path is None:
        raise InvalidEvent(f"{at}.name", "is missing; send the name of a command, such as messages.add")
    if item.name is not None and item.path is not None:
        raise InvalidEvent(f"{at}.path", "is not sent together with a name; send the name and the ids alone")
    route, more = _by_path(at, item.verb, item.path) if item.path is not None else _by_name(at, item)
    body = bodies.checked(body_of(route), item.body, orjson.dumps(item.body), f"{at}.body")
    return Step(route, {**ids, **more}, bodies.said(body))


def _by_name(at: str, item: Item) -> tuple[CommandRoute, Mapping[str, str]]:
    """The command that an item names, and the ids in its path beside the run's. Raises InvalidEvent."""
    given = str(item.name)
    route = _NAMED_OF_RUN.get(FORMER_NAMES.get(given, given))
    if route is None:
        known = ", ".join(sorted(_NAMED_OF_RUN))
        raise InvalidEvent(f"{at}.name", f"{given[:80]!r} is not a command of a run; expected one of {known}")
    expected = [name for name in route.path_names if name != "run_id"]
    if wrong := sorted({*item.ids} ^ {*expected}):
        ids = f"the ids {', '.join(expected)}" if expected else "no ids"
        raise InvalidEvent(
            f"{at}.ids.{wrong[0][:80]}", f"is {'missing' if wrong[0] in expected else 'unknown'}; {route.name} takes {ids}"
        )
    return route, item.ids


def _by_path(at: str, verb: str, path: str) -> tuple[CommandRoute, Mapping[str, str]]:
    """The command at a verb and a path from the run's own on, and the ids in it. Raises InvalidEvent."""
    for route, pattern in _OF_RUN:
        found = pattern.fullmatch(path)
        if route.verb == verb and found is not None:
            return route, found.groupdict()
    known = ", ".join(sorted(_NAMED_OF_RUN))
    raise InvalidEvent(f"{at}.path", f"{verb} {path[:80]!r} is not a command of a run; send a name instead, one of {known}")


def _votes(request: Request, raw: bytes) -> list[Step]:
    ballots = bodies.parsed(request, raw, Ballots)
    together = {"expected_open": frozenset(ballot.approval_id for ballot in ballots.votes)} if ballots.complete else {}
    return [
        *(_split(_BY_NAME["approvals.vote"], ballot, "approval_id", together) for ballot in ballots.votes),
        *(_split(_BY_NAME["messages.add"], message, "run_id", {"role": "user"}) for message in ballots.messages),
    ]


def _split(route: CommandRoute, item: BaseModel, id: str, more: Mapping[str, Any]) -> Step:
    """An item of a body as a command: one of its fields is in the path."""
    said = bodies.said(item)
    return Step(route, {id: said.pop(id)}, {**said, **more})


def _deletions(request: Request, raw: bytes) -> list[Step]:
    asked = bodies.parsed(request, raw, ThreadDeletions)
    route = _BY_NAME["threads.delete"]
    return [Step(route, {"thread_id": thread_id}, {"reason": asked.reason}) for thread_id in asked.thread_ids]


def _thread_change(request: Request, raw: bytes) -> list[Step]:
    change = bodies.parsed(request, raw, ThreadChange)
    ids = {"thread_id": request.path_params["thread_id"]}
    steps = []
    if change.title is not None:
        steps.append(Step(_BY_NAME["threads.rename"], ids, {"title": change.title}))
    if change.archived is not None:
        steps.append(Step(_BY_NAME["threads.archive" if change.archived else "threads.restore"], ids, {}))
    return _with_version(steps, change.expected_version)


def _run_change(request: Request, raw: bytes) -> list[Step]:
    change = bodies.parsed(request, raw, RunChange)
    ids = {"run_id": request.path_params["run_id"]}
    steps = []
    if change.metadata is not None:
        steps.append(Step(_BY_NAME["runs.merge_metadata"], ids, {"patch": change.metadata}))
    timing = {name: value for name in ("ttft_ns", "total_duration_ns") if (value := getattr(change, name)) is not None}
    if timing:
        steps.append(Step(_BY_NAME["runs.record_timing"], ids, timing))
    return _with_version(steps, change.expected_version)


def _with_version(steps: list[Step], version: int | None) -> list[Step]:
    """The first of them expects the stream at that version; the others follow it."""
    if not steps:
        raise InvalidEvent("body", "says nothing to change; send at least one field")
    if version is not None:
        steps[0] = Step(steps[0].route, steps[0].ids, {**steps[0].said, "expected_version": version})
    return steps


def _reply(ids: list[str], receipt: Receipt | None, position: int) -> Response:
    body = {
        "ids": ids,
        "version": receipt.version if receipt else 0,
        "position": position,
        "recorded_at": receipt.recorded_at if receipt else None,
        "appended": receipt.appended if receipt else 0,
    }
    headers = {"Runfold-Position": str(position), **({"ETag": f'"{receipt.version}"'} if receipt else {})}
    return Response(orjson.dumps(body), 200, headers, "application/json")
