"""What usage adds up to by day, agent, model, node and import; and besides by user and goal. No run or thread is in it.

Sums of tokens stand beside the number of calls that told them, because null is not zero: a count that no call told is null.
Whatever asks for more than these columns (a run, a thread, a call) is answered from the rows of `usage` themselves.
"""

from datetime import date
from decimal import Decimal
from importlib import resources

from runfold.domain.usage import Tokens
from runfold.projections.prices.book import CURRENCY
from runfold.projections.projection import Row, Totals

UNSTATED = "unstated"
"""Where a cost was reported and nobody said whose word it is."""
TOKENS = tuple(name for name in Tokens.model_fields if name != "reasoning_beside")
TOLD = "_told"
"""What follows the name of a sum of tokens in that of the number of calls that told them."""


class UsageTotal(Row):
    """What calls of one day, agent, model … used, and cost in one currency by one source."""

    day: date | None = None
    """The UTC day."""
    agent_id: str | None = None
    """Who ran."""
    provider: str | None = None
    """The provider; null where nobody said."""
    model: str | None = None
    """The model; null where nobody said."""
    node_id: str | None = None
    """The node of the run's graph; null where nobody said."""
    source: str | None = None
    """The import that brought the runs; null where none did."""
    user_id: str | None = None
    """Whose threads these are."""
    goal_id: str | None = None
    """What the runs are for."""
    currency: str | None = None
    """The currency of cost; null for calls whose cost nobody knows."""
    cost_source: str | None = None
    """Whose word the cost is: `provider`, `local` or `unstated`; null where it was computed."""
    price_source: str | None = None
    """The price list that the cost was computed by; null where it was reported."""
    parts: int = 0
    """How many calls and costs it is the sum of; 0: what was in it counts elsewhere since."""
    calls: int = 0
    """Model calls. One that was reported in several currencies counts in one of them."""
    cost: Decimal = Decimal(0)
    """What they cost; 0 where nobody knows it."""
    input_tokens: Decimal = Decimal(0)
    """The sum of input_tokens of the calls that told it."""
    input_tokens_told: int = 0
    """How many calls told it; 0: the sum is null and not zero."""
    output_tokens: Decimal = Decimal(0)
    """The sum of output_tokens of the calls that told it."""
    output_tokens_told: int = 0
    """How many calls told it."""
    total_tokens: Decimal = Decimal(0)
    """The sum of total_tokens of the calls that told it."""
    total_tokens_told: int = 0
    """How many calls told it."""
    cache_read_input_tokens: Decimal = Decimal(0)
    """The sum of cache_read_input_tokens of the calls that told it."""
    cache_read_input_tokens_told: int = 0
    """How many calls told it."""
    cache_creation_input_tokens: Decimal = Decimal(0)
    """The sum of cache_creation_input_tokens of the calls that told it."""
    cache_creation_input_tokens_told: int = 0
    """How many calls told it."""
    reasoning_output_tokens: Decimal = Decimal(0)
    """The sum of reasoning_output_tokens of the calls that told it."""
    reasoning_output_tokens_told: int = 0
    """How many calls told it."""
    cache_creation_1h_input_tokens: Decimal = Decimal(0)
    """The sum of cache_creation_1h_input_tokens of the calls that told it."""
    cache_creation_1h_input_tokens_told: int = 0
    """How many calls told it."""
    web_search_requests: Decimal = Decimal(0)
    """The sum of web_search_requests of the calls that told it."""
    web_search_requests_told: int = 0
    """How many calls told it."""


def _parts() -> str:
    text = (resources.files("runfold.projections") / "usage_totals.sql").read_text("utf-8").partition("-- name: parts\n")[2]
    counts = ", ".join(f"coalesce(u.{name}, 0) AS {name}, (u.{name} IS NOT NULL)::int AS {name}{TOLD}" for name in TOKENS)
    named = {"currency": CURRENCY, "unstated": UNSTATED, "counts": counts, "no_counts": ", ".join("0" for _ in TOKENS * 2)}
    for name, said in named.items():
        text = text.replace(f"{{{name}}}", said)
    return text


PARTS = _parts()
"""What rows of usage add to totals; `{rows}` are rows of usage, each with a `sign`, 1 or -1."""

USAGE_TOTALS = (
    Totals(
        name="usage_by_model",
        purpose="What model calls used and cost, by day, agent, model, node and import.",
        row=UsageTotal,
        without=("user_id", "goal_id"),
        parts=PARTS,
    ),
    Totals(
        name="usage_by_user",
        purpose="What model calls used and cost, by day, agent, model, node and import, and by user and goal besides.",
        row=UsageTotal,
        without=(),
        parts=PARTS,
    ),
)
"""From few rows to more: the first that has all that is asked for answers."""
