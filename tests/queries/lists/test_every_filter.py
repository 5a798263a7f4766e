"""Every list by every parameter, here and over HTTP: the rows that Python takes, or a refusal that names the parameter."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from runfold import Ledger, RemoteLedger
from runfold.api.table import QUESTIONS
from runfold.api.words import WORDS, word_of
from runfold.cli.calling.call import Call
from runfold.cli.calling.lists import list_options
from runfold.errors import LedgerError, NotFound, UsageError
from runfold.http.app import create_app
from runfold.queries.lists.parameters import ListParameter
from tests.databases import fresh_database
from tests.queries.listed import tell
from tests.queries.lists.every_filter import LISTS, OF_PAGES, WORDLESS, described, expected, values_for, wrong_for
from tests.serving import Anybody, serving

PATHS = {route.method.__name__: route.path for route in QUESTIONS if not route.path_names}
EVERY = [(name, parameter) for name in LISTS for parameter in described(name) if parameter not in OF_PAGES]
DEFAULTS: dict[str, dict[str, Any]] = {
    "threads": {"state": ["open", "archived", "deleted"]},
    "attention": {"severity": ["critical", "warning", "minor"]},
}
"""Under which a list leaves out nothing."""


@pytest.fixture(scope="module")
def full(admin_url: str, template: str) -> Iterator[Ledger]:
    """Runs in every state, folded. Only to be read."""
    with fresh_database(admin_url, template, "filters") as made, Ledger.open(settings=made.settings) as ledger:
        tell(ledger, seed=3, threads=5)
        ledger.fold()
        yield ledger


@pytest.fixture(scope="module")
def address(full: Ledger) -> Iterator[str]:
    with serving(create_app(full, Anybody())) as address:
        yield address


@pytest.fixture(scope="module")
def remote(address: str) -> Iterator[RemoteLedger]:
    with Ledger.connect(address) as connected:
        yield connected


@pytest.fixture(scope="module")
def http(address: str) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=address, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def whole(full: Ledger) -> Callable[[str], list[Any]]:
    """All items of a list."""
    known: dict[str, list[Any]] = {}

    def items(name: str) -> list[Any]:
        if name not in known:
            asked = DEFAULTS.get(name, {}) if name != "usage" else {"by": ["run", "model", "day"]}
            found = getattr(full.now, name)(**asked, **({} if name == "usage" else {"limit": 1000}))
            known[name] = list(found.rows if name == "usage" else found.items)
        return known[name]

    return items


def asked_for(name: str, parameter: str, value: Any) -> dict[str, Any]:
    """What is asked, with nothing else left out."""
    return {**DEFAULTS.get(name, {}), **({} if name == "usage" else {"limit": 1000}), parameter: value}


def outcome(ledger: Any, name: str, asked: dict[str, Any]) -> list[Any] | LedgerError:
    """The items, or why there are none. Whatever else goes wrong is a defect."""
    try:
        answer = getattr(ledger.now, name)(**asked)
    except LedgerError as error:
        return error
    return list(answer.rows if name == "usage" else answer.items)


def same(one: list[Any] | LedgerError, other: list[Any] | LedgerError) -> bool:
    """Whether both are the same items in the same order, or refuse alike."""
    if isinstance(one, LedgerError) or isinstance(other, LedgerError):
        return isinstance(one, NotFound) == isinstance(other, NotFound) and isinstance(one, LedgerError) == isinstance(
            other, LedgerError
        )
    return one == other


@pytest.mark.sampled
@pytest.mark.parametrize(("name", "parameter"), EVERY)
def test_a_filter_finds_what_python_finds_here_and_over_http(
    full: Ledger, remote: RemoteLedger, whole: Callable[[str], list[Any]], name: str, parameter: str
) -> None:
    said, rows = described(name)[parameter], whole(name)
    nothing = [] if parameter in DEFAULTS.get(name, {}) else [None]
    for number, value in enumerate([*values_for(said, rows), *nothing]):
        found = outcome(full, name, asked_for(name, parameter, value))
        if number in {0, 3, 5}:
            assert same(outcome(remote, name, asked_for(name, parameter, value)), found), value
        if isinstance(found, LedgerError):
            assert isinstance(found, NotFound) or parameter in str(found), (value, found)
            continue
        due = rows if value is None else expected(rows, said, value)
        if due is not None and name != "usage":
            assert sorted(map(repr, map(plain, found))) == sorted(map(repr, map(plain, due))), value
    if said.is_repeatable and name != "usage":
        several = values_for(said, rows)[:3]
        due = expected(rows, said, several)
        found = outcome(full, name, asked_for(name, parameter, several))
        if due is not None:
            assert isinstance(found, list)
            assert sorted(map(repr, map(plain, found))) == sorted(map(repr, map(plain, due)))
        assert outcome(full, name, asked_for(name, parameter, [])) == outcome(full, name, asked_for(name, parameter, None))


def plain(item: Any) -> Any:
    """An item without what a list of one run adds from the log."""
    return {key: value for key, value in item if key not in {"arguments", "arguments_text", "result", "error", "standing"}}


@pytest.mark.parametrize("name", LISTS)
def test_what_a_parameter_does_not_take_is_refused_by_its_name_here_and_by_a_remote_ledger(
    full: Ledger, remote: RemoteLedger, name: str
) -> None:
    for parameter, said in described(name).items():
        for value in wrong_for(said) if parameter not in WORDLESS else (7, "?"):
            for ledger in (full, remote):
                refused = outcome(ledger, name, {parameter: value})
                assert isinstance(refused, UsageError), (parameter, value, refused)
                assert parameter in str(refused), (parameter, value, refused)


TEXTS = ("", "-1", "9" * 40, "nan", "2026-02-01", "2026-02-30", "2026-02-01T09:30:00", "a\0b '", "90s")


@pytest.mark.parametrize("name", LISTS)
def test_any_text_over_http_is_an_answer_or_a_refusal_that_names_its_parameter(
    http: httpx2.Client, name: str, pytestconfig: pytest.Config
) -> None:
    step = 1 if pytestconfig.getoption("--long") else 6
    for number, parameter in enumerate(described(name)):
        texts = TEXTS if parameter not in {"min_position", "wait_seconds"} else ("", "nan", "-1", "x", "9" * 40)
        for text in texts[number % step :: step]:
            word = word_of(parameter)
            answer = http.get(PATHS[name], params={word: text})
            assert answer.status_code in {200, 400, 404, 422}, (parameter, text, answer.text)
            if answer.status_code in {400, 422}:
                assert word.removesuffix("_operator") in answer.text, (parameter, text, answer.text)


@pytest.mark.parametrize("name", LISTS)
def test_any_text_of_an_option_is_an_answer_or_a_refusal_whose_advice_is_taken(full: Ledger, name: str) -> None:
    for option in list_options(name):
        said = described(name)[option.name]
        for text in [text for text in TEXTS if "\0" not in text]:
            if said.kind in {bool, float} or (said.kind is int and "[OP:]" not in str(option.declared.annotation)):
                continue  # Typer reads these
            refused = _told(full, name, option.said, said, text)
            for example in _advised(str(refused)) if refused else ():
                assert _told(full, name, option.said, said, example) is None, (option.flag, text, refused)


@pytest.mark.parametrize("name", LISTS)
def test_a_former_word_over_http_is_the_word_of_now_and_both_are_refused(http: httpx2.Client, name: str) -> None:
    texts = {"name": "search", "since": "2026-03-01", "until": "2026-03-02", "run": "nobody", "thread": "nobody"}
    for parameter in [parameter for parameter in described(name) if parameter in WORDS]:
        text = texts.get(parameter, "2026-03-01T06:02:00Z" if word_of(parameter) in {"from", "to"} else "support")
        now, before = (http.get(PATHS[name], params={word: text}) for word in (word_of(parameter), parameter))
        assert (now.status_code, now.text) == (before.status_code, before.text), parameter
        both = http.get(PATHS[name], params={word_of(parameter): text, parameter: text})
        assert both.status_code == 422, both.text
        assert f"send {word_of(parameter)} alone" in both.text


def _told(
    ledger: Ledger, name: str, says: Callable[[Call, Any], dict[str, Any]], said: ListParameter, text: str
) -> UsageError | None:
    """Why a text that was typed is refused; None if it is not."""
    try:
        asked = says(Call(), [text] if said.is_repeatable else text)
    except UsageError as error:
        return error
    found = outcome(ledger, name, asked)
    return found if isinstance(found, UsageError) else None


def _advised(refusal: str) -> list[str]:
    """The values that a refusal shows as what is taken."""
    advice = refusal.rpartition(", not ")[0].rpartition("such as ")[2] if "such as " in refusal else ""
    words = advice.replace(" or ", ", ").replace("a day such as ", "").split(", ")
    told = refusal.partition("write ")[2].partition(" for UTC")[0]
    return [word.strip() for word in [*words, told] if word.strip() and " " not in word.strip()]


@pytest.mark.parametrize("name", [name for name in LISTS if name != "usage"])
def test_pages_of_one_and_of_two_are_the_whole_list_once_in_every_order(
    full: Ledger, whole: Callable[[str], list[Any]], name: str
) -> None:
    known = described(name)
    some = {row.thread_id for row in whole(name)[:12]} if name != "goals" else set()
    narrowed = {"thread_id": sorted(some)[:2]} if some else {}
    for by in known["order_by"].words if "order_by" in known else (None,):
        for order in ("asc", "desc"):
            asked = {**DEFAULTS.get(name, {}), **narrowed, "order": order, **({"order_by": by} if by else {})}
            due = list(getattr(full.now, name)(**asked, limit=1000).items)
            for limit in (1, 2) if len(due) < 30 else (7,):
                assert _paged(full, name, asked, limit) == due, (by, order, limit)


def _paged(ledger: Ledger, name: str, asked: dict[str, Any], limit: int) -> list[Any]:
    found: list[Any] = []
    cursor = None
    while True:
        page = getattr(ledger.now, name)(**asked, limit=limit, cursor=cursor)
        found += page.items
        if (cursor := page.next_cursor) is None:
            return found
