"""A sample of runs in a folder: the events of each drawn run, and a manifest. The same sample is the same bytes, always."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from runfold.domain.recorded import Recorded
from runfold.durable_files import force
from runfold.errors import ExportDamaged, ExportRefused
from runfold.export.folder import PASSING, digest, locked, writing
from runfold.export.manifest import NAME
from runfold.export.order import Told
from runfold.feed.event_json import event_json
from runfold.handles.ledgers.tenant_ledger import TenantLedger
from runfold.queries.runs.sample import RunSample

PAGE = 1000
"""How many events are held in memory."""


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RunFile(_Said):
    """The events of one drawn run."""

    run_id: str
    thread_id: str
    digest: str
    """SHA-256 of the seed followed by the run's id: what it was drawn by."""
    file: str
    events: int
    bytes: int
    sha256: str
    """Of the file."""


class SampleManifest(_Said):
    """What was drawn, from what, and what each file holds."""

    manifest_version: Literal[1] = 1
    sample_of: Literal["runs"] = "runs"
    n: int
    seed: str
    filters: dict[str, Any]
    tenant_id: str
    position: int
    """The population was counted, and events are, up to here."""
    population: int
    drawn: int
    runs: tuple[RunFile, ...]


def export_sample(ledger: TenantLedger, sample: RunSample, to: str | Path, told: Told | None = None) -> SampleManifest:
    """Write the events of the runs of a sample, up to its position, and a manifest into the folder `to`.

    The folder must not be there yet, be empty, or hold the same sample, which is then compared with what would be written.
    Raises ExportRefused, ExportDamaged, LedgerError.
    """
    target = Path(to)
    with writing(target), locked(target.absolute().parent, f"{PASSING}{target.absolute().name}"):
        there = _there(target)
        if there is not None and not _is_of(there, sample, ledger.caller.tenant_id):
            fact = f"holds another sample: {there.n} runs by the seed {there.seed!r} as of position {there.position}"
            raise ExportRefused(str(target), fact, "choose another folder with --output")
        with _beside(target) as made:
            said = _write(ledger, sample, made, told or _silent)
            if there is None:
                made.rename(target)
                force(target.absolute().parent)
            else:
                _require_same(target, there, said)
    return said


def _write(ledger: TenantLedger, sample: RunSample, folder: Path, told: Told) -> SampleManifest:
    position, files = sample.standing.position, []
    for number, run in enumerate(sample.runs, 1):
        told(number - 1, len(sample.runs), run.run_id)
        path, events = folder / f"run-{number:05}.jsonl", 0
        with path.open("wb") as file:
            for recorded in _events(ledger, run.run_id, position):
                file.write(event_json(recorded) + b"\n")
                events += 1
        force(path)
        about = {"file": path.name, "events": events, "bytes": path.stat().st_size, "sha256": digest(path)}
        files.append(RunFile(**run.model_dump(), **about))
    said = SampleManifest(
        n=sample.n,
        seed=sample.seed,
        filters=sample.filters,
        tenant_id=ledger.caller.tenant_id,
        position=position,
        population=sample.population,
        drawn=len(files),
        runs=tuple(files),
    )
    (folder / NAME).write_text(said.model_dump_json(indent=1) + "\n", encoding="utf-8")
    force(folder / NAME)
    force(folder)
    return said


def _events(ledger: TenantLedger, run_id: str, up_to: int) -> Iterator[Recorded]:
    after = 0
    while page := ledger.events(run_id=run_id, after=after, up_to=up_to, limit=PAGE):
        yield from page
        after = page[-1].position


def _there(target: Path) -> SampleManifest | None:
    """Return the manifest of a sample that is there. Raises ExportRefused for a folder of somebody else's."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return None
    try:
        return SampleManifest.model_validate_json((target / NAME).read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValidationError):
        fact = f"is there, and holds no sample with its {NAME}"
        raise ExportRefused(str(target), fact, "choose another folder with --output, or empty this one") from None


def _is_of(said: SampleManifest, sample: RunSample, tenant_id: str) -> bool:
    drawn = [run.run_id for run in sample.runs]
    told = (said.seed, said.n, said.filters, said.position, said.tenant_id, [run.run_id for run in said.runs])
    return told == (sample.seed, sample.n, sample.filters, sample.standing.position, tenant_id, drawn)


def _require_same(target: Path, there: SampleManifest, said: SampleManifest) -> None:
    for was, now in zip(there.runs, said.runs, strict=True):
        path = target / now.file
        if was != now or not path.is_file() or digest(path) != now.sha256:
            raise ExportDamaged(now.file, f"is not what the ledger gives for {now.run_id}", str(target))


@contextlib.contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A folder beside another one, to be renamed to it; what a killed call left there goes, and so does what is not renamed."""
    made = target.absolute().parent / f"{PASSING}{target.absolute().name}"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _silent(_done: int, _total: int, _which: str) -> None:
    """Ignore the progress."""
