"""A list of subscriptions asks a fixed number of questions, and says of each what it says when it is asked for alone."""

import threading

import psycopg
import pytest

from runfold import Ledger, Run
from runfold.store.reading import firsts

WANTED: list[dict[str, object]] = [
    {},
    {"types": ["run.started"]},
    {"types": ["approval.*", "message.*"]},
    {"types": ["run.*"], "agent_id": ["a"]},
    {"agent_id": ["nobody"]},
]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keep each question of this thread: others follow the log meanwhile, and what readies a connection asks for nothing."""
    statements: list[str] = []
    execute, asking = psycopg.Cursor.execute, threading.current_thread()

    def noted(self: psycopg.Cursor[object], query: object, *args: object, **options: object) -> object:
        if threading.current_thread() is asking and query and "set_config" not in str(query):
            statements.append(str(query))
        return execute(self, query, *args, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(psycopg.Cursor, "execute", noted)
    return statements


@pytest.mark.parametrize("near", [2000, 0], ids=["looked through", "by type"])
def test_a_list_asks_no_more_for_many_than_for_one(
    ledger: Ledger, runs: list[Run], sent: list[str], near: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(firsts, "NEAR", near)
    for number in range(30):
        wanted = WANTED[number % len(WANTED)]
        ledger.subscription(f"s{number:02}").put(**wanted)  # type: ignore[arg-type]
        if number % 3 == 0:
            taken = ledger.subscription(f"s{number:02}").take(2)
            ledger.subscription(f"s{number:02}").acknowledge(
                taken.lease, [each.recorded.position for each in taken.deliveries[:1]]
            )
    runs[2].add_message("user", "hello")
    counted = dict[int, int]()
    for many in (1, 30):
        sent.clear()
        found = ledger.subscriptions.all("s00" if many == 1 else "", many)
        assert len(found) == many
        counted[many] = len(sent)
    assert counted[30] <= counted[1] + 1, "patterns are one question more"
    for each in found:
        assert ledger.subscription(each.name).view() == each
    oldest = {each.name: each.oldest_position for each in found}
    assert (oldest["s05"], oldest["s10"], oldest["s04"]) == (1, 1, None)
    assert oldest["s11"] == next(each.position for each in ledger.events(types=["run.started"]))
    assert oldest["s02"] == ledger.position()
