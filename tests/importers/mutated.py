"""Sources with one thing in many of their lines changed: values of other kinds, names that are gone, lines that break off."""

import copy
import json
from collections.abc import Iterator
from random import Random
from typing import Any

ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    12.5,
    10**30,
    "",
    "n/a",
    "\x00",
    "\ud800",
    "x" * 300,
    [],
    {},
    [None],
    {"type": []},
    "2026-04-01T09:00:00",
    1775034000,
)


def mutated(lines: list[dict[str, Any]], random: Random) -> str:
    """The lines as a file, each third of them with something changed."""
    return "".join(_line(line, random) for line in lines)


def _line(line: dict[str, Any], random: Random) -> str:
    if random.random() > 1 / 3:
        return json.dumps(line) + "\n"
    changed = copy.deepcopy(line)
    match random.randrange(8):
        case 0:
            whole = json.dumps(line)
            return whole[: random.randrange(len(whole))] + "\n"
        case 1:
            return json.dumps(line) * 2 + "\n"
        case 2:
            return json.dumps(random.choice(ODD)) + "\n"
        case 3:
            holder, name = random.choice(list(_places(changed)))
            del holder[name]
        case _:
            holder, name = random.choice(list(_places(changed)))
            holder[name] = random.choice(ODD)
    return json.dumps(changed) + "\n"


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a record where a value stands."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in members:
        yield value, name
        yield from _places(member)
