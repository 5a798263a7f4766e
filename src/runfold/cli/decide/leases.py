"""`runfold claim`, `renew` and `release`: a run held by one worker at a time, for scripts that work on runs."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from runfold.cli.calling.call import Call
from runfold.cli.calling.options import Comment, RunId

if TYPE_CHECKING:
    from datetime import datetime

    from runfold.ledger import Ledger

Execution = Annotated[str, typer.Argument(metavar="EXECUTION", help="The claim's id, as `runfold claim` printed it.")]
For = Annotated[
    str, typer.Option("--for", metavar="DURATION", help="How long the lease holds from now, unless it is renewed: 90s, 15m, 1h.")
]


def claim(
    call: Call,
    run_id: RunId,
    *,
    worker: Annotated[
        str | None,
        typer.Option("--worker", metavar="NAME", help="Who works on it, as others are told; this machine's name if not given."),
    ] = None,
    length: For = "5m",
    execution_id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="Your own id for the claim; claiming again with it renews the lease.")
    ] = None,
    take_over: Annotated[bool, typer.Option("--take-over", help="Take it from a worker whose lease has expired, too.")] = False,
) -> None:
    """Take a run for one worker, and print the claim's id, which renews and releases it.

    One worker holds a run at a time; while another does, that is refused (exit 1), and it says who and until when. Renew the
    lease sooner than it ends: a run whose lease was not renewed in time is stuck, and may be taken over.
    """
    import socket

    from runfold.domain.durations import positive_duration
    from runfold.errors import CommandRefused

    lease = positive_duration("--for", length)
    with call.ledger() as ledger:
        name = worker if worker is not None else socket.gethostname()
        try:
            execution = ledger.run(run_id).claim(name, lease=lease, execution_id=execution_id, take_over=take_over)
        except CommandRefused as error:
            if "take_over" in error.rule:
                call.note("pass --take-over to claim it all the same")
            raise
        until = _until(ledger, run_id, execution)
    if call.json:
        call.answer({**_said(run_id, execution, until), "worker": name})
        return
    from runfold.terminal.text import shown

    call.out.print(shown(execution), soft_wrap=True)
    call.note(f"{name} holds {run_id}{_until_text(until)}; `runfold renew {run_id} {execution}` keeps it")


def renew(call: Call, run_id: RunId, execution: Execution, *, length: For = "5m") -> None:
    """Keep a run for its worker, for so much longer from now.

    Refused (exit 1) once somebody else has it, or nobody. It is exit 1, too, where somebody wants the run to stop; the lease
    is renewed all the same, so that there is time to stop, and `--json` names the error CancellationRequested.
    """
    from runfold.domain.durations import positive_duration

    lease = positive_duration("--for", length)
    with call.ledger() as ledger:
        ledger.run(run_id).renew(execution, lease=lease)
        until = _until(ledger, run_id, execution)
    if call.json:
        call.answer(_said(run_id, execution, until))
        return
    from runfold.terminal.text import shown

    call.out.print(shown(f"{run_id} is held{_until_text(until)}"), soft_wrap=True)


def release(call: Call, run_id: RunId, execution: Execution, *, comment: Comment = None) -> None:
    """Give a run back, so that any worker may claim it. One that nobody holds stays as it is."""
    with call.ledger() as ledger:
        receipt = ledger.run(run_id).release(execution, comment)
    if call.json:
        call.answer({"run_id": run_id, "released": receipt.appended > 0, "position": receipt.position})
        return
    from runfold.terminal.text import shown

    told = "is given back" if receipt.appended else "was held by nobody; nothing was changed"
    call.out.print(shown(f"{run_id} {told}"), soft_wrap=True)


def _until(ledger: "Ledger", run_id: str, execution: str) -> "datetime | None":
    """Return until when a claim holds, by what was recorded last; None where somebody else holds the run by now."""
    from runfold.domain.run_events import RunClaimed, RunLeaseRenewed

    types = (RunClaimed.type, RunLeaseRenewed.type)
    for recorded in ledger.events(run_id=run_id, types=types, order="desc", limit=1):
        event = recorded.event
        if isinstance(event, RunClaimed | RunLeaseRenewed) and event.execution_id == execution:
            return event.lease_expires_at
    return None


def _said(run_id: str, execution: str, until: "datetime | None") -> dict[str, Any]:
    return {"run_id": run_id, "execution_id": execution, "lease_expires_at": until and until.isoformat()}


def _until_text(until: "datetime | None") -> str:
    return "" if until is None else f" until {until:%Y-%m-%d %H:%M:%S} UTC"
