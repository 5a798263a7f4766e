"""Log lines go to stderr, whichever that is when they are written."""

import contextlib
import io
import json
from collections.abc import Iterator

import pytest
import structlog

from runfold import logs


@pytest.fixture
def configured() -> Iterator[None]:
    """Whatever a test sets up is forgotten after it."""
    yield
    structlog.reset_defaults()


def test_a_line_goes_to_where_stderr_leads_by_then(configured: None) -> None:
    before, after = io.StringIO(), io.StringIO()
    log = structlog.get_logger()
    with contextlib.redirect_stderr(before):
        logs.configure()
        log.info("first")
    before.close()
    with contextlib.redirect_stderr(after):
        log.info("second", position=7)
    line = json.loads(after.getvalue())
    assert (line["event"], line["position"], line["level"]) == ("second", 7, "info")
