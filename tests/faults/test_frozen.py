"""A process that is stopped in the middle of what all others wait for, through the same code as `make faults`."""

import pytest

from faults.servers import OwnServer
from tests.faults.short import only

pytestmark = pytest.mark.paired


@pytest.mark.fault("K4", "C-4")
def test_a_process_that_freezes_while_it_holds_up_all_others_makes_them_wait_for_a_moment(own_server: OwnServer):
    figures = only("K4", own_server)
    assert figures.measured["frozen"] == 1
    assert figures.measured["went on after s"] < 5
