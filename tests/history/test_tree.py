"""A thread's tree: who comes from whom, however deep and wide it is, in time in proportion to how many runs there are."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from runfold import Ledger
from runfold.domain.recorded import Recorded
from runfold.domain.run_events import FOLLOWED, Parent, ParentKind, RunCreated
from runfold.history.tree import Node, Tree
from runfold.http.agents.lineage import Lineage
from runfold.http.agents.past import path_events
from runfold.store.reading.tenant_reader import TenantReader
from tests.promises.growth import TIMES, growth

DEEP = 1_500
"""Further than functions may call each other."""
NOW = datetime.now(UTC)
KINDS: tuple[ParentKind, ...] = ("continues", "branches", "resumes", "retries", "spawned_by")


def tree_of(parents: list[tuple[int | None, ParentKind]]) -> Tree:
    """The tree in which each run comes from one before it."""
    tree = Tree("thread_1")
    for number, (above, kind) in enumerate(parents):
        parent = None if above is None else Parent(run_id=f"run_{above}", kind=kind, at_version=1)
        created = RunCreated(thread_id="thread_1", parent=parent, agent_id="support", request_digest=f"sha256:{0:064}")
        place = (bytes(16), "default", "thread_1", NOW, 1, "{}", '{"actor":"system:test"}')
        tree.evolve(Recorded(number + 1, f"run_{number}", 1, created, *place))
    return tree


def children(tree: Tree, run_id: str) -> list[Node]:
    return [node for node in tree.nodes.values() if node.parent is not None and node.parent.run_id == run_id]


def spawned(tree: Tree, run_id: str) -> Iterator[str]:
    for node in children(tree, run_id):
        if node.parent is not None and node.parent.kind == "spawned_by":
            yield node.run_id
            yield from spawned(tree, node.run_id)


@pytest.mark.parametrize("seed", range(30))
def test_what_it_says_is_what_a_plain_look_at_all_runs_says(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    count = chance.randrange(1, 30)
    tree = tree_of([(chance.choice([None, *range(number)]), chance.choice(KINDS)) for number in range(count)])
    for run_id in tree.nodes:
        assert tree.children(run_id) == children(tree, run_id)
        assert list(tree.spawned(run_id)) == list(spawned(tree, run_id))
        last, main = run_id, run_id
        while following := [each for each in children(tree, last) if each.parent and each.parent.kind in FOLLOWED]:
            last = following[-1].run_id
        assert tree.last_after(run_id) == last
        while (parent := tree.node(main).parent) is not None and parent.kind == "spawned_by":
            main = parent.run_id
        assert tree.main_of(run_id) == main
    assert tree.children(None) == [node for node in tree.nodes.values() if node.parent is None]


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_walked_however_deep_it_is(kind: ParentKind) -> None:
    tree = tree_of([(number - 1 if number else None, kind) for number in range(DEEP)])
    last = f"run_{DEEP - 1}"
    assert len(list(tree.spawned("run_0"))) == (DEEP - 1 if kind == "spawned_by" else 0)
    assert tree.main_of(last) == ("run_0" if kind == "spawned_by" else last)
    assert tree.last_after("run_0") == (last if kind in FOLLOWED else "run_0")


@pytest.mark.fault("K1")
@pytest.mark.parametrize("is_wide", [False, True])
def test_to_ask_for_the_children_of_all_runs_takes_in_proportion_to_their_number(*, is_wide: bool) -> None:
    def made(count: int) -> Tree:
        return tree_of([(None if not number else 0 if is_wide else number - 1, "branches") for number in range(count)])

    found = growth(lambda tree: [tree.children(run_id) for run_id in tree.nodes], made, 200, weighed=True)
    assert found.calls < 1.5 * TIMES, found
    assert found.seconds < 3.5 * TIMES, found


@pytest.mark.parametrize("kind", ["continues", "spawned_by"])
def test_an_agents_client_finds_its_place_in_a_thread_however_deep(ledger: Ledger, kind: ParentKind) -> None:
    thread = ledger.create_thread(agent_id="support")
    with ledger.batch() as batch:
        at = batch.thread(thread.id).start_run()
        asked = at.add_message("user", "Go.")
        for _ in range(DEEP):
            at = batch.thread(thread.id).start_run(parent=at.id, kind=kind)
        other = batch.thread(thread.id).start_run(parent=None)
        batch.thread(thread.id).move_head("main", other)
    reader, tree = TenantReader.of(ledger.recorder.reader, "default"), thread.tree()
    client = Lineage(reader, tree, {"messages": [{"id": asked.id, "role": "user"}]})
    first = next(iter(tree.nodes))
    assert client.current() == (at.id if kind == "continues" else first)
    assert len(path_events(reader, tree, client.current() or "")) == 2 * (DEEP + 1) + 1
