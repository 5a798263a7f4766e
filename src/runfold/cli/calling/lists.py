"""Lists on the command line: their options are made from the description that the SDK and HTTP use, and their pages printed.

A command of a list takes `**asked`. `list_options` makes an option of each parameter that its question describes.
"""

import contextlib
import inspect
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, get_args, get_type_hints

import typer

from runfold.api.words import SHARED
from runfold.cli.calling.call import Call
from runfold.cli.calling.folding import as_json, ready
from runfold.cli.calling.former_words import formerly

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pydantic import BaseModel
    from rich.console import RenderableType

    from runfold.queries.lists.parameters import ListParameter
    from runfold.queries.page import Page
    from runfold.queries.reading import Reading

PAGES = "Order and pages"
_OF_PAGES = {"order_by", "order", "limit", "cursor", "min_position", "wait_seconds"}
"""Parameters that narrow nothing; the help shows their options after the others."""

SHORT = {
    **SHARED,
    "parent_run_id": "parent",
    "duration_ns": "duration",
    "duration_percentile": "percentile",
    "include_superseded": "superseded",
}
"""Options that have a shorter name than the rule gives: the parameter's name without `_id`, with dashes."""

FORMER = {"since": "--since", "until": "--until", "name": "--name"}
"""Options that were called otherwise, by their parameters."""

NO_OPTIONS = {"content": "JSON has it, and a table has no room for it"}
"""Parameters without an option, and why."""

_FLAGS = {"background": "--background/--foreground", "without_cost": "--without-cost/--with-cost"}
_OPERATOR, _LENGTH = "_operator", "_ns"
"""How the names of parameters end that say how another compares, and that take nanoseconds."""
_FEW = 3
"""Up to so many words stand in the help in place of a value; more are listed after it."""


Every = Annotated[
    bool | None,
    typer.Option("--all", help="All that there is, whatever number of pages it is.", rich_help_panel=PAGES, show_default=False),
]


class ListOption(NamedTuple):
    """One option of a list, and what it says to the question."""

    name: str
    """The name of its parameter."""
    flag: str
    declared: inspect.Parameter
    said: Callable[[Call, Any], dict[str, Any]]
    """Turns the given value of a call into arguments of the question. Raises UsageError."""


_ALL = ListOption(
    "all",
    "--all",
    inspect.Parameter("all", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Every),
    lambda _, given: {"all": given},
)
"""Of every list that comes in pages."""


def described(question: str) -> "Mapping[str, ListParameter]":
    """The parameters of a question of `Reading`, by name."""
    from runfold.queries.lists.parameters import parameters_of
    from runfold.queries.reading import Reading

    hints = get_type_hints(inspect.unwrap(getattr(Reading, question)), include_extras=True)
    return parameters_of(get_args(hints["asked"])[0])


def list_options(question: str, panel: str | None = None) -> list[ListOption]:
    """An option for each parameter of a question, but for those of NO_OPTIONS. An operator is part of what it compares.

    `panel` is where the help shows those that narrow; beside the command's own if not given.
    """
    known = described(question)
    operators = {name for name in known if name.endswith(_OPERATOR)}
    names = sorted(known.keys() - operators - NO_OPTIONS.keys(), key=lambda name: (name in _OF_PAGES, [*known].index(name)))
    return [_option(known[name], _operator(known, name), panel) for name in names]


def page_options(question: str) -> list[ListOption]:
    """What beside its description a list that comes in pages can be asked for: all of them."""
    return [_ALL] if "cursor" in described(question) else []


def _operator(known: "Mapping[str, ListParameter]", name: str) -> "ListParameter | None":
    return known.get(f"{name.removesuffix(_LENGTH)}{_OPERATOR}")


def _option(parameter: "ListParameter", operator: "ListParameter | None", panel: str | None) -> ListOption:
    base = SHORT.get(parameter.name, parameter.name.removesuffix("_id"))
    flag = f"--{base.replace('_', '-')}"
    kind, metavar = _kind(parameter, is_compared=operator is not None)
    option = typer.Option(
        _FLAGS.get(parameter.name, f"{flag}/--no-{flag[2:]}") if parameter.kind is bool else flag,
        metavar=f"[OP:]{metavar}" if operator else metavar,
        help=_help(parameter, operator),
        rich_help_panel=PAGES if parameter.name in _OF_PAGES else panel,
        show_default=False,
    )
    former = formerly(FORMER[parameter.name]) if parameter.name in FORMER else None
    declared = inspect.Parameter(
        parameter.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option, former]
    )
    return ListOption(parameter.name, flag, declared, _saying(parameter, flag, operator))


def _kind(parameter: "ListParameter", *, is_compared: bool) -> tuple[Any, str | None]:
    """The type that Typer reads, and the word that stands for a value in the help."""
    kinds: dict[Any, tuple[Any, str | None]] = {
        bool: (bool, None),
        datetime: (str, "TIME|DAY"),
        date: (str, "DAY"),
        timedelta: (str, "DURATION"),
        int: (str if is_compared else int, "N"),
        float: (float, "N"),
    }
    if parameter.name.endswith(_LENGTH):
        return str, "DURATION"
    if parameter.kind in kinds:
        return kinds[parameter.kind]
    if parameter.name in FORMER:
        noun = SHORT[parameter.name]
    else:
        *_, noun = parameter.name.removesuffix("_id").split("_") if parameter.name.endswith("_id") else [parameter.name]
    metavar = "|".join(parameter.words) if 0 < len(parameter.words) <= _FEW else noun.upper()
    return (list[str] if parameter.is_repeatable else str), metavar


def _help(parameter: "ListParameter", operator: "ListParameter | None") -> str:
    words = [parameter.help]
    if len(parameter.words) > _FEW:
        words.append(f"One of {', '.join(parameter.words)}.")
    if parameter.kind is datetime:
        words.append("A day is included." if parameter.day == "to" else "A day counts from its beginning.")
    if operator:
        example = f"{operator.words[-1]}:{'90s' if parameter.name.endswith(_LENGTH) else '3'}"
        known = ", ".join(operator.words)
        words.append(f"An operator may come first, as in {example} ({known}); {operator.default} if not given.")
    if parameter.is_repeatable:
        words.append("May be repeated.")
    return " ".join(words)


def _saying(parameter: "ListParameter", flag: str, operator: "ListParameter | None") -> Callable[[Call, Any], dict[str, Any]]:
    """Return what turns the given value of an option into arguments of the question."""
    reads: dict[Any, Callable[[Call, str, str], Any]] = {
        datetime: _until if parameter.day == "to" else _since,
        date: _day,
        int: _whole,
    }
    read = _nanoseconds if parameter.name.endswith(_LENGTH) else reads.get(parameter.kind)

    def said(call: Call, given: Any) -> dict[str, Any]:
        if not operator:
            return {parameter.name: read(call, flag, given) if read and isinstance(given, str) else given}
        word, colon, rest = given.partition(":")
        value = rest if colon else given
        return {parameter.name: read(call, flag, value) if read else value, **({operator.name: word} if colon else {})}

    return said


def _since(call: Call, option: str, text: str) -> datetime:
    return call.time(text, day="from", option=option)


def _until(call: Call, option: str, text: str) -> datetime:
    return call.time(text, day="to", option=option)


def _day(call: Call, option: str, text: str) -> date:
    return call.utc_day(text, option=option)


def _whole(_call: Call, option: str, text: str) -> int:
    from runfold.errors import UsageError

    if not (text.isascii() and text.isdigit()):
        raise UsageError(f"{option} takes a whole number such as 3 or gte:3, not {text!r}", option=option)
    return int(text)


def _nanoseconds(_call: Call, option: str, text: str) -> int:
    from runfold.domain.durations import parse_duration
    from runfold.errors import UsageError

    try:
        return parse_duration(text) // timedelta(microseconds=1) * 1000
    except ValueError:
        raise UsageError(f"{option} takes a time such as 1500ms, 90s, 15m or lt:2h, not {text!r}", option=option) from None


def as_asked(call: Call, options: "Sequence[ListOption]", given: dict[str, Any]) -> dict[str, Any]:
    """The values of options as the arguments of the question; those that were not given are left out."""
    asked: dict[str, Any] = {}
    for option in options:
        value = given.pop(option.name)
        if value is not None and value != []:
            asked.update(option.said(call, value))
    return {**given, **asked}


@contextlib.contextmanager
def asking(call: Call, *read_models: str, fold: bool, at: str | None, happened_at: str | None = None) -> "Iterator[Reading]":
    """The ledger to ask: as of a moment by either clock, or now, with the read models (all if none are named) folded first."""
    from runfold.errors import UsageError

    is_past = at is not None or happened_at is not None
    if fold and is_past:
        raise UsageError(
            f"--fold brings the present read models up to date; leave it out with {'--at' if at else '--happened-at'}"
        )
    with call.ledger() as ledger:
        if not is_past and (read_models or fold):
            ready(call, ledger, *read_models, fold=fold)
        reading = ledger.now if at is None else ledger.at(call.moment(at))
        yield reading if happened_at is None else reading.happened_at(call.time(happened_at, day="to", option="--happened-at"))


def page_of(ask: "Callable[..., Page[Any]]", asked: dict[str, Any]) -> "Page[Any]":
    """The page that is asked for; with `all` the rest of the list as one page. Raises UsageError."""
    from runfold.errors import UsageError
    from runfold.queries.lists.paging import MOST

    if not asked.pop("all", None):
        return ask(**asked)
    if asked.get("limit") is not None:
        raise UsageError("--all is all there is, and --limit so many of them; give one of the two", option="--all")
    page = ask(**{**asked, "limit": MOST})
    items = [*page.items]
    while page.next_cursor is not None:
        page = ask(**{**asked, "limit": MOST, "cursor": page.next_cursor})
        items += page.items
    return page.model_copy(update={"items": tuple(items)})


def with_words(rows: "Iterable[BaseModel]", words: "Iterable[BaseModel]") -> list[dict[str, Any]]:
    """Return rows as JSON, each with its texts, which stand in the log and not in the row, under `words`."""
    return [
        {**row.model_dump(mode="json"), "words": texts.model_dump(mode="json")} for row, texts in zip(rows, words, strict=True)
    ]


def answer(call: Call, page: "Page[Any]", items: "Sequence[Any] | None" = None) -> None:
    """Print a page as JSON; `items` where it holds more than its rows."""
    rows = [row.model_dump(mode="json") for row in page.items] if items is None else items
    call.answer({**as_json(page.standing), "items": rows, "next_cursor": page.next_cursor})


def print_page(call: Call, drawn: "RenderableType", page: "Page[Any]", noun: str) -> None:
    """Print a page for a person, then how many there are, as of when, and the cursor of the next page."""
    from runfold.terminal.console import print_whole
    from runfold.terminal.text import counted, left_out

    print_whole(call.out, drawn)
    said = f"{counted(len(page.items), noun)} as of position {page.standing.position}"
    call.out.print(said, style="dim", soft_wrap=True)
    if remark := left_out(page.standing.superseded_threads):
        call.out.print(remark, style="dim", soft_wrap=True)
    if page.next_cursor:
        call.out.print(f"more: the same with --cursor {page.next_cursor}", style="dim", soft_wrap=True)
