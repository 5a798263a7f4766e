"""What `runfold.http` relies on inside of uvicorn, which promises none of it: each name, and what it is needed for.

When one of these fails after an upgrade: read what uvicorn does in its place (`uvicorn/protocols/http/httptools_impl.py`,
`uvicorn/server.py`), change `runfold/http/connections.py`, `scope.py` or `server.py` so that limits, lingering and the end of
streams hold as before (tests/http/test_limits.py shows them), change the tables here, and only then raise the bound of uvicorn in
pyproject.toml and .ci/constraints.txt.
"""

import ast
import inspect
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import pytest
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import Server, ServerState

from runfold.http import scope
from runfold.http.answer_transport import AnswerTransport
from runfold.http.connections import Connection
from runfold.http.server import LedgerServer, StreamingServer

TOP = Path(__file__).parents[2]

OVERRIDDEN: Mapping[str, tuple[str, ...]] = {
    "connection_made": ("transport",),
    "connection_lost": ("exc",),
    "data_received": ("data",),
    "on_message_begin": (),
    "on_url": ("url",),
    "on_header": ("name", "value"),
    "on_headers_complete": (),
    "on_body": ("body",),
    "on_message_complete": (),
    "on_response_complete": (),
    "send_400_response": ("msg",),
    "pause_writing": (),
    "resume_writing": (),
    "shutdown": (),
}
"""Methods of a connection that ours come before, with what they are given."""

USED: Mapping[type, Mapping[str, str]] = {
    HttpToolsProtocol: {
        "client": "the address of the client, (host, port)",
        "cycle": "the request that is being answered, or the last one",
        "expect_100_continue": "whether a client waits to be told to send its body; set as uvicorn sets it",
        "flow": "holds reading and writing",
        "headers": "those that came so far, trailers too",
        "loop": "timers",
        "parser": "what reads a request; another one, behind a head that asks for another protocol",
        "pipeline": "requests that wait for the one before",
        "scope": "of the request that has begun; ours is told in its extensions",
        "server_state": "counts requests",
        "timeout_keep_alive": "seconds that a connection may rest",
        "transport": "what bytes leave by",
        "url": "what came of it so far",
        "_start_asgi_task": "begins with a request that waited for the one before",
    },
    RequestResponseCycle: {
        "body": "what came of the body and was not read; emptied where we take the whole of it",
        "disconnected": "set where the rest of a body can be none, and nobody is to answer",
        "keep_alive": "false ends the connection after the answer",
        "message_event": "wakes who waits for the body",
        "more_body": "whether more of the body is to come",
        "response_complete": "whether it is answered",
        "response_started": "whether an answer has begun",
        "transport": "replaced by ours, so that the end of an answer is the connection's to see to",
    },
    FlowControl: {
        "pause_reading": "nothing is read from a client that was refused, for a moment",
        "resume_reading": "and then it is",
        "resume_writing": "what is sent next is taken, however much waits",
    },
    Server: {
        "capture_signals": "ours replaces it",
        "force_exit": "a second Ctrl-C",
        "handle_exit": "what a signal does",
        "server_state": "whether requests are in their threads still",
        "shutdown": "ours comes before it",
        "started": "whether it listens",
        "startup": "ours comes after it",
    },
    ServerState: {"tasks": "requests that are being answered", "total_requests": "counted where an answer lingers"},
}
"""Attributes and methods, and what for."""


def made_of(kind: type) -> set[str]:
    """The names that a class gives its instances: methods, and what `__init__` sets."""
    tree = ast.parse(inspect.cleandoc("\n" + inspect.getsource(kind)))
    stored = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)}
    return stored | set(dir(kind))


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in USED.items() for name in names])
def test_what_we_use_of_uvicorn_is_there(kind: type, name: str) -> None:
    assert name in made_of(kind), f"{kind.__name__}.{name} is gone; it was for: {USED[kind][name]}. {__doc__}"


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_what_comes_before_a_method_of_uvicorn_is_given_what_that_is(name: str) -> None:
    parameters = tuple(inspect.signature(getattr(HttpToolsProtocol, name)).parameters)[1:]
    assert parameters == OVERRIDDEN[name], f"{name} takes {parameters} now. {__doc__}"


def attributes(source: object, of: str) -> set[str]:
    """The attributes of something that some code uses or sets: `of` is how that is written there, such as `self.flow`."""
    tree = ast.parse(inspect.getsource(source))  # type: ignore[arg-type]  # a module or a class
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and ast.unparse(node.value) == of}


def set_by(kind: type) -> set[str]:
    """The attributes that a class of ours sets on itself."""
    nodes = [node for node in ast.walk(ast.parse(inspect.getsource(kind))) if isinstance(node, ast.Attribute)]
    return {node.attr for node in nodes if isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self"}


def test_no_other_name_of_uvicorn_is_used() -> None:
    assert attributes(Connection, "self") - {*vars(Connection)} - set_by(Connection) <= USED[HttpToolsProtocol].keys()
    assert {name for name in vars(Connection) if name in dir(HttpToolsProtocol) and name[:2] != "__"} == OVERRIDDEN.keys()
    assert attributes(Connection, "self.flow") == USED[FlowControl].keys()
    assert attributes(Connection, "self.cycle") | attributes(scope, "found") - {"get"} == USED[RequestResponseCycle].keys()
    used = attributes(LedgerServer, "self") | {*vars(LedgerServer), *vars(StreamingServer)}
    assert {name for name in used if name in made_of(Server) and name[:2] != "__"} <= USED[Server].keys()
    assert attributes(Connection, "self.server_state") | attributes(LedgerServer, "self.server_state") == USED[ServerState].keys()


def test_no_attribute_of_a_connection_of_ours_hides_one_of_uvicorns() -> None:
    as_uvicorn_does = {"expect_100_continue", "parser"}
    assert set_by(Connection) & made_of(HttpToolsProtocol) == as_uvicorn_does


def test_an_answer_asks_of_its_transport_what_ours_gives_and_nothing_else() -> None:
    asked = attributes(RequestResponseCycle, "self.transport")
    given = {name for name in {*vars(AnswerTransport), *set_by(AnswerTransport)} if name[:1] != "_"}
    assert asked == given, f"an answer uses {asked} of its transport. {__doc__}"


def test_the_bound_of_uvicorn_holds_the_one_that_these_were_looked_up_in() -> None:
    major, minor = metadata.version("uvicorn").split(".")[:2]
    bound = f'"uvicorn>={major}.{minor},<{major}.{int(minor) + 1}"'
    assert bound in (TOP / "pyproject.toml").read_text(encoding="utf-8"), __doc__
