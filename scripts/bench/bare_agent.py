"""An agent that says words at an even pace, and the least that serves it: its events as they come, and nothing recorded."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from runfold.http.server import listening, url_of

FIRST_SECONDS, NEXT_SECONDS = 0.1, 0.005


async def words(asked: Any) -> AsyncIterator[dict[str, Any]]:
    """Say as many words as the client wants: the first after a tenth of a second, two hundred a second."""
    given = asked.model_dump(mode="json", by_alias=True) if not isinstance(asked, dict) else asked
    about = {"threadId": given["threadId"], "runId": given["runId"]}
    message_id = f"{given['runId']}-said"
    yield {"type": "RUN_STARTED", **about}
    await asyncio.sleep(FIRST_SECONDS)
    yield {"type": "TEXT_MESSAGE_START", "messageId": message_id, "role": "assistant"}
    for _ in range(given["forwardedProps"]["words"]):
        yield {"type": "TEXT_MESSAGE_CONTENT", "messageId": message_id, "delta": "word "}
        await asyncio.sleep(NEXT_SECONDS)
    yield {"type": "TEXT_MESSAGE_END", "messageId": message_id}
    yield {"type": "RUN_FINISHED", **about}


async def _run(request: Request) -> StreamingResponse:
    asked = orjson.loads(await request.body())

    async def frames() -> AsyncIterator[bytes]:
        async for event in words(asked):
            yield b"data: " + orjson.dumps(event) + b"\n\n"

    return StreamingResponse(frames(), media_type="text/event-stream")


def main() -> None:
    """Serve until SIGTERM."""
    app = Starlette(routes=[Route("/agents/words", _run, methods=["POST"])])
    with listening("127.0.0.1", 0) as listener:
        config = uvicorn.Config(app, loop="uvloop", http="httptools", log_config=None, access_log=False)
        print(json.dumps({"address": url_of(listener), "key": ""}), flush=True)
        uvicorn.Server(config).run([listener])


if __name__ == "__main__":
    main()
