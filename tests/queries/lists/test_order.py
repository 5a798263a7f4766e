"""Which way round a list is: one word, and whatever else is given is refused in our words."""

from typing import Any

import pytest

from runfold.errors import UsageError
from runfold.queries.lists.paging import ordered


@pytest.mark.parametrize("order", [[], (), ["asc", "desc"], "up", "", None, 1, [None]])
def test_what_is_no_order_is_refused(order: Any) -> None:
    with pytest.raises(UsageError, match="order"):
        ordered(order)


def test_an_order_is_a_step_through_the_list() -> None:
    assert (ordered("asc"), ordered("desc"), ordered(["desc"])) == (1, -1, -1)
