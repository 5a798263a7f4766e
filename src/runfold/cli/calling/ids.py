"""Ids on the command line: as much of one is enough as no other begins with.

Whatever an argument or an option calls THREAD, RUN, APPROVAL … takes one. The command itself is given the whole id.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from runfold.cli.calling.call import Call

if TYPE_CHECKING:
    import inspect

    from runfold.ledger import Ledger
    from runfold.queries.reading import Reading

KINDS = {
    "THREAD": "thread",
    "RUN": "run",
    "[RUN]": "run",
    "RUN_A": "run",
    "RUN_B": "run",
    "APPROVAL": "approval",
    "CALL": "call",
    "MESSAGE": "message",
    "DECISION": "decision",
    "PROBLEM": "problem",
    "MOMENT": "moment",
    "KEY": "key",
    "WEBHOOK": "webhook",
}
"""What an id is of, by the word that stands for it in the help."""
OTHERS = {"provider_call_id"}
"""Parameters of whose ids only others know all."""
MOST_SHOWN = 10


def kinds_of(declared: "list[inspect.Parameter]") -> dict[str, str]:
    """What the parameters of a command are ids of, by name."""
    found = {}
    for parameter in declared:
        for said in getattr(parameter.annotation, "__metadata__", ()):
            kind = KINDS.get(getattr(said, "metavar", None) or "")
            if kind is not None and parameter.name not in OTHERS:
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
        if given.get("fold"):
            _fold(call, ledger, named.values())
        moment = given.get("at") or given.get("as_of")
        reading = ledger.now if moment is None else ledger.now.at(call.moment(moment))
        yield {**given, **{name: _whole(ledger, reading, kind, given[name]) for name, kind in named.items()}}


def _fold(call: Call, ledger: "Ledger", kinds: Iterable[str]) -> None:
    """Bring the read models up to date in which ids of these kinds are looked up."""
    from runfold.cli.calling.folding import catch_up
    from runfold.queries.beginnings import COLUMNS

    if read_models := tuple({COLUMNS[kind].read_model for kind in kinds if kind in COLUMNS}):
        catch_up(call, ledger, read_models)


def _whole(ledger: "Ledger", reading: "Reading", kind: str, text: str | list[str]) -> Any:
    if not isinstance(text, str):
        return [_whole(ledger, reading, kind, each) for each in text]
    from runfold.errors import UsageError

    found = _beginning_with(ledger, reading, kind, text)
    if not found or text in found:
        return text  # of what there is not, the command itself says so
    if len(found) == 1:
        return found[0]
    shown, more = found[:MOST_SHOWN], ", and more" if len(found) > MOST_SHOWN else ""
    raise UsageError(f"{text!r} begins several ids: {', '.join(shown)}{more}; write more of it", beginning=text, ids=shown)


def _beginning_with(ledger: "Ledger", reading: "Reading", kind: str, text: str) -> list[str]:
    from runfold.queries.beginnings import ids_beginning_with

    if kind == "webhook":
        known = reading.webhooks(include_deleted=True)
        return sorted(each.id for each in known if each.id.startswith(text))[: MOST_SHOWN + 1]
    if kind not in {"moment", "key"}:
        return ids_beginning_with(reading, kind, text, MOST_SHOWN + 1)
    listed = ledger.moments() if kind == "moment" else ledger.keys()
    return sorted(each.id for each in listed if each.id.startswith(text))[: MOST_SHOWN + 1]
