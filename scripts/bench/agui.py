"""What does it cost an agent's client that all is recorded: how soon come the first words, and how many a second?

The same agent, served by `runfold serve`, and by the least that can serve it, which records nothing, in turn.
"""

import asyncio
import json
import os
import statistics
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
from measuring import Report, arguments, in_turn, server
from over_http import SERVE, Place, service

AT_ONCE = (1, 50)
BARE = (str(Path(__file__).with_name("bare_agent.py")),)
AGENT = ("--agent", "words=bare_agent:words")


async def one(client: httpx2.AsyncClient, place: Place, words: int) -> tuple[float, float]:
    """Let the agent run once: seconds to the first words, and words a second after them."""
    asked = {"threadId": uuid.uuid4().hex, "runId": uuid.uuid4().hex, "messages": [], "tools": [], "context": [], "state": {}}
    body = json.dumps({**asked, "forwardedProps": {"words": words}})
    headers = {"authorization": f"Bearer {place.key or 0}", "accept": "text/event-stream", "content-type": "application/json"}
    url = f"http://{place.host}:{place.port}/agents/words"
    began, first, count = time.perf_counter(), 0.0, 0
    async with client.stream("POST", url, content=body, headers=headers) as response:
        assert response.status_code == 200, await response.aread()
        async for line in response.aiter_lines():
            if line.startswith('data: {"type":"TEXT_MESSAGE_CONTENT"'):
                first = first or time.perf_counter()
                count += json.loads(line[6:])["delta"].count("word ")
    assert count == words, f"{count} of {words} words came"
    return first - began, words / (time.perf_counter() - first)


async def many(place: Place, at_once: int, words: int) -> tuple[float, float]:
    """Let it run so often at once; the medians."""
    async with httpx2.AsyncClient(timeout=120, limits=httpx2.Limits(max_connections=None)) as client:
        found = await asyncio.gather(*(one(client, place, words) for _ in range(at_once)))
    return statistics.median(first for first, _ in found), statistics.median(rate for _, rate in found)


def measured(place: Place, at_once: int, words: int, into: list[float]) -> float:
    """Seconds to the first words; the rate goes `into` a list."""
    first, rate = asyncio.run(many(place, at_once, words))
    into.append(rate)
    return first


def main() -> None:
    """Measure, and print."""
    asked = arguments(__doc__ or "", words=(400, "words that the agent says in a run"))
    wanted = {"first_words_1": "≤ 1.3", "first_words_50": "≤ 1.3", "rate_1": "≥ 0.8", "rate_50": "≥ 0.8"}
    report = Report("agui", wanted=wanted)
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)  # where the agent is
    with (
        server() as own,
        own.ledger("runfold_agui"),
        service(own, "runfold_agui", *SERVE, *AGENT) as ours,
        service(own, "runfold_agui", *BARE) as bare,
    ):
        for at_once in AT_ONCE:
            report_on(report, ours, bare, at_once, asked)
    report.print(as_json=asked.json)


def report_on(report: Report, ours: Place, bare: Place, at_once: int, asked: Any) -> None:
    """Measure both, in turn, at so many runs at once."""
    rates: dict[str, list[float]] = {"recorded": [], "bare": []}
    places = {"recorded": ours, "bare": bare}
    for place in places.values():
        asyncio.run(many(place, 1, 10))  # so that nobody is measured who has just begun

    def measure(name: str) -> Callable[[int], float]:
        return lambda _: measured(places[name], at_once, asked.words, rates[name])

    first = in_turn(asked.rounds, {name: measure(name) for name in places})
    rate = {name: statistics.median(values) for name, values in rates.items()}
    report.figures |= {f"{name}_first_words_ms_{at_once}": round(1000 * value, 1) for name, value in first.items()}
    report.figures |= {f"{name}_words_a_second_{at_once}": round(value, 1) for name, value in rate.items()}
    report.ratios[f"first_words_{at_once}"] = first["recorded"] / first["bare"]
    report.ratios[f"rate_{at_once}"] = rate["recorded"] / rate["bare"]


if __name__ == "__main__":
    main()
