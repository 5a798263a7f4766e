"""What a request leaves behind goes with its answer: what stays in cycles waits for a search, which holds up all others."""

import gc

import httpx2
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from runfold import Ledger
from runfold.http.app import create_app
from runfold.http.connections import Connection
from runfold.http.server_state import KEY_HEADER
from tests.http.every_route import AGENTS, EVERY_ROUTE, IDS, request_of
from tests.serving import Anybody, serving
from tests.waiting import soon


def kept(kind: type) -> int:
    """How many of a kind are in memory, needed or not."""
    return sum(type(found) is kind for found in gc.get_objects())


def is_all_let_go() -> bool:
    """Whether there is no request but the last of each connection. One that was answered before its body came ends its own."""
    return kept(RequestResponseCycle) <= kept(Connection)


def test_no_request_of_any_route_stays_in_a_cycle(ledger: Ledger) -> None:
    ledger.create_thread(thread_id="thread_1", agent_id="support").start_run(run_id="run_1")
    asked = [request_of(route, ids) for route in EVERY_ROUTE for ids in (IDS, {})]
    asked += [
        {"method": "GET", "url": "/events?follow=false", "headers": {"Accept": "text/event-stream"}},
        {"method": "POST", "url": "/threads", "json": {"agent_id": "a"}, "headers": {KEY_HEADER: "once"}},
        {"method": "POST", "url": "/events", "json": {"commands": [{"name": "threads.create", "body": {"agent_id": "a"}}]}},
        {"method": "POST", "url": "/threads", "content": b"{", "headers": {"Content-Type": "application/json"}},
        {"method": "GET", "url": "/no/such/path"},
        {"method": "PATCH", "url": "/threads"},
        {"method": "HEAD", "url": "/healthz"},
    ]
    with serving(create_app(ledger, Anybody(), agents=AGENTS)) as address, httpx2.Client(base_url=address, timeout=30) as client:
        client.get("/healthz")
        gc.collect()
        gc.disable()
        try:
            for request in asked:
                client.request(**request)
                assert soon(is_all_let_go), request  # a thread that worked at it may hold it for a moment
        finally:
            gc.enable()
