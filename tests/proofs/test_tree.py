"""The tree proves what it should, and nothing else."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runfold.proofs.tree import Frontier, ProofFailed, leaf_hash, verify_consistency, verify_inclusion
from tests.proofs import naive

VECTORS = json.loads(Path(__file__).with_name("vectors.json").read_text())
WRONG = b"WrongLeaf".ljust(32, b".")


def raw(text: str) -> bytes:
    return base64.b64decode(text)


def changed_proofs(proof: list[bytes], roots: list[bytes]) -> Iterator[tuple[str, list[bytes]]]:
    yield "trailing garbage", [*proof, b""]
    yield "preceding garbage", [b"", *proof]
    for number, root in enumerate(roots, 1):
        yield f"trailing root {number}", [*proof, root]
        yield f"preceding root {number}", [root, *proof]
    for at, hash_ in enumerate(proof):
        yield f"modified {at}", [*proof[:at], bytes([hash_[0] ^ 16]) + hash_[1:], *proof[at + 1 :]]
    if proof:
        yield "truncated", proof[:-1]
        yield "removed", proof[1:]
        yield "empty", []
        yield "inserted", [proof[0], WRONG, *proof[1:]]


def test_the_public_vectors_of_inclusion_are_told_apart() -> None:
    tried = 0
    for case in VECTORS["inclusion"]:
        index, size, root, leaf = case["index"], case["size"], raw(case["root"]), raw(case["leaf"])
        proof = [raw(hash_) for hash_ in case["proof"]]
        verify_inclusion(index, size, leaf, proof, root)
        wrong: list[tuple[Any, ...]] = [
            *((index, size, leaf, other, root) for _, other in changed_proofs(proof, [root])),
            *((at, size, leaf, proof, root) for at in (index - 1, index + 1, index ^ 2)),
            *((index, other, leaf, proof, root) for other in (size * 2, size // 2)),
            (index, size, WRONG, proof, root),
            (index, size, leaf, proof, b""),
            (index, size, leaf, proof, WRONG),
        ]
        for question in wrong:
            with pytest.raises(ProofFailed):
                verify_inclusion(*question)
        tried += 1 + len(wrong)
    for index, size in ((0, 0), (0, 1), (1, 0), (2, 1)):
        for leaf, root in ((b"", WRONG), (b"", b""), (WRONG, b"")):
            with pytest.raises(ProofFailed):
                verify_inclusion(index, size, leaf, [], root)
            tried += 1
    assert tried > 80


def test_the_public_vectors_of_consistency_are_told_apart() -> None:
    tried = 0
    for case in VECTORS["consistency"]:
        old, new, old_root, new_root = case["old"], case["new"], raw(case["old_root"]), raw(case["new_root"])
        proof = [raw(hash_) for hash_ in case["proof"]]
        verify_consistency(old, new, proof, old_root, new_root)
        wrong: list[tuple[Any, ...]] = [
            *((old, new, other, old_root, new_root) for _, other in changed_proofs(proof, [old_root, new_root])),
            *((at, new, proof, old_root, new_root) for at in (old - 1, old + 1, old ^ 2)),
            *((old, other, proof, old_root, new_root) for other in (new * 2, new // 2)),
            (old, new, proof, WRONG, new_root),
            (old, new, proof, old_root, WRONG),
            *([(old, new, proof, new_root, old_root)] if old != new else []),
        ]
        for question in wrong:
            with pytest.raises(ProofFailed):
                verify_consistency(*question)
        tried += 1 + len(wrong)
    root = raw(VECTORS["consistency"][0]["old_root"])
    refused: list[tuple[Any, ...]] = [
        (0, 0, [], root, WRONG),
        (1, 1, [], root, WRONG),
        (2, 1, [], root, WRONG),
        (0, 1, [WRONG], root, root),
        (1, 2, [], root, WRONG),
        (1, 1, [root], root, root),
        (0, 0, [root], root, root),
        (-1, 1, [], root, root),
    ]
    for question in refused:
        with pytest.raises(ProofFailed):
            verify_consistency(*question)
    assert tried + len(refused) > 90


@given(size=st.integers(1, 70), data=st.data())
@settings(max_examples=60, deadline=None)
def test_each_proof_of_a_plain_tree_verifies_and_none_with_anything_changed(size: int, data: st.DataObject) -> None:
    leaves = [leaf_hash(bytes([number])) for number in range(size)]
    root = naive.root(leaves)
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    proof = naive.inclusion(index, leaves)
    verify_inclusion(index, size, leaves[index], proof, root)
    other = data.draw(st.integers(0, size - 1).filter(lambda at: at != index)) if size > 1 else size
    with pytest.raises(ProofFailed):
        verify_inclusion(other, size, leaves[index], proof, root)
    grown = naive.consistency(old, leaves)
    verify_consistency(old, size, grown, naive.root(leaves[:old]), root)
    with pytest.raises(ProofFailed):
        verify_consistency(old, size, grown, naive.root([*leaves[: old - 1], WRONG]), root)


def test_a_tree_that_grows_has_at_each_size_the_root_of_the_plain_one_and_goes_on_from_what_was_kept() -> None:
    tree, leaves = Frontier(), [leaf_hash(bytes([number])) for number in range(130)]
    for count, leaf in enumerate(leaves):
        assert tree.root() == naive.root(leaves[:count])
        tree = Frontier(tree.size, tree.parts)
        tree.append(leaf)
    with pytest.raises(ValueError, match="2 whole parts"):
        Frontier(3, [WRONG])
