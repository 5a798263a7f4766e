"""What took time, drawn: in tracks that hold no two bars over each other, with what is idle folded."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from runfold.history.step_list import StepView
from runfold.pages.runs.scale import FOLD_WIDTH, MOST_FOLDS, Scale
from runfold.pages.runs.timeline import MOST_ROWS, Bar, bars_of, timeline

DAWN = datetime(2026, 3, 1, 6, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return DAWN + timedelta(seconds=seconds)


def bar(id: str, began: float, ended: float | None, kind: str = "tool_call", **more: object) -> Bar:
    position = round(began * 10) + 1
    ends = {"ended_at": None if ended is None else at(ended), "ended_position": None if ended is None else position + 1}
    made = {"kind": kind, "id": id, "label": id, "status": "succeeded", "began_at": at(began), "position": position, **ends}
    return Bar(**{**made, **more})  # type: ignore[arg-type]


def test_a_long_idle_time_is_folded_to_a_narrow_mark_that_says_how_long_it_was() -> None:
    scale = Scale([at(0), at(10), at(20), at(7220), at(7230)])
    assert [(fold.width, fold.lasted) for fold in scale.folds] == [(FOLD_WIDTH, timedelta(seconds=7200))]
    assert scale.place(at(10)) == pytest.approx(32)
    assert (scale.place(at(0)), scale.place(at(7230)), scale.place(at(-5)), scale.place(at(9999))) == (0, 100, 0, 100)
    assert scale.place(at(3620)) == pytest.approx(64 + FOLD_WIDTH / 2)


def test_short_pauses_and_a_single_stretch_are_not_folded() -> None:
    assert Scale([at(0), at(20), at(21)]).folds == []
    assert Scale([at(0), at(7200)]).folds == []
    assert Scale([at(0)]).place(at(0)) == 0


def test_places_never_go_back_and_fill_the_width_whatever_the_times() -> None:
    chance = random.Random(7)  # noqa: S311  a story, not a secret
    for _ in range(200):
        moments = [at(chance.choice((1, 60, 3600, 86_400)) * chance.random() * 30) for _ in range(chance.randrange(2, 60))]
        scale = Scale(moments)
        places = [scale.place(moment) for moment in sorted(moments)]
        assert places == sorted(places)
        assert places[0] == 0
        assert places[-1] == pytest.approx(100)
        assert len(scale.folds) <= MOST_FOLDS
        assert len({tick.at for tick in scale.ticks()}) == len(scale.ticks())


def test_bars_of_one_lane_never_lie_over_each_other() -> None:
    chance = random.Random(3)  # noqa: S311  a story, not a secret
    for _ in range(50):
        bars = [bar(f"c{each}", began := chance.random() * 100, began + chance.random() * 20) for each in range(12)]
        drawn = timeline(bars, at(200))
        assert drawn is not None
        for track in drawn.tracks:
            for one in track.bars:
                beside = [other for other in track.bars if other is not one and other.y == one.y]
                assert all(one.x + one.width <= other.x or other.x + other.width <= one.x for other in beside)
            assert len({each.y for each in track.bars}) <= MOST_ROWS
        assert all(each.y + 9 <= drawn.height for track in drawn.tracks for each in track.bars)


def test_very_many_at_once_stay_in_few_rows() -> None:
    drawn = timeline([bar(f"c{each}", 5, 5) for each in range(50)] + [bar("last", 0, 10)], at(10))
    assert drawn is not None
    assert len({each.y for each in drawn.tracks[0].bars}) == MOST_ROWS
    assert len(drawn.tracks[0].bars) == 51


def test_what_has_not_ended_goes_on_until_the_last_that_is_known() -> None:
    drawn = timeline([bar("c1", 0, 10), bar("c2", 5, None), bar("a1", 5, None, "sub_agent", heard_at=at(15))], at(20))
    assert drawn is not None
    tools, agents = drawn.tracks
    assert [each.x + each.width for each in tools.bars] == pytest.approx([50, 100])
    assert agents.bars[0].x + agents.bars[0].width == pytest.approx(75)


def test_what_took_no_time_and_an_end_before_the_beginning_are_drawn_as_narrow_as_can_be_seen() -> None:
    drawn = timeline([bar("c1", 10, 5), bar("c2", 0, 20)], at(20))
    assert drawn is not None
    assert sorted(each.width for each in drawn.tracks[0].bars) == [0.3, 100]
    at_once = timeline([bar("c1", 5, 5), bar("c2", 5, 5)], at(5))
    assert at_once is not None
    assert [each.width for each in at_once.tracks[0].bars] == [0.3, 0.3]


def test_a_sub_agent_stands_under_the_one_call_in_whose_time_it_was_spawned() -> None:
    waits = [bar("one", 0, 10), bar("two", 20, 30), bar("three", 25, 40)]
    agents = [bar("a1", 5, 9, "sub_agent"), bar("a2", 26, 29, "sub_agent"), bar("a3", 15, 16, "sub_agent")]
    found = bars_of([], [], waits, agents)
    assert [(each.id, each.depth) for each in found] == [
        ("one", 0),
        ("a1", 1),
        ("a3", 0),
        ("two", 0),
        ("three", 0),
        ("a2", 0),
    ]


def test_ids_that_a_step_a_model_call_and_a_tool_call_have_in_common_confuse_none_of_them() -> None:
    step, call = (
        StepView(
            kind=kind, id="1", run_id="run_1", status="started", step_id=within, started_at=at(began), started_position=began
        )
        for kind, within, began in (("step", None, 1), ("model_call", "1", 2))
    )
    found = bars_of([step, call], [], [bar("1", 3, 9)], [bar("a", 5, 8, "sub_agent")])
    assert [(each.kind, each.depth) for each in found] == [("step", 0), ("model_call", 1), ("tool_call", 0), ("sub_agent", 1)]


def test_nothing_to_draw_is_no_drawing() -> None:
    assert timeline([], DAWN) is None
