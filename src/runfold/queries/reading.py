"""The questions that a ledger answers, now or as it stood at any position or time.

Each question is written in the file of its noun and has its name here. Where it is answered is said in `sources/source.py`.
"""

from datetime import datetime, tzinfo

from runfold.domain.times import EXAMPLE, parse_time
from runfold.domain.values import whole_number
from runfold.queries.sources.past import MOST_EVENTS, Whole
from runfold.queries.sources.read_models import ReadModels
from runfold.queries.sources.source import Fold, LocalSource, Source, fold_nothing
from runfold.store.reading.reader import Reader
from runfold.store.reading.tenant_reader import TenantReader
from runfold.unloaded import AT_ONCE, Unloaded

if AT_ONCE:
    import runfold.queries.approvals
    import runfold.queries.decisions
    import runfold.queries.goals.list
    import runfold.queries.goals.patterns
    import runfold.queries.goals.progress
    import runfold.queries.problems
    import runfold.queries.rows
    import runfold.queries.runs.as_ag_ui
    import runfold.queries.runs.attention
    import runfold.queries.runs.difference
    import runfold.queries.runs.failure
    import runfold.queries.runs.figures
    import runfold.queries.runs.list
    import runfold.queries.runs.sample
    import runfold.queries.runs.summary
    import runfold.queries.runs.view
    import runfold.queries.search.list
    import runfold.queries.threads.items
    import runfold.queries.threads.list
    import runfold.queries.threads.run_states
    import runfold.queries.threads.view
    import runfold.queries.tool_calls
    import runfold.queries.usage.report
    import runfold.queries.webhooks

    queries = runfold.queries
else:  # most programs ask a question or two, and what answers all of them takes a quarter of a second to load
    globals()["queries"] = Unloaded("runfold.queries")


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

    threads = queries.threads.list.threads
    runs = queries.runs.list.runs
    count_runs = queries.runs.list.count_runs
    tool_calls = queries.tool_calls.tool_calls
    decisions = queries.decisions.decisions
    problems = queries.problems.problems
    approvals = queries.approvals.approvals
    failures = queries.runs.failure.failures
    attention = queries.runs.attention.attention
    goals = queries.goals.list.goals
    rows = queries.rows.rows
    search = queries.search.list.search

    # What the rows of a page say, from the log

    decision_words = queries.decisions.decision_words
    problem_words = queries.problems.problem_words
    approval_words = queries.approvals.approval_words

    # One thread, run, approval, goal or node

    thread = queries.threads.view.thread
    tree = queries.threads.view.tree
    heads = queries.threads.view.heads
    messages = queries.threads.view.messages
    compactions = queries.threads.view.compactions
    context = queries.threads.view.context
    thread_events = queries.threads.view.thread_events
    items = queries.threads.items.items
    stretches = queries.threads.items.stretches
    run_states = queries.threads.run_states.run_states
    run = queries.runs.view.run
    state = queries.runs.view.state
    ag_ui = queries.runs.as_ag_ui.ag_ui
    steps = queries.runs.view.steps
    history = queries.runs.view.history
    run_events = queries.runs.view.run_events
    require = queries.runs.view.require
    metrics = queries.runs.figures.metrics
    summary = queries.runs.summary.summary
    trace = queries.decisions.trace
    analyze_failure = queries.runs.failure.analyze_failure
    diff = queries.runs.difference.diff
    approval = queries.approvals.approval
    goal_progress = queries.goals.progress.goal_progress
    patterns = queries.goals.patterns.patterns
    improvements = queries.goals.patterns.improvements
    node_performance = queries.goals.patterns.node_performance

    # What is sent to others

    webhooks = queries.webhooks.webhooks
    webhook = queries.webhooks.webhook
    webhook_attempts = queries.webhooks.webhook_attempts
    callback = queries.webhooks.callback

    # Sums and samples

    usage = queries.usage.report.usage
    sample_runs = queries.runs.sample.sample_runs


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
