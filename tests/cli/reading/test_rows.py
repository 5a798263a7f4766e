"""`runfold rows`: any read model by any of its columns."""

import pytest

from runfold import Ledger
from tests.cli.conftest import Command
from tests.queries.every_column import NAME, SAID, WRONG_TEXTS, advised, as_text, matches


def test_every_column_is_asked_for_by_text(runfold: Command, ledger: Ledger) -> None:
    with ledger.batch() as batch:
        for number in range(1, 31):
            batch.create_thread(thread_id=f"thread_{number}", agent_id="a")
    ledger.fold(NAME)
    whole = ledger.now.rows(NAME).items
    for name, values in SAID.items():
        for asked in (values[-1], *([None] if name == "price" else [])):
            answer = runfold("rows", NAME, "--where", f"{name}={as_text(asked)}", "--json")
            assert answer.code == 0, answer.err
            due = [row.thread_id for row in whole if matches(row, name, asked)]
            assert [item["thread_id"] for item in answer.json["items"]] == due, (name, asked)


@pytest.mark.shares
@pytest.mark.parametrize("name", WRONG_TEXTS)
def test_what_is_no_value_of_a_column_is_a_mistake_in_the_call(runfold: Command, ledger: Ledger, name: str) -> None:
    ledger.fold(NAME)
    answer = runfold("rows", NAME, "--where", f"{name}={WRONG_TEXTS[name][0]}")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith(f"runfold: {name} takes ")
    for example in advised(answer.err)[-1:]:
        assert runfold("rows", NAME, "--where", f"{name}={example}").code == 0


def test_pages_of_one_row_are_the_whole_list_forwards_and_backwards(runfold: Command, ledger: Ledger) -> None:
    with ledger.batch() as batch:
        for number in range(1, 6):
            batch.create_thread(thread_id=f"thread_{number}", agent_id="a")
    ledger.fold(NAME)
    whole = [row.thread_id for row in ledger.now.rows(NAME).items]
    for order in ("asc", "desc"):
        found: list[str] = []
        more: list[str] = []
        while True:
            page = runfold("rows", NAME, "--limit", "1", "--order", order, "--json", *more).json
            found += [item["thread_id"] for item in page["items"]]
            if page["next_cursor"] is None:
                break
            more = ["--cursor", page["next_cursor"]]
        assert found == (whole if order == "asc" else whole[::-1])


def test_of_several_values_of_a_column_any_will_do_and_different_columns_must_all_match(runfold: Command, ledger: Ledger) -> None:
    for title in ("a", "b", "c"):
        ledger.create_thread(agent_id="a" if title == "a" else "other", title=title)
    ids = [recorded.thread_id for recorded in ledger.events()]
    asked = ["--where", f"thread_id={ids[0]}", "--where", f"thread_id={ids[1]}"]
    both = runfold("rows", "threads", *asked, "--fold", "--json").json["items"]
    assert {item["thread_id"] for item in both} == set(ids[:2])
    one = runfold("rows", "threads", *asked, "--where", "agent_id=other", "--json").json["items"]
    assert [item["thread_id"] for item in one] == [ids[1]]


def test_rows_as_of_the_past(runfold: Command, ledger: Ledger) -> None:
    first = ledger.create_thread(agent_id="a")
    ledger.create_thread(agent_id="a")
    assert [item["thread_id"] for item in runfold("rows", "threads", "--at", "1", "--json").json["items"]] == [first.id]
    of_own = runfold("rows", NAME, "--at", "2")
    assert (of_own.code, f"runfold rebuild {NAME} --at 2 --into NAME" in of_own.err) == (2, True)
