"""hive's EventBus over the ledger's feed: handlers by type, stream, node and execution, and the history.

What is recorded is what happens: there is no `publish`. A bus may stand in another process than the agents, and comes to know all
that any process records.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Self

from runfold import logs
from runfold.adapters.hive.event_places import EventPlaces
from runfold.adapters.hive.event_words import AgentEvent, EventType, types_for, word_of
from runfold.errors import LedgerError, UsageError
from runfold.feed.asked import NOW, After, EventFilter
from runfold.feed.subscription import Subscription
from runfold.handles.ledgers.tenant_ledger import TenantLedger
from runfold.ids import new_id
from runfold.remote.ledger import RemoteLedger

EventHandler = Callable[[AgentEvent], Awaitable[None]]
MOST_WAITING = 1000
"""So many events may wait for one handler; then reading waits for it."""


@dataclass(frozen=True)
class Wanted:
    """Which events somebody wants; what is None narrows nothing."""

    types: frozenset[EventType]
    stream_id: str | None = None
    node_id: str | None = None
    execution_id: str | None = None
    graph_id: str | None = None

    def matches(self, event: AgentEvent) -> bool:
        """Return whether an event is one of them."""
        if event.type not in self.types:
            return False
        narrowed = ((name, getattr(self, name)) for name in ("stream_id", "node_id", "execution_id", "graph_id"))
        return all(value is None or getattr(event, name) == value for name, value in narrowed)


@dataclass
class _Handling:
    """A handler, and what waits for it."""

    wanted: Wanted
    handler: EventHandler
    waiting: asyncio.Queue[AgentEvent | None] = field(default_factory=lambda: asyncio.Queue(MOST_WAITING))
    task: asyncio.Task[None] | None = None
    is_over: bool = False


class EventBus:
    """Tells handlers what is recorded: to each its events in order, and at most ten at a time. Use it under `async with`.

    A handler that fails is told the next event, and no other hears of it; one that is slow holds up only itself, until a thousand
    events wait for it. It begins with what is recorded after it was entered, or after `after`, a position or cursor of before.
    """

    def __init__(
        self,
        ledger: TenantLedger | RemoteLedger,
        max_history: int = 1000,
        max_concurrent_handlers: int = 10,
        *,
        after: After = NOW,
    ) -> None:
        self._ledger, self._after, self._most = ledger, after, max_history
        self._turns = asyncio.Semaphore(max_concurrent_handlers)
        self._places = EventPlaces(ledger)
        self._handlings: dict[str, _Handling] = {}
        self._waiters: list[tuple[Wanted, asyncio.Future[AgentEvent | None]]] = []
        self._subscription: Subscription | None = None
        self._reading: asyncio.Task[None] | None = None
        self._told = self._failed = 0
        self.failure: LedgerError | None = None
        """Why it reads no further, if it does not."""

    # How it begins and ends

    async def __aenter__(self) -> Self:
        """Begin to read. Raises LedgerError."""
        self._subscription = await asyncio.to_thread(self._ledger.subscribe, after=self._after)
        for handling in self._handlings.values():
            self._begin(handling)
        self._reading = asyncio.create_task(self._read(self._subscription))
        return self

    async def __aexit__(self, *raised: object) -> None:
        """Read no further, and let the handlers do what they were told."""
        if self._subscription is not None:
            self._subscription.stop()
        if self._reading is not None:
            await self._reading
        for name in list(self._handlings):
            await self._end(name)
        for _, waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    @property
    def cursor(self) -> str:
        """Return up to where it has read: what another bus begins after. Raises UsageError before it was entered."""
        if self._subscription is None:
            raise UsageError("the bus does not read yet; enter it with `async with`")
        return self._subscription.cursor

    # Who is told

    def subscribe(
        self,
        event_types: Iterable[EventType],
        handler: EventHandler,
        filter_stream: str | None = None,
        filter_node: str | None = None,
        filter_execution: str | None = None,
        filter_graph: str | None = None,
    ) -> str:
        """Have a handler told of events, and return the subscription's id."""
        name = new_id("sub")
        wanted = Wanted(frozenset(map(EventType, event_types)), filter_stream, filter_node, filter_execution, filter_graph)
        self._handlings[name] = _Handling(wanted, handler)
        if self._reading is not None:
            self._begin(self._handlings[name])
        return name

    def unsubscribe(self, subscription_id: str) -> bool:
        """Tell a handler of nothing more, not of what waits for it either; return whether there was one."""
        handling = self._handlings.pop(subscription_id, None)
        if handling is not None:
            handling.is_over = True
            while not handling.waiting.empty():
                handling.waiting.get_nowait()
            handling.waiting.put_nowait(None)
        return handling is not None

    async def wait_for(
        self,
        event_type: EventType,
        stream_id: str | None = None,
        node_id: str | None = None,
        execution_id: str | None = None,
        graph_id: str | None = None,
        timeout: float | None = None,
    ) -> AgentEvent | None:
        """Return the next such event; None where none comes in `timeout` seconds, or before the bus ends. Raises LedgerError."""
        if self.failure is not None:
            raise self.failure
        waiter: asyncio.Future[AgentEvent | None] = asyncio.get_running_loop().create_future()
        wanted = Wanted(frozenset({EventType(event_type)}), stream_id, node_id, execution_id, graph_id)
        self._waiters.append((wanted, waiter))
        try:
            return await asyncio.wait_for(waiter, timeout)
        except TimeoutError:
            return None
        finally:
            self._waiters.remove((wanted, waiter))

    # What was

    def get_history(
        self,
        event_type: EventType | None = None,
        stream_id: str | None = None,
        execution_id: str | None = None,
        limit: int = 100,
    ) -> list[AgentEvent]:
        """Return the last events, newest first, of the last `max_history` of the ledger, or of that type. Raises LedgerError."""
        words = frozenset(EventType) if event_type is None else frozenset({EventType(event_type)})
        wanted = Wanted(words, stream_id, execution_id=execution_id)
        types = () if event_type is None else types_for(words)
        if event_type is not None and not types and event_type is not EventType.CUSTOM:
            return []
        narrowed: EventFilter = {"types": types} if types else {}
        last = self._ledger.events(limit=self._most, order="desc", **narrowed)
        places = EventPlaces(self._ledger)
        found = [event for event in map(places.told_of_the_past, reversed(last)) if wanted.matches(event)]
        return found[::-1][:limit]

    def get_stats(self) -> dict[str, Any]:
        """Return how many handlers there are, and how many events they were told and failed with."""
        by_type = {word.value: sum(word in handling.wanted.types for handling in self._handlings.values()) for word in EventType}
        return {
            "subscriptions": len(self._handlings),
            "subscriptions_by_type": {word: count for word, count in by_type.items() if count},
            "handled": self._told,
            "failed": self._failed,
        }

    # How they are told

    async def _read(self, subscription: Subscription) -> None:
        try:
            async for recorded in subscription:
                if not self._places.knows(recorded):
                    await asyncio.to_thread(self._places.look_up, recorded)
                self._places.follow(recorded)
                if self._is_wanted(word_of(recorded)):
                    await self._tell(self._places.told(recorded))
        except LedgerError as error:
            self.failure = error
            logs.logger("runfold.hive").error("the bus reads no further", error=str(error))
            for _, waiter in self._waiters:
                if not waiter.done():
                    waiter.set_exception(error)

    def _is_wanted(self, word: EventType) -> bool:
        """Return whether anybody wants such events: nothing else is made ready."""
        handled = any(word in handling.wanted.types for handling in self._handlings.values())
        return handled or any(word in wanted.types for wanted, _ in self._waiters)

    async def _tell(self, event: AgentEvent) -> None:
        for wanted, waiter in self._waiters:
            if not waiter.done() and wanted.matches(event):
                waiter.set_result(event)
        for handling in list(self._handlings.values()):
            if handling.wanted.matches(event):
                await handling.waiting.put(event)

    def _begin(self, handling: _Handling) -> None:
        handling.task = asyncio.create_task(self._handle(handling))

    async def _end(self, name: str) -> None:
        handling = self._handlings.pop(name)
        await handling.waiting.put(None)
        if handling.task is not None:
            await handling.task

    async def _handle(self, handling: _Handling) -> None:
        while (event := await handling.waiting.get()) is not None and not handling.is_over:
            async with self._turns:
                self._told += 1
                try:
                    await handling.handler(event)
                except Exception as error:
                    self._failed += 1
                    logs.logger("runfold.hive").error(
                        "a handler failed", event_type=event.type.value, position=event.seq, error=repr(error)
                    )
