"""What is taken of a block, however often it is asked and by whomever, is what their filters take one by one."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from runfold.domain.recorded import Recorded
from runfold.feed.block import MOST_FILTERS, Block
from runfold.store.codec import unread_or_raw
from runfold.store.reading.filter import Filter

TYPES = ("run.created", "run.started", "message.added", "message.revised")
THREADS, TENANTS = ("thread_1", "thread_2"), ("default", "other")
BEGINS = 41

ROWS = st.lists(st.tuples(st.sampled_from(TYPES), st.sampled_from(THREADS), st.sampled_from(TENANTS)), min_size=8, max_size=20)
FILTERS = st.builds(
    Filter,
    thread_id=st.sampled_from([None, *THREADS]),
    tenant_id=st.sampled_from([None, *TENANTS]),
    types=st.sampled_from([(), ("run.*",), ("message.added", "run.started")]),
)
PLACES = st.integers(0, 22).map(lambda index: BEGINS - 2 + index)


def recorded(position: int, type: str, thread: str, tenant: str) -> Recorded:
    """Return an event whose contents nobody asks for."""
    moment = datetime(2026, 1, 31, tzinfo=UTC)
    row: tuple[Any, ...] = (position, "run_1", position, type, 1, b"[]", tenant, thread, bytes(16), moment, "{}", "{}", None)
    return unread_or_raw(row)


@settings(max_examples=100, deadline=None, database=None, derandomize=True)
@given(
    ROWS,
    st.lists(
        st.tuples(FILTERS, PLACES, PLACES).map(lambda asked: (asked[0], *sorted(asked[1:]))),
        min_size=1,
        max_size=3 * MOST_FILTERS,
    ),
)
def test_a_filter_takes_of_a_block_what_it_takes_of_its_events(rows: Any, asked: Any) -> None:
    events = [recorded(BEGINS + index, *row) for index, row in enumerate(rows)]
    block = Block(events, 0)
    for wanted, after, up_to in asked:
        plainly = [each.position for each in events if wanted.takes(each) and after < each.position <= up_to]
        assert block.taken(wanted, after, up_to) == plainly
    assert [position for position in range(BEGINS + 40) if block.holds(position)] == [each.position for each in events]


@given(st.lists(st.integers(0, 9), min_size=1))
def test_each_frame_is_made_once_and_its_bytes_are_counted_once(asked: list[int]) -> None:
    block = Block([recorded(BEGINS + index, "run.created", "thread_1", "default") for index in range(10)], 0)
    made: list[int] = []

    def framing(each: Recorded) -> bytes:
        made.append(each.position)
        return b"x" * each.position

    for index in asked:
        assert len(block.frame(BEGINS + index, "runfold", framing)) == BEGINS + index
    assert sorted(made) == sorted({BEGINS + index for index in asked})
    assert block.frame_bytes == sum(made)
