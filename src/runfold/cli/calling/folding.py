"""Before read models are read: bring them up to date, or say how far behind they are."""

from functools import partial
from typing import TYPE_CHECKING, Any

import typer

from runfold.cli.calling.call import Call

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runfold.delivery.loop import ReactorLoop
    from runfold.delivery.reactor import Reactor
    from runfold.ledger import Ledger
    from runfold.projector.folding.supervisor import Supervisor
    from runfold.queries.page import Standing

WORKER_SECONDS, LOOK_SECONDS = 2.0, 0.02
"""How long a worker that is at it is waited for, before the answer says how far it is."""
GIVE_WAY = frozenset({"sealer"})
"""Kinds of what happens by itself that nobody waits for: who appends goes first."""


def catch_up(call: Call, ledger: "Ledger", names: "Sequence[str]" = ()) -> int:
    """Fold the events that are there, with a progress bar, and return the position.

    What does not come with Runfold is folded in a process of its own, which is ended where a fold does not return.
    """
    from runfold.projections.registry import chosen, is_built_in
    from runfold.terminal.progress import progress_bar

    with progress_bar(call.err, "Folding", "events") as told:

        def progress(done: int, total: int) -> None:
            told(done, total, "")

        if all(is_built_in(each) for each in chosen(names).values()):
            return ledger.fold(*names, progress=progress)
        position = ledger.position()
        looking_after, _ = supervisor(ledger, names, once=True, options=["--json"] if call.json else [])
        run_until_stopped(ledger, looking_after, progress)
        return position


def run_until_stopped(
    ledger: "Ledger", looking_after: "Supervisor", progress: "Callable[[int, int], None] | None" = None
) -> None:
    """Look after processes that fold; an error that one has printed is this command's too.

    Raises LedgerUnavailable where nobody may fold here.
    """
    from runfold.projector.folding.supervisor import ChildFailed

    with ledger.folding.connected():
        pass
    try:
        looking_after.run(progress)
    except ChildFailed as failed:
        raise typer.Exit(failed.code) from None


def reactor_kinds(*, sweep: bool, deliver: bool, seal: bool) -> list[str]:
    """Return the kinds of what is to happen by itself."""
    return [name for name, is_wanted in (("sweepers", sweep), ("webhooks", deliver), ("sealer", seal)) if is_wanted]


def reactor_loop(ledger: "Ledger", kinds: "Sequence[str]") -> "ReactorLoop":
    """Return what carries out what happens by itself."""
    from runfold.delivery.kinds import reactor_loop

    return reactor_loop(ledger, kinds, {"sealer": _sealers})


def _sealers(ledger: "Ledger") -> "Sequence[Reactor]":
    from importlib.util import find_spec

    if find_spec("cryptography") is None:
        from runfold.logs import logger

        logger().warning("nobody seals the log here", fact="signing needs a library", next_step="install `runfold[evidence]`")
        return []
    from runfold.evidence.sealer import sealers

    return sealers(ledger)


def reacting(kinds: "Sequence[str]") -> list[list[str]]:
    """Return the words of the commands that carry out what happens by itself, if anything is to.

    What gives way to others has a process of its own, so that nothing else waits with it.
    """
    groups = [kind for kind in kinds if kind not in GIVE_WAY], [kind for kind in kinds if kind in GIVE_WAY]
    return [["work", "--until-input-ends", *(word for kind in group for word in ("--react", kind))] for group in groups if group]


def supervisor(ledger: "Ledger", names: "Sequence[str]", **how: Any) -> "tuple[Supervisor, Sequence[str]]":
    """Return who looks after the processes that fold some read models, or all that are known, and what these are called."""
    from runfold.projections.registry import chosen, is_built_in
    from runfold.projector.folding.supervisor import Supervisor
    from runfold.settings import environment

    settings = ledger.settings
    said = {plain: name for name in names or chosen() for plain in chosen([name])}
    own = [each.name for each in chosen(names).values() if not is_built_in(each)]
    datastore = partial(ledger.database.datastore, settings.connect_timeout, projector=True)
    return Supervisor(datastore, said, environment(settings), settings.fold_timeout, apart=own, **how), sorted(said)


def ready(call: Call, ledger: "Ledger", *names: str, fold: bool) -> None:
    """Fold new events where that was asked for, or where they are few and no worker is at it; else note how many there are.

    `names` are read models by name or as module:Class. Raises ReadModelBehind where one was never built, or by another version.
    """
    from runfold.projections.registry import chosen, find

    foldable = [name for name in names if ":" in name or find(name)]
    if fold:
        catch_up(call, ledger, names)
    elif foldable:
        _fold_few(call, ledger, foldable)
    plain = [plain for name in names for plain in (chosen([name]) if ":" in name else [name])]
    if not plain:
        return
    standing = ledger.now.read_models.standing(*plain)
    if not standing.behind_events:
        return
    left = left_alone(ledger, foldable)
    for fact in left.values():
        call.note(fact)
    if not (left or fold):
        from runfold.terminal.text import seconds

        behind = f"{standing.behind_events:,} events ({seconds(standing.behind_seconds)})"
        call.note(f"as of position {standing.position}, {behind} behind; --fold catches up first, `runfold work` keeps up")


def left_alone(ledger: "Ledger", names: "Sequence[str]" = ()) -> dict[str, str]:
    """Return, of read models that a newer program has folded, why this one brings them no further, by their names."""
    from runfold.projections.registry import chosen

    said = {plain: name for name in names or chosen() for plain in chosen([name])}
    own = {name: projection.version for name, projection in chosen(names).items()}
    return {
        each.name: (
            f"{each.name} stays at position {each.position}: a newer program folded it, with version {each.version}, and this one"
            f" has version {own[each.name]}; upgrade this program, or have it built anew: `runfold rebuild {said[each.name]}`"
        )
        for each in ledger.projections()
        if each.version > own.get(each.name, each.version) and (each.position or 0) < each.head
    }


def _fold_few(call: Call, ledger: "Ledger", names: list[str]) -> None:
    """Bring read models on where that is soon done; where a worker is at it, give it a moment."""
    from runfold.terminal.progress import progress_bar
    from runfold.terminal.text import counted

    with progress_bar(call.err, "Folding", "events") as told:
        found = ledger.fold_to_read(*names, progress=lambda done, total: told(done, total, ""))
    if found.folded and found.backlog.events:
        call.note(f"folded {counted(found.backlog.events, 'new event')} first, as no worker runs; `runfold work` keeps up")
    elif found.backlog.worker is not None:
        with call.busy("Waiting for the worker"):
            _wait(ledger, found.backlog.names, found.backlog.head)


def _wait(ledger: "Ledger", names: "Sequence[str]", position: int) -> None:
    import time

    end = time.monotonic() + WORKER_SECONDS
    while time.monotonic() < end:
        progress = ledger.now.read_models.progress(names).values()
        if all(each.has_stopped or (each.position or 0) >= position for each in progress):
            return
        time.sleep(LOOK_SECONDS)


def as_json(standing: "Standing") -> dict[str, Any]:
    """What every answer from read models says of how current it is."""
    return {
        "as_of": standing.position,
        "behind_events": standing.behind_events,
        "behind_seconds": standing.behind_seconds,
        **({"superseded_threads": standing.superseded_threads} if standing.superseded_threads else {}),
    }
