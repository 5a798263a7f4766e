"""Named subscriptions of a ledger elsewhere."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, Unpack
from urllib.parse import quote
from uuid import UUID

import orjson

from runfold.feed.asked import After, Asked, EventFilter
from runfold.remote.client import Client, Params
from runfold.remote.events import recorded_of
from runfold.subscriptions.views import (
    MOST,
    Answered,
    Delivery,
    Order,
    ParkedEvent,
    Promise,
    SubscriptionView,
    Taken,
)

T = TypeVar("T")


class RemoteSubscriptions:
    """The subscriptions that a server keeps."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def put(self, name: str, promise: Promise, in_order_of: Order, after: After, **wanted: Unpack[EventFilter]) -> None:
        """Make it, or change its promise."""
        asked = Asked.of(after, **wanted)
        body = {**asked.fields(), **promise.model_dump(), "in_order_of": in_order_of, "after": asked.after_text}
        self._asked(SubscriptionView.model_validate, "PUT", name, body)

    def all(self, after: str = "", limit: int = MOST) -> list[SubscriptionView]:
        """Return them by name."""
        params: Params = [("limit", str(limit)), *([("cursor", after)] if after else [])]
        return self._client.request("GET", "/subscriptions", params=params).items(SubscriptionView)

    def view(self, name: str) -> SubscriptionView:
        """One of them. Raises SubscriptionNotFound."""
        return self._asked(SubscriptionView.model_validate, "GET", name)

    def delete(self, name: str) -> None:
        """Forget it and where it is. Raises SubscriptionNotFound."""
        self._asked(lambda told: told["name"], "DELETE", name)

    def take(self, name: str, limit: int, consumer: str | None, wait_seconds: float) -> Taken:
        """Give events to a consumer."""
        body = {"limit": limit, "consumer": consumer, "wait_seconds": wait_seconds}
        return self._asked(_taken, "POST", name, body, "/take", wait=wait_seconds)

    def acknowledge(self, name: str, lease: UUID, positions: Sequence[int]) -> Answered:
        """They are done."""
        return self._answered(name, "/ack", {"lease": str(lease), "positions": list(positions)})

    def reject(
        self, name: str, lease: UUID, positions: Sequence[int], reason: str | None, delay_seconds: float | None, park: bool
    ) -> Answered:
        """They are to be given again later, or parked."""
        body = {"lease": str(lease), "positions": list(positions), "reason": reason, "delay_seconds": delay_seconds, "park": park}
        return self._answered(name, "/nack", body)

    def extend(self, name: str, lease: UUID) -> Answered:
        """They take longer."""
        return self._answered(name, "/extend", {"lease": str(lease)})

    def release(self, name: str, lease: UUID) -> Answered:
        """They are given back, unanswered."""
        return self._answered(name, "/release", {"lease": str(lease)})

    def parked(self, name: str, after: int, limit: int) -> list[ParkedEvent]:
        """Return those that are set aside, by position."""
        params: Params = [("limit", str(limit)), ("cursor", str(after))]
        return self._client.request("GET", f"{_path(name)}/parked", params=params).items(ParkedEvent)

    def replay(self, name: str, positions: Sequence[int] | None) -> list[int]:
        """Give these of the parked ones, or all, again; returns which."""
        body = {"positions": None if positions is None else list(positions)}
        return self._asked(_positions, "POST", name, body, "/replay")

    def discard(self, name: str, positions: Sequence[int]) -> list[int]:
        """Give these of the parked ones never again; returns which."""
        return self._asked(_positions, "POST", name, {"positions": list(positions)}, "/discard")

    def reset(self, name: str, after: After) -> None:
        """Go on after another place."""
        self._asked(SubscriptionView.model_validate, "POST", name, {"after": Asked.of(after).after_text}, "/reset")

    def _answered(self, name: str, path: str, body: dict[str, Any]) -> Answered:
        return self._asked(_answered, "POST", name, body, path)

    def _asked(
        self,
        read: Callable[[Any], T],
        verb: str,
        name: str,
        body: dict[str, Any] | None = None,
        path: str = "",
        *,
        wait: float = 0.0,
    ) -> T:
        raw = None if body is None else orjson.dumps({key: value for key, value in body.items() if value is not None})
        return self._client.request(verb, f"{_path(name)}{path}", body=raw, wait=wait).json(read)


def _answered(told: Any) -> Answered:
    """What became of an answer: all of it, for what is left out would be taken for none."""
    return Answered.model_validate({name: told[name] for name in Answered.model_fields})


def _taken(told: Any) -> Taken:
    given = [Delivery(recorded_of(each["event"]), each["attempt"], each["replayed"]) for each in told["deliveries"]]
    return Taken(UUID(told["lease"]), told["lease_seconds"], given)


def _positions(told: Any) -> list[int]:
    return list(told["positions"])


def _path(name: str) -> str:
    return f"/subscriptions/{quote(name, safe='')}"
