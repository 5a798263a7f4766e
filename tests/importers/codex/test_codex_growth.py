"""A rollout that grows, is copied, or stands in another order says the same: what was read of its beginning stays as it was."""

from collections.abc import Callable

import pytest

from runfold.importers.turns.turn import Said
from tests.importers.codex.rollouts import Rollout, bare, fork, implicit, reading, spawning, steps, whole
from tests.importers.counted import counts_of

FORK, FORK_OF_FORK = "019b0000-0000-7000-8000-0000000000f1", "019b0000-0000-7000-8000-0000000000f2"


@pytest.mark.parametrize("made", [whole, implicit, bare])
def test_what_was_read_of_the_first_lines_stays(made: Callable[[], Rollout]) -> None:
    rollout = made()
    at_once = steps(reading(rollout.text()))
    for lines in range(1, len(rollout.lines)):
        before = steps(reading(rollout.text(lines)))
        assert before == {name: at_once[name] for name in before}, f"after {lines} lines"


@pytest.mark.parametrize("made", [whole, implicit, bare])
def test_a_file_twice_or_beside_its_beginning_is_read_once(made: Callable[[], Rollout]) -> None:
    rollout = made()
    at_once = steps(reading(rollout.text()))
    half = rollout.text(len(rollout.lines) // 2)
    doubled = rollout.text() * 2
    for texts in ((rollout.text(), rollout.text()), (half, rollout.text()), (rollout.text(), half), (doubled,)):
        assert steps(reading(*texts)) == at_once


@pytest.mark.parametrize("made", [whole, implicit])
@pytest.mark.parametrize("cut", [12, 16, 20])
def test_a_fork_is_counted_once_and_leaves_where_it_parts(made: Callable[[], Rollout], cut: int) -> None:
    source = made()
    forked = fork(source, FORK, cut)
    forked.begin("019b0000-0000-7000-8000-0000000000u1", "Rather not.")
    forked.answer("As you like.")
    deeper = fork(forked, FORK_OF_FORK, len(forked.lines))
    deeper.begin("019b0000-0000-7000-8000-0000000000u2", "Really.")
    texts = (source.text(), forked.text(), deeper.text())
    (session,) = reading(*texts)
    own, added = steps(reading(source.text())), steps([session])
    assert {name: added[name] for name in own} == own
    assert len(session.turns) == len(reading(source.text())[0].turns) + 2
    assert counts_of(session).input_tokens == counts_of(reading(source.text())[0]).input_tokens
    for order in ((2, 1, 0), (1, 0, 2), (0, 2, 1)):
        assert steps(reading(*(texts[n] for n in order))) == added
    alone = steps(reading(deeper.text()))
    assert alone == {name: added[name] for name in alone}


def test_a_spawned_agent_is_a_run_of_the_call_in_any_order_of_files() -> None:
    parent, child = spawning()
    for texts in ((parent.text(), child.text()), (child.text(), parent.text())):
        (session,) = reading(*texts)
        main, spawned = session.turns.values()
        assert (spawned.kind, spawned.parent, spawned.agent_id) == ("spawned_by", main.run_id, "codex:explorer")
        assert spawned.spawning_call in main.steps
        assert {step.actor for step in spawned.steps.values()} == {"agent:codex", "service:codex"}
        assert "human:user" in {step.actor for step in main.steps.values()}
        assert (counts_of(session).tool_calls, counts_of(session).input_tokens) == (1, 10)


def test_a_spawned_agents_file_alone_tells_its_own_turns_from_those_that_it_was_given() -> None:
    _, child = spawning()
    (session,) = reading(child.text())
    given, own = session.turns.values()
    assert (given.agent_id, own.agent_id) == ("codex", "codex:explorer")
    assert [[step.actor for step in turn.steps.values() if isinstance(step.fact, Said)] for turn in (given, own)] == [
        ["human:user"],
        ["agent:codex", "agent:codex"],
    ]


def test_two_sessions_are_two_threads_and_equal_words_in_them_are_two_messages() -> None:
    one, other = whole(), Rollout("019b0000-0000-7000-8000-00000000000z")
    other.meta()
    other.prompt("Are the tests green?")
    sessions = reading(one.text(), other.text())
    assert len({session.thread_id for session in sessions}) == 2
    assert len({step for session in sessions for turn in session.turns.values() for step in turn.steps}) == sum(
        len(turn.steps) for session in sessions for turn in session.turns.values()
    )
