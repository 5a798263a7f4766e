"""Checkpoints are stamped with the time by a real authority, and a policy that names one wants its stamp."""

import shutil
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runfold import Ledger, Settings
from runfold.errors import SealingRefused, UsageError
from runfold.evidence.bundles.making import make_bundle
from runfold.evidence.publishing.timestamping import timestamp
from runfold.evidence.sealer import Sealer
from runfold.evidence.sealing.signing import read_signer
from runfold.proofs.policy import PolicyRefused, read_policy
from runfold.proofs.verify import main
from tests.evidence.publishing.authority import Authority, served
from tests.evidence.publishing.liars import answering, ok
from tests.proofs.bundles import listed_anew


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not here")
    return Authority(tmp_path / "notary")


def test_a_stamp_of_the_checkpoint_is_verified_where_the_policy_names_its_authority_and_no_other_will_do(
    settings: Settings, tmp_path: Path, authority: Authority, capsys: pytest.CaptureFixture[str]
) -> None:
    with Ledger.open(settings=settings) as ledger, served(authority) as url:
        ledger.create_thread(agent_id="desk").start_run()
        Sealer(ledger).seal_all()
        (key,) = read_signer(settings.seal_key_file, may_make=False).verifier_keys(ledger.checkpoint().origin)
        policy = tmp_path / "policy"

        def verified(bundle: str, *lines: str) -> tuple[int, str]:
            policy.write_text(f"log {key}\nquorum none\n{''.join(lines)}")
            code = main([str(tmp_path / bundle), "--policy", str(policy)])
            said = capsys.readouterr()
            return code, said.out + said.err

        make_bundle(ledger, tmp_path / "stamped", whole_log=True, timestamp_url=url)
        code, said = verified("stamped", authority.line)
        (line,) = [line for line in said.splitlines() if line.startswith("time stamp")]
        at = datetime.fromisoformat(line.split()[2])
        assert (code, line.endswith(" by notary"), abs(datetime.now(UTC) - at) < timedelta(hours=1)) == (0, True, True)
        assert verified("stamped")[1].count("time stamp  NOT LOOKED AT: the policy names no authority\n") == 1
        other = Authority(tmp_path / "other")
        assert verified("stamped", other.line, authority.line)[0] == 0
        code, said = verified("stamped", other.line)
        assert (code, said.count("\n"), "the time stamp is not to be trusted: no authority of the policy" in said) == (2, 1, True)
        make_bundle(ledger, tmp_path / "plain", whole_log=True)
        code, said = verified("plain", authority.line)
        assert (code, "the time stamp is not to be trusted: it is missing" in said) == (2, True)
        ledger.create_thread(agent_id="desk")
        Sealer(ledger).seal_all()
        make_bundle(ledger, tmp_path / "later", whole_log=True, timestamp_url=url)
        shutil.copy(tmp_path / "stamped" / "checkpoint.tsr", tmp_path / "later" / "checkpoint.tsr")  # of another checkpoint
        listed_anew(tmp_path / "later")
        assert verified("later", authority.line)[0] == 2
        for broken in (b"", b"\x30\x03\x02\x01\x00", bytes(100)):
            (tmp_path / "later" / "checkpoint.tsr").write_bytes(broken)
            listed_anew(tmp_path / "later")
            code, said = verified("later", authority.line)
            assert (code, said.count("\n")) == (2, 1)
        make_bundle(ledger, tmp_path / "stamped.zip", whole_log=True, timestamp_url=url)
        assert "checkpoint.tsr" in zipfile.ZipFile(tmp_path / "stamped.zip").namelist()
        assert verified("stamped.zip", authority.line)[0] == 0


def test_an_authority_that_does_not_answer_as_one_makes_no_bundle(
    settings: Settings, tmp_path: Path, authority: Authority
) -> None:
    with Ledger.open(settings=settings) as ledger, served(authority) as url:
        ledger.create_thread(agent_id="desk")
        Sealer(ledger).seal_all()
        for broken in (b"", b"not DER", bytes.fromhex("30053003020102")):  # the last one refuses
            authority.broken = broken
            with pytest.raises(SealingRefused, match="has not stamped the checkpoint"):
                make_bundle(ledger, tmp_path / "bundle", whole_log=True, timestamp_url=url)
        authority.broken = None
        authority.broken = timestamp(b"something else", url)  # a proxy that keeps answers, or an authority that lies
        with pytest.raises(SealingRefused, match="is the stamp of something else"):
            make_bundle(ledger, tmp_path / "bundle", whole_log=True, timestamp_url=url)
        endless = ok(b"").replace(b"Content-Length: 0", b"X: y")
        with (
            answering(endless, *[bytes(2**20)] * 4) as without_end,
            pytest.raises(SealingRefused, match="answers more than 262,144 bytes"),
        ):
            make_bundle(ledger, tmp_path / "bundle", whole_log=True, timestamp_url=without_end)
        with pytest.raises(SealingRefused, match="does not answer"):
            make_bundle(ledger, tmp_path / "bundle", whole_log=True, timestamp_url="http://127.0.0.1:9")
        with pytest.raises(UsageError, match="is no https:// or http:// address"):
            make_bundle(ledger, tmp_path / "bundle", whole_log=True, timestamp_url="ftp://notary.example")
        assert not (tmp_path / "bundle").exists()


def test_a_policy_that_names_no_certificate_or_the_same_authority_twice_is_refused(authority: Authority) -> None:
    head = "log runfold/x+8b0e0e8b+AQ==\n"
    for lines in ("timestamp a !\n", "timestamp a AAAA\n", authority.line * 2, "timestamp a\n"):
        with pytest.raises(PolicyRefused, match=r"line [12]: "):
            read_policy(f"{lines}{head}quorum none\n")
