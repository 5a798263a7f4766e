"""Pages grow while they are quick, and shrink while they are slow or too much for the database."""

from psycopg import errors

from runfold.projector.folding.page_size import QUICK_SECONDS, SLOW_SECONDS, SMALLEST_PAGE, TRIED_AGAIN_AFTER, PageSize


def test_pages_grow_while_they_are_quick_and_shrink_while_they_are_slow() -> None:
    size = PageSize(500, 8_000)
    slow, neither = SLOW_SECONDS + 0.01, (QUICK_SECONDS + SLOW_SECONDS) / 2
    for seconds, taken, then in [
        (0.01, 500, 1000),
        (0.01, 999, 1000),
        (0.01, 1000, 2000),
        (slow, 7, 1000),
        (neither, 1000, 1000),
    ]:
        size.taken(taken, seconds)
        assert size.positions == then
    for _ in range(20):
        size.taken(10, 9.0)
    assert size.positions == SMALLEST_PAGE


def test_what_was_too_much_is_tried_again_after_many_that_went_well() -> None:
    size = PageSize(500, 8_000)
    size.failed(errors.AdminShutdown())
    assert size.positions == 500, "a server that stops says nothing of pages"
    size.failed(errors.QueryCanceled())
    assert size.positions == 250
    for number in range(TRIED_AGAIN_AFTER):
        size.taken(size.positions, 0.01)
        assert size.positions == 250, number
        size.stored()
    size.taken(250, 0.01)
    assert size.positions == 500
    for _ in range(10 * TRIED_AGAIN_AFTER):
        size.taken(size.positions, 0.01)
        size.stored()
    assert size.positions == 8_000
