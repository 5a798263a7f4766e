"""POST /bundles: a bundle of evidence as a .zip, for auditors; it is made whole before its first byte is sent."""

import shutil
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from runfold.domain.security import Scope
from runfold.domain.times import parse_time
from runfold.errors import InvalidEvent, LedgerUnavailable, UsageError
from runfold.handles.ledgers.receipts import told_by
from runfold.handles.ledgers.tenant_ledger import TenantLedger
from runfold.http import bodies
from runfold.http.bodies import Body
from runfold.http.routes.receipts import KeptReceipt
from runfold.http.routing import Handler, NamedRoute, Operation, route_of
from runfold.http.server_state import ServerState
from runfold.queries.lists.parameters import parameters_of
from runfold.queries.runs.sample import RunSampleParameters
from runfold.settings import Settings

if TYPE_CHECKING:
    from runfold.evidence.bundles.bundle import Made

_SCOPES: tuple[Scope, Scope] = ("audit:read", "events:read")
_ZIP = "application/zip"
_CHUNK = 256 * 1024
VERDICT, UNSEALED = "Runfold-Bundle-Verdict", "Runfold-Unsealed-Events"


class AbsenceAsked(Body):
    """What the thread is to be shown not to have."""

    type: str
    """An event type, such as `approval.granted`."""
    call: str | None = None
    """The tool call that it would be about."""


class RowsAsked(Body):
    """Rows of a read model."""

    read_model: str
    key: list[str]
    """The row's key, its values in order; fewer for all rows that begin so."""


class SampleOfRuns(Body):
    """A sample of runs, which anybody can draw again."""

    seed: str
    """What is drawn by: any text, such as 2026-Q3. The same seed draws the same runs."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """How many runs (`n`), and what narrows those that are drawn from, under the names of `GET /run-samples`."""
    as_of: str | None = None
    """A position, or a time such as `2026-01-31T09:30:00Z` by the store's clock; without it, the checkpoint's."""


class BundleAsked(Body):
    """What the bundle is of: `ids`, `receipt`, `rows`, `sample` or `whole_log`, one of them."""

    ids: list[str] = Field(default_factory=list)
    """Threads, runs or approvals, whose whole threads go in."""
    receipt: KeptReceipt | None = None
    """A receipt, of whose events each goes in alone."""
    rows: RowsAsked | None = None
    """Rows of a read model, with the events that they are made of."""
    sample: SampleOfRuns | None = None
    """A sample of runs, with their threads and all runs that they are drawn from."""
    whole_log: bool = False
    """All events of the tenant. With `sample`, or with `absence`, the leaf of every event."""
    absence: AbsenceAsked | None = None
    """What the one thread in `ids`, or the whole log, is to be shown not to have."""
    leave_out: list[str] = Field(default_factory=list)
    """Event types whose payloads are left out, such as `message.*`."""


class _Packed(NamedTuple):
    made: "Made"
    file: IO[bytes]
    size: int
    position: int


MAKE = Operation(
    "bundles.make",
    "POST",
    "/bundles",
    "Make a bundle of evidence: all sealed events of threads, and what proves them to somebody who trusts nobody here."
    "\n\nThe answer is a .zip that `runfold-verify` verifies offline; the same events and checkpoint make the same bytes."
    " Payloads with fields that HTTP never shows, and those of redacted messages, are left out, and proven all the same. What a"
    f" verifier says of it is in the header `{VERDICT}`: VERIFIED, NOT PROVEN or NOT REFOLDED. That it was made, and by whom, is"
    " recorded (`security.bundle_made`). It takes the scope `events:read`, too.",
    str,
    _SCOPES[0],
    body=BundleAsked,
    media_types={_ZIP: {"type": "string", "format": "binary"}},
)
OPERATIONS = (MAKE,)


def bundle_routes(server: ServerState) -> list[NamedRoute]:
    """Return the route that makes bundles."""
    return [route_of(MAKE, _making(server))]


def _making(server: ServerState) -> Handler:
    async def handle(request: Request) -> Response:
        ledger = await server.ledger_for(request, _SCOPES[0])
        await server.caller(request, _SCOPES[1])
        async with server.body(request, ledger.caller) as raw:
            asked = await server.parsed(request, raw, lambda request, raw: bodies.parsed(request, raw, BundleAsked))
            packed = await server.pools.bundles.run(_packed, ledger, asked, server.ledger.settings)
        headers = {
            "Content-Length": str(packed.size),
            "Content-Disposition": 'attachment; filename="bundle.zip"',
            "Cache-Control": "no-store",
            "Runfold-Position": str(packed.position),
            VERDICT: packed.made.findings.verdict,
            UNSEALED: str(packed.made.unsealed),
        }
        return StreamingResponse(_chunks(packed.file), 200, headers, _ZIP)

    return handle


def _packed(ledger: TenantLedger, asked: BundleAsked, settings: Settings) -> _Packed:
    """Make it, and open it: once it is open its folder is not needed, so that nothing is left whatever becomes of the request."""
    folder = Path(tempfile.mkdtemp(prefix="runfold-bundle-"))
    try:
        place = folder / "bundle.zip"
        made = _made(ledger, asked, place, settings)
        return _Packed(made, place.open("rb"), place.stat().st_size, ledger.position())
    except ImportError as error:
        raise LedgerUnavailable("the server has not what bundles need", "install `runfold[evidence]` there") from error
    except UsageError as error:
        raise InvalidEvent("body", str(error)) from None
    except OSError as error:
        fact = f"the bundle cannot be written ({error.strerror})"
        raise LedgerUnavailable(fact, "make room in the temporary folder of the server") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _made(ledger: TenantLedger, asked: BundleAsked, place: Path, settings: Settings) -> "Made":
    from runfold.evidence.bundles.answers import AnswerAsked  # noqa: PLC0415  here and below: they need the extra `evidence`
    from runfold.evidence.bundles.bundle import BundleMaker  # noqa: PLC0415
    from runfold.evidence.bundles.making import require_one  # noqa: PLC0415
    from runfold.evidence.bundles.samples import SampleAsked  # noqa: PLC0415
    from runfold.evidence.sealing.signing import known_publics  # noqa: PLC0415

    sample = asked.sample
    drawn = None if sample is None else SampleAsked(sample.seed, _parameters(sample), asked.whole_log, sample.as_of)
    is_of_all = asked.whole_log and drawn is None
    require_one(bool(asked.ids), asked.receipt is not None, asked.rows is not None, drawn is not None, is_of_all)
    if asked.absence is not None and not is_of_all and len(asked.ids) != 1:
        raise UsageError("absence is shown of one thread, or of the whole log; name it alone in ids, or give whole_log")
    told = () if asked.receipt is None else told_by(asked.receipt.told())
    rows = None if asked.rows is None else AnswerAsked(asked.rows.read_model, tuple(asked.rows.key))
    absence = None if asked.absence is None else (asked.absence.type, asked.absence.call)
    stamp, keys = settings.seal_timestamp_url, known_publics(settings.seal_key_file)
    maker = BundleMaker(ledger, asked.leave_out, timestamp_url=stamp, public_keys=keys, is_for_http=True)
    return maker.make(place, asked.ids, absence=absence, answer=rows, sample=drawn, told=told)


def _parameters(sample: SampleOfRuns) -> dict[str, Any]:
    """What a sample is drawn from, with the times in it read. Raises UsageError."""
    times = {name: each.day for name, each in parameters_of(RunSampleParameters).items() if each.kind is datetime}
    return {
        name: parse_time(value, day=times[name]) if name in times and isinstance(value, str) else value
        for name, value in sample.parameters.items()
    }


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while chunk := file.read(_CHUNK):
            yield chunk
