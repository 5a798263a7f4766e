"""What systems and editors leave in a bundle's folder or .zip: it is passed over, and told of."""

import hashlib
import json
import random
import zipfile
from pathlib import Path

import pytest

from runfold.proofs.container import MANIFEST, Described
from runfold.proofs.verify import main
from tests.proofs.bundles import POLICY, MadeUp, listed_anew

LEFT = (
    ".DS_Store",
    "._claims.json",
    ".claims.json.swp",
    ".~lock.report.html#",
    "#checkpoint#",
    ".nfs0000",
    "policy~",
    ".git/config",
)
OF_WINDOWS = ("Thumbs.db", "thumbs.db", "ehthumbs.db", "desktop.ini", "Desktop.ini")
PACKED = ("__MACOSX/._b", "__MACOSX/b/._claims.json", "._b")
STRANGE = (
    "notes.txt",
    "claims.json.bak",
    "claims.json.",
    "copy/claims.json",
    "events.jsonl ",
    "Events.jsonl",
    "..",
    "../x",
    "~x",
    "#x",
)


def _verified(bundle: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str, str]:
    policy = bundle.parent / "policy"
    policy.write_text(POLICY)
    code = main([str(bundle), "--policy", str(policy), *options])
    said = capsys.readouterr()
    return code, said.out, said.err


def _packed(folder: Path, file: Path, inside: str, more: tuple[str, ...], beside: tuple[str, ...] = ()) -> Path:
    """The folder as a .zip, its files in a folder of that name where one is given, with some more there, and some beside it."""
    with zipfile.ZipFile(file, "w") as packed:
        if inside:
            packed.writestr(inside, b"")
        for path in sorted(folder.iterdir()):
            packed.write(path, f"{inside}{path.name}")
        for name in (*(f"{inside}{name}" for name in more), *beside):
            packed.writestr(name, b"of somebody")
    return file


@pytest.mark.parametrize("seed", range(8))
def test_what_systems_and_editors_leave_is_passed_over_and_each_of_it_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], seed: int
) -> None:
    dice, folder = random.Random(seed), MadeUp().write(tmp_path / "b", "thread_a")  # noqa: S311
    left = tuple(dice.sample(LEFT + OF_WINDOWS, 4))
    for inside, beside in (("", ()), ("b/", ()), ("case 17/", PACKED)):
        code, out, err = _verified(_packed(folder, tmp_path / "b.zip", inside, left, beside), capsys)
        assert (code, err, out.endswith("\nVERIFIED\n")) == (0, "", True), (inside, left)
        for name in (*left, *beside):
            assert f"passed over {name}, which is no file of a bundle\n" in out
    for name in left:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"of somebody")
    code, out, err = _verified(folder, capsys, "--json")
    there = {name.partition("/")[0] for name in left}
    assert (code, err, set(json.loads(out)["passed_over"])) == (0, "", there)


@pytest.mark.parametrize("name", STRANGE)
def test_nothing_else_may_lie_in_a_bundle_nor_in_two_folders_of_a_zip(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    folder = MadeUp().write(tmp_path / "b", "thread_a")
    for inside in ("", "b/"):
        code, _, err = _verified(_packed(folder, tmp_path / "b.zip", inside, (name,)), capsys)
        assert (code, "is no file of a bundle; take out of it what was not in it when it was made" in err) == (2, True), err
    code, _, err = _verified(_packed(folder, tmp_path / "b.zip", "b/", (), beside=(name,)), capsys)
    assert code == 2, err
    if "/" not in name and name.strip(".") == name:
        (folder / name).write_bytes(b"of somebody")
        assert _verified(folder, capsys)[0] == 2


def test_a_manifest_that_lists_what_is_passed_over_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = MadeUp().write(tmp_path / "b", "thread_a")
    (folder / ".hidden").write_bytes(b"of somebody")
    listed_anew(folder)
    assert Described(".hidden", 11, hashlib.sha256(b"of somebody").hexdigest()).line() in (folder / MANIFEST).read_text()
    code, _, err = _verified(folder, capsys)
    assert (code, "MANIFEST does not list the files that are there" in err) == (2, True)
