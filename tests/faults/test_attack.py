"""A served ledger under attack, for some seconds, through the same code as `scripts/faults/attack.py`."""

import pytest

from faults.attack import attack
from faults.servers import OwnServer

pytestmark = pytest.mark.alone


@pytest.mark.fault("K1", "K2", "K3")
def test_clients_go_on_working_beside_every_attack_at_once(own_server: OwnServer):
    report = attack(own_server, seconds=8, seed=20_261_001, freeze_every=None)
    assert report.requests > 100
    assert report.faults == [], report
