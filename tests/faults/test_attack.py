"""A served ledger under attack, for some seconds, through the same code as `scripts/faults/attack.py`."""

import pytest

from faults.attack import attack
from faults.servers import OwnServer

pytestmark = pytest.mark.alone


SCHEDULED_MS = 20.0
"""Of the few answers of a short run the slowest is what two cores, which the attackers share, happen to give. The long run of
the script holds the ratio itself."""
MOST_MIB = 640
"""A short run is all warm-up, so what it may hold is bounded, not how it grows: some copies of the 128 MiB in flight."""


@pytest.mark.fault("K1", "K2", "K3")
def test_clients_go_on_working_beside_every_attack_at_once(own_server: OwnServer):
    report = attack(own_server, seconds=8, seed=20_261_001, freeze_every=None)
    assert report.requests > 100
    undisturbed = max(report.undisturbed_health_p99_ms, SCHEDULED_MS)
    warm = [max(report.memory_mib)] * 3
    assert report._replace(undisturbed_health_p99_ms=undisturbed, memory_mib=warm).faults == [], report
    assert max(report.memory_mib) < MOST_MIB, report
