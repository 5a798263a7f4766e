"""One run, straight from the log: at a glance, its state document, its steps, its path, its events."""

from collections.abc import Iterator
from typing import Annotated, Any

from runfold.domain.recorded import Recorded
from runfold.domain.run import Run
from runfold.errors import RunNotFound, ThreadNotFound
from runfold.history.path import History
from runfold.history.step_list import TYPES as STEP_TYPES
from runfold.history.step_list import Order, StepView, step_list
from runfold.history.views import RunView
from runfold.queries.lists.paging import direction, ordered
from runfold.queries.lists.parameters import AT_VERSION
from runfold.queries.question import question
from runfold.queries.sources.source import LocalSource


@question
def run(source: LocalSource, run_id: str, at_version: Annotated[int | None, AT_VERSION] = None) -> RunView:
    """A run at a glance, at its present or an earlier version. Raises RunNotFound."""
    state = Run(run_id)
    return RunView.of(state, *source.fold(state, RunNotFound, at_version))


@question
def state(source: LocalSource, run_id: str, at_version: Annotated[int | None, AT_VERSION] = None) -> Any:
    """The shared state document as of a run, along its path. Raises RunNotFound."""
    return source.history(run_id, at_version=at_version).state()


@question
def steps(source: LocalSource, run_id: str, *, order: Annotated[Order, direction("asc")] = "asc") -> list[StepView]:
    """The steps and model calls that a run began, oldest first unless it says otherwise. Raises RunNotFound."""
    way = ordered(order)
    source.first(run_id, RunNotFound)
    return step_list(source.reader.stream(run_id, up_to=source.up_to, types=STEP_TYPES))[::way]


@question
def history(source: LocalSource, run_id: str, thread_id: str | None = None, *, at_version: int | None = None) -> History:
    """The path root → run. Raises RunNotFound, also where the run is not of that thread."""
    return source.history(run_id, thread_id, at_version=at_version)


@question
def run_events(source: LocalSource, run_id: str, at_version: int | None = None) -> Iterator[Recorded]:
    """Every event of a run's stream, those too that only a newer Runfold knows. Raises RunNotFound."""
    stored = source.tolerant()
    stored.first(run_id, RunNotFound)
    return stored.stream(Run, run_id, at_version)


@question
def require(source: LocalSource, stream: str, missing: type[ThreadNotFound | RunNotFound]) -> None:
    """Raise the error given unless there is a thread or run with this id."""
    source.first(stream, missing)
