"""Notes that others have signed, verified by the keys that they have published."""

import base64
from pathlib import Path

import pytest

from runfold.proofs.note import ED25519, NoteRefused, read_key, read_note
from runfold.proofs.policy import read_policy

# The example of C2SP's signed-note, with its key.
EXAMPLE_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE = """This is an example message.

— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
"""
# The examples of the reference implementation, golang.org/x/mod/sumdb/note.
NEUMANN = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
ENOCH = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
BOTH = """If you think cryptography is the answer to your problem,
then you don't know what your problem is.

— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=
"""
# The log of Go's modules, as it was on 2024-09-23; and as it was when its checkpoint was taken for the example of C2SP's
# tlog-checkpoint, tlog-cosignature and tlog-witness, where its name alone is another.
GO_KEY = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
GO = """go.sum database tree
30055305
mXfgRcJ0bG0j3CPdKwgGWtUzBUbX67saZGRmFuJGGsM=

— sum.golang.org Az3grpgEild5qw7+5dtV13Kf1C2Xurm8q4fhdxvcsDHnqNTaxL2AFjBY+2TyGKevucFcAAlWFJJYle3EJlDCrQ+y3A8=
"""
SOFA = """example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
"""
# A log of certificates for trials that four witnesses of as many parties have cosigned on 2026-05-23, and their keys.
WITNESSED = Path(__file__).with_name("witnessed.note").read_text(encoding="utf-8")
POLICY = """log arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f
witness garden transparency.dev/DEV:witness-little-garden+d8042a87+BCtusOxINQNUTN5Oj8HObRkh2yHf/MwYaGX4CPdiVEPM
witness smartit witness1.smartit.nu/witness1+a48c820f+BPSFWg9G6KPiO7QPryYO5Xq4oYJJ+kAvLKLSimDhoxMO
witness remora remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2
witness stagemole witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv
"""


@pytest.mark.parametrize(
    ("note", "keys"),
    [(EXAMPLE, [EXAMPLE_KEY]), (BOTH, [NEUMANN, ENOCH]), (GO, [GO_KEY])],
    ids=["C2SP's example", "two have signed", "the log of Go's modules"],
)
def test_a_note_is_verified_by_the_published_keys_of_who_signed_it_and_by_no_other_key(note: str, keys: list[str]) -> None:
    known = [read_key(key) for key in keys]
    assert [str(key) for key in known] == keys
    assert read_note(note).signed_by(known) == known
    others = [read_key(key) for key in (EXAMPLE_KEY, NEUMANN, ENOCH, GO_KEY) if key not in keys]
    assert read_note(note).signed_by(others) == []


@pytest.mark.parametrize(("note", "key"), [(EXAMPLE, EXAMPLE_KEY), (BOTH, ENOCH), (GO, GO_KEY)])
def test_no_text_with_a_character_changed_is_verified(note: str, key: str) -> None:
    body, _, signatures = note.rpartition("\n\n")
    for at in range(0, len(body), 7):
        changed = f"{body[:at]}{'x' if body[at] != 'x' else 'y'}{body[at + 1 :]}\n\n{signatures}"
        with pytest.raises(NoteRefused, match=r"the signature of .* is wrong"):
            read_note(changed).signed_by([read_key(key)])


def test_the_example_of_a_checkpoint_is_one_of_gos_log_under_another_name() -> None:
    assert read_note(SOFA).checkpoint().size == 20852163
    known = read_key(GO_KEY)
    assert read_note(
        SOFA.replace("— example.com/behind-the-sofa", "— sum.golang.org", 1).replace(
            "example.com/behind-the-sofa", "go.sum database tree", 1
        )
    ).signed_by([known]) == [known]


def test_a_checkpoint_of_others_is_trusted_by_a_policy_of_their_keys_and_a_quorum() -> None:
    for quorum in ("quorum none", "group some 3 garden smartit remora stagemole\nquorum some", "quorum remora"):
        trusted = read_policy(POLICY + quorum).trusted(read_note(WITNESSED))
        assert (trusted.origin, trusted.size) == ("arche2025h1.staging.ct.transparency.dev", 1432088532)
    everybody = read_policy(f"{POLICY}group each all garden smartit remora stagemole\nquorum each")
    assert everybody.trusted(read_note(WITNESSED)).size == 1432088532
    lines = WITNESSED.splitlines(keepends=True)
    without_remora = "".join(line for line in lines if "remora" not in line)
    with pytest.raises(NoteRefused, match="the quorum is missing: witnesses that signed it: garden, smartit, stagemole"):
        everybody.trusted(read_note(without_remora))


def test_the_time_of_a_cosignature_is_signed_with_it() -> None:
    line = next(line for line in WITNESSED.splitlines() if "remora" in line)
    signature = line.split()[-1]
    raw = base64.b64decode(signature)
    assert int.from_bytes(raw[4:12]) == 1779573024
    later = base64.b64encode(raw[:4] + (1779573025).to_bytes(8) + raw[12:]).decode()
    with pytest.raises(NoteRefused, match=r"the signature of remora.n621.de is wrong"):
        read_policy(f"{POLICY}quorum none").trusted(read_note(WITNESSED.replace(signature, later)))


def test_a_key_of_a_log_is_not_taken_for_that_of_a_witness() -> None:
    key = read_key(GO_KEY)
    assert key.purpose == ED25519
    assert read_note(GO).signed_by([key._replace(purpose=4)]) == []
