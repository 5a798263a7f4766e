"""Forks of the Codex CLI that name where they begin, and do not repeat what stands there."""

from typing import Any

import pytest

from runfold.importers.codex.lineage import NOT_GIVEN
from runfold.importers.tally import Note, Problem
from tests.importers.codex.rollouts import CHILD, ITS_TURN, SESSION, Rollout, fork, reading, spawning, steps, whole
from tests.importers.counted import counts_of

FORK, FORK_OF_FORK = "019b0000-0000-7000-8000-0000000000f1", "019b0000-0000-7000-8000-0000000000f2"
OWN, LATER = "019b0000-0000-7000-8000-0000000000u1", "019b0000-0000-7000-8000-0000000000u2"


def numbered(rollout: Rollout, first: int = 0) -> Rollout:
    """The same with the ordinals of its lines."""
    for number, line in enumerate(rollout.lines, first):
        line["ordinal"] = number
    return rollout


def named(source: Rollout, session_id: str, lines: int, *, hour: int = 12) -> Rollout:
    """A new file that begins after another's lines without repeating them; its own are numbered from there on."""
    found = Rollout(session_id, hour=hour)
    first = source.lines[0]["ordinal"]
    base = {"thread_id": source.session_id, "end_ordinal_exclusive": first + lines, "end_byte_offset": 1}
    about = {} if session_id == source.session_id else {"forked_from_id": source.session_id}
    found.meta(history_mode="paginated", history_base=base, **about)
    return found


def go_on(rollout: Rollout, turn_id: str = OWN) -> Rollout:
    """A turn of the fork's own."""
    rollout.begin(turn_id, f"Rather not, {turn_id[-2:]}.")
    rollout.tokens((7, 3), (2507, 123))
    rollout.answer("As you like.")
    rollout.end(turn_id)
    return rollout


ENDS_OF_TURNS = [number + 1 for number, line in enumerate(whole().lines) if line["payload"].get("type") in ("task_complete",)]


@pytest.mark.parametrize("cut", ENDS_OF_TURNS)
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_a_fork_that_names_its_beginning_is_as_one_that_repeats_it(cut: int, order: tuple[int, ...]) -> None:
    source = numbered(whole())
    repeating = go_on(fork(source, FORK, cut))
    texts = [source.text(), repeating.text(), go_on(fork(repeating, FORK_OF_FORK, len(repeating.lines)), LATER).text()]
    naming = numbered(go_on(named(source, FORK, cut)), cut)
    of_fork = numbered(go_on(named(naming, FORK_OF_FORK, len(naming.lines)), LATER), cut + len(naming.lines))
    told: list[Problem | Note] = []
    (session,) = reading(*([source.text(), naming.text(), of_fork.text()][n] for n in order), told=told)
    assert steps([session]) == steps(reading(*texts))
    assert told == []


def test_a_count_that_a_fork_begins_with_is_the_one_of_where_it_begins() -> None:
    source = numbered(whole())
    naming = named(source, FORK, len(source.lines))
    naming.tokens((1500, 70), (2500, 120), cached=1000)
    (session,) = reading(source.text(), numbered(go_on(naming), len(source.lines)).text())
    assert counts_of(session).input_tokens == counts_of(reading(source.text())[0]).input_tokens + 7


def test_a_session_that_went_back_leaves_where_it_went_back_to() -> None:
    source = numbered(whole())
    again = numbered(go_on(named(source, SESSION, ENDS_OF_TURNS[0], hour=13)), ENDS_OF_TURNS[0])
    (session,) = reading(source.text(), again.text())
    first, *_, last = session.turns.values()
    assert (last.parent, last.kind, last.rewound) == (first.run_id, "branches", True)
    onwards = numbered(go_on(named(source, SESSION, len(source.lines), hour=13)), len(source.lines))
    (session,) = reading(source.text(), onwards.text())
    *_, before, last = session.turns.values()
    assert (last.parent, last.kind, last.rewound) == (before.run_id, "continues", False)


def test_an_agent_that_was_given_its_parents_past_by_name_is_as_one_that_repeats_it() -> None:
    parent, repeating = spawning()
    numbered(parent)
    own = next(number for number, line in enumerate(repeating.lines) if line["payload"].get("turn_id") == ITS_TURN)
    naming = named(parent, CHILD, own - 1, hour=11)
    naming.lines[0]["payload"] |= {**repeating.lines[0]["payload"], "history_base": naming.lines[0]["payload"]["history_base"]}
    naming.lines += repeating.lines[own:]
    wanted = steps(reading(parent.text(), repeating.text()))
    for texts in ((parent.text(), naming.text()), (naming.text(), parent.text())):
        assert steps(reading(*texts)) == wanted


def test_a_fork_whose_beginning_is_not_there_is_told_and_read() -> None:
    told: list[Problem | Note] = []
    (session,) = reading(numbered(go_on(named(numbered(whole()), FORK, 9)), 9).text(), told=told)
    assert [note.kind for note in told if isinstance(note, Note)] == [NOT_GIVEN]
    assert [turn.parent for turn in session.turns.values()] == [None]


@pytest.mark.parametrize(
    "odd", [None, [], "x", {}, {"thread_id": 7}, {"thread_id": SESSION}, {"thread_id": SESSION, "end_ordinal_exclusive": "9"}]
)
def test_a_beginning_that_says_nothing_is_none(odd: Any) -> None:
    rollout = Rollout(FORK)
    rollout.meta(history_base=odd)
    (session,) = reading(whole().text(), numbered(go_on(rollout)).text())[-1:]
    assert [turn.parent for turn in session.turns.values()] == [None]
