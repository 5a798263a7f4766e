"""A read model of your own: what each customer's runs used, folded from the log and asked for with your own words."""

from collections.abc import Iterable
from typing import Any

from runfold import Ledger, Projection, Recorded, Row
from runfold.domain.usage import UsageRecorded


class Customer(Row):
    """One customer."""

    customer: str
    calls: int = 0
    tokens: int = 0


class CostsByCustomer(Projection[Customer]):
    """How many model calls and tokens each customer's threads took."""

    name, version, row, key, events = "costs_by_customer", 1, Customer, ("customer",), (UsageRecorded,)

    def keys(self, recorded: Recorded) -> Iterable[tuple[Any, ...]]:
        """The customer is the thread's user, which stands beside every event."""
        return [(recorded.context.user_id,)] if recorded.context.user_id else []

    def evolve(self, row: Customer, recorded: Recorded) -> Customer:
        """Add one call."""
        assert isinstance(recorded.event, UsageRecorded)
        used = recorded.event.tokens
        return row.but(calls=row.calls + 1, tokens=row.tokens + (used.input_tokens or 0) + (used.output_tokens or 0))


def main() -> None:
    """Record some use, fold it, and ask."""
    with Ledger.open() as ledger:
        for user, calls in (("ada", 2), ("ben", 1)):
            run = ledger.create_thread(agent_id="support", user_id=user).start_run()
            for _ in range(calls):
                run.usage(provider="openai", model="gpt-4o", input_tokens=100, output_tokens=20)
            run.complete()
        ledger.fold("costs_by_customer:CostsByCustomer")  # as `runfold work` keeps it up, beside the others
        page = ledger.now.rows("costs_by_customer:CostsByCustomer")
        for row in page.items:
            print(f"{row.customer}: {row.calls} calls, {row.tokens} tokens")
        print("up to date:", page.standing.position == ledger.position())


if __name__ == "__main__":
    main()
