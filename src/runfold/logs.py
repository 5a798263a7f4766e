"""Log lines: for people on a terminal, JSON lines otherwise. Always on stderr; data goes to stdout.

structlog takes a tenth of the time in which a command is done, and most commands log nothing: it is loaded with the first line.
"""

import logging
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_asked: list[str] = []
"""The level that this process was configured for, if it was."""


def logger(name: str = "") -> "FilteringBoundLogger":
    """Return the logger of that name, for a line that is written now."""
    import structlog  # noqa: PLC0415  see above

    if _asked and not structlog.is_configured():
        _configure(_asked[-1])
    found: FilteringBoundLogger = structlog.get_logger(*[name] if name else [])
    return found


def debug(event: str, **facts: Any) -> None:
    """Write a line for who looks for a fault. Nothing is loaded to leave it out."""
    if "structlog" in sys.modules or _asked == ["debug"]:
        logger().debug(event, **facts)


def configure_unless_done(level: str) -> None:
    """Configure logging to stderr unless the host process already configured it."""
    if "structlog" in sys.modules:
        import structlog  # noqa: PLC0415  see above

        if structlog.is_configured():
            return
    if not _asked:
        configure(level)


def configure(level: str = "info") -> None:
    """Configure structlog for this process: now, or when it is loaded."""
    _asked[:] = [level]
    if "structlog" in sys.modules:
        _configure(level)


def _configure(level: str) -> None:
    import structlog  # noqa: PLC0415  see above

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
