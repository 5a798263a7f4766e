"""The connections of a server: which of them goes where there are too many."""

from runfold.access.admission import Connections
from runfold.access.limits import Limits


class One:
    """A connection."""

    def __init__(self, address: str) -> None:
        self.address, self.is_there = address, True

    def evict(self) -> None:
        self.is_there = False


def test_the_first_to_go_has_asked_nothing_or_else_rests_for_the_longest() -> None:
    connections = Connections(Limits(connections=10))
    early, late, busy, other = (One(address) for address in ("a", "a", "a", "b"))
    for each in (early, late, busy, other):
        assert connections.admit(each)
        connections.is_busy(each)
    assert connections.first_rests("a") is None
    assert connections.end_first("a") is None
    for each in (early, late, other):
        connections.is_idle(each)
    silent = One("b")
    assert connections.admit(silent)
    of_a, of_all = connections.first_rests("a"), connections.first_rests(None)
    assert of_a is not None
    assert of_all is not None
    assert (of_a[0], of_all[0]) == (True, False)
    assert of_all < of_a, "what has asked nothing goes before what has"
    assert connections.end_first(None) is silent
    assert connections.first_rests(None) == of_a
    assert [connections.end_first("a") for _ in range(3)] == [early, late, None]
    assert connections.first_rests("a") is None
    assert connections.first_rests("nobody") is None
    assert [each.is_there for each in (early, late, busy, other, silent)] == [False, False, True, True, False]
    assert len(connections) == 2
    assert connections.refused["MadeRoom"] == 3
