"""Files to take along: the runs of a list, and the events of a sample, each with the manifest that the house's export writes.

What is asked for is written down first, in a folder that goes with the answer, so that a slow reader keeps nobody waiting.
"""

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from runfold.export.run_lists import export_runs
from runfold.export.run_samples import export_sample
from runfold.pages.asking import past
from runfold.pages.drawing import HEADERS
from runfold.pages.filters import filters_of
from runfold.pages.runs import sample
from runfold.pages.screen import Screen
from runfold.queries.runs.list import RunFilters


async def _runs(request: Request) -> Response:
    asked = await past(request)
    filters = filters_of(RunFilters, request.query_params.multi_items(), ("at", "format"))
    kind, narrowed = request.query_params.get("format", "jsonl"), filters.asked()

    def write(folder: Path) -> str:
        made = export_runs(asked.ledger, asked.reading, kind, folder / "run_summaries", **narrowed)
        return f"runs-{made.format}-at-{made.as_of}.zip"

    return await asked.ask(lambda: zipped(write))


async def _sample(request: Request) -> Response:
    asked, filters = await past(request), sample.filters_in(request)

    def write(folder: Path) -> str:
        made = sample.drawn(asked, filters, request)
        export_sample(asked.ledger, made, folder / "sample")
        return f"sample-{len(made.runs)}-of-{made.population}-at-{made.standing.position}.zip"

    return await asked.ask(lambda: zipped(write))


def zipped(write: Callable[[Path], str]) -> Response:
    """Return what `write` puts into a folder as one file under the name that it returns. Raises what it raises."""
    folder = Path(mkdtemp(prefix="runfold-download-"))
    try:
        name = write(folder)
        packed = folder / "packed.zip"
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(folder.glob("*/*")):
                archive.write(path, path.relative_to(folder), _packing(path.name))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    gone = BackgroundTask(shutil.rmtree, folder, ignore_errors=True)
    return FileResponse(packed, 200, HEADERS, "application/zip", gone, filename=name)


def _packing(name: str) -> int:
    return zipfile.ZIP_STORED if name.endswith((".gz", ".parquet")) else zipfile.ZIP_DEFLATED


SCREENS = (
    Screen("pages.runs.export", "/ui/runs/export", _runs),
    Screen("pages.runs.sample.export", "/ui/runs/sample/export", _sample),
)
