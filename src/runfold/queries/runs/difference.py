"""Two runs side by side along their paths, straight from the log: what they have in common, where they part, what differs.

The paths are those of `history`: root first, each ancestor up to where its child left it. Runs may have nothing in common,
as two attempts at one task in threads of their own; then they are compared from their beginnings. Retrying has nothing in
common with the retried run itself, whose past alone it inherits. Sub-agents belong to no path, and are not compared.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Annotated, NamedTuple

from runfold.domain.recorded import Recorded
from runfold.domain.run_events import ParentKind, Status
from runfold.history.alignment import Pair, aligned, differences, shared_beginning
from runfold.history.outline import TYPES, Kind, Step, steps
from runfold.history.path import History, Segment
from runfold.history.views import View
from runfold.projections.fold import fold_all
from runfold.projections.run_summaries import RunSummaries
from runfold.projections.runs.summary import RunSummary
from runfold.projections.usage import Usage, UsageEntry
from runfold.queries.lists.parameters import version
from runfold.queries.question import question
from runfold.queries.runs.own_decisions import OwnDivergence, own_divergence
from runfold.queries.sources.source import LocalSource
from runfold.queries.usage.totals import Ungrouped, usage_total
from runfold.store.reading.reader import LATEST
from runfold.store.reading.stream_parts import StreamPart
from runfold.store.reading.tenant_reader import TenantReader


class Parting(View):
    """Where two paths part: after this version of this run. The counts are of what they have in common."""

    run_id: str
    version: int
    position: int
    path: tuple[str, ...]
    """The runs in common, root first; the last is `run_id`."""
    messages: int
    decisions: int
    tool_calls: int


class Side(View):
    """One of the two: the run as a whole, and under `after` what its path holds after the common part."""

    run_id: str
    thread_id: str
    agent_id: str
    parent_run_id: str | None
    parent_kind: ParentKind | None
    status: Status
    stop_reason: str | None
    created_at: datetime | None
    finished_at: datetime | None
    duration_ns: int | None
    decisions: int
    success_rate: float
    """Successes among all decisions; 0 without any."""
    nodes: tuple[str, ...]
    after: "Stretch"


class Stretch(View):
    """A path after the common part; without one, all of it."""

    runs: tuple[str, ...]
    steps: dict[Kind, int]
    """How many of each kind."""
    usage: Ungrouped
    """Tokens and cost of its model calls, as they were last corrected."""
    elapsed_ns: int | None
    """From its first event to its last; null without two, and where the producer's clock went back."""


class FirstDivergence(View):
    """The first step, counted from 1 after the common part, that is not the same. Null is a path that had ended."""

    number: int
    a: Step | None
    b: Step | None
    differs: tuple[str, ...]


class DecisionDivergence(View):
    """The first decision, counted from 1 along the whole paths, for which the two chose differently."""

    ordinal: int
    a: Step
    b: Step


class RunDiff(View):
    """How two runs differ. `pairs` holds every step of both after the common part."""

    a: Side
    b: Side
    common: Parting | None
    divergence: FirstDivergence | None
    decision_divergence: DecisionDivergence | None
    """Null while they chose the same: one may still have gone on to decide more."""
    own_divergence: OwnDivergence | None
    """The same of the two runs alone, without their pasts, counted from 1 in each: hive's rule."""
    status_differs: bool
    decisions_differ: bool
    """Whether the two runs made a different number of decisions."""
    nodes_only_in_a: tuple[str, ...]
    nodes_only_in_b: tuple[str, ...]
    pairs: tuple[Pair, ...]
    as_of: int

    def pairs_of(self, *kinds: Kind) -> list[Pair]:
        """The pairs in which a step is of one of these kinds."""
        return [pair for pair in self.pairs if any(step and step.kind in kinds for step in (pair.a, pair.b))]


class _OnePath(NamedTuple):
    """What one of the two paths holds."""

    history: History
    run: RunSummary
    before: list[Recorded]
    after: list[Recorded]
    steps: list[Step]


@question
def diff(
    source: LocalSource,
    run_a: str,
    run_b: str,
    *,
    version_a: Annotated[int | None, version("The first run as of this version of its stream.")] = None,
    version_b: Annotated[int | None, version("The second run as of this version of its stream.")] = None,
) -> RunDiff:
    """Two runs side by side along their paths, or a run at two versions: where they part, and what differs after that.

    Of runs that share nothing, as those of two threads, `common` is null. Straight from the log. Raises RunNotFound.
    """
    pinned = source.pinned()
    a, b = pinned.history(run_a, at_version=version_a), pinned.history(run_b, at_version=version_b)
    return run_diff(pinned.reader, a, b, pinned.up_to)


def run_diff(reader: TenantReader, a: History, b: History, up_to: int) -> RunDiff:
    """How the runs at the ends of two paths differ, as of a position."""
    common = parting(a.path, b.path)
    before = list(_events(reader, common, up_to))
    one, other = (_branch(reader, history, common, before, up_to) for history in (a, b))
    start = shared_beginning(one.steps, other.steps)
    return RunDiff(
        a=_side(one, common),
        b=_side(other, common),
        common=_parting(reader, common, before, one.run),
        divergence=_first(one.steps[start:], other.steps[start:], start + 1),
        decision_divergence=_first_choice(one.steps, other.steps, 1 + sum(item.type == "decision.made" for item in before)),
        own_divergence=own_divergence(reader, a.path[-1], b.path[-1], up_to),
        status_differs=one.run.status != other.run.status,
        decisions_differ=one.run.decisions != other.run.decisions,
        nodes_only_in_a=_only(one.run.nodes_executed, other.run.nodes_executed),
        nodes_only_in_b=_only(other.run.nodes_executed, one.run.nodes_executed),
        pairs=tuple(aligned(one.steps, other.steps)),
        as_of=up_to,
    )


def parting(a: Sequence[Segment], b: Sequence[Segment]) -> list[Segment]:
    """What two paths have in common, root first: the last run up to where the first of the two leaves it."""
    common: list[Segment] = []
    for one, other in zip(a, b, strict=False):
        if one.run_id != other.run_id:
            break
        common.append(min(one, other, key=lambda segment: segment.up_to_version))
        if one.up_to_version != other.up_to_version:
            break
    return common


def _branch(reader: TenantReader, history: History, common: list[Segment], before: list[Recorded], up_to: int) -> _OnePath:
    own = history.path[max(len(common) - 1, 0) :]
    after = list(_events(reader, own, up_to, common[-1].up_to_version if common else 0))
    end = history.path[-1]
    events = reader.stream(end.run_id, up_to_version=end.up_to_version, up_to=up_to)
    rows = fold_all(RunSummaries(), events).values()
    run = next(standing.row for standing in rows if isinstance(standing.row, RunSummary))
    return _OnePath(history, run, before, after, steps(before, after, history.messages(), history.approvals()))


def _events(reader: TenantReader, segments: Sequence[Segment], up_to: int, after_version: int = 0) -> Iterator[Recorded]:
    """What steps are made of, of parts of a path; of the first of them after a version."""
    parts = [StreamPart(segment.run_id, 0, segment.up_to_version, up_to) for segment in segments]
    parts[:1] = [part._replace(after_version=after_version) for part in parts[:1]]
    return reader.streams(parts, (*TYPES, "usage.*"))


def _position(reader: TenantReader, segment: Segment) -> int:
    """The position of the event at which a path leaves a run."""
    version = segment.up_to_version
    (left,) = reader.stream(segment.run_id, after_version=version - 1, up_to_version=version)
    return left.position


def _parting(reader: TenantReader, common: list[Segment], before: list[Recorded], run: RunSummary) -> Parting | None:
    """`run` is the one at the end of a path: of a run and itself, all of it is in common."""
    if not common:
        return None
    last = common[-1]
    version, position = run.version, run.last_position
    if last.up_to_version < LATEST:
        version, position = last.up_to_version, _position(reader, last)
    types = [recorded.type for recorded in before]
    return Parting(
        run_id=last.run_id,
        version=version,
        position=position,
        path=tuple(segment.run_id for segment in common),
        messages=types.count("message.added"),
        decisions=types.count("decision.made"),
        tool_calls=types.count("tool.called"),
    )


def _side(branch: _OnePath, common: Sequence[Segment]) -> Side:
    run = branch.run
    parted_in = common[-1].run_id if common else None
    runs = [segment.run_id for segment in branch.history.path[max(len(common) - 1, 0) :]]
    if runs[0] == parted_in and not any(recorded.stream == parted_in for recorded in branch.after):
        del runs[0]
    return Side(
        run_id=run.run_id,
        thread_id=run.thread_id,
        agent_id=run.agent_id,
        parent_run_id=run.parent_run_id,
        parent_kind=run.parent_kind,
        status=run.status,
        stop_reason=run.stop_reason,
        created_at=run.created_at,
        finished_at=run.finished_at,
        duration_ns=run.duration_ns,
        decisions=run.decisions,
        success_rate=run.success_rate,
        nodes=run.nodes_executed,
        after=_stretch(branch, runs),
    )


def _stretch(branch: _OnePath, runs: list[str]) -> Stretch:
    counts: dict[Kind, int] = {}
    for step in branch.steps:
        counts[step.kind] = counts.get(step.kind, 0) + 1
    times = [recorded.happened_at for recorded in branch.after]
    took = times[-1] - times[0] if len(times) > 1 else None
    elapsed = None if took is None or took.days < 0 else (took.days * 86_400 + took.seconds) * 10**9 + took.microseconds * 1000
    return Stretch(runs=tuple(runs), steps=counts, usage=usage_total(_used(branch)), elapsed_ns=elapsed)


def _used(branch: _OnePath) -> list[UsageEntry]:
    """The model calls and costs that were first told after the common part, corrected as its path knows them."""
    ours = {recorded.position for recorded in branch.after}
    rows = [standing.row for standing in fold_all(Usage(), [*branch.before, *branch.after]).values()]
    return [row for row in rows if isinstance(row, UsageEntry) and (row.recorded_position or row.cost_position) in ours]


def _first(a: Sequence[Step], b: Sequence[Step], number: int) -> FirstDivergence | None:
    one, other = next(iter(a), None), next(iter(b), None)
    if one is None and other is None:
        return None
    return FirstDivergence(number=number, a=one, b=other, differs=differences(one, other) if one and other else ())


def _first_choice(a: Sequence[Step], b: Sequence[Step], first: int) -> DecisionDivergence | None:
    decisions = ([step for step in each if step.kind == "decision"] for each in (a, b))
    for ordinal, (one, other) in enumerate(zip(*decisions, strict=False), first):
        if {"chosen", "choice"} & set(differences(one, other)):
            return DecisionDivergence(ordinal=ordinal, a=one, b=other)
    return None


def _only(nodes: Iterable[str], others: Iterable[str]) -> tuple[str, ...]:
    known = set(others)
    return tuple(node for node in nodes if node not in known)
