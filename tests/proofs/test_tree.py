"""The tree proves what it should, and nothing else."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runfold.proofs.tree import Frontier, ProofFailed, leaf_hash, verify_consistency, verify_inclusion
from tests.proofs import naive

VECTORS = json.loads(Path(__file__).with_name("vectors.json").read_text())
WRONG = b"WrongLeaf".ljust(32, b".")
# It has two equal roots of 12 bytes. No hash of this tree has another length than 32, so we refuse it.
STRICTER = "consistency/additional/sizes are equal (one) and proof is empty"


def read_hash(number: int) -> bytes:
    return base64.b64decode(VECTORS["hashes"][number])


def question(vector: list[Any]) -> tuple[Any, ...]:
    """What a vector asks, as the functions take it: two numbers, two hashes, a proof."""
    _, one, other, first, second, proof, _ = vector
    return one, other, read_hash(first), [read_hash(number) for number in proof], read_hash(second)


def verifies(vector: list[Any], kind: str) -> bool:
    one, other, first, proof, second = question(vector)
    try:
        if kind == "inclusion":
            verify_inclusion(one, other, first, proof, second)
        else:
            verify_consistency(one, other, proof, first, second)
    except ProofFailed:
        return False
    return True


def test_each_of_the_196_public_vectors_is_verified_or_refused_as_it_says() -> None:
    vectors = [(kind, vector) for kind in ("inclusion", "consistency") for vector in VECTORS[kind]]
    assert (len(vectors), len({(kind, vector[0]) for kind, vector in vectors})) == (196, 196)
    differing = {f"{kind}/{v[0]}" for kind, v in vectors if verifies(v, kind) != (v[-1] == "verified")}
    assert differing == {STRICTER}
    verify_consistency(1, 1, [], WRONG, WRONG)


@given(size=st.integers(1, 70), data=st.data())
@settings(max_examples=60, deadline=None)
def test_each_proof_of_a_plain_tree_verifies_and_none_with_anything_changed(size: int, data: st.DataObject) -> None:
    leaves = [leaf_hash(bytes([number])) for number in range(size)]
    root = naive.root(leaves)
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    proof = naive.inclusion(index, leaves)
    verify_inclusion(index, size, leaves[index], proof, root)
    for shorter in [proof[1:], proof[:-1]] if proof else []:
        with pytest.raises(ProofFailed):
            verify_inclusion(index, size, leaves[index], shorter, root)
    other = data.draw(st.integers(0, size - 1).filter(lambda at: at != index)) if size > 1 else size
    with pytest.raises(ProofFailed):
        verify_inclusion(other, size, leaves[index], proof, root)
    grown = naive.consistency(old, leaves)
    verify_consistency(old, size, grown, naive.root(leaves[:old]), root)
    for at, to in ((-1, size), (old, old - 1)):
        with pytest.raises(ProofFailed):
            verify_consistency(at, to, grown, naive.root(leaves[:old]), root)
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
