"""All that can be asked of a ledger, done to it, and made of it: so that every statement is sent once."""

import contextlib
import itertools
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, get_args, get_type_hints
from uuid import UUID

from runfold import Ledger, LedgerError
from runfold.adapters.eventsourcing_recorder import LogRecorder
from runfold.delivery.sweeper import sweepers
from runfold.delivery.sweeper_rules import RULES
from runfold.domain.sweep_policy import SweepPolicy
from runfold.errors import RunNotFound
from runfold.evidence.bundles.answers import AnswerAsked
from runfold.evidence.bundles.bundle import BundleMaker
from runfold.evidence.sealer import Sealer
from runfold.evidence.sealing.comparing import stored_trees
from runfold.evidence.sealing.status import seal_status
from runfold.evidence.verifying.map_verifying import MapVerification
from runfold.evidence.verifying.remembered import note_verified
from runfold.evidence.verifying.verify import LedgerVerification
from runfold.evidence.verifying.verifying import Verification
from runfold.export.exporting import export
from runfold.export.run_lists import export_runs
from runfold.maintenance.checking import LogCheck
from runfold.maintenance.digests import Digests, Place
from runfold.projections.approval_queue import ApprovalQueue
from runfold.projections.attention import Attention
from runfold.projections.decision_log import DecisionLog
from runfold.projections.fold import Standing
from runfold.projections.problems import Problems
from runfold.projections.projection import AnyProjection
from runfold.projections.registry import known, source_of
from runfold.projections.run_summaries import RunSummaries
from runfold.projections.threads import Threads
from runfold.projections.tool_calls import ToolCalls
from runfold.projector import filling
from runfold.projector.checking.auditing import receipt_findings
from runfold.projector.checking.comparing import compare, events_of
from runfold.projector.checking.trial import _QUERY as _TRIED
from runfold.projector.checkpoints import read_models
from runfold.projector.connection import connect
from runfold.projector.filling import Filler, Job, Target
from runfold.projector.folding.supervisor import _type_at
from runfold.projector.folding.team import read_head
from runfold.projector.status import as_seen_by, statuses
from runfold.projector.tables.table import Table
from runfold.proofs.note import read_note
from runfold.queries.approvals import ApprovalParameters
from runfold.queries.beginnings import ids_beginning_with
from runfold.queries.decisions import DecisionParameters
from runfold.queries.lists.paging import Paging
from runfold.queries.problems import ProblemParameters
from runfold.queries.reading import Reading
from runfold.queries.runs.attention import AttentionParameters
from runfold.queries.runs.list import RunParameters
from runfold.queries.threads.list import ThreadParameters
from runfold.queries.tool_calls import ToolCallParameters
from runfold.store.appending.writer import _FIND, _STORED_IDS
from runfold.store.datastore import Datastore
from runfold.store.reading.filter import Filter
from runfold.store.unlocked import Unlocked
from runfold.subscriptions.lags import lags
from tests.promises.statements import Seen

LISTS: dict[str, tuple[type, AnyProjection]] = {
    "runs": (RunParameters, RunSummaries()),
    "approvals": (ApprovalParameters, ApprovalQueue()),
    "decisions": (DecisionParameters, DecisionLog()),
    "tool_calls": (ToolCallParameters, ToolCalls()),
    "problems": (ProblemParameters, Problems()),
    "attention": (AttentionParameters, Attention()),
    "threads": (ThreadParameters, Threads()),
}
VALUES = {
    "agent_id": "support",
    "user_id": "mira",
    "goal_id": "g1",
    "node_id": "plan",
    "name": "search",
    "tool": "search",
    "action": "search",
    "requested_by": "service:runfold",
    "decided_by": "human:ada",
    "external_ref": "ext-1",
    "workflow_id": "flow-1",
    "error_code": "error",
    "older_than": "90s",
    "silent_for": "90s",
    "steps": 3,
    "duration_ns": 10**6,
    "duration_percentile": 95,
    "created_from": datetime(2026, 3, 1, tzinfo=UTC),
    "active_from": datetime(2026, 3, 1, tzinfo=UTC),
    "attention_from": datetime(2026, 3, 1, tzinfo=UTC),
    "attention_to": datetime(2027, 3, 1, tzinfo=UTC),
    "created_to": datetime(2027, 3, 1, tzinfo=UTC),
    "active_to": datetime(2027, 3, 1, tzinfo=UTC),
    "expires_before": datetime(2027, 1, 1, tzinfo=UTC),
    "background": True,
    "waiting": True,
    "active": True,
    "include_superseded": True,
}
"""What lists are narrowed by. All others are ids, and words of a few."""
NO_FILTERS = get_type_hints(Paging).keys() | {"order", "limit", "order_by", "content", "steps_operator", "duration_operator"}


def of_lists(now: Reading, thread_id: str, run_id: str, *, of_any_size: bool) -> None:
    """Every list in every order, and narrowed by each of what it can be narrowed by: the first page and the next.

    `of_any_size` are those that no index begins with: they are looked for along the order.
    """
    ids = {"thread_id": thread_id, "run_id": run_id, "parent_run_id": run_id}
    for name, (asked, projection) in LISTS.items():
        hints = get_type_hints(asked, include_extras=True)
        orders: list[str | None] = [word for word in _words(hints.get("order_by")) if isinstance(word, str)] or [None]
        for order_by, order in itertools.product(orders, ("asc", "desc")) if not of_any_size else ():
            _pages(now, name, {"order_by": order_by, "order": order} if order_by else {"order": order})
        indexed = {index[0] for index in (*projection.indexes, projection.key)}
        for field in hints.keys() - {
            "order",
            "limit",
            "cursor",
            "order_by",
            "steps_operator",
            "duration_operator",
            "min_position",
            "wait_seconds",
            "content",
            "scope",
        }:
            if (field.removesuffix("_from").removesuffix("_to") in {each.removesuffix("_at") for each in indexed}) == of_any_size:
                continue
            for value in _words(hints[field]) or [VALUES.get(field, ids.get(field, "x"))]:
                _pages(now, name, {field: value})


def _words(hint: Any) -> list[Any]:
    found = []
    for each in getattr(hint, "__metadata__", ()):
        found += getattr(each, "words", ())
    for each in get_args(hint):
        found += [each] if isinstance(each, str) else _words(each)
    return found


def _pages(now: Reading, name: str, asked: dict[str, Any]) -> None:
    ask = getattr(now, name)
    page = ask(**asked, limit=20)
    if page.next_cursor:
        ask(**asked, limit=20, cursor=page.next_cursor)


def of_runs(ledger: Ledger, threads: list[str], runs: list[str]) -> None:
    """Everything that is answered about one thread, run, goal or node."""
    now = ledger.now
    for run_id in runs[:4]:
        for ask in (
            now.run,
            now.summary,
            now.metrics,
            lambda run_id: now.messages(run_id=run_id),
            now.state,
            lambda run_id: now.tool_calls(run_id=run_id),
            lambda run_id: now.tool_calls(run_id=run_id, scope="path"),
            now.steps,
            now.trace,
            now.analyze_failure,
            lambda run_id: list(now.run_events(run_id)),
            lambda run_id: now.usage("model", run=run_id),
            lambda run_id: now.usage("day", run=run_id, scope="path"),
            lambda run_id: now.usage("day", run=run_id, scope="tree"),
            lambda run_id: now.diff(run_id, runs[0]),
        ):
            with contextlib.suppress(LedgerError):  # it has not failed, say
                ask(run_id)
    for thread_id in threads:
        now.thread(thread_id)
        now.heads(thread_id)
        list(now.thread_events(thread_id))
        now.stretches(thread_id)
        now.run_states(thread_id)
        for ask in (now.messages, now.items, lambda thread_id: now.items(thread_id, first=1)):
            with contextlib.suppress(RunNotFound):  # the head of a copy is a run of the thread that was copied
                ask(thread_id)
    thread = ledger.create_thread(agent_id="support")
    now.items(thread.id, thread.start_run().branch().id)
    now.threads(limit=20, content=True)
    now.goals(limit=20)
    now.decision_words(now.decisions(limit=20).items)
    now.problem_words(now.problems(limit=20).items)
    now.approval_words(now.approvals(limit=20).items)
    now.approval(now.approvals(limit=1).items[0].approval_id)
    for name in known():
        page = now.rows(name, limit=20)
        now.rows(name, limit=20, cursor=page.next_cursor)
    for narrowed in ({}, {"thread_id": threads[0]}, {"run_id": runs[:2], "kind": "message"}):
        now.search("the OR a", limit=20, **narrowed)
    then = ledger.at(ledger.position() // 2)
    then.search('"the a" OR the -"a the"', thread_id=threads[0], limit=20)
    for name in ("runs", "approvals", "decisions", "tool_calls", "problems", "attention", "threads"):
        getattr(then, name)(thread_id=threads[0], limit=20)
    then.usage("model", thread=threads[0])
    ledger.at(datetime.now(UTC) - timedelta(days=1)).threads(limit=20)


def of_all(ledger: Ledger, threads: list[str]) -> None:
    """What is counted over all of a goal, a node, a thread, or the whole ledger."""
    now = ledger.now
    now.patterns("g1")
    now.goal_progress("g1")
    now.node_performance("plan")
    now.usage("model")
    now.usage("day", agent="support", since=date(2026, 1, 1))
    now.count_runs()
    now.count_runs(status="failed", agent_id="support")
    now.sample_runs("x")
    now.sample_runs("x", status="failed", agent_id="support")
    list(receipt_findings(ledger.recorder.store))


def of_the_log(ledger: Ledger, threads: list[str], runs: list[str]) -> None:
    """Its pages, from anywhere in it."""
    reader, head = ledger.recorder.reader, ledger.position()
    own = ledger.now.reader
    for after in (0, head // 2, head - 100):
        with ledger.recorder.store.connect() as connection:
            reader.news(Unlocked(connection), after)
        for wanted in (
            None,
            Filter(types=("problem.*",)),
            Filter(tenant_id="default", agent_ids=("support",)),
            Filter(run_id=runs[0]),
        ):
            reader.stretch(wanted, after=after)
            reader.page(wanted, after=after, limit=20)
            reader.page(wanted, up_to=after + 50, limit=20, descending=True)
        own.stretch(Filter(types=("problem.*",)), after=after)
        own.page(Filter(types=("problem.reported", "run.created")), up_to=after + 5_000, limit=20, descending=True)
        reader.stretch(Filter(tenant_id="nobody"), after=after)
        own.stretch(Filter(thread_id=threads[0]), after=after)
        own.stretch(Filter(thread_id=threads[0], types=("run.*",)), after=after, limit=20)
        own.page(Filter(thread_id=threads[0]), up_to=after + 50, limit=20, descending=True)
        ledger.events(after=after, run_id=runs[0], limit=20)
        ledger.events(after=after, types=["decision.*"], limit=20)
    for kind in ("thread", "run"):
        assert ids_beginning_with(ledger.now, kind, f"{kind}_", 5)
    next(iter(ledger.subscribe(follow=False)))
    list(own.stream(runs[0], types=("tool.*",)))
    reader.keys()
    reader.keys("default")
    reader.at_positions(range(1, 500))
    reader.key_streams("security_x")
    reader.webhooks()
    reader.webhooks("default", after=5)
    own.ends(runs[:5])
    ids = [recorded.event_id_bytes for recorded in reader.page(after=head // 2, limit=50)]
    reader.by_event_ids(ids)
    with ledger.recorder.store.reading() as connection:
        for query in (_FIND, _STORED_IDS):
            connection.execute(query, [[UUID(bytes=event_id) for event_id in ids]])
        connection.execute(_TRIED, [["run.created", "tool.called"], head, 60])
        assert _type_at(connection, head) != "event"
    library = LogRecorder(own)
    library.select_events(runs[0], limit=5)
    library.select_events(runs[0], limit=5, desc=True)
    library.select_notifications(head // 2, 50, topics=["run.created"])
    library.select_notifications(head // 2, 50)
    library.max_notification_id()
    reader.rows("SELECT coalesce(max(notification_id), 0) FROM runfold.log")
    check = LogCheck(reader)
    check._last_position = head - 1000
    list(check.findings())
    place = Place(head, "default", runs[0], 2, threads[0])
    Digests(reader)._approval(place)
    Digests(reader)._heads(place)


def sealing(ledger: Ledger, folder: Path) -> None:
    """The end of the log sealed, what comes after that verified, and a bundle made of it."""
    Sealer(ledger).seal_all()
    with ledger.recorder.store.reading() as connection:
        trees = stored_trees(connection)
    known = {tree.origin: read_note(tree.note or "").checkpoint() for tree in trees}
    note_verified(ledger.settings.home / "verified.json", known)
    thread = ledger.create_thread(agent_id="support")
    run = thread.start_run()
    Sealer(ledger).seal_all()
    made = BundleMaker(ledger, is_for_http=True).make(folder / "bundle", [run.id])
    assert made.threads == (thread.id,)
    answered = BundleMaker(ledger).make(folder / "answer", (), answer=AnswerAsked("run_summaries", (run.id,)))
    assert answered.threads == (thread.id,)
    verification = LedgerVerification(ledger)
    assert [each.kind for each in verification.findings()] == ["missing"]  # what is only said to be sealed
    assert verification.read is not None
    assert verification.read.first_position
    with ledger.recorder.store.reading() as connection:
        incremental = Verification(connection, since=known)
        assert [each.kind for each in incremental.findings()] == ["missing"]
        list(incremental.one_by_one(incremental.first_position, incremental.position))
        (tree,) = [each for each in stored_trees(connection) if each.tenant_id == ledger.settings.tenant]
        anew = MapVerification(connection, tree.tenant_id, tree.generation, tree.origin)
        assert list(anew.findings(tree.size, [])) == []
    assert seal_status(ledger.recorder.reader).trees == len(trees)
    assert ledger.checkpoint().size == ledger.sealed_log().size == tree.size
    assert ledger.verify_receipt(run.receipt).unsealed == 0


def doing(ledger: Ledger) -> None:
    """Commands: one, several in one transaction, one that is repeated."""
    thread = ledger.create_thread(agent_id="support", external_ref="ext-9")
    run = thread.start_run("hello", goal={"id": "g9", "criteria": [{"id": "c", "description": "x y"}]})
    run.call_tool("search", {"n": 1}).succeed("ok")
    run.violate_constraint("c1", "hard", "broken")
    for currency in ("EUR", "USD"):
        run.report_cost("0.10", currency, usage_id="in_two_currencies")
    with ledger.batch() as batch:
        for _ in range(3):
            batch.create_thread(agent_id="sales").start_run()
    approval = run.request_approval("search", arguments={})
    approval.deny("no", actor="human:ada")
    run.fail("no more")
    ledger.fold()
    ledger.now.goal_progress("g9")
    ledger.now.analyze_failure(run.id)
    assert len(ledger.now.usage("model", run=run.id).total.costs) == 2
    ledger.projections()


def filling_shards(url: str) -> None:
    """A rebuild, of which only the first page of a shard is read."""
    targets = tuple(Target(source_of(each), f"shard_{name}") for name, each in known().items() if each.partition == "thread")
    datastore = Datastore(url)
    with contextlib.closing(connect(datastore)) as connection:
        head = read_head(connection)
        filling.plan(connection, Job("plans", head.position, head.epoch, targets), 2)
        filler = Filler(datastore, "plans", targets)
        shard = connection.execute(
            "SELECT *, lane AS shard FROM runfold.filling_lanes WHERE job = 'plans' AND lane = 1"
        ).fetchone()
        assert shard is not None
        next(filler._pages(shard))
        filler._connection.close()
        connection.execute(filling.QUERIES["remove job"], {"job": "plans"})


def comparing(url: str) -> None:
    """A generation with itself, the events of one of its rows, and a row that goes away."""
    with contextlib.closing(connect(Datastore(url))) as connection:
        model = next(each for each in read_models(connection) if (each.name, each.state) == ("tool_calls", "live"))
        table, projection = Table(ToolCalls(), model.generation), ToolCalls()
        compare(connection, projection, model, model.generation, model.position or 0)
        (one,) = connection.execute("SELECT * FROM runfold_read.tool_calls WHERE tenant_id = 'default' LIMIT 1").fetchall()
        key = (one["tenant_id"], one["run_id"], one["call_id"])
        assert events_of(connection, projection, key, one["position"], model.position or 0)
        table.write(connection, {("default", "run_x", "call_x"): Standing(None, 1)})
        stopped = [
            status.model_copy(update={"error": "x", "error_position": 7}) for status in statuses(connection, known().values())
        ]
        as_seen_by(connection, stopped, "default")


def making(ledger: Ledger, folder: Path, run_id: str) -> None:
    """Files, and a schema of a branch."""
    ledger.make_schema("along", branch=run_id, processes=1)
    ledger.drop_schema("along")
    ledger.make_schema("by_then", "goals", as_of=20_000, processes=1)
    ledger.drop_schema("by_then")
    after = ledger.position() - 500
    export(ledger, "events", "jsonl", folder / "mine", after=after)
    export(ledger, "events", "jsonl", folder / "all", after=after, all_tenants=True)


def ask_everything(ledger: Ledger, url: str, folder: Path, threads: list[str], runs: list[str], seen: Seen) -> None:
    """All of it."""
    of_the_log(ledger, threads, runs)
    of_lists(ledger.now, threads[0], runs[0], of_any_size=False)
    of_runs(ledger, threads, runs)
    doing(ledger)
    by_itself(ledger)
    sealing(ledger, folder)
    sharing(ledger)
    making(ledger, folder, runs[0])
    seen.of_any_size = True
    of_lists(ledger.now, threads[0], runs[0], of_any_size=True)
    of_all(ledger, threads)
    assert ids_beginning_with(ledger.now, "call", "call_", 5)
    filling_shards(url)
    comparing(url)
    export(ledger, "goals", "csv", folder / "rows")
    export_runs(ledger, ledger.now, "jsonl", folder / "runs", status="failed")
    without_superseded(ledger, threads)


def by_itself(ledger: Ledger) -> None:
    """What sweepers look for, with every rule."""
    policy = SweepPolicy(
        idle_after=timedelta(seconds=1),
        identical_responses=2,
        identical_tool_calls=2,
        fail_stuck_after=timedelta(seconds=1),
        runs="all",
    )
    for sweeper in sweepers(ledger, RULES, policy):
        sweeper.find()
    ledger.reactors()


def sharing(ledger: Ledger) -> None:
    """What is done with a subscription that has a name."""
    shared = ledger.subscription("shared")
    shared.put(types=["run.*"])
    first, second = shared.take(5), shared.take(5)
    first_at, second_at = ([each.recorded.position for each in taken.deliveries] for taken in (first, second))
    shared.acknowledge(first.lease, first_at[:1])
    shared.reject(first.lease, first_at[1:2], park=True)
    shared.reject(first.lease, first_at[2:3], delay_seconds=0)
    shared.extend(first.lease)
    shared.release(first.lease)
    shared.acknowledge(second.lease, second_at)
    shared.parked()
    shared.replay()
    shared.discard([1])
    assert shared.take().deliveries
    shared.view()
    assert ledger.subscriptions.all()
    lags(ledger.recorder.reader)
    shared.reset(0)
    shared.delete()


def without_superseded(ledger: Ledger, threads: list[str]) -> None:
    """Lists of a ledger in which others stand for a thread; goals take off what was done in it."""
    ledger.thread(threads[-1]).supersede(threads[:1], "read otherwise")
    ledger.fold()
    for name in (*LISTS, "goals"):
        getattr(ledger.now, name)(limit=20)
    ledger.now.patterns(ledger.now.goals(limit=1).items[0].goal_id)
    ledger.now.usage("model")
    ledger.now.usage("user,goal", user="mira")
