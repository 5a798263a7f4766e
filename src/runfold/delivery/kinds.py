"""Which reactors there are, by their kind: what `runfold work` and `runfold serve` carry out beside folding."""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from runfold.delivery.loop import ReactorLoop
from runfold.delivery.reactor import Reactor
from runfold.delivery.sweeper import sweepers
from runfold.delivery.sweeper_rules import RULES
from runfold.delivery.webhook_reactors import webhook_reactors
from runfold.ledger import Ledger

KINDS: Mapping[str, Callable[[Ledger], Iterable[Reactor]]] = {
    "sweepers": lambda ledger: sweepers(ledger, RULES),
    "webhooks": webhook_reactors,
}
"""Each makes its reactors for a ledger."""


def reactor_loop(
    ledger: Ledger, kinds: Iterable[str], others: Mapping[str, Callable[[Ledger], Iterable[Reactor]]] = MappingProxyType({})
) -> ReactorLoop:
    """Return what carries out the reactors of some kinds, of which rooms above make `others`.

    Raises KeyError for a kind that there is not.
    """
    known = {**KINDS, **others}
    return ReactorLoop(ledger.recorder.store, [reactor for kind in kinds for reactor in known[kind](ledger)])
