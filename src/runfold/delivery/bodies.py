"""What is sent of an event, by the choice of who asked for it: in our own words or as a CloudEvent, thin or whole.

A thin body says which event it is and where it can be read, and holds nothing of what was said or done: whoever receives it
reads that with a key of their own, and nothing has to be erased at a receiver.
"""

from typing import Any, Literal, NamedTuple
from uuid import UUID

import orjson

from runfold.domain.recorded import Recorded
from runfold.feed.event_json import CLOUDEVENT, cloudevent, event_json
from runfold.store.cursor import cursor_of

BodyFormat = Literal["runfold", "cloudevents"]
BodyContent = Literal["thin", "whole"]
JSON = "application/json"


class Body(NamedTuple):
    """What is sent, and its media type."""

    text: str
    media_type: str


def event_body(recorded: Recorded, epoch: UUID, format: BodyFormat, content: BodyContent, base_url: str = "") -> Body:
    """Return the body for one event. `base_url` is where the ledger is served, if somewhere.

    Raises UnreadableEvent, UnreadableTime for what stands beside the event, or for what happened where that is sent.
    """
    link = f"{base_url.rstrip('/')}/events?after={recorded.position - 1}&up_to={recorded.position}"
    thin = orjson.dumps(_facts(recorded, epoch, link))
    if format == "cloudevents":
        return Body(cloudevent(recorded, epoch, thin if content == "thin" else None).decode(), CLOUDEVENT)
    if content == "thin":
        return Body(thin.decode(), JSON)
    recorded.facts_beside()  # they go out as they are stored, once somebody could read them
    more = orjson.dumps({"cursor": cursor_of(recorded.position, epoch), "link": link})
    return Body(f"{event_json(recorded).decode()[:-1]},{more.decode()[1:]}", JSON)


def _facts(recorded: Recorded, epoch: UUID, link: str) -> dict[str, Any]:
    """Return which event it is, without what happened."""
    run_id = recorded.context.run_id
    return {
        "event_id": str(recorded.event_id),
        "type": recorded.type,
        "position": recorded.position,
        "cursor": cursor_of(recorded.position, epoch),
        "stream": recorded.stream,
        "version": recorded.version,
        "thread_id": recorded.thread_id,
        **({} if run_id is None else {"run_id": run_id}),
        "recorded_at": recorded.recorded_at.isoformat(),
        "link": link,
    }
