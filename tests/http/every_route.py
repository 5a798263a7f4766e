"""A request of each route: those of the table, and those of agents, which AG-UI's clients ask for."""

from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from runfold.api.route import MISSING, CommandRoute, Route, Scope
from runfold.api.table import COMMANDS, QUESTIONS
from runfold.http.routes import agents

ALL_ROUTES: tuple[Route, ...] = (*COMMANDS, *QUESTIONS)


@dataclass(frozen=True)
class AgentRoute:
    """A route of agents. The ids of most stand in the body."""

    name: str
    verb: str
    path: str
    scope: Scope
    path_names: tuple[str, ...]
    """The names in the path and the body that mean something of the ledger's."""


def _agent_routes() -> tuple[AgentRoute, ...]:
    beside = next(route for route in COMMANDS if route.name == agents.BESIDE)
    own = [(each.name, each.verb, each.path, each.scope) for each in agents.OPERATIONS]
    every = (*own, ("agents.run_in_thread", beside.verb, beside.path, beside.scope))
    return tuple(
        AgentRoute(name, verb, path, scope or "admin", ("thread_id", "run_id") if verb == "POST" else ())
        for name, verb, path, scope in every
    )


AGENT_ROUTES = _agent_routes()
EVERY_ROUTE: tuple[Route | AgentRoute, ...] = (*ALL_ROUTES, *AGENT_ROUTES)
AGENTS = {"scripted": "tests.agui.scripted:scripted"}
"""What a server is given whose agents are asked for, too."""
IDS = {"thread_id": "thread_1", "run_id": "run_1", "run_a": "run_1", "run_b": "run_1", "approval_id": "approval_1"}


def path_of(route: Route | AgentRoute, ids: dict[str, str]) -> str:
    return route.path.format(agent="scripted", **{name: ids.get(name, "x") for name in route.path_names})


def request_of(route: Route | AgentRoute, ids: dict[str, str], *, resumes: bool = False) -> dict[str, Any]:
    """What a client is told to send. An agent is given answers to an interrupt where the client is to resume a run."""
    said: dict[str, Any] = {"method": route.verb, "url": path_of(route, ids)}
    if isinstance(route, CommandRoute):
        said["json"] = body_of(route)
    elif isinstance(route, AgentRoute) and route.verb == "POST":
        said["json"] = asked_of_agent(ids, resumes=resumes)
        said["headers"] = {"Accept": agents.MEDIA_TYPE}
    return said


def asked_of_agent(ids: dict[str, str], *, resumes: bool = False) -> dict[str, Any]:
    """What AG-UI's client sends."""
    asked: dict[str, Any] = {
        "threadId": ids.get("thread_id", "x"),
        "runId": ids.get("run_id", "x"),
        "messages": [{"id": "u1", "role": "user", "content": "hi"}],
    }
    if resumes:
        asked["resume"] = [{"interruptId": ids.get("approval_id", "x"), "status": "resolved", "payload": {}}]
    return asked


def sample(name: str, kind: Any) -> Any:
    """A value that a field takes."""
    if get_origin(kind) is Literal:
        return get_args(kind)[0]
    if get_origin(kind) is list and name == "options":
        return [{"id": "x", "description": "x"}]
    if get_origin(kind) is list:
        return [{"op": "add", "path": "/x", "value": 1}]
    if get_origin(kind) is dict:
        return {"x": 1}
    return True if kind is bool else "run_1" if name == "run" else "1"


def body_of(route: CommandRoute) -> dict[str, Any]:
    given = {name: sample(name, field.type) for name, field in route.body.items() if field.default is MISSING}
    if route.name == "decisions.record":
        given["chosen"] = "x"
    return given
