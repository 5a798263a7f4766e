"""All screens, gathered. A new one is a file with `SCREENS` and a line here."""

from collections.abc import Sequence

from runfold.pages import event, events, first, login, moments, search, static, threads
from runfold.pages.refusals import nothing_here, served
from runfold.pages.replay import diff, thread
from runfold.pages.runs import downloads, listing, run, sample
from runfold.pages.screen import Screen

_EACH: Sequence[Sequence[Screen]] = (
    login.SCREENS,
    static.SCREENS,
    first.SCREENS,
    threads.SCREENS,
    thread.SCREENS,
    diff.SCREENS,
    listing.SCREENS,
    sample.SCREENS,
    downloads.SCREENS,
    run.SCREENS,
    events.SCREENS,
    event.SCREENS,
    moments.SCREENS,
    search.SCREENS,
)


def screens(more: Sequence[Screen] = ()) -> list[Screen]:
    """Return every screen, and `more` that the server brings, ready to be mounted: each draws what it is refused."""
    known = [*(screen for each in _EACH for screen in each), *more]
    nothing = [Screen("pages.nothing", "/ui/{rest:path}", nothing_here(known), verb) for verb in _VERBS]
    return [screen._replace(answer=served(screen)) for screen in (*known, *nothing)]


_VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE")
