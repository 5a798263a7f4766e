"""Where a bundle is put: a folder, or one file, a .zip of what the folder holds. The same bundle makes the same bytes."""

import shutil
import zipfile
from pathlib import Path
from typing import IO

from runfold.errors import UsageError

_BEGAN = (1980, 1, 1, 0, 0, 0)
_CHUNK = 1024 * 1024
_UNIX = 3


def _is_file(place: Path) -> bool:
    return place.suffix.lower() == ".zip"


def require_new(place: Path) -> None:
    """Raise UsageError where something is already."""
    if place.exists() and (_is_file(place) or not place.is_dir() or any(place.iterdir())):
        what = ", and not empty" if place.is_dir() else ", and no folder" if not _is_file(place) else ""
        raise UsageError(f"{place} is there already{what}; name another")


def hand_over(made: Path, place: Path) -> None:
    """Put a bundle that was made in a folder beside it in its place, whole or not at all."""
    if _is_file(place):
        packed = made / "bundle.zip.part"
        with packed.open("xb") as file:
            pack(made, file, without=packed.name)
        packed.replace(place)
        return
    made.chmod(0o755)
    made.replace(place)


def pack(folder: Path, file: IO[bytes], without: str = "") -> None:
    """Write the bundle in a folder as a .zip. It is not made smaller: how small it gets hangs on who does it."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as packed:
        for path in sorted(folder.iterdir()):
            if path.name == without:
                continue
            member = zipfile.ZipInfo(path.name, _BEGAN)
            member.external_attr, member.create_system = 0o644 << 16, _UNIX
            member.file_size = path.stat().st_size
            with path.open("rb") as source, packed.open(member, "w") as target:
                shutil.copyfileobj(source, target, _CHUNK)
