"""A run as AG-UI's events, read from the log."""

from typing import Any

from runfold.domain.message import MessageRedacted
from runfold.domain.recorded import Recorded
from runfold.errors import RunNotFound, UsageError
from runfold.queries.question import question
from runfold.queries.sources.source import LocalSource
from runfold.store.reading.filter import Filter


@question
def ag_ui(source: LocalSource, run_id: str) -> list[dict[str, Any]]:
    """A run as AG-UI's events, whatever it came from; its input holds what was said along its path before it.

    Raises RunNotFound, and UsageError where the extra `agui` is not installed.
    """
    try:
        from runfold.agui.run_events import RunEvents  # noqa: PLC0415  an extra, which few questions need
    except ModuleNotFoundError as error:
        raise UsageError(f"AG-UI needs {error.name}; install it with `pip install 'runfold[agui]'`") from None
    first = source.first(run_id, RunNotFound)
    events = source.reader.events(Filter(thread_id=first.thread_id, tenant_id=first.tenant_id), up_to=source.up_to)
    hidden: dict[str, frozenset[str]] = {}
    for recorded in source.reader.events(
        Filter(thread_id=first.thread_id, tenant_id=first.tenant_id, types=("message.redacted",)), up_to=source.up_to
    ):
        _hide(hidden, recorded)
    run = RunEvents(run_id, past=source.history(run_id).past_events(), with_past=True, hidden=hidden)
    return [told for recorded in events for told in run.take(recorded)] + run.settle()


def _hide(hidden: dict[str, frozenset[str]], recorded: Recorded) -> None:
    redacted = recorded.event
    if isinstance(redacted, MessageRedacted):
        hidden[redacted.message_id] = hidden.get(redacted.message_id, frozenset()) | set(redacted.fields)
