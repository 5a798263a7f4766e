"""What a command is given is taken, or refused by its name: here and over HTTP alike, nothing of it is lost without a word."""

from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args, get_origin

import pytest

from runfold import InvalidEvent, Ledger, RemoteLedger, RunNotFound
from runfold.api.route import MISSING, CommandRoute, id_name
from runfold.api.table import COMMANDS
from runfold.domain.run_events import RunStarted
from runfold.errors import LedgerError
from runfold.handles.calling.handle import Handle
from tests.http.every_route import body_of

Anywhere = Ledger | RemoteLedger
ADDRESS = "https://hooks.example.com/runfold"


@pytest.fixture(params=["here", "over HTTP"])
def anywhere(request: pytest.FixtureRequest, ledger: Ledger) -> Iterator[Anywhere]:
    """The ledger, opened or connected to."""
    if request.param == "here":
        yield ledger
        return
    with Ledger.connect(request.getfixturevalue("address"), "rf_any") as remote:
        yield remote


def something_of_everything(ledger: Ledger) -> dict[str, str]:
    """What ids lead to, where a command would take effect if nothing were wrong with what it is given."""
    run = ledger.create_thread(agent_id="support", thread_id="thread_1").start_run(run_id="run_1")
    run.call_tool("find_order", call_id="call_1")
    run.add_message("user", "hello", message_id="message_1")
    other = ledger.thread("thread_1").start_run(run_id="run_2", parent=None)
    other.request_approval("refund", approval_id="approval_1", expires_in="1h")
    ledger.thread("thread_1").name_head("other", other)
    ledger.create_webhook(ADDRESS, webhook_id="webhook_1")
    streams = {f"{kind}_id": f"{kind}_1" for kind in ("thread", "run", "approval", "webhook")}
    return streams | {"message_id": "message_1", "call_id": "call_1"}


def calling(ledger: Anywhere, route: CommandRoute, ids: dict[str, str]) -> Callable[..., Any]:
    """A command as somebody calls it, with no more than it needs; what is given stands for what would be."""
    handle: Handle = route.handle(ledger, {name: ids.get(name, "x") for name in route.handle_ids})
    needed = {name: "other" for name in route.path_names if name not in route.handle_ids} | body_of(route)
    needed |= {"url": ADDRESS} if "url" in needed else {}
    return lambda **given: getattr(handle, route.method.__name__)(**needed | given)


def words(kind: Any) -> bool:
    """Return whether a type is one of some words, or a list of them, or nothing."""
    return get_origin(kind) is Literal or any(words(member) for member in get_args(kind))


def refused_path(call: Callable[..., Any], name: str, given: Any) -> str:
    """The path at which an argument is refused, or what came instead."""
    try:
        return f"taken: {call(**{name: given})!r}"
    except InvalidEvent as refused:
        return refused.path
    except LedgerError as refused:
        return f"refused otherwise: {refused}"


def test_what_a_command_does_not_have_is_refused_by_its_name(ledger: Ledger, anywhere: Anywhere) -> None:
    ids = something_of_everything(ledger)
    before = ledger.position()
    found = {route.name: refused_path(calling(anywhere, route, ids), "backgroud", True) for route in COMMANDS}
    assert found == {route.name: "backgroud" for route in COMMANDS}
    assert ledger.position() == before


def test_a_word_that_is_none_of_those_it_may_be_is_refused_by_its_name(ledger: Ledger, anywhere: Anywhere) -> None:
    ids = something_of_everything(ledger)
    before = ledger.position()
    asked = [(route, name) for route in COMMANDS for name, field in route.body.items() if words(field.type)]
    found = {(route.name, name): refused_path(calling(anywhere, route, ids), name, "approval") for route, name in asked}
    assert {key: path for key, path in found.items() if path.partition(".")[0] != key[1]} == {}
    assert {("runs.wait", "reason"), ("runs.expire_lease", "then"), ("branches.create", "kind")} <= found.keys()
    assert ledger.position() == before


def test_an_id_of_no_characters_is_none_of_ones_own_and_is_never_made_up_for(ledger: Ledger, anywhere: Anywhere) -> None:
    ids = something_of_everything(ledger)
    before = ledger.position()
    made = [(route, id_name(get_args(route.answer)[0])) for route in COMMANDS if route.creates]
    more = [
        (route, name)
        for route in COMMANDS
        for name in ("execution_id", "execution_key", "cost_id", "compaction_id", "node_id", "key")
        if name in route.body and route.body[name].default is not MISSING
    ]
    found = {(route.name, name): refused_path(calling(anywhere, route, ids), name, "") for route, name in [*made, *more]}
    assert found == {(route, name): name for route, name in found}
    assert ("branches.create", "run_id") in found
    assert ledger.position() == before


@pytest.mark.parametrize("route", [route for route in COMMANDS if route.creates], ids=lambda route: route.name)
def test_whatever_a_command_creates_may_have_an_id_of_ones_own_over_http(route: CommandRoute) -> None:
    assert id_name(get_args(route.answer)[0]) in route.body


def test_a_branch_has_the_id_that_it_is_given(ledger: Ledger, anywhere: Anywhere) -> None:
    run = anywhere.create_thread(agent_id="support").start_run()
    assert run.branch(run_id="run_what_if").id == "run_what_if"
    again = run.branch(run_id="run_what_if")
    assert (again.id, again.receipt.appended) == ("run_what_if", 0)
    with anywhere.batch() as batch:
        other = batch.run(run.id).branch()
        named = batch.run(run.id).branch(run_id="run_named")
    assert [ledger.now.run(each).parent.run_id for each in ("run_what_if", other.id, named.id)] == [run.id] * 3  # type: ignore[union-attr]


def test_a_run_of_another_thread_is_told_from_one_that_is_not_there(ledger: Ledger, anywhere: Anywhere) -> None:
    here, there = (anywhere.create_thread(agent_id="support", thread_id=f"thread_{name}") for name in ("here", "there"))
    run = there.start_run(run_id="run_there")
    before = ledger.position()
    asked: list[Callable[[str], Any]] = [
        lambda run_id: here.start_run(parent=run_id),
        lambda run_id: here.name_head("other", run_id),
        lambda run_id: here.move_head("other", run_id),
        lambda run_id: here.put_head("other", run_id),
        lambda run_id: here.messages(at_run=run_id),
        lambda run_id: here.context(at_run=run_id),
        lambda run_id: anywhere.now.items(here.id, run_id),
    ]
    for ask in asked:
        with pytest.raises(RunNotFound, match="run 'run_there' is of thread_there, not of thread_here; ask for it there"):
            ask(run.id)
        with pytest.raises(RunNotFound, match="there is no run 'run_nowhere'; `runfold runs` lists them all"):
            ask("run_nowhere")
    assert ledger.position() == before


def test_what_is_said_of_a_run_s_beginning_is_taken_only_where_it_begins(ledger: Ledger, anywhere: Anywhere) -> None:
    thread = anywhere.create_thread(agent_id="support")
    run = thread.start_run(agent_version="2.1", code_version="abc")
    (started,) = [each.event for each in ledger.events(run_id=run.id) if isinstance(each.event, RunStarted)]
    assert (started.agent_version, started.code_version) == ("2.1", "abc")
    before = ledger.position()
    for ask in (thread.create_run, run.branch):
        for name in ("agent_version", "code_version"):
            assert refused_path(ask, name, "2.2") == name
    assert ledger.position() == before


def test_none_is_not_given_where_it_says_nothing(ledger: Ledger, anywhere: Anywhere) -> None:
    """A program that may have no goal, key or time to tell is the same program here and over HTTP."""
    silent = {
        name: None
        for route in COMMANDS
        if route.method.__name__ in {"start_run", "create_run"}
        for name, field in route.body.items()
        if field.default is None and field.type is not Any and type(None) not in get_args(field.type)
    }
    assert {"occurred_at", "causation_id", "expected_version", "run_id", "key", "goal", "at_version"} <= silent.keys()
    thread = anywhere.create_thread(agent_id="support", occurred_at=None, correlation_id=None, traceparent=None)
    run = thread.start_run({"ticket": 42}, **silent)
    other = thread.start_run(parent=None)  # which says that it is a root
    run.add_message("user", "hello", occurred_at=None, causation_id=None, expected_version=None)
    roots = {each.id: ledger.now.run(each.id).parent for each in (run, other)}
    assert roots == {run.id: None, other.id: None}
    assert len(run.messages()) == 1


def test_what_is_no_list_is_refused_where_a_list_is_taken(ledger: Ledger, anywhere: Anywhere) -> None:
    ids = something_of_everything(ledger)
    before = ledger.position()
    asked = [(route, name) for route in COMMANDS for name, field in route.body.items() if get_origin(field.type) is list]
    found = {
        (route.name, name, given): refused_path(calling(anywhere, route, ids), name, given)
        for route, name in asked
        for given in (None, 5)
    }
    assert found == {key: key[1] for key in found}
    assert {("approvals.request", "eligible", None), ("messages.redact", "fields", None)} <= found.keys()
    assert ledger.position() == before


def test_content_that_is_none_is_refused_as_content(ledger: Ledger, anywhere: Anywhere) -> None:
    """As other systems have it of an assistant that only called a tool."""
    run = anywhere.create_thread(agent_id="support").start_run()
    message = run.add_message("user", "hello")
    before = ledger.position()
    for given in (None, 5, {"type": "text", "text": "hello"}):
        assert refused_path(lambda content: run.add_message("assistant", content), "content", given) == "content"
        assert refused_path(message.revise, "content", given) == "content"
    assert ledger.position() == before
