"""One row of the fault kit, short and seeded."""

from argparse import Namespace

from faults.run import run
from faults.servers import Server
from faults.stage import Figures

SEED = 20_261_001


def only(row: str, server: Server, events: int = 1500) -> Figures:
    """Run one row, short. What it could not run is an error."""
    asked = Namespace(rows=[row], seed=SEED, events=events, short=True, raise_errors=True)
    (figures,) = run(asked, server)
    assert figures.failures == []
    assert figures.wrong == 0, figures.examples
    return figures
