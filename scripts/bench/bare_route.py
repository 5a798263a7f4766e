"""The least that a service of appends can be: one route of the same server library, which reads a body and calls the SDK.

No keys, no limits, no problem details, no metrics, and a body that is believed. It prints its address as `runfold serve` does.
"""

import json

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from runfold import Ledger
from runfold.http.server import listening, url_of


def bare(ledger: Ledger) -> Starlette:
    """Return the application."""

    async def add_message(request: Request) -> Response:
        said = orjson.loads(await request.body())
        message = await ledger.run(request.path_params["run_id"]).submit_add_message(**said)
        body = {"id": message.id, "position": message.receipt.position, "version": message.receipt.version}
        return Response(orjson.dumps(body), 201, media_type="application/json")

    return Starlette(routes=[Route("/runs/{run_id}/messages", add_message, methods=["POST"])])


def main() -> None:
    """Serve until SIGTERM."""
    with listening("127.0.0.1", 0) as listener, Ledger.open() as ledger:
        config = uvicorn.Config(bare(ledger), loop="uvloop", http="httptools", log_config=None, access_log=False)
        print(json.dumps({"address": url_of(listener), "key": ""}), flush=True)
        uvicorn.Server(config).run([listener])


if __name__ == "__main__":
    main()
