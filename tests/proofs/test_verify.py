"""What the offline verifier says of bundles: of good ones, of such that lie, and of such that are none."""

import json
import random
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from runfold.proofs.claims import Absence
from runfold.proofs.container import MANIFEST, REQUIRED
from runfold.proofs.receipt import ToldEvent, write_receipt
from runfold.proofs.verify import main
from tests.proofs.bundles import ANSWER_OF_A, ASKED, GRANTED, POLICY, MadeUp, change_something, listed_anew

Verify = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Verify:
    policy = tmp_path / "policy"
    policy.write_text(POLICY)

    def verified(bundle: Path, *options: str) -> tuple[int, str, str]:
        code = main([str(bundle), "--policy", str(policy), *options])
        said = capsys.readouterr()
        return code, said.out, said.err

    return verified


def test_a_whole_thread_is_verified_and_complete(tmp_path: Path, verify: Verify) -> None:
    code, out, err = verify(MadeUp().write(tmp_path / "b", "thread_a"))
    assert (code, err) == (0, "")
    assert "5 VERIFIED" in out
    assert "thread_a COMPLETE" in out
    assert out.endswith("\nVERIFIED\n")
    said = json.loads(verify(tmp_path / "b", "--json")[1])
    assert (said["verdict"], said["threads"], said["size"]) == ("VERIFIED", {"thread_a": "COMPLETE"}, 10)


def test_a_receipt_is_held_against_the_leaves(tmp_path: Path, verify: Verify) -> None:
    made = MadeUp()
    bundle, leaf = made.write(tmp_path / "b", "thread_a"), made.leaves[2]
    place = leaf.position, "t", "thread_a", leaf.stream, leaf.version, leaf.type, leaf.schema_version
    told = ToldEvent(*place, f"{'0' * 8}{'-0000' * 3}-{'0' * 12}", "t", "0" * 32, leaf.payload_sha256, leaf.envelope_sha256)
    kept = tmp_path / "receipt"
    kept.write_text(write_receipt([told]))
    code, out, _ = verify(bundle, "--receipt", str(kept))
    assert (code, "receipt     1 AS TOLD\nVERIFIED" in out) == (0, True)
    assert json.loads(verify(bundle, "--receipt", str(kept), "--json")[1])["receipt"] == "1 AS TOLD"
    for field, value in {"version": 9, "stream": "run_x", "payload_sha256": "0" * 64, "schema_version": 2}.items():
        kept.write_text(write_receipt([replace(told, **{field: value})]))
        code, out, _ = verify(bundle, "--receipt", str(kept))
        assert (code, f"the receipt has another {field}\n" in out, "receipt     NOT PROVEN" in out) == (1, True, True)
    kept.write_text(write_receipt([replace(told, version=9), told]))
    code, out, _ = verify(bundle, "--receipt", str(kept))
    assert (code, "the receipt has another version\n" in out, "receipt     NOT PROVEN" in out) == (1, True, True)
    kept.write_text(write_receipt([told, told]))
    assert "receipt     1 AS TOLD" in verify(bundle, "--receipt", str(kept))[1]
    kept.write_text(write_receipt([told, replace(told, position=102)]))
    assert verify(bundle, "--receipt", str(kept))[0] == 1
    for text in ("", "{}", '{"v": 1, "events": [{}]}'):
        kept.write_text(text)
        code, out, err = verify(bundle, "--receipt", str(kept))
        assert (code, out, err.count("\n"), "the receipt cannot be read: " in err) == (2, "", 1, True)
    assert verify(bundle, "--receipt", str(tmp_path / "none"))[0] == 2


def test_a_payload_that_is_left_out_is_redacted_and_the_rest_is_verified(tmp_path: Path, verify: Verify) -> None:
    code, out, _ = verify(MadeUp().write(tmp_path / "b", "thread_a", left_out={5}))
    assert code == 0
    assert "1 REDACTED" in out
    assert "4 VERIFIED" in out


def test_without_a_map_a_thread_is_supported_only_and_with_all_leaves_the_log_is_that_of_the_checkpoint(
    tmp_path: Path, verify: Verify
) -> None:
    code, out, _ = verify(MadeUp(has_map=False).write(tmp_path / "b", "thread_a"))
    assert code == 0
    assert "thread_a SUPPORTED" in out
    code, out, _ = verify(MadeUp().write(tmp_path / "all", "thread_a", "thread_b", log=True))
    assert code == 0
    assert "10 VERIFIED" in out


@pytest.mark.parametrize(
    ("lacking", "said"),
    [({9}, "has 5 events, and the bundle ends at 4"), ({3}, "MISSING events 2 to 2"), ({1, 3, 5, 7, 9}, "no event of it")],
)
def test_a_thread_that_lacks_an_event_is_not_complete(tmp_path: Path, verify: Verify, lacking: set[int], said: str) -> None:
    code, out, _ = verify(MadeUp().write(tmp_path / "b", "thread_a", lacking=lacking))
    assert code == 1
    assert said in out
    assert out.endswith("\nNOT PROVEN\n")


def test_what_is_absent_is_found_absent_and_what_is_not_is_named(tmp_path: Path, verify: Verify) -> None:
    log = MadeUp()

    def asked(name: str, absence: Absence, left_out: set[int] | None = None, lacking: set[int] | None = None) -> tuple[int, str]:
        folder = log.write(tmp_path / name, "thread_a", absence=absence, left_out=left_out, lacking=lacking)
        return verify(folder)[:2]

    code, out = asked("absent", Absence("thread_a", GRANTED, "call_2"))
    assert (code, "ABSENT: approval.granted of call call_2 in thread_a" in out) == (0, True)
    assert asked("type", Absence("thread_a", "run.failed"))[0] == 0
    code, out = asked("there", Absence("thread_a", GRANTED, "call_1"))
    assert (code, "NOT ABSENT" in out, "position 105" in out) == (1, True, True)
    in_one_stream = MadeUp([("thread_a", "run_1", ASKED), ("thread_a", "run_2", ASKED), ("thread_a", "run_1", GRANTED)])
    folder = in_one_stream.write(tmp_path / "own", "thread_a", absence=Absence("thread_a", ASKED, "call_1"))
    assert "NOT ABSENT: there is approval.requested of call call_1 in thread_a, at position 101" in verify(folder)[1]
    code, out = asked("unclear", Absence("thread_a", GRANTED, "call_2"), left_out={3, 5})
    assert (code, "payloads of approval_1 are left out" in out) == (1, True)
    code, out = asked("cut off", Absence("thread_a", ASKED, "call_9"), lacking={9})
    assert (code, "not proven to be complete" in out) == (1, True)


def test_what_is_absent_from_the_whole_log_is_found_in_its_leaves_and_where_these_do_not_tell_it_says_so(
    tmp_path: Path, verify: Verify
) -> None:
    log, every = MadeUp(), set(range(1, 11))

    def asked(name: str, absence: Absence, alone: set[int], left_out: set[int] | None = None) -> tuple[int, str]:
        return verify(log.write(tmp_path / name, log=True, absence=absence, alone=alone, left_out=left_out))[:2]

    code, out = asked("type", Absence(None, "run.failed"), every)
    assert (code, "ABSENT: run.failed in the whole log" in out) == (0, True)
    code, out = asked("there", Absence(None, GRANTED), every)
    assert (code, "NOT ABSENT: there is approval.granted in the whole log, at position 105" in out) == (1, True)
    code, out = asked("call", Absence(None, GRANTED, "call_2"), every - {3, 5})
    assert (code, "ABSENT: approval.granted of call call_2 in the whole log" in out) == (0, True)
    code, out = asked("leaves", Absence(None, GRANTED, "call_2"), every)
    assert (code, "as of approval_1 there are leaves alone, which name no call" in out) == (1, True)
    code, out = asked("kept", Absence(None, GRANTED, "call_2"), every - {3, 5}, {3, 5})
    assert (code, "as payloads of approval_1 are left out" in out) == (1, True)
    code, out = asked("its own call", Absence(None, ASKED, "call_9"), every - {3, 7})
    assert (code, "ABSENT: approval.requested of call call_9 in the whole log" in out) == (0, True)
    assert verify(log.write(tmp_path / "part", "thread_a", absence=Absence(None, "run.failed")))[0] == 1
    assert verify(log.write(tmp_path / "many", log=True, absence=Absence(None, "approval.*")))[0] == 2


def test_a_lie_that_comes_with_a_manifest_of_its_own_is_found(tmp_path: Path, verify: Verify) -> None:
    whole = MadeUp().write(tmp_path / "whole", "thread_a")
    lies: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
        "type": ("entries.jsonl", lambda raw: raw.replace(b"approval.granted", b"approval.denied", 1)),
        "swapped": ("entries.jsonl", lambda raw: b"".join(sorted(raw.splitlines(keepends=True), reverse=True))),
        "doubled": ("events.jsonl", lambda raw: raw + raw.splitlines(keepends=True)[-1]),
        "size": ("checkpoint", lambda raw: raw.replace(b"\n10\n", b"\n11\n")),
        "map": ("map.jsonl", lambda raw: raw.replace(b'"events":"5"', b'"events":"4"')),
        "proofs": ("proofs.jsonl", lambda raw: b"".join(raw.splitlines(keepends=True)[1:])),
        "version": ("claims.json", lambda raw: raw.replace(b'"v":1', b'"v":2')),
        "more": ("claims.json", lambda raw: raw.replace(b'["thread_a"]', b'["thread_a","thread_b"]')),
        "line ends": ("entries.jsonl", lambda raw: raw.replace(b"\n", b"\r\n")),
        "nothing": ("events.jsonl", lambda raw: b""),
    }
    for name, (file, lie) in lies.items():
        folder = shutil.copytree(whole, tmp_path / name)
        raw = (folder / file).read_bytes()
        assert lie(raw) != raw, name
        (folder / file).write_bytes(lie(raw))
        assert verify(folder)[0] == 2, name  # not as it was packed
        listed_anew(folder)
        code, out, err = verify(folder)
        assert code in {1, 2}, name
        assert not out.endswith("\nVERIFIED\n"), name
        assert err.count("\n") <= 1, name


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_policy_is_read_as_editors_write_it_and_refused_by_its_encoding_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], encoding: str
) -> None:
    (tmp_path / "policy").write_text(POLICY, encoding=encoding)
    code = main([str(MadeUp().write(tmp_path / "b", "thread_a")), "--policy", str(tmp_path / "policy")])
    said = capsys.readouterr()
    if encoding == "utf-16":
        refused = f"the policy cannot be read: {tmp_path / 'policy'} is not UTF-8; write it in UTF-8"
        assert (code, said.out, said.err) == (2, "", f"runfold-verify: {refused}\n")
    else:
        assert (code, said.err) == (0, "")


def test_a_checkpoint_that_another_key_has_signed_is_not_trusted(tmp_path: Path, verify: Verify) -> None:
    code, out, err = verify(MadeUp().write(tmp_path / "b", "thread_a", key=Ed25519PrivateKey.from_private_bytes(b"x" * 32)))
    assert (code, out) == (2, "")
    assert err == "runfold-verify: the checkpoint is not to be trusted: no log of the policy has signed it as runfold/made-up\n"


def test_files_that_are_missing_strange_or_lead_out_of_a_bundle_are_refused(tmp_path: Path, verify: Verify) -> None:
    whole = MadeUp().write(tmp_path / "whole", "thread_a")
    for name in (MANIFEST, *REQUIRED):
        folder = shutil.copytree(whole, tmp_path / f"no {name}")
        (folder / name).unlink()
        assert verify(folder) == (2, "", f"runfold-verify: the bundle proves nothing: {name} is missing\n")
    (shutil.copytree(whole, tmp_path / "more") / "more").write_text("")
    linked = shutil.copytree(whole, tmp_path / "linked")
    (linked / "map.jsonl").unlink()
    (linked / "map.jsonl").symlink_to(whole / "map.jsonl")
    (tmp_path / "empty").mkdir()
    (tmp_path / "no zip").write_bytes(b"PK\3\4" + bytes(100))
    for name in ("more", "linked", "empty", "no zip", "not there"):
        code, out, err = verify(tmp_path / name)
        assert (code, out, err.count("\n")) == (2, "", 1), name


def test_a_zip_is_read_where_it_is_and_one_that_is_a_trap_is_refused(tmp_path: Path, verify: Verify) -> None:
    whole = MadeUp().write(tmp_path / "whole", "thread_a")
    files = {path.name: path.read_bytes() for path in sorted(whole.iterdir())}

    def packed(name: str, more: list[tuple[str, bytes]]) -> Path:
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as zipped:
            for member, raw in [*files.items(), *more]:
                zipped.writestr(member, raw)
        return tmp_path / name

    assert verify(packed("good.zip", []))[0] == 0
    good = (tmp_path / "good.zip").read_bytes()
    (tmp_path / "cut.zip").write_bytes(good[: len(good) // 2])
    with pytest.warns(UserWarning, match="Duplicate"):
        packed("twice.zip", [("map.jsonl", b"")])
    packed("path.zip", [("../../etc/passwd", b"")])
    packed(
        "bomb.zip", [("report.html", bytes(80 * 1024 * 1024))] if "report.html" not in files else [("x", bytes(80 * 1024 * 1024))]
    )
    for name in ("cut.zip", "twice.zip", "path.zip", "bomb.zip"):
        code, out, err = verify(tmp_path / name)
        assert (code, out, err.count("\n")) == (2, "", 1), name


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_changed_in_a_bundle_it_is_not_verified_and_no_stack_trace(tmp_path: Path, verify: Verify, seed: int) -> None:
    whole = MadeUp().write(tmp_path / "whole", "thread_a", absence=Absence("thread_a", GRANTED, "call_2"))
    dice, folder = random.Random(seed), tmp_path / "changed"  # noqa: S311  it picks what is changed
    for _ in range(60):
        name = change_something(whole, folder, [*REQUIRED], dice)
        code, out, err = verify(folder)
        if code == 0:  # another question may be asked, and answered as truly; what is shown is as it was
            assert name == "claims.json"
            continue
        assert code in {1, 2}
        assert not out.endswith("\nVERIFIED\n")
        assert err.count("\n") == (code == 2)


def test_the_verifier_in_one_file_needs_nothing_but_python_and_cryptography(tmp_path: Path) -> None:
    made = tmp_path / "runfold-verify.pyz"
    subprocess.run([sys.executable, ROOT / "scripts" / "make_verifier.py", made], check=True, capture_output=True)
    import cryptography  # noqa: PLC0415

    path = tmp_path / "path"
    path.mkdir()
    packages = Path(cryptography.__file__).parents[1]
    for package in packages.glob("*cffi*"):
        (path / package.name).symlink_to(package)
    for name in ("cryptography", "pycparser"):
        if (packages / name).exists():
            (path / name).symlink_to(packages / name)
    (tmp_path / "policy").write_text(POLICY)

    def alone(bundle: Path, *options: str) -> tuple[int, str, str]:
        program = (
            "import runpy, socket, sys\n"
            "socket.socket = None\n"
            f"sys.path.insert(0, {str(path)!r})\n"
            f"sys.argv = {['runfold-verify', str(bundle), '--policy', str(tmp_path / 'policy'), *options]!r}\n"
            f"runpy.run_path({str(made)!r}, run_name='__main__')\n"
        )
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout, done.stderr

    code, out, err = alone(MadeUp().write(tmp_path / "b", "thread_a"))
    assert (code, err) == (0, "")
    assert out.endswith("\nVERIFIED\n")
    code, out, err = alone(MadeUp().write(tmp_path / "a", "thread_a", answer=ANSWER_OF_A), "--refold")
    assert (code, err) == (1, "")
    assert "thread_a COMPLETE" in out
    assert "1 row NOT REFOLDED, as Runfold is not installed here" in out
    assert out.endswith("\nNOT REFOLDED: all else is verified\n")
