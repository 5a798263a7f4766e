"""`/ui/runs/{run_id}`: how one run went, what took how long, who decided what, what it used."""

from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from runfold.history.views import RunView
from runfold.pages.asking import Past, past
from runfold.pages.drawing import draw
from runfold.pages.runs.listing import titles_of
from runfold.pages.runs.timeline import WAIT_TYPES, Bar, Timeline, bars_of, sub_agents_of, timeline, waits_of
from runfold.pages.screen import Screen
from runfold.pages.windows import whole
from runfold.queries.tool_calls import ListedToolCall

MOST_BARS = 200
MOST_LISTED = 100
"""Decisions, problems and approvals on the page; the events hold all of them."""
MOST_CHARACTERS = 20_000
"""Of one exact text on the page; its event holds all of it."""
_CALLS = 1000


class Bars(NamedTuple):
    """A window of what took time, drawn and listed."""

    shown: tuple[Bar, ...]
    first: int
    total: int
    drawn: Timeline | None

    @property
    def last(self) -> int:
        """The number of the last that is shown."""
        return self.first + len(self.shown) - 1

    @property
    def next(self) -> int | None:
        """Where the next window begins."""
        return self.last + 1 if self.last < self.total else None

    @property
    def previous(self) -> int | None:
        """Where the window before begins."""
        return max(1, self.first - MOST_BARS) if self.first > 1 else None


async def _page(request: Request) -> Response:
    asked = await past(request)
    run_id, first = request.path_params["run_id"], whole(dict(request.query_params), "bar", 1, 1, 10**9)
    values = await asked.ask(lambda: _found(asked, run_id, first))
    asked.standing = values["summary"].standing
    return await draw(request, "run.html", most=MOST_LISTED, most_characters=MOST_CHARACTERS, **values)


def _found(asked: Past, run_id: str, first: int) -> dict[str, Any]:
    reading = asked.reading
    run, usage = reading.run(run_id), reading.usage("model", run=run_id)
    decisions = reading.decisions(run_id=run_id, order="asc", limit=MOST_LISTED)
    problems = reading.problems(run_id=run_id, limit=MOST_LISTED)
    approvals = reading.approvals(run_id=run_id, order="asc", limit=MOST_LISTED)
    return {
        "run": run,
        "title": titles_of(asked, [run.thread_id]).get(run.thread_id),
        "summary": reading.summary(run_id),
        "bars": _bars(asked, run, first),
        "decisions": decisions,
        "decision_words": reading.decision_words(decisions.items),
        "problems": problems,
        "problem_words": reading.problem_words(problems.items),
        "approvals": approvals,
        "approval_words": reading.approval_words(approvals.items),
        "usage": usage,
        "usage_lines": (*usage.rows, usage.total),
    }


def _bars(asked: Past, run: RunView, first: int) -> Bars:
    reading = asked.reading
    told = asked.ledger.events(run_id=run.id, types=WAIT_TYPES, up_to=asked.position)
    spawned = reading.runs(parent_run_id=run.id, order="asc", limit=MOST_BARS).items
    agents = sub_agents_of(run.id, reading.tree(run.thread_id).nodes.values(), spawned)
    found = bars_of(
        reading.steps(run.id), _calls(asked, run.id), waits_of(each for each in told if each.stream == run.id), agents
    )
    shown = tuple(found[first - 1 : first - 1 + MOST_BARS])
    return Bars(shown, first, len(found), timeline(shown, run.last_event_at, first))


def _calls(asked: Past, run_id: str) -> list[ListedToolCall]:
    page = asked.reading.tool_calls(run_id=run_id, content=False, limit=_CALLS)
    found = [*page.items]
    while page.next_cursor is not None:
        page = asked.reading.tool_calls(run_id=run_id, content=False, limit=_CALLS, cursor=page.next_cursor)
        found += page.items
    return found


SCREENS = (Screen("pages.run", "/ui/runs/{run_id}", _page),)
