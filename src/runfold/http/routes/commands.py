"""Commands over HTTP: one route each, made from the table of the API."""

import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any

import orjson
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from runfold.access.limits import SMALL_BODY
from runfold.api.route import CommandRoute, Field
from runfold.api.table import COMMANDS
from runfold.commands.plan import Plan, planned
from runfold.commands.submitted import Receipt
from runfold.domain.values import whole_number
from runfold.errors import InvalidEvent
from runfold.handles.calling.handle import Handle
from runfold.handles.ledgers.ledger_handle import LedgerHandle
from runfold.handles.ledgers.tenant_ledger import TenantLedger
from runfold.http import bodies
from runfold.http.routes import receipts
from runfold.http.routing import Handler, NamedRoute, Operation, Reply, model_of, route_of
from runfold.http.scope import header, only_header
from runfold.http.server_state import KEY_HEADER, ServerState
from runfold.http.shapes import narrowed
from runfold.method_call import MethodCall

HEADERS = {
    KEY_HEADER: "A request repeated with the same key takes effect once, and gets the answer of the first. Keys of different "
    "callers never clash; another API key of the same owner is the same caller.",
    "If-Match": "The version that the stream must have, as an ETag gave it; 412 if it has another.",
    "traceparent": "W3C trace context, stored with the events.",
    receipts.HEADER: receipts.WORDS,
}


def command_routes(server: ServerState) -> list[NamedRoute]:
    """Return a route for each command."""
    return [route_of(operation_of(route), _handler(server, route)) for route in COMMANDS]


@cache
def operation_of(route: CommandRoute) -> Operation:
    """Return the operation of a command."""
    return Operation(
        route.name,
        route.verb,
        route.path,
        inspect.getdoc(route.method) or "",
        Reply,
        route.scope,
        status=201 if route.creates else 200,
        body=body_of(route),
        headers=HEADERS,
    )


@cache
def body_of(route: CommandRoute) -> type[BaseModel]:
    """Return the model of a command's body."""
    fields = {name: Field(narrowed(name, field.type), field.default) for name, field in route.body.items()}
    return model_of(f"{route.name}.body", fields, strict=True)


def _handler(server: ServerState, route: CommandRoute) -> Handler:
    model, status = body_of(route), 201 if route.creates else 200

    async def handle(request: Request) -> Response:
        async with server.commanding(request, route.scope) as (ledger, raw):

            def parse(request: Request, raw: bytes) -> Plan[Any]:
                said = bodies.said(bodies.parsed(request, raw, model))
                said |= envelope(request, said)
                return plan_of(ledger, route, request.path_params, said)

            plan = await server.parsed(request, raw, parse)
            made, receipt = await submitted(server, ledger, plan, len(raw))
            more = await receipts.told(server, request, receipt)
        return reply(identity(made, receipt), receipt, status, more)

    return handle


def envelope(request: Request, said: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a command that are given as headers. Raises InvalidEvent."""
    found: dict[str, Any] = {}
    receipts.require_known(header(request, receipts.HEADER))
    if (tag := only_header(request, "If-Match")) is not None:
        version = whole_number(tag.removeprefix("W/").strip('"'))
        if version is None:
            raise InvalidEvent("If-Match", f'{tag} is not a version; send the ETag of a read, such as "7"')
        if said.get("expected_version") not in {None, version}:
            raise InvalidEvent("If-Match", "and expected_version differ; send one of them")
        found["expected_version"] = version
    if (parent := header(request, "traceparent")) is not None and "traceparent" not in said:
        found["traceparent"] = parent
    return found


def plan_of(ledger: LedgerHandle, route: CommandRoute, ids: Mapping[str, str], said: Mapping[str, Any]) -> Plan[Any]:
    """Return the plan of a command. Raises InvalidEvent."""
    arguments = {name: value for name, value in ids.items() if name not in route.handle_ids}
    return planned(MethodCall(route.plan_method, route.handle(ledger, ids), (), {**arguments, **said}))


async def submitted(server: ServerState, ledger: TenantLedger, plan: Plan[Any], size: int = 0) -> tuple[Any, Receipt]:
    """Execute a command; return what it created, and its receipt. Raises LedgerError.

    A command with a large body is decided in a thread, and so is one that would have to wait for another's decision: the event
    loop never waits for a lock.
    """
    if size > SMALL_BODY:
        return await (await server.pools.on_body(size, ledger.executor.submit_plan, plan.with_receipt()))
    if ledger.command_executor.is_deciding:
        return await (await server.pools.commands.run(ledger.executor.submit_plan, plan.with_receipt()))
    return await ledger.executor.submit_plan(plan.with_receipt())


def identity(made: Any, receipt: Receipt) -> str:
    """Return the id of what a command created, or of what it wrote to."""
    if isinstance(made, Handle):
        return made.id
    return made if isinstance(made, str) else receipt.stream


def reply(id: str, receipt: Receipt, status: int, more: Mapping[str, Any] | None = None) -> Response:
    """Return the response to a command; `more` holds further fields of its body."""
    body = {
        "id": id,
        "stream": receipt.stream,
        "version": receipt.version,
        "position": receipt.position,
        "recorded_at": receipt.recorded_at,
        "appended": receipt.appended,
        **(more or {}),
    }
    headers = {"ETag": f'"{receipt.version}"', "Runfold-Position": str(receipt.position)}
    return Response(orjson.dumps(body), status, headers, "application/json")
