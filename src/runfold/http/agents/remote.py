"""An agent that is another AG-UI server: its stream is read as it comes, within bounds."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2

MOST_FRAME = 10 * 1024 * 1024
"""Characters of one event, as AG-UI's own client takes at most."""
CONNECT_SECONDS, SILENT_SECONDS = 10.0, 600.0
_MOST_WORDS = 500


class AgentUnreachableError(Exception):
    """The server gave no stream, or its stream broke."""


class RemoteAgent:
    """Posts the run's input to a URL, and yields what comes back."""

    outlives_server = True

    def __init__(self, url: str) -> None:
        self.url = url

    async def run(self, asked: dict[str, Any]) -> AsyncIterator[Any]:
        """Yield the events of the server's stream. Raises AgentUnreachableError."""
        timeout = httpx2.Timeout(SILENT_SECONDS, connect=CONNECT_SECONDS)
        headers = {"accept": "text/event-stream"}
        try:
            async with (
                httpx2.AsyncClient(timeout=timeout, trust_env=False) as client,
                client.stream("POST", self.url, json=asked, headers=headers) as response,
            ):
                if response.status_code != 200:
                    words = (await _beginning(response)).strip()
                    raise AgentUnreachableError(f"{self.url} answered {response.status_code}: {words}"[:_MOST_WORDS])
                async for data in _frames(response):
                    yield json.loads(data)
        except httpx2.HTTPError as error:
            raise AgentUnreachableError(f"{self.url}: {type(error).__name__} {error}"[:_MOST_WORDS]) from None


async def _beginning(response: httpx2.Response) -> str:
    async for chunk in response.aiter_bytes(_MOST_WORDS):
        return chunk.decode("utf-8", "replace")
    return ""


async def _frames(response: httpx2.Response) -> AsyncIterator[str]:
    """Yield the data of each server-sent event, whichever way its lines end."""
    lines: list[str] = []
    size = 0
    async for line in _lines(response):
        if not line and lines:
            yield "\n".join(lines)
            lines, size = [], 0
        elif line.startswith("data:"):
            text = line[5:].removeprefix(" ")
            size += len(text)
            if size > MOST_FRAME:
                raise AgentUnreachableError(f"one event is larger than {MOST_FRAME} characters")
            lines.append(text)
    if lines:
        yield "\n".join(lines)


async def _lines(response: httpx2.Response) -> AsyncIterator[str]:
    rest = ""
    async for chunk in response.aiter_text():
        parts = (rest + chunk).split("\n")
        rest = parts.pop()
        if len(rest) > MOST_FRAME:
            raise AgentUnreachableError(f"one line is larger than {MOST_FRAME} characters")
        for part in parts:
            yield part.removesuffix("\r")
    if rest:
        yield rest.removesuffix("\r")
