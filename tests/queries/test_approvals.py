"""What waits for a person, and who decided what, on which arguments."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runfold import Ledger, Thread
from runfold.domain.approval_events import Vote
from runfold.domain.values import digest
from runfold.errors import ReadModelBehind, UsageError
from runfold.projections.approval_queue import ApprovalQueue, ApprovalRow
from runfold.store.reading.reader import Reader
from runfold.store.reading.tenant_reader import TenantReader
from tests.queries.listed import DAWN, MINUTE, TOOLS, VOTERS, Listed

ASKED = settings(derandomize=True, deadline=None, database=None, max_examples=100, suppress_health_check=list(HealthCheck))
COLUMNS = ("status", "thread_id", "run_id", "agent_id", "user_id", "goal_id", "action", "requested_by", "decided_by", "call_id")
NEVER = datetime.max.replace(tzinfo=UTC)


def found_by_looking(rows: list[ApprovalRow], asked: dict[str, Any]) -> list[ApprovalRow]:
    """The whole list, in its order, written without SQL."""
    rows = [
        row
        for row in rows
        if all(not asked.get(name) or getattr(row, name) in asked[name] for name in COLUMNS)
        and ("expires_before" not in asked or (row.expires_at or NEVER) < asked["expires_before"])
        and ("older_than" not in asked or datetime.now(UTC) - (row.requested_at or NEVER) >= asked["older_than"])
    ]
    by = asked.get("order_by", "requested_position")
    order = asked.get("order", "asc" if set(asked.get("status", ())) == {"open"} else "desc")

    def place_of(row: ApprovalRow) -> tuple[bool, Any, str]:
        value = getattr(row, by)
        return value is None, value or 0, row.approval_id

    return sorted(rows, key=place_of, reverse=order == "desc")


@st.composite
def questions(draw: st.DrawFn, rows: list[ApprovalRow]) -> dict[str, Any]:
    """A few filters of all that there are, and an order."""
    values: dict[str, st.SearchStrategy[Any]] = {
        name: st.lists(st.sampled_from(sorted({getattr(row, name) for row in rows} - {None})), max_size=3) for name in COLUMNS
    }
    values |= {
        "expires_before": st.sampled_from([DAWN, DAWN + MINUTE, DAWN + 2 * MINUTE, NEVER - timedelta(days=2)]),
        "older_than": st.sampled_from([timedelta(0), timedelta(days=30), timedelta(days=365 * 5), timedelta(days=10**8)]),
        "order_by": st.sampled_from(["requested_position", "expires_at", "decided_position"]),
        "order": st.sampled_from(["asc", "desc"]),
    }
    names = draw(st.sets(st.sampled_from(sorted(values)), max_size=4))
    return {name: draw(values[name]) for name in sorted(names)}


def test_any_question_finds_what_a_look_at_every_row_finds(listed: Listed) -> None:
    rows = listed.rows(ApprovalQueue())

    @ASKED
    @given(questions(rows), st.integers(1, 30))
    def same(asked: dict[str, Any], limit: int) -> None:
        assert listed.all("approvals", limit, **asked) == found_by_looking(rows, asked)

    same()


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("by", ["requested_position", "expires_at", "decided_position"])
def test_pages_leave_out_nothing_where_some_have_nothing_to_sort_by(listed: Listed, by: str, order: str) -> None:
    rows = listed.rows(ApprovalQueue())
    assert sum(row.expires_at is None for row in rows) > 5
    for limit in (1, 4):
        assert listed.all("approvals", limit, order_by=by, order=order) == found_by_looking(
            rows, {"order_by": by, "order": order}
        )


@pytest.mark.row("CV-46", "LT-99", "LT-42")
def test_the_queue_over_all_runs_the_oldest_first(ledger: Ledger) -> None:
    asked = []
    for number, agent in enumerate(("support", "sales", "support")):
        run = ledger.create_thread(agent_id=agent, user_id="mira").start_run(goal={"id": f"g{number}"})
        expires_at = None if number else datetime(2999, 1, 1, tzinfo=UTC)
        asked.append(run.request_approval("refund", arguments={"order": number}, expires_at=expires_at, actor="agent:a").id)
    ledger.fold("approval_queue")
    assert ids(ledger, status="open") == asked
    assert ids(ledger) == asked[::-1]
    assert ids(ledger, status="open", agent_id="support") == [asked[0], asked[2]]
    assert ids(ledger, goal_id="g1", user_id="mira", action="refund", requested_by="agent:a") == [asked[1]]
    assert ids(ledger, expires_before=datetime(3000, 1, 1, tzinfo=UTC)) == [asked[0]]
    assert ids(ledger, status="open", order_by="expires_at") == [asked[0], *sorted(asked[1:])]


def test_what_was_asked_long_ago_is_found_by_its_age(thread: Thread, ledger: Ledger) -> None:
    now = datetime.now(UTC)
    for hours in (0, 2, 50):
        run = thread.start_run(parent=None)
        run.request_approval("refund", approval_id=f"approval_{hours}", occurred_at=now - timedelta(hours=hours))
    ledger.fold("approval_queue")
    assert ids(ledger, status="open", older_than="1h") == ["approval_2", "approval_50"]
    assert ids(ledger, status="open", older_than="2d") == ["approval_50"]
    assert ids(ledger, status="open", older_than=timedelta(days=3)) == []


@pytest.mark.row("CV-46", "LT-99", "AG-09")
def test_who_decided_what_on_which_arguments(thread: Thread, ledger: Ledger) -> None:
    run = thread.start_run()
    edited, denied = (run.request_approval("refund", arguments={"amount": 50 + n}, message=f"refund {n}?") for n in range(2))
    run.request_approval("mail", arguments="to the letter ")
    edited.grant(arguments={"amount": 40}, comment="less", actor="human:ada")
    denied.deny("too much", actor="human:bob")
    ledger.fold("approval_queue")
    (by_ada,) = ledger.now.approvals(decided_by="human:ada").items
    assert (by_ada.approval_id, by_ada.status, by_ada.edited) == (edited.id, "granted", True)
    assert by_ada.effective_digest == digest('{"amount":40}')
    page = ledger.now.approvals(order="asc")
    words = ledger.now.approval_words(page.items)
    said = [
        (w.message, w.arguments_text, w.effective_arguments_text, w.votes) for w in (words[i.approval_id] for i in page.items)
    ]
    assert said == [
        ("refund 0?", '{"amount":50}', '{"amount":40}', (Vote(voter="human:ada", verdict="approve", comment="less"),)),
        ("refund 1?", '{"amount":51}', None, (Vote(voter="human:bob", verdict="deny", comment="too much"),)),
        (None, "to the letter ", None, ()),
    ]
    view = ledger.now.approval(edited.id)
    assert view.effective_digest == by_ada.effective_digest
    assert ledger.now.approval_words([]) == {}


def test_the_words_to_every_approval_are_those_of_the_approval_itself(listed: Listed) -> None:
    rows = listed.rows(ApprovalQueue())
    words = listed.ledger.now.approval_words(rows)
    assert set(words) == {row.approval_id for row in rows}
    for row in rows:
        view = listed.ledger.now.approval(row.approval_id)
        said = words[row.approval_id]
        assert (said.arguments_text, said.effective_arguments_text) == (view.arguments_text, view.effective_arguments_text)
        assert said.votes == (view.votes if row.status in {"granted", "denied"} else ())
        assert digest(said.arguments_text) == row.arguments_digest


@pytest.mark.row("CV-45")
def test_listing_and_deciding_replays_no_stream_however_long_it_is(
    thread: Thread, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = thread.start_run()
    with ledger.batch() as batch:
        for number in range(500):
            batch.run(run.id).add_message("assistant", f"{number}")
    approval = run.request_approval("refund")
    ledger.fold("approval_queue")

    def refuse(*_: object, **__: object) -> Callable[[], None]:
        raise AssertionError("the stream was read")

    monkeypatch.setattr(TenantReader, "stream", refuse)
    monkeypatch.setattr(Reader, "events", refuse)
    (row,) = ledger.now.approvals(run_id=run.id, status="open").items
    assert row.approval_id == approval.id
    assert ledger.approval(row.approval_id).grant(actor="human:ada").appended == 3


def test_an_approval_past_its_time_stays_open_until_that_is_recorded(thread: Thread, ledger: Ledger) -> None:
    approval = thread.start_run().request_approval("refund", expires_in=timedelta(microseconds=1))
    ledger.fold("approval_queue")
    assert ids(ledger, status="open", expires_before=datetime.now(UTC)) == [approval.id]
    approval.expire()
    ledger.fold("approval_queue")
    assert ids(ledger, status="open") == []
    assert ids(ledger, status="expired") == [approval.id]


@pytest.mark.shares
@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"status": "pending"}, "expected one of open, granted, denied, expired, withdrawn"),
        ({"older_than": "yesterday"}, "older_than takes a duration such as 90s, 15m, 1h or 7d, not 'yesterday'"),
        ({"older_than": 5}, "older_than"),
        ({"older_than": "9999999999999d"}, "older_than"),
        ({"expires_before": "tomorrow"}, "expires_before takes a time with its zone"),
        ({"order_by": "age"}, "expected one of requested_position, expires_at, decided_position"),
        ({"agent": "a"}, "unknown parameter 'agent'"),
    ],
)
def test_what_nothing_could_be_asked_by_is_refused(ledger: Ledger, asked: dict[str, Any], said: str) -> None:
    ledger.fold("approval_queue")
    with pytest.raises(UsageError) as refused:
        ledger.now.approvals(**asked)
    assert said in str(refused.value)


@pytest.mark.not_begun
def test_one_just_asked_is_listed_once_its_position_is_asked_for(thread: Thread, ledger: Ledger) -> None:
    approval = thread.start_run().request_approval("refund")
    assert approval.receipt is not None
    position = approval.receipt.position
    with pytest.raises(ReadModelBehind, match="approval_queue has not been built yet"):
        ledger.now.approvals(min_position=position, wait_seconds=0.01)
    ledger.fold("approval_queue")
    assert [row.approval_id for row in ledger.now.approvals(min_position=position).items] == [approval.id]


def test_the_voters_and_actions_of_the_made_up_runs_are_there(listed: Listed) -> None:
    rows = listed.rows(ApprovalQueue())
    assert {row.status for row in rows} == {"open", "granted", "denied", "expired", "withdrawn"}
    assert {row.decided_by for row in rows} > set(VOTERS)
    assert {row.action for row in rows} >= set(TOOLS)


def ids(ledger: Ledger, **asked: Any) -> list[str]:
    """The approvals that are listed."""
    return [row.approval_id for row in ledger.now.approvals(**asked).items]
