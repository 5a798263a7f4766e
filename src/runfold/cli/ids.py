"""Ids on the command line: as much of one is enough as no other begins with.

Whatever an argument or an option calls THREAD, RUN, APPROVAL … takes one. The command itself is given the whole id.
"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from runfold.cli.call import Call

if TYPE_CHECKING:
    import inspect

    from runfold.ledger import Ledger

KINDS = {
    "THREAD": "thread",
    "RUN": "run",
    "[RUN]": "run",
    "RUN_A": "run",
    "RUN_B": "run",
    "APPROVAL": "approval",
    "MOMENT": "moment",
    "KEY": "key",
}
"""What an id is of, by the word that stands for it in the help."""
MOST_SHOWN = 10


def kinds_of(declared: "list[inspect.Parameter]") -> dict[str, str]:
    """What the parameters of a command are ids of, by name."""
    found = {}
    for parameter in declared:
        for said in getattr(parameter.annotation, "__metadata__", ()):
            kind = KINDS.get(getattr(said, "metavar", None) or "")
            if kind is not None:
                found[parameter.name] = kind
    return found


@contextlib.contextmanager
def whole_ids(call: Call, kinds: Mapping[str, str], given: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What was given, with each id whole. Raises UsageError where several ids begin so."""
    named = {name: kind for name, kind in kinds.items() if given.get(name)}
    if not named:
        yield given
        return
    with call.held_ledger() as ledger:
        moment = given.get("at") or given.get("as_of")
        up_to = None if moment is None else ledger.now.at(call.moment(moment)).up_to
        yield {**given, **{name: _whole(ledger, kind, given[name], up_to) for name, kind in named.items()}}


def _whole(ledger: "Ledger", kind: str, text: str | list[str], up_to: int | None) -> str | list[str]:
    if not isinstance(text, str):
        return [one for each in text for one in [_whole(ledger, kind, each, up_to)] if isinstance(one, str)]
    from runfold.errors import UsageError

    found = _beginning_with(ledger, kind, text, up_to)
    if not found or text in found:
        return text  # of what there is not, the command itself says so
    if len(found) == 1:
        return found[0]
    more = "" if len(found) <= MOST_SHOWN else ", and more"
    shown = found[:MOST_SHOWN]
    raise UsageError(f"{text!r} begins several ids: {', '.join(shown)}{more}; write more of the one", beginning=text, ids=shown)


def _beginning_with(ledger: "Ledger", kind: str, text: str, up_to: int | None) -> list[str]:
    """Up to one more than are shown."""
    if kind == "moment":
        return [view.id for view in ledger.moments() if view.id.startswith(text)]
    if kind == "key":
        views = ledger.keys()
        return [view.id for view in views if view.id.startswith(text)]
    prefix = f"{kind}_"
    if not text.startswith(prefix):
        if not prefix.startswith(text):
            return []
        text = prefix
    return ledger.now.reader.streams_beginning_with(text, up_to=up_to, limit=MOST_SHOWN + 1)
