"""Log lines: for people on a terminal, JSON lines otherwise. Always on stderr; data goes to stdout."""

import logging
import sys
from typing import Any

import structlog

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure_unless_done(level: str) -> None:
    """Configure logging to stderr unless the host process already configured it."""
    if not structlog.is_configured():
        configure(level)


def configure(level: str = "info") -> None:
    """Configure structlog for this process."""
    terminal = sys.stderr.isatty()
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Any] = (
        [structlog.dev.ConsoleRenderer()]
        if terminal
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),  # the one there is now: it may have been redirected since
        cache_logger_on_first_use=False,
    )
