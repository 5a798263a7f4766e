"""One thread, straight from the log: at a glance, its tree and heads, its conversation, its events."""

from collections.abc import Iterator
from typing import Annotated, get_args

from runfold.domain.message import Role
from runfold.domain.recorded import Recorded
from runfold.domain.thread import MAIN, Thread
from runfold.errors import ThreadNotFound, UsageError
from runfold.history.compactions import Compaction, ModelContext, fold_compactions, model_context
from runfold.history.heads import HeadView, head_list
from runfold.history.path import COMPACTION_EVENTS, History, thread_tree
from runfold.history.tree import Tree
from runfold.history.views import Message, ThreadView
from runfold.queries.lists.paging import Direction, direction, ordered
from runfold.queries.lists.parameters import AT_VERSION, Parameter
from runfold.queries.lists.where import OneOrMore, words
from runfold.queries.question import question
from runfold.queries.sources.source import LocalSource
from runfold.store.reading.filter import Filter


@question
def thread(source: LocalSource, thread_id: str) -> ThreadView:
    """A thread at a glance. Raises ThreadNotFound."""
    state = Thread(thread_id)
    first, last = source.fold(state, ThreadNotFound)
    found = thread_tree(source.reader, thread_id, source.up_to)
    return ThreadView.of(state, found, first, max(last.position, found.position))


@question
def tree(source: LocalSource, thread_id: str) -> Tree:
    """The runs and heads of a thread. Raises ThreadNotFound."""
    return _tree(source, thread_id)


@question
def heads(source: LocalSource, thread_id: str) -> list[HeadView]:
    """The heads of a thread by name, and where each was last put by hand. Raises ThreadNotFound."""
    moves = source.reader.stream(thread_id, up_to=source.up_to, types=("thread.head_*",))
    return head_list(_tree(source, thread_id), moves)


@question
def messages(
    source: LocalSource,
    thread_id: str | None = None,
    run_id: Annotated[str | None, Parameter("The conversation as of this run instead of a head's.")] = None,
    *,
    head: Annotated[str, Parameter("The conversation as of the run that this head points at.")] = MAIN,
    at_version: Annotated[int | None, AT_VERSION] = None,
    role: Annotated[OneOrMore | None, Parameter("Only messages of this role.", get_args(Role))] = None,
    own: Annotated[bool, Parameter("Only what the run itself said, and not its ancestors.")] = False,
    order: Annotated[Direction, direction("asc")] = "asc",
) -> list[Message]:
    """The conversation as of a run along its path, or as of the run that a head of a thread points at.

    With `role` only what these roles said, with `own` only what the run itself said. As it was said, unless `order` is "desc":
    then the last comes first. Empty for a thread without a run.
    Raises ThreadNotFound, RunNotFound, UsageError where neither a thread nor a run is named.
    """
    roles, way = words("role", role, get_args(Role)), ordered(order)
    history = _history(source, thread_id, run_id, head, at_version)
    if history is None:
        return []
    last = history.path[-1].run_id
    found = history.messages()[::way]
    return [message for message in found if (not own or message.run_id == last) and (not roles or message.role in roles)]


@question
def compactions(
    source: LocalSource,
    thread_id: str | None = None,
    run_id: Annotated[str | None, Parameter("The cuts along the path of this run instead of a head's.")] = None,
    *,
    head: Annotated[str, Parameter("The cuts along the path of the run that this head points at.")] = MAIN,
    at_version: Annotated[int | None, AT_VERSION] = None,
    order: Annotated[Direction, direction("asc")] = "asc",
) -> list[Compaction]:
    """Where the model's memory was cut along the path of a run, oldest first unless it says otherwise.

    Raises ThreadNotFound, RunNotFound, UsageError where neither a thread nor a run is named.
    """
    way = ordered(order)
    found = _history(source, thread_id, run_id, head, at_version)
    return [] if found is None else fold_compactions(found.events(COMPACTION_EVENTS))[::way]


@question
def context(
    source: LocalSource,
    thread_id: str | None = None,
    run_id: Annotated[str | None, Parameter("What the model of this run saw, instead of a head's.")] = None,
    *,
    head: Annotated[str, Parameter("What the model of the run saw that this head points at.")] = MAIN,
    at_version: Annotated[int | None, AT_VERSION] = None,
) -> ModelContext:
    """What the model saw, as far as it is recorded: after a compaction the summary, what was kept, and what came later.

    Raises ThreadNotFound, RunNotFound, UsageError where neither a thread nor a run is named.
    """
    found = _history(source, thread_id, run_id, head, at_version)
    if found is None:
        return model_context((), (), ())
    cuts = fold_compactions(found.events(COMPACTION_EVENTS))
    return model_context(cuts, found.messages(), found.tool_calls())


@question
def thread_events(source: LocalSource, thread_id: str) -> Iterator[Recorded]:
    """Every event of a thread, its runs and approvals. Raises ThreadNotFound."""
    source.first(thread_id, ThreadNotFound)
    return source.reader.tolerant().events(Filter(thread_id=thread_id, tenant_id=source.reader.tenant), up_to=source.up_to)


def _history(source: LocalSource, thread_id: str | None, run_id: str | None, head: str, at_version: int | None) -> History | None:
    """The path of a run, or of the run that a head of a thread points at; None for a head that points at none."""
    if run_id is None:
        if thread_id is None:
            raise UsageError("messages are those of a thread or of a run; give thread_id or run_id")
        run_id = _tree(source, thread_id).heads.get(head)
    return None if run_id is None else source.history(run_id, thread_id, at_version=at_version)


def _tree(source: LocalSource, thread_id: str) -> Tree:
    source.first(thread_id, ThreadNotFound)
    return thread_tree(source.reader, thread_id, source.up_to)
