"""The questions that a ledger answers, now or as it stood at any position or time.

Each question is written in the file of its noun and has its name here. Where it is answered is said in `source`.
"""

from datetime import datetime, tzinfo
from pkgutil import iter_modules

from runfold import queries
from runfold.domain.times import EXAMPLE, parse_time
from runfold.domain.values import whole_number
from runfold.queries.past import MOST_EVENTS, Whole
from runfold.queries.read_models import ReadModels
from runfold.queries.source import Fold, LocalSource, Source, fold_nothing
from runfold.store.reading.reader import Reader, TenantReader
from runfold.unloaded import AT_ONCE, Unloaded

if AT_ONCE:
    from runfold.queries import (
        approval_list,
        attention_list,
        decision_list,
        difference,
        failure,
        goal_list,
        problem_list,
        row_list,
        run_as_ag_ui,
        run_figures,
        run_list,
        run_sample,
        run_view,
        search_list,
        thread_items,
        thread_list,
        thread_view,
        tool_call_list,
        usage_report,
        webhook_list,
    )
    from runfold.queries import goal_progress as progress
    from runfold.queries import patterns as repeated
    from runfold.queries import summary as in_short
else:  # most programs ask a question or two, and what answers all of them takes a quarter of a second to load
    _named = {each.name: each.name for each in iter_modules(queries.__path__)}
    _named |= {"progress": "goal_progress", "repeated": "patterns", "in_short": "summary"}
    globals().update({name: Unloaded(f"runfold.queries.{module}") for name, module in _named.items()})


class Reading:
    """The ledger as it stood at a position, or as it stands."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def at(self, moment: int | datetime | None, most_events: int = MOST_EVENTS, whole: Whole | None = None) -> "Reading":
        """The same questions at a position, or at a time of the store: the last position recorded not after it.

        A question about the whole past folds at most `most_events`. Raises UsageError for a position beyond the head.
        """
        return self if moment is None else Reading(self.source.at(moment, most_events, whole))

    def happened_at(self, moment: datetime | str) -> "Reading":
        """The same questions by the clocks of those who told the ledger: without what happened after a moment.

        They are answered about one thread at a time: of each stream the events before the first that happened later count; one
        without a time of its own happened when its predecessor did. Raises UsageError for a time without a zone.
        """
        return Reading(self.source.happened_at(parse_time(moment, day="to") if isinstance(moment, str) else moment))

    @property
    def up_to(self) -> int:
        """The position; `LATEST` for the present. Raises UsageError where only a server knows it."""
        return self.source.up_to

    @property
    def reader(self) -> TenantReader:
        """The log itself. Raises UsageError where there is no database."""
        return self.source.reader

    @property
    def read_models(self) -> ReadModels:
        """The read models themselves. Raises UsageError where there is no database."""
        return self.source.read_models

    # Lists

    threads = thread_list.threads
    runs = run_list.runs
    count_runs = run_list.count_runs
    tool_calls = tool_call_list.tool_calls
    decisions = decision_list.decisions
    problems = problem_list.problems
    approvals = approval_list.approvals
    failures = failure.failures
    attention = attention_list.attention
    goals = goal_list.goals
    rows = row_list.rows
    search = search_list.search

    # What the rows of a page say, from the log

    decision_words = decision_list.decision_words
    problem_words = problem_list.problem_words
    approval_words = approval_list.approval_words

    # One thread, run, approval, goal or node

    thread = thread_view.thread
    tree = thread_view.tree
    heads = thread_view.heads
    messages = thread_view.messages
    compactions = thread_view.compactions
    context = thread_view.context
    thread_events = thread_view.thread_events
    items = thread_items.items
    stretches = thread_items.stretches
    run_states = thread_items.run_states
    run = run_view.run
    state = run_view.state
    ag_ui = run_as_ag_ui.ag_ui
    steps = run_view.steps
    history = run_view.history
    run_events = run_view.run_events
    require = run_view.require
    metrics = run_figures.metrics
    summary = in_short.summary
    trace = decision_list.trace
    analyze_failure = failure.analyze_failure
    diff = difference.diff
    approval = approval_list.approval
    goal_progress = progress.goal_progress
    patterns = repeated.patterns
    improvements = repeated.improvements
    node_performance = repeated.node_performance

    # What is sent to others

    webhooks = webhook_list.webhooks
    webhook = webhook_list.webhook
    webhook_attempts = webhook_list.webhook_attempts
    callback = webhook_list.callback

    # Sums and samples

    usage = usage_report.usage
    sample_runs = run_sample.sample_runs


def local_reading(reader: Reader, tenant_id: str, fold: Fold = fold_nothing) -> Reading:
    """The questions of one tenant's part of the ledger in the database; `fold` brings read models on for who may."""
    return Reading(LocalSource(reader, tenant_id, fold=fold))


def parse_moment(text: str, zone: tzinfo | None = None) -> int | datetime:
    """A position, or a time as people write it; a day is included, in UTC if no zone is given. Raises UsageError."""
    position = whole_number(text)
    if position is not None:
        return position
    refusal = f"{text[:60]!r} is neither a position nor a time such as {EXAMPLE}"
    return parse_time(text, zone=zone, day="to", refusal=refusal)
