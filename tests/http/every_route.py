"""A request of each route of the table."""

from typing import Any, Literal, get_args, get_origin

from runfold.api.route import MISSING, CommandRoute, Route
from runfold.api.table import COMMANDS, QUESTIONS

ALL_ROUTES: tuple[Route, ...] = (*COMMANDS, *QUESTIONS)


IDS = {"thread_id": "thread_1", "run_id": "run_1", "run_a": "run_1", "run_b": "run_1", "approval_id": "approval_1"}


def path_of(route: Route, ids: dict[str, str]) -> str:
    return route.path.format(**{name: ids.get(name, "x") for name in route.path_names})


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
