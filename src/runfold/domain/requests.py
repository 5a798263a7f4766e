"""Whether a run is what was asked for: its digest of the request, made again from what is stored of it.

What was said and what was left to its default are stored alike. So a digest fits if one of the requests that could have led
to the run has it. Programs ask for their runs alike, and what fitted one run is tried first for the next.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any, get_args

from runfold.domain.run_events import ParentKind, RunCreated
from runfold.domain.thread import MAIN
from runfold.domain.values import digest

_REMEMBERED = 16
_NOT_SAID = object()
Choice = tuple[int, ...]
"""Which of the values that each field could have had in the request it had."""


class Requests:
    """Finds the requests of runs."""

    def __init__(self) -> None:
        self._fitting: list[Choice] = []

    def fits(self, created: RunCreated, heads: Iterable[str] = ()) -> bool:
        """Return whether a request for this run has its digest. `heads` are names of its thread's, beside `main`."""
        members = [found for _, found in sorted(_could_be_said(created, heads).items())]
        for choice in self._fitting:
            if _is(created, members, choice):
                return True
        found = next(_search(members, created.request_digest.removeprefix("sha256:"), hashlib.sha256(b"{")), None)
        if found is not None:
            self._fitting = [found, *self._fitting[: _REMEMBERED - 1]]
        return found is not None


def _is(created: RunCreated, members: list[list[str]], choice: Choice) -> bool:
    if any(number >= len(found) for number, found in zip(choice, members, strict=True)):
        return False
    said = filter(None, (found[number] for number, found in zip(choice, members, strict=True)))
    return digest(f"{{{','.join(said)}}}") == created.request_digest


def _search(members: list[list[str]], wanted: str, begun: Any, choice: Choice = (), comma: str = "") -> Iterator[Choice]:
    """Yield the choice that has the digest; what several choices have in common, such as a long input, is hashed once."""
    if not members:
        begun.update(b"}")
        if begun.hexdigest() == wanted:
            yield choice
        return
    for number, text in enumerate(members[0]):
        further = begun.copy()
        if text:
            further.update(f"{comma}{text}".encode())
        yield from _search(members[1:], wanted, further, (*choice, number), "," if text else comma)


def _could_be_said(created: RunCreated, heads: Iterable[str]) -> dict[str, list[str]]:
    """What each field could have been in the request, as JSON, and empty for one that was not said; the likeliest first."""
    parent, kinds = created.parent, get_args(ParentKind)
    goal = None if created.goal is None else created.goal.model_dump(mode="json")
    could: dict[str, list[Any]] = {
        "agent_id": [created.agent_id, _NOT_SAID],
        "parent": [_NOT_SAID, parent.run_id if parent else None, MAIN, *heads],
        "kind": [_NOT_SAID, *([parent.kind] if parent else kinds)],
        "at_version": [_NOT_SAID, parent.at_version if parent else None],
        "goal": [_NOT_SAID, None] if goal is None else [goal],
        "request_config": _or_not_said(created.request_config, None),
        "background": _or_not_said(created.background, False),
        "callback_url": _or_not_said(created.callback_url, None),
        "callback_result": _or_not_said(created.callback_result, None),
        "metadata": _or_not_said(created.metadata, {}),
        "input": [created.input],
        "thread_id": [created.thread_id, None],
    }
    return {name: [_member(name, value) for value in found] for name, found in could.items()}


def _or_not_said(value: Any, default: Any) -> list[Any]:
    return [_NOT_SAID, value] if value == default else [value]


def _member(name: str, value: Any) -> str:
    if value is _NOT_SAID:
        return ""
    return f'"{name}":{json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)}'
