"""Signed notes, cosignatures and policies: who has signed what."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from runfold.proofs.note import (
    COSIGNATURE,
    ED25519,
    Checkpoint,
    Key,
    NoteRefused,
    cosignature_line,
    public_key,
    read_key,
    read_note,
    signature_line,
)
from runfold.proofs.policy import PolicyRefused, read_policy

# The example of C2SP's tlog-cosignature.
COSIGNED = """example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
"""
# The example of C2SP's signed-note.
POEM = """Ognuno sta solo sul cuor della terra
trafitto da un raggio di sole:

ed è subito sera.

— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=
"""
LOG, ONE, TWO, THREE = (Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in range(1, 5))
CHECKPOINT = Checkpoint("runfold/test", 7, bytes(range(32)), bytes(32))
BODY = CHECKPOINT.body()


def policy_of(quorum: str = "quorum none") -> str:
    witnesses = [
        f"witness w{number} {public_key(key, f'w{number}', COSIGNATURE)}" for number, key in ((1, ONE), (2, TWO), (3, THREE))
    ]
    return "\n".join([f"log {public_key(LOG, CHECKPOINT.origin)}", *witnesses, quorum])


def note_of(*cosigned: tuple[Ed25519PrivateKey, str]) -> str:
    lines = [cosignature_line(BODY, key, name, 1_800_000_000) for key, name in cosigned]
    return f"{BODY}\n{signature_line(BODY, LOG, CHECKPOINT.origin)}{''.join(lines)}"


def test_the_examples_of_the_specifications_are_read() -> None:
    read = read_note(COSIGNED)
    assert read.checkpoint().size == 20852163
    assert [name for name, _ in read.signatures] == ["example.com/behind-the-sofa", "witness.example.com/w1"]
    assert int.from_bytes(read.signatures[1][1][4:12]) == 1679315147
    poem = read_note(POEM)
    assert poem.body.endswith("\n\ned è subito sera.\n")
    with pytest.raises(NoteRefused, match="lines"):
        poem.checkpoint()


def test_a_checkpoint_is_trusted_when_the_log_and_the_quorum_have_signed_it() -> None:
    assert read_policy(policy_of()).trusted(read_note(note_of())) == CHECKPOINT
    two_of_three = policy_of("group most 2 w1 w2 w3\nquorum most")
    assert read_policy(two_of_three).trusted(read_note(note_of((ONE, "w1"), (THREE, "w3")))) == CHECKPOINT
    for lacking in ([], [(TWO, "w2")], [(ONE, "w1"), (ONE, "w1")], [(ONE, "w1"), (ONE, "w2")]):
        with pytest.raises(NoteRefused, match="quorum is missing"):
            read_policy(two_of_three).trusted(read_note(note_of(*lacking)))


def test_another_key_another_name_and_another_text_are_refused() -> None:
    policy = read_policy(policy_of())
    for forged in (
        f"{BODY}\n{signature_line(BODY, ONE, CHECKPOINT.origin)}",
        f"{BODY}\n{signature_line(BODY, LOG, 'runfold/other')}",
        note_of().replace("\n7\n", "\n8\n"),
        note_of().replace("runfold/test\n7", "runfold/more\n7"),
    ):
        with pytest.raises(NoteRefused):
            policy.trusted(read_note(forged))


@pytest.mark.parametrize(
    "text", ["", "\n\n", "a\n1\n\n— x AAAA\n", note_of()[:-1], note_of().replace("\n", "\r\n"), note_of() + "\0"]
)
def test_what_is_no_signed_checkpoint_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(NoteRefused) as refused:
        read_policy(policy_of()).trusted(read_note(text))
    assert "\n" not in str(refused.value)


def test_a_key_is_read_as_it_is_written_and_not_otherwise() -> None:
    for purpose in (ED25519, COSIGNATURE):
        key = public_key(LOG, "runfold/test", purpose)
        assert read_key(str(key)) == key
    for text in ("", "a+b", str(key)[:-2], str(key).replace("runfold", "other"), str(Key("a", 9, bytes(32)))):
        with pytest.raises(NoteRefused):
            read_key(text)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("", "no quorum"),
        ("quorum nobody", "not named above"),
        ("group g 3 w1 w2\nquorum g", "cannot be"),
        ("group g any w1\ngroup h any w1\nquorum h", "in a group already"),
        ("quorum none\nquorum none", "a line is"),
        ("witness w1 x+y+z", "named twice"),
        ("log x+y+z\nquorum none", "no public key"),
    ],
)
def test_a_policy_that_cannot_be_read_is_refused_by_line(lines: str, said: str) -> None:
    with pytest.raises(PolicyRefused, match=said):
        read_policy(policy_of(lines))
