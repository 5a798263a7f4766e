"""Finding the route of a request in one walk along its path, however many routes there are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute, Router
from starlette.types import Receive, Scope, Send

from runfold.http import problems
from runfold.http.routing import NamedRoute


@dataclass
class _Node:
    """What may follow a part of a path."""

    literal: "dict[str, _Node]" = field(default_factory=dict)
    named: "_Node | None" = None
    """What follows where any text may stand."""
    ends: dict[str, tuple[int, NamedRoute]] = field(default_factory=dict)
    """The routes that end here, by method, each with its place in the order of routes."""

    def at(self, part: str) -> "_Node":
        """Return the node after a part of a route's path; it is made if there is none."""
        if not part.startswith("{"):
            return self.literal.setdefault(part, _Node())
        self.named = self.named or _Node()
        return self.named

    def found(self, parts: Sequence[str], method: str, at: int = 1) -> tuple[int, NamedRoute] | None:
        """Return the first of the routes whose path matches the parts from there on."""
        if at == len(parts):
            return self.ends.get(method)
        part = parts[at]
        following = self.literal.get(part)
        as_literal = None if following is None else following.found(parts, method, at + 1)
        as_named = None if self.named is None or not part else self.named.found(parts, method, at + 1)
        if as_literal is None or as_named is None:
            return as_literal or as_named
        return as_literal if as_literal[0] < as_named[0] else as_named


class IndexedRouter(Router):
    """Routes as Starlette does, which tries one route after the other, but finds ours at once.

    Whatever is not found so, such as a method that a path does not have, goes the way of all.
    """

    def __init__(self, routes: Sequence[BaseRoute], **more: Any) -> None:
        super().__init__(routes, redirect_slashes=False, **more)
        self._root = _Node()
        for number, route in enumerate(routes):
            if isinstance(route, NamedRoute) and ":" not in route.path:
                self._add(number, route)

    def _add(self, number: int, route: NamedRoute) -> None:
        node = self._root
        for part in route.path.split("/")[1:]:
            node = node.at(part)
        for method in route.methods:
            node.ends.setdefault(method, (number, route))

    def find(self, method: str, path: str) -> tuple[NamedRoute, Mapping[str, str]] | None:
        """Return the first of our routes that takes a method and a path, and the values in that path."""
        parts = path.split("/")
        found = self._root.found(parts, method)
        if found is None:
            return None
        return found[1], {name: parts[place] for place, name in found[1].places}

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request to its route."""
        if scope["type"] != "http" or scope.get("root_path") or (found := self.find(scope["method"], scope["path"])) is None:
            await self._as_starlette(scope, receive, send)
            return
        route, ids = found
        scope.setdefault("router", self)
        scope["route"], scope["endpoint"] = route, route.endpoint
        scope["path_params"] = {**scope.get("path_params", {}), **ids}
        try:
            await route.app(scope, receive, send)
        except Exception as error:  # answered here, within the middleware, which says what pages of other origins may read
            await problems.answer_unexpected(error, scope, receive, send)
            raise

    def _is_there_without_slash(self, scope: Scope) -> bool:
        path: str = scope["path"].removeprefix(scope.get("root_path", ""))
        return path.endswith("/") and self.find(scope["method"], path.rstrip("/")) is not None

    async def _as_starlette(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._is_there_without_slash(scope):
            await Response(status_code=307, headers={"Location": _without_slash(scope)})(scope, receive, send)
            return
        try:
            await super().app(scope, receive, send)
        except HTTPException as error:
            await problems.answer(error, scope, receive, send)


def _without_slash(scope: Scope) -> str:
    """Return the path and query that were asked for, without the slash behind the path.

    It names neither a host nor a scheme: those of the request are what a client says, and what a proxy before it took away.
    """
    path: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    query: bytes = scope["query_string"]
    return (path.rstrip(b"/") + b"?" * bool(query) + query).decode("latin-1")
