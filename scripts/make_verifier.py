"""Make dist/runfold-verify.pyz: one file that verifies bundles with Python and `cryptography` alone.

What is in it are the modules of `runfold.proofs`, and what they need beside them, as they stand here, under an empty package.
The same sources make the same bytes.
"""

import sys
import zipfile
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "src" / "runfold"
BESIDE = "standard_streams.py"
MAIN = "import sys\n\nfrom runfold.proofs.verify import main\n\nsys.exit(main())\n"
BEGAN = (1980, 1, 1, 0, 0, 0)


def make(target: Path) -> None:
    """Write the file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    sources = [PACKAGE / BESIDE, *sorted((PACKAGE / "proofs").glob("*.py"))]
    members = {path.relative_to(PACKAGE.parent).as_posix(): path.read_text(encoding="utf-8") for path in sources}
    with target.open("wb") as file:
        file.write(b"#!/usr/bin/env python3\n")
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, text in {"__main__.py": MAIN, "runfold/__init__.py": "", **members}.items():
                packed.writestr(zipfile.ZipInfo(name, BEGAN), text, zipfile.ZIP_DEFLATED)
    target.chmod(0o755)


if __name__ == "__main__":
    made = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("dist") / "runfold-verify.pyz"
    make(made)
    print(f"{made}: python {made} BUNDLE --policy FILE")
