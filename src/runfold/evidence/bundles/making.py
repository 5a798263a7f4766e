"""Bundles for programs: functions that make one of what a ledger holds. A ledger behind a server has methods of their names."""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from runfold.domain.values import one_or_more, texts
from runfold.errors import UsageError
from runfold.evidence.bundles.answers import AnswerAsked
from runfold.evidence.bundles.bundle import BundleMaker, Made
from runfold.evidence.bundles.samples import SampleAsked
from runfold.evidence.sealing.signing import known_publics
from runfold.file_errors import at_home
from runfold.handles.ledgers.receipts import AnyReceipt, told_by
from runfold.handles.ledgers.tenant_ledger import TenantLedger
from runfold.ledger import Ledger
from runfold.queries.lists.where import OneOrMore
from runfold.queries.runs.sample import require_sample

Progress = Callable[[int, int], Any]


def make_bundle(
    ledger: TenantLedger,
    place: str | Path,
    *ids: str,
    receipt: AnyReceipt | None = None,
    answer: tuple[str, OneOrMore] | None = None,
    sample: tuple[str, Mapping[str, Any]] | None = None,
    at: int | datetime | str | None = None,
    whole_log: bool = False,
    leave_out: OneOrMore = (),
    witnesses: OneOrMore = (),
    timestamp_url: str | None = None,
    progress: Progress = lambda _done, _total: None,
) -> Made:
    """Make a bundle of evidence, as a folder or as a .zip: of the threads that some threads, runs or approvals belong to, of the
    events of a receipt, of what rows of a read model are made of, of a sample of runs, or of the whole log.

    `answer` is the name of a read model and the key of a row in it, or the beginning of the keys of several. `sample` is the
    seed, and the parameters of `sample_runs`; it is drawn as of the checkpoint, or as of a position or time (`at`) before. With
    `whole_log` the leaf of every event goes in beside it, too. What a verifier says of it is in `findings`. `leave_out` are
    types of events whose payloads are left out, `witnesses` addresses of those whose signatures go under the checkpoint, and at
    `timestamp_url` it is stamped with the time (RFC 3161). That it was made, and by whom, is recorded before it is there.
    Raises NotFound, SealingRefused, UsageError, LedgerUnavailable.
    """
    told = () if receipt is None else told_by(receipt)
    require_one(bool(ids), bool(told), answer is not None, sample is not None, whole_log and sample is None)
    rows = None if answer is None else AnswerAsked(answer[0], one_or_more(answer[1]))
    require_sample(at, is_there=sample is not None)
    drawn = None if sample is None else SampleAsked(*sample, whole_log, at)
    left_out, asked = texts("leave_out", leave_out), texts("witnesses", witnesses)
    maker = BundleMaker(ledger, left_out, progress, asked, timestamp_url=timestamp_url, public_keys=_public_keys(ledger))
    return maker.make(at_home(Path(place)), ids, answer=rows, sample=drawn, told=told)


def prove_absence(
    ledger: TenantLedger,
    place: str | Path,
    thread: str | None,
    type: str,
    *,
    call: str | None = None,
    leave_out: OneOrMore = (),
    witnesses: OneOrMore = (),
    timestamp_url: str | None = None,
    progress: Progress = lambda _done, _total: None,
) -> Made:
    """Make a bundle of a whole thread from which anybody finds that it has no event of a type, of one tool call if it is named.

    Where no thread is named it is about all of them, and holds the leaf of every event, which tells its type alone.
    Whether that is so is said by `findings`, of which `proven` is false where there is one. Raises what `make_bundle` does.
    """
    left_out, asked = texts("leave_out", leave_out), texts("witnesses", witnesses)
    maker = BundleMaker(ledger, left_out, progress, asked, timestamp_url=timestamp_url, public_keys=_public_keys(ledger))
    return maker.make(at_home(Path(place)), [] if thread is None else [thread], absence=(type, call))


def _public_keys(ledger: TenantLedger) -> list[bytes] | None:
    return known_publics(ledger.settings.seal_key_file) if isinstance(ledger, Ledger) else None


def require_one(*said: bool) -> None:
    """Raise UsageError unless it is said in one way what a bundle is of."""
    if said.count(True) != 1:
        raise UsageError(
            "name threads, runs or approvals, or give a receipt, rows, or a sample, or ask for the whole log; one of them"
        )
