"""Named subscriptions over HTTP: making them, taking their events, and answering."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

import orjson
from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import Response

from runfold.api.route import Scope
from runfold.domain.values import whole_number
from runfold.errors import UsageError
from runfold.event_loops import tell_loop
from runfold.feed.event_json import event_json
from runfold.feed.tail import Tail
from runfold.http import bodies
from runfold.http.bodies import Body
from runfold.http.listing import Listed
from runfold.http.routes.subscription_bodies import (
    AcknowledgeAsked,
    DiscardAsked,
    LeaseAsked,
    PositionsView,
    RejectAsked,
    ReplayAsked,
    ResetAsked,
    SubscriptionAsked,
    SubscriptionDeleted,
    SubscriptionsQuery,
    TakeAsked,
    TakenView,
)
from runfold.http.routing import Handler, NamedRoute, Operation, answer, asked, route_of
from runfold.http.server_state import ServerState
from runfold.queries.lists.paging import DEFAULT_LIMIT
from runfold.queries.lists.where import seconds
from runfold.store.reading.reader import Head
from runfold.subscriptions.kept import KeptSubscriptions
from runfold.subscriptions.views import MOST_WAIT_SECONDS, Answered, ParkedEvent, Promise, SubscriptionView, Taken

T = TypeVar("T")
B = TypeVar("B", bound=Body)

SCOPE: Scope = "events:read"
LOOK_SECONDS, QUIET_SECONDS = 0.1, 1.0
"""How long a request that waits for events pauses at least between two looks; and at most, where nothing is recorded and nothing
waits for something else. No thread waits with it."""

_ONE = "/subscriptions/{name}"


def _operation(name: str, verb: str, path: str, summary: str, answer: Any, **more: Any) -> Operation:
    return Operation(f"subscriptions.{name}", verb, path, summary, answer, SCOPE, **more)


LIST = _operation(
    "list",
    "GET",
    "/subscriptions",
    "The subscriptions of this key's owner, by name; with `admin` all of the tenant.",
    Listed[SubscriptionView],
    query=SubscriptionsQuery,
)
GET = _operation("get", "GET", _ONE, "A subscription: where it is, and what is leased, waiting and parked.", SubscriptionView)
PUT = _operation(
    "put",
    "PUT",
    _ONE,
    "Make a subscription, or change what its consumers are promised.\n\nWhere it is does not change by that. What it is narrowed"
    " by cannot be changed: delete it, or choose another name.",
    SubscriptionView,
    body=SubscriptionAsked,
)
DELETE = _operation("delete", "DELETE", _ONE, "Delete a subscription, with where it is and what is parked.", SubscriptionDeleted)
TAKE = _operation(
    "take",
    "POST",
    f"{_ONE}/take",
    "Take events.\n\nThey are this consumer's until it acknowledges or rejects them, or `lease_seconds` are over; then they are"
    " given again, with a higher `attempt`. 409 `HistoryChanged` where the ledger was put back to before what consumers may have"
    " seen: drop what was derived from events after its `position`, and reset the subscription.",
    TakenView,
    body=TakeAsked,
)
ACKNOWLEDGE = _operation(
    "acknowledge",
    "POST",
    f"{_ONE}/ack",
    "Say that events are done.\n\nWhere the answer is lost, ask again: for an hour a lease is told again what it was told, and"
    " events that were given to another meanwhile are `lost`. The same holds for `/nack` and `/release`.",
    Answered,
    body=AcknowledgeAsked,
)
REJECT = _operation(
    "reject",
    "POST",
    f"{_ONE}/nack",
    "Say that events failed: they are given again later, and parked after `most_attempts`.\n\nWhat the consumer holds behind one"
    " that is to be given again, in the same order, is given back with it (`released`).",
    Answered,
    body=RejectAsked,
)
EXTEND = _operation("extend", "POST", f"{_ONE}/extend", "Keep events for another `lease_seconds`.", Answered, body=LeaseAsked)
RELEASE = _operation("release", "POST", f"{_ONE}/release", "Give events back, unanswered.", Answered, body=LeaseAsked)
PARKED = _operation(
    "list_parked",
    "GET",
    f"{_ONE}/parked",
    "The events that are set aside, by position.",
    Listed[ParkedEvent],
    query=SubscriptionsQuery,
)
REPLAY = _operation("replay", "POST", f"{_ONE}/replay", "Have parked events given again.", PositionsView, body=ReplayAsked)
DISCARD = _operation("discard", "POST", f"{_ONE}/discard", "Have parked events never given.", PositionsView, body=DiscardAsked)
RESET = _operation(
    "reset",
    "POST",
    f"{_ONE}/reset",
    "Go on after another place.\n\nWhat consumers hold is theirs no longer, and what is parked is forgotten.",
    SubscriptionView,
    body=ResetAsked,
)
OPERATIONS = (LIST, GET, PUT, DELETE, TAKE, ACKNOWLEDGE, REJECT, EXTEND, RELEASE, PARKED, REPLAY, DISCARD, RESET)


def subscription_routes(server: ServerState) -> list[NamedRoute]:
    """Return the routes of named subscriptions."""
    return [
        route_of(LIST, _listing(server)),
        route_of(GET, _asking(server, SubscriptionView, lambda kept, name: kept.view(name))),
        route_of(PUT, _doing(server, SubscriptionView, SubscriptionAsked, _put)),
        route_of(DELETE, _asking(server, SubscriptionDeleted, _delete)),
        route_of(TAKE, _taking(server)),
        route_of(ACKNOWLEDGE, _doing(server, Answered, AcknowledgeAsked, _acknowledge)),
        route_of(REJECT, _doing(server, Answered, RejectAsked, _reject)),
        route_of(EXTEND, _doing(server, Answered, LeaseAsked, lambda kept, name, said: kept.extend(name, said.lease))),
        route_of(RELEASE, _doing(server, Answered, LeaseAsked, lambda kept, name, said: kept.release(name, said.lease))),
        route_of(PARKED, _listing_parked(server)),
        route_of(REPLAY, _doing(server, PositionsView, ReplayAsked, _replay)),
        route_of(DISCARD, _doing(server, PositionsView, DiscardAsked, _discard)),
        route_of(RESET, _doing(server, SubscriptionView, ResetAsked, _reset)),
    ]


def _put(kept: KeptSubscriptions, name: str, said: SubscriptionAsked) -> SubscriptionView:
    given = bodies.said(said)
    promise = Promise(**{key: given.pop(key) for key in Promise.model_fields if key in given})
    after, order = given.pop("after", None), given.pop("in_order_of", "stream")
    kept.put(name, promise, order, 0 if after is None else after, **given)
    return kept.view(name)


def _delete(kept: KeptSubscriptions, name: str) -> SubscriptionDeleted:
    kept.delete(name)
    return SubscriptionDeleted(name=name)


def _acknowledge(kept: KeptSubscriptions, name: str, said: AcknowledgeAsked) -> Answered:
    return kept.acknowledge(name, said.lease, said.positions)


def _reject(kept: KeptSubscriptions, name: str, said: RejectAsked) -> Answered:
    return kept.reject(name, said.lease, said.positions, said.reason, said.delay_seconds, said.park)


def _replay(kept: KeptSubscriptions, name: str, said: ReplayAsked) -> PositionsView:
    return PositionsView(positions=kept.replay(name, said.positions))


def _discard(kept: KeptSubscriptions, name: str, said: DiscardAsked) -> PositionsView:
    return PositionsView(positions=kept.discard(name, said.positions))


def _reset(kept: KeptSubscriptions, name: str, said: ResetAsked) -> SubscriptionView:
    kept.reset(name, said.after)
    return kept.view(name)


def _asking(server: ServerState, kind: type[T], ask: Callable[[KeptSubscriptions, str], T]) -> Handler:
    adapter = TypeAdapter(kind)

    async def handle(request: Request) -> Response:
        ledger = await server.ledger_for(request, SCOPE)
        found = await server.pools.questions.run(ask, ledger.subscriptions, request.path_params["name"])
        return answer(adapter, found, {})

    return handle


def _doing(server: ServerState, kind: type[T], body: type[B], do: Callable[[KeptSubscriptions, str, B], T]) -> Handler:
    adapter = TypeAdapter(kind)

    async def handle(request: Request) -> Response:
        async with server.commanding(request, SCOPE) as (ledger, raw):
            said = await server.parsed(request, raw, lambda request, raw: bodies.parsed(request, raw, body))
            found = await server.pools.commands.run(do, ledger.subscriptions, request.path_params["name"], said)
        return answer(adapter, found, {})

    return handle


def _taking(server: ServerState) -> Handler:
    async def handle(request: Request) -> Response:
        async with server.commanding(request, SCOPE) as (ledger, raw):
            said = await server.parsed(request, raw, lambda request, raw: bodies.parsed(request, raw, TakeAsked))
        seconds("wait_seconds", said.wait_seconds, 0, MOST_WAIT_SECONDS)
        kept, name = ledger.subscriptions, request.path_params["name"]
        loop = asyncio.get_running_loop()
        until = loop.time() + said.wait_seconds
        with contextlib.ExitStack() as watching:
            changed: asyncio.Event | None = None
            while True:
                taken, head, are_waiting = await server.pools.commands.run(kept.take_now, name, said.limit, said.consumer)
                looked_at = loop.time()
                if taken.deliveries or looked_at >= until or await request.is_disconnected():
                    return Response(taken_json(taken), media_type="application/json")
                if changed is None:
                    changed = watching.enter_context(_recording(ledger.tail, head))
                    require_good = watching.enter_context(server.waiting(ledger.caller, changed.set))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(min(until, looked_at + (LOOK_SECONDS if are_waiting else QUIET_SECONDS))):
                        await changed.wait()
                changed.clear()
                await asyncio.sleep(max(0.0, min(until, looked_at + LOOK_SECONDS) - loop.time()))
                require_good()

    return handle


@contextlib.contextmanager
def _recording(tail: Tail, head: Head) -> Iterator[asyncio.Event]:
    """Give what is set whenever something is recorded after a position that was looked up to."""
    changed, loop = asyncio.Event(), asyncio.get_running_loop()

    def told() -> None:
        tell_loop(loop, changed.set)

    if tail.watch(told, head) > head.position:
        changed.set()
    try:
        yield changed
    finally:
        tail.unwatch(told)


def taken_json(taken: Taken) -> bytes:
    """Return what was taken, as JSON."""
    deliveries = [
        {"attempt": each.attempt, "replayed": each.replayed, "event": orjson.Fragment(event_json(each.recorded))}
        for each in taken.deliveries
    ]
    return orjson.dumps({"lease": str(taken.lease), "lease_seconds": taken.lease_seconds, "deliveries": deliveries})


def _listing(server: ServerState) -> Handler:
    adapter = TypeAdapter(Listed[SubscriptionView])

    async def handle(request: Request) -> Response:
        ledger = await server.ledger_for(request, SCOPE)
        query = cast("SubscriptionsQuery", asked(request, SubscriptionsQuery))
        limit = DEFAULT_LIMIT if query.limit is None else query.limit
        found = await server.pools.questions.run(ledger.subscriptions.all, query.cursor or "", limit)
        return answer(adapter, Listed(items=found, next_cursor=found[-1].name if len(found) == limit else None), {})

    return handle


def _listing_parked(server: ServerState) -> Handler:
    adapter = TypeAdapter(Listed[ParkedEvent])

    async def handle(request: Request) -> Response:
        ledger = await server.ledger_for(request, SCOPE)
        query = cast("SubscriptionsQuery", asked(request, SubscriptionsQuery))
        limit = DEFAULT_LIMIT if query.limit is None else query.limit
        after = whole_number(query.cursor or "0")
        if after is None:
            raise UsageError("the cursor is not one that a page of parked events gave", name="cursor")
        found = await server.pools.questions.run(ledger.subscriptions.parked, request.path_params["name"], after, limit)
        return answer(adapter, Listed(items=found, next_cursor=str(found[-1].position) if len(found) == limit else None), {})

    return handle
