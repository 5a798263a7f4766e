"""What is answered is what the client would rather have: `Accept` is read with its weights, on every route that heeds it."""

from collections.abc import Callable

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from runfold import Run
from runfold.access.accept import prefers, takes, weights

STREAM, JSON, TEXT = "text/event-stream", "application/json", "text/plain"
PREFERRED: dict[str, bool] = {
    STREAM: True,
    "Text/Event-Stream; charset=utf-8": True,
    f"{JSON}, {STREAM}": True,
    f"{STREAM};q=0.5, {JSON};q=0.4": True,
    f"{STREAM}, */*;q=0.1": True,
    f"{STREAM};q=1.000": True,
    f"{STREAM};q=high": True,
    'text/plain;x=", text/html;q=0", text/*': True,
    f"{STREAM};q=0": False,
    f"{STREAM}; Q=0.000, */*": False,
    f"{STREAM};q=0, text/*": False,
    f"{STREAM};q=0.5, {JSON}": False,
    f"{STREAM};q=0.5, */*": False,
    f'{JSON};x=", {STREAM}"': False,
    f"x-{STREAM}": False,
    "text/html, */*;q=0.8": False,
    "*/*": False,
    "": False,
    ",;,": False,
}


def asked(*values: str, header: str = "accept") -> Request:
    return Request({"type": "http", "headers": [(header.encode(), value.encode("latin-1")) for value in values]})


@pytest.mark.parametrize("accept", PREFERRED)
def test_what_a_client_would_rather_have(accept: str) -> None:
    assert prefers(asked(accept), STREAM) == PREFERRED[accept]


def test_several_headers_are_one_list_and_none_says_nothing() -> None:
    assert prefers(asked(JSON, f"{STREAM};q=0.5"), STREAM) is False
    assert prefers(asked(f"{JSON};q=0.1", STREAM), STREAM) is True
    assert (prefers(asked(), STREAM), takes(asked(), STREAM)) == (False, False)
    assert weights(asked("GZIP;q=0.5, br", header="accept-encoding"), "accept-encoding") == {"gzip": 0.5, "br": 1.0}


@given(st.text(st.sampled_from('text/event-sram,;q=0.1"\\ *'), max_size=60))
def test_whatever_is_sent_is_read(accept: str) -> None:
    assert all(0 <= weight <= 1 for weight in weights(asked(accept), "accept").values())
    assert prefers(asked(f"{STREAM}, {accept}"), STREAM) in {True, False}


ROUTES: dict[str, tuple[Callable[[httpx2.Client, str, dict[str, str]], httpx2.Response], str]] = {
    "events": (lambda client, _, headers: client.get("/events?follow=false", headers=headers), STREAM),
    "events of a run": (lambda client, run, headers: client.get(f"/runs/{run}/events?follow=false", headers=headers), STREAM),
    "CloudEvents": (lambda client, _, headers: client.get("/events", headers=headers), "application/cloudevents-batch+json"),
    "a moment": (lambda client, _, headers: client.post("/moments", json={"as_of": "1"}, headers=headers), STREAM),
    "a rebuild": (lambda client, _, headers: client.post("/projections/usage/rebuild", json={}, headers=headers), STREAM),
    "a run of an agent": (lambda client, _, headers: client.post("/threads/thread_x/runs", json={}, headers=headers), STREAM),
}


@pytest.mark.parametrize("route", ROUTES)
def test_what_a_client_does_not_take_it_is_not_given(client: httpx2.Client, run: Run, route: str) -> None:
    ask, kind = ROUTES[route]
    if route in {"a moment", "a rebuild"}:  # that goes on until it is done
        assert ask(client, run.id, {"Accept": kind}).headers["content-type"].startswith(kind)
    for accept in (f"{kind};q=0", f"{kind};q=0, */*", f"{kind};q=0.2, application/json"):
        answer = ask(client, run.id, {"Accept": accept})
        assert answer.headers["content-type"].partition(";")[0] in {JSON, "application/problem+json"}, answer.text
    if route not in {"a run of an agent", "a rebuild"}:  # there is no agent, and a rebuild goes on
        assert ask(client, run.id, {"Accept": f"{JSON};q=0.2, {kind}"}).headers["content-type"].startswith(kind)
