"""A rollout that grows, is copied, or stands in another order says the same: what was read of its beginning stays as it was."""

import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from runfold.importers.format import SourceThread
from runfold.importers.formats.codex import read
from runfold.importers.sources import SourceFile
from runfold.importers.tally import Note, Problem
from runfold.importers.turns.turn import Said, Session
from tests.importers.codex.rollouts import SESSION, Rollout, bare, implicit, whole

FORK, FORK_OF_FORK = "019b0000-0000-7000-8000-0000000000f1", "019b0000-0000-7000-8000-0000000000f2"
CHILD, ITS_TURN = "019b0000-0002-7000-8000-0000000000c1", "019b0000-0003-7000-8000-0000000000d1"


def reading(*texts: str, told: list[Problem | Note] | None = None) -> list[Session]:
    """The conversations in files."""
    files = [SourceFile(f"rollout-{n}.jsonl", None, len(text), text.encode()) for n, text in enumerate(texts)]
    reports: list[Problem | Note] = [] if told is None else told
    return [session_of(source) for source in read(files, reports.append)]


def session_of(source: SourceThread) -> Session:
    """The session that a thread is recorded from."""
    session = source.record.args[0]  # type: ignore[attr-defined]
    assert isinstance(session, Session)
    return session


def steps(sessions: Iterable[Session]) -> dict[tuple[str, str, str], Any]:
    """All that was read, by thread, run and step."""
    found: dict[tuple[str, str, str], Any] = {}
    for session in sessions:
        for run_id, turn in session.turns.items():
            found[session.thread_id, run_id, ""] = (turn.parent, turn.kind, turn.agent_id, turn.rewound)
            found.update({(session.thread_id, run_id, step.id): (step.fact, step.actor) for step in turn.steps.values()})
    return found


def fork(source: Rollout, session_id: str, lines: int, *, hour: int = 12) -> Rollout:
    """A new file that begins with another's lines, at another time."""
    copy = Rollout(session_id, hour=hour)
    copy.meta(forked_from_id=source.session_id)
    for line in source.lines[:lines]:
        copy.line(line["type"], line["payload"])
    return copy


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
    assert session.counts().input_tokens == reading(source.text())[0].counts().input_tokens
    for order in ((2, 1, 0), (1, 0, 2), (0, 2, 1)):
        assert steps(reading(*(texts[n] for n in order))) == added
    alone = steps(reading(deeper.text()))
    assert alone == {name: added[name] for name in alone}


def spawning() -> tuple[Rollout, Rollout]:
    """A session whose agent spawns another, and that one's, which was given its parent's past."""
    parent = Rollout()
    parent.meta()
    parent.begin("019b0000-0001-7000-8000-0000000000a1", "Ask somebody.")
    parent.call("call_1", "find it", name="spawn_agent")
    copied = len(parent.lines)
    parent.output("call_1", json.dumps({"agent_id": CHILD, "nickname": "Ada"}))
    parent.answer("Asked.")
    parent.end("019b0000-0001-7000-8000-0000000000a1")
    source = {"subagent": {"thread_spawn": {"parent_thread_id": SESSION, "depth": 1, "agent_role": "explorer"}}}
    child = Rollout(CHILD, hour=11)
    child.meta(source=source, forked_from_id=SESSION, agent_role="explorer")
    for line in parent.lines[:copied]:
        child.line(line["type"], line["payload"])
    child.begin(ITS_TURN, "Find it.")
    child.tokens((10, 2), (10, 2))
    child.answer("It is here.")
    child.end(ITS_TURN)
    return parent, child


def test_a_spawned_agent_is_a_run_of_the_call_in_any_order_of_files() -> None:
    parent, child = spawning()
    for texts in ((parent.text(), child.text()), (child.text(), parent.text())):
        (session,) = reading(*texts)
        main, spawned = session.turns.values()
        assert (spawned.kind, spawned.parent, spawned.agent_id) == ("spawned_by", main.run_id, "codex:explorer")
        assert spawned.spawning_call in main.steps
        assert {step.actor for step in spawned.steps.values()} == {"agent:codex", "service:codex"}
        assert "human:user" in {step.actor for step in main.steps.values()}
        assert (session.counts().tool_calls, session.counts().input_tokens) == (1, 10)


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
