"""A list of nobody is refused where events are handed on: whoever made it means nobody, and would be given everybody's events."""

from collections.abc import Iterable
from typing import get_type_hints

import httpx2
import pytest

from runfold import Ledger
from runfold.errors import UsageError
from runfold.feed.asked import EventFilter

pytestmark = pytest.mark.shares
SEVERAL = sorted(name for name, hint in get_type_hints(EventFilter).items() if "Iterable" in str(hint))


def test_there_are_filters_of_several() -> None:
    assert SEVERAL == ["actor", "agent_id", "goal_id", "types", "user_id"]


@pytest.mark.parametrize("nobody", [[], (), iter(())], ids=["list", "tuple", "iterator"])
@pytest.mark.parametrize("name", SEVERAL)
def test_events_of_nobody_are_refused_by_name_and_not_those_of_all(
    ledger: Ledger, address: str, name: str, nobody: Iterable[str]
) -> None:
    by = "by_actor" if name == "actor" else name
    with Ledger.connect(address, "rf_any") as remote:
        for anywhere in (ledger, remote):
            for ask in (anywhere.events, anywhere.subscribe, anywhere.subscription("mirror").put):
                with pytest.raises(UsageError, match=f"{name} is empty"):
                    ask(**{name: nobody})  # type: ignore[operator]  # it is one of the filters
            with pytest.raises(UsageError, match=f"{by} is empty"):
                anywhere.create_webhook("https://hooks.example.com", **{by: nobody})  # type: ignore[arg-type]  # as above
    assert not ledger.subscriptions.all()
    assert not ledger.now.webhooks()


@pytest.mark.parametrize("filters", [*({name: []} for name in SEVERAL), {"thread_id": ""}, {"run_id": ""}], ids=str)
def test_over_http_too(ledger: Ledger, address: str, filters: dict[str, object]) -> None:
    with httpx2.Client(base_url=address, headers={"Authorization": "Bearer rf_any"}) as client:
        refused = client.put("/subscriptions/mirror", json=filters)
        assert refused.status_code in {400, 404}, refused.text
        assert client.put("/subscriptions/mirror", json=dict.fromkeys(filters)).is_success
    assert [each.wanted for each in ledger.subscriptions.all()] == [{}]


def test_a_filter_of_none_narrows_nothing(ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="a").start_run()
    assert ledger.events(agent_id=None, types=None, run_id=run.id)  # type: ignore[arg-type]  # as a caller may give it
