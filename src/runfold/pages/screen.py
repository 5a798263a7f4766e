"""A screen: an address, and who answers there. What one is refused becomes a page that says so."""

from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

READS = frozenset({"GET", "HEAD"})
"""The methods that only look."""
Answer = Callable[[Request], Coroutine[Any, Any, Response]]


class Screen(NamedTuple):
    """One address under `/ui`."""

    name: str
    """A public, stable name such as `pages.threads`: the label of the metrics."""
    path: str
    answer: Answer
    verb: str = "GET"
    is_open: bool = False
    """Whether it is drawn for who is not signed in, too."""
