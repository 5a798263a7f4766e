"""Threads and the trees of their runs: given what was begun and pointed at, then these rows."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runfold import Ledger, Thread
from runfold.domain.run_events import Parent
from runfold.history.tree import Node
from runfold.projections.thread_tree import ThreadTree, TreeNode
from runfold.projections.threads import ThreadRow, Threads
from tests.projections.folded import rows_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SHOWN = (
    "version",
    "state",
    "title",
    "agent_id",
    "user_id",
    "external_ref",
    "heads",
    "runs",
    "created_at",
    "created_position",
    "last_run_at",
)
"""What the ledger's own fold of a thread says under the same name."""

Rows = tuple[ThreadRow, list[TreeNode]]
Standing = Callable[[Thread], Rows]


@pytest.fixture
def thread(ledger: Ledger) -> Thread:
    return ledger.create_thread(agent_id="support", occurred_at=NOON)


@pytest.fixture
def standing(ledger: Ledger) -> Standing:
    """A thread's row and its runs', after they were held against the ledger's own folds."""

    def of(thread: Thread) -> Rows:
        row, nodes = rows_of(Threads(), ledger)[thread.id,], nodes_of(ledger, thread.id)
        require_agreement(ledger, row, nodes)
        return row, nodes

    return of


def nodes_of(ledger: Ledger, thread_id: str) -> list[TreeNode]:
    """The runs of a thread, oldest first."""
    nodes = [node for node in rows_of(ThreadTree(), ledger).values() if node.thread_id == thread_id]
    return sorted(nodes, key=lambda node: node.created_position)


def require_agreement(ledger: Ledger, row: ThreadRow, nodes: list[TreeNode]) -> None:
    """All that the log's own folds say of the thread and its tree."""
    view, tree = ledger.now.thread(row.thread_id), ledger.now.tree(row.thread_id)
    assert {name: getattr(row, name) for name in SHOWN} == {name: getattr(view, name) for name in SHOWN}
    assert row.heads == tree.heads
    assert [as_node(node) for node in nodes] == list(tree.nodes.values())


def as_node(row: TreeNode) -> Node:
    """A row in the words of the ledger's own fold."""
    parent = None
    if row.parent_run_id is not None and row.parent_kind is not None and row.parent_version is not None:
        parent = Parent(run_id=row.parent_run_id, kind=row.parent_kind, at_version=row.parent_version)
    assert row.created_at is not None
    return Node(row.run_id, parent, row.agent_id, row.created_position, row.created_at)


@pytest.mark.row("RV-04")
def test_runs_hang_where_they_were_created_and_several_may_share_a_parent(thread: Thread, standing: Standing) -> None:
    root = thread.start_run()
    left, right = root.branch(at_version=1, agent_id="triage"), root.branch()
    _, nodes = standing(thread)
    assert [(node.run_id, node.parent_run_id, node.parent_kind, node.parent_version) for node in nodes] == [
        (root.id, None, None, None),
        (left.id, root.id, "branches", 1),
        (right.id, root.id, "branches", 2),
    ]
    assert [node.agent_id for node in nodes] == ["support", "triage", "support"]


def test_a_head_follows_what_continues_resumes_or_retries_its_run_and_nothing_else(thread: Thread, standing: Standing) -> None:
    root = thread.start_run()
    root.complete()
    assert standing(thread)[0].heads == {"main": root.id}
    thread.name_head("kept", root)
    for kind in ("branches", "spawned_by"):
        thread.start_run(parent=root, kind=kind)  # type: ignore[arg-type]
        assert standing(thread)[0].heads == {"main": root.id, "kept": root.id}
    thread.start_run(parent=None)
    assert standing(thread)[0].heads == {"main": root.id, "kept": root.id}
    at = root
    for kind in ("continues", "resumes", "retries"):
        after = thread.start_run(parent=at, kind=kind)  # type: ignore[arg-type]
        after.complete()
        assert standing(thread)[0].heads == {"main": after.id, "kept": after.id}
        at = after


def test_a_head_moved_by_hand_follows_from_there(thread: Thread, standing: Standing) -> None:
    root = thread.start_run()
    root.complete()
    onward = thread.start_run()
    thread.name_head("tried", root)
    thread.move_head("main", root, reason="rewound")
    assert standing(thread)[0].heads == {"main": root.id, "tried": root.id}
    thread.move_head("tried", onward)
    again = thread.start_run()
    assert standing(thread)[0].heads == {"main": again.id, "tried": onward.id}


def test_a_thread_is_open_archived_open_again_and_at_last_deleted(thread: Thread, standing: Standing) -> None:
    thread.rename("Orders")
    states = [standing(thread)[0].state]
    for change in (thread.archive, thread.restore, thread.archive, lambda: thread.delete("asked for")):
        change()
        states.append(standing(thread)[0].state)
    row, _ = standing(thread)
    assert states == ["open", "archived", "open", "archived", "deleted"]
    assert (row.title, row.version) == ("Orders", 6)


@pytest.mark.row("RV-02")
def test_a_thread_was_last_active_when_the_latest_of_its_runs_was_created(
    ledger: Ledger, thread: Thread, standing: Standing
) -> None:
    assert (standing(thread)[0].last_activity_at, standing(thread)[0].last_run_at) == (NOON, None)
    thread.create_run(parent=None, occurred_at=NOON + timedelta(hours=2))
    late = thread.create_run(parent=None, occurred_at=NOON + timedelta(hours=1))  # a producer's clock may go back
    late.start(occurred_at=NOON + timedelta(hours=9))
    row, _ = standing(thread)
    assert row.last_activity_at == row.last_run_at == NOON + timedelta(hours=2)
    imported = ledger.create_thread(occurred_at=NOON + timedelta(days=1))
    imported.create_run(agent_id="a", occurred_at=NOON - timedelta(days=1))
    assert standing(imported)[0].last_activity_at == NOON - timedelta(days=1)


def test_a_run_counts_in_its_own_thread_alone(ledger: Ledger, thread: Thread, standing: Standing) -> None:
    other = ledger.create_thread(agent_id="sales", user_id="u_2", external_ref="ticket-1", title="Sales")
    other.start_run()
    assert (standing(thread)[0].runs, standing(other)[0].runs) == (0, 1)
    assert (standing(other)[0].user_id, standing(other)[0].external_ref) == ("u_2", "ticket-1")


def test_the_rows_of_real_threads_say_what_the_ledgers_own_folds_say(real: Ledger, counts: dict[str, Any]) -> None:
    rows, nodes = rows_of(Threads(), real), rows_of(ThreadTree(), real)
    trees: dict[str, list[TreeNode]] = {}
    for node in sorted(nodes.values(), key=lambda node: node.created_position):
        trees.setdefault(node.thread_id, []).append(node)
    for (thread_id,), row in rows.items():
        require_agreement(real, row, trees.get(thread_id, []))
    kinds = [node.parent_kind for node in nodes.values()]
    assert kinds.count("spawned_by") == counts["claude-code"]["all"]["subagent_files"] == 12
    assert (kinds.count("branches"), kinds.count("resumes")) == (1, counts["ag-ui-streams"]["requests_with_resume"])
    assert len(rows) == 14 + 13 + 200


def test_the_tables_answer_a_list_of_threads_and_the_path_to_a_root(ledger: Ledger) -> None:
    quiet, busy, gone = (ledger.create_thread(agent_id=agent, occurred_at=NOON) for agent in ("a", "b", "a"))
    run = busy.start_run(occurred_at=NOON + timedelta(hours=2))
    quiet.start_run(occurred_at=NOON + timedelta(hours=1))
    gone.delete("asked for")
    child = run.branch().branch()
    ledger.fold("runfold.projections.threads:Threads", "runfold.projections.thread_tree:ThreadTree")
    path = (
        "WITH RECURSIVE path AS (SELECT t.* FROM {thread_tree} AS t WHERE tenant_id = %b AND run_id = %b UNION ALL"
        " SELECT t.* FROM {thread_tree} AS t JOIN path AS p ON t.tenant_id = p.tenant_id AND t.thread_id = p.thread_id"
        " AND t.run_id = p.parent_run_id) SELECT run_id FROM path"
    )
    with ledger.now.read_models.reading("threads", "thread_tree") as snapshot:
        latest = snapshot.rows(Threads(), "state <> 'deleted'", order_by="last_activity_at DESC, thread_id DESC")
        assert [row.thread_id for row in latest] == [busy.id, quiet.id]
        assert [row.thread_id for row in snapshot.rows(Threads(), "agent_id = %b AND state = %b", ["a", "open"])] == [quiet.id]
        found = [run_id for (run_id,) in snapshot.query(path, [snapshot.tenant_id, child.id])]
        assert (found[0], found[-1], len(found)) == (child.id, run.id, 3)
