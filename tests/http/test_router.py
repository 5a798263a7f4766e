"""Routes are found as Starlette finds them: the first, in their order, whose path and method a request has."""

import itertools
import random

import httpx2
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from runfold import Run
from runfold.http.router import IndexedRouter
from runfold.http.routing import NamedRoute

WORDS, VERBS = ("a", "b", ""), ("GET", "POST")


async def _handle(_: Request) -> Response:
    return Response()


def _first(routes: list[NamedRoute], method: str, path: str) -> tuple[str, dict[str, str]] | None:
    scope = {"type": "http", "method": method, "path": path, "path_params": {}, "root_path": ""}
    for route in routes:
        match, found = route.matches(scope)
        if match is Match.FULL:
            return route.name, found["path_params"]
    return None


@pytest.mark.parametrize("seed", range(40))
def test_every_path_leads_to_the_first_route_that_takes_it(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  the same each time
    paths = {
        "/" + "/".join(chance.choice(["a", "b", f"{{x{place}}}"]) for place in range(chance.randint(1, 4))) for _ in range(10)
    }
    kinds = list(itertools.product(sorted(paths), VERBS))
    chance.shuffle(kinds)
    routes = [NamedRoute(f"{verb} {path}", verb, path, _handle) for path, verb in kinds[:12]]
    router = IndexedRouter(routes)
    for size in range(1, 5):
        for words in itertools.product(WORDS, repeat=size):
            for method in (*VERBS, "PUT"):
                path = "/" + "/".join(words)
                found = router.find(method, path)
                assert (found and (found[0].name, dict(found[1]))) == _first(routes, method, path), (method, path)


@pytest.mark.parametrize("host", ["runfold.example", "elsewhere.example:1"])
def test_an_address_with_a_slash_too_many_leads_to_the_one_without_on_whatever_host(
    client: httpx2.Client, run: Run, host: str
) -> None:
    """Behind a proxy that speaks TLS an address with `http:` in it would have a client send its key to be read by all."""
    for path, query in (
        ("/threads", "?limit=1&agent_id=%C3%A9"),
        (f"/runs/{run.id}", ""),
        ("/docs", ""),
        ("/ui", ""),
        ("/ui/threads", "?at=1"),
    ):
        for slashes in ("/", "//"):
            answer = client.get(f"{path}{slashes}{query}", headers={"Host": host})
            assert (answer.status_code, answer.headers.get("location")) == (307, f"{path}{query}"), path
    assert client.post("/threads/", json={"agent_id": "a"}, follow_redirects=True).status_code == 201
    for nowhere in ("//elsewhere.example/", "/nowhere/", "/ui/nowhere/", "/threads/"):
        assert client.put(nowhere).status_code in {404, 405, 401}
        assert "location" not in client.put(nowhere).headers
