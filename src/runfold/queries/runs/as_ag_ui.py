"""A run as AG-UI's events, read from the log."""

from dataclasses import replace
from typing import Any

from runfold.domain.message import REDACTIONS
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
        from runfold.agui.conversation import hidden_by  # noqa: PLC0415  an extra, which few questions need
        from runfold.agui.run_events import RunEvents  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise UsageError(f"AG-UI needs {error.name}; install it with `pip install 'runfold[agui]'`") from None
    first = source.first(run_id, RunNotFound)
    of_thread = Filter(thread_id=first.thread_id, tenant_id=first.tenant_id)
    events = source.reader.events(of_thread, up_to=source.up_to)
    hidden = hidden_by(source.reader.present.events(replace(of_thread, types=REDACTIONS)))
    run = RunEvents(run_id, past=source.history(run_id).past_events(), with_past=True, hidden=hidden)
    return [told for recorded in events for told in run.take(recorded)] + run.settle()
