"""Before read models are read: bring them up to date, or say how far behind they are."""

from typing import TYPE_CHECKING, Any

from runfold.cli.call import Call

if TYPE_CHECKING:
    from runfold.ledger import Ledger
    from runfold.queries.page import Standing


def catch_up(call: Call, ledger: "Ledger", names: tuple[str, ...] = ()) -> int:
    """Fold the events that are there, with a progress bar, and return the position."""
    from runfold.terminal.progress import progress_bar

    with progress_bar(call.err, "Folding", "events") as told:
        return ledger.fold(*names, progress=lambda done, total: told(done, total, ""))


def ready(call: Call, ledger: "Ledger", *names: str, fold: bool) -> None:
    """Fold new events where that was asked for, else note how far behind the read models are.

    Raises ReadModelBehind where one was never built, or by another version.
    """
    if fold:
        catch_up(call, ledger, names)
        return
    standing = ledger.now.read_models.standing(*names)
    if standing.behind_events:
        from runfold.terminal.text import seconds

        behind = f"{standing.behind_events:,} events ({seconds(standing.behind_seconds)})"
        call.note(f"as of position {standing.position}, {behind} behind; --fold catches up first, `runfold work` keeps up")


def as_json(standing: "Standing") -> dict[str, Any]:
    """What every answer from read models says of how current it is."""
    return {
        "as_of": standing.position,
        "behind_events": standing.behind_events,
        "behind_seconds": standing.behind_seconds,
        **({"superseded_threads": standing.superseded_threads} if standing.superseded_threads else {}),
    }
