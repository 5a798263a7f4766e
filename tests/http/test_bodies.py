"""How many values a body holds is counted piece by piece, so that nobody waits for a large one to be gone through."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runfold.errors import TooLarge
from runfold.http import bodies

MARKS = b",[{:"
STRING = re.compile(rb'"(?:[^"\\]|\\.)*(?:"|\Z)', re.DOTALL)
"""A string, closed or not, said in the plainest way."""


def marks(raw: bytes) -> int:
    """How many separators stand outside of strings."""
    return sum(STRING.sub(b"", raw).count(mark) for mark in (b",", b"[", b"{", b":"))


@given(
    raw=st.lists(st.sampled_from([b'"', b"\\", b",", b"[", b"{", b":", b"a", b"\\\\", b'\\"', b'"a,', b'":"']), max_size=80).map(
        lambda parts: b"".join(parts).rstrip(b"\\")  # an escape of nothing is no JSON, and refused later
    ),
    piece=st.integers(2, 12),
    most=st.integers(0, 20),
)
def test_separators_are_counted_alike_wherever_pieces_end(raw: bytes, piece: int, most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bodies, "_PIECE", piece)
        if marks(raw) > most:
            with pytest.raises(TooLarge):
                bodies.require_few_values(raw, most)
        else:
            bodies.require_few_values(raw, most)


def test_a_body_is_gone_through_in_pieces_whatever_its_strings_are(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[int] = []

    class Counting:
        """A pattern that notes how much it is given."""

        def __init__(self, pattern: re.Pattern[bytes]) -> None:
            self._pattern = pattern

        def match(self, raw: bytes, start: int, end: int) -> re.Match[bytes] | None:
            looked_at.append(min(end, len(raw)) - start)
            return self._pattern.match(raw, start, end)

        def sub(self, with_: bytes, raw: bytes) -> bytes:
            looked_at.append(len(raw))
            return self._pattern.sub(with_, raw)

    for name in ("_WHOLE_STRINGS", "_REST_OF_STRING", "_STRING"):
        monkeypatch.setattr(bodies, name, Counting(getattr(bodies, name)))
    size = 4 * 2**20
    one_long, many_short = b'["' + b"," * size + b'"]', b'["a"' + b',","' * (size // 4) + b"]"
    for raw, most in ((one_long, 1), (many_short, 1 + size // 4), (b"[" + b" " * size + one_long[1:], 1)):
        looked_at.clear()
        bodies.require_few_values(raw, most)
        assert 0 < max(looked_at) <= 64 * 1024
        assert sum(looked_at) <= 4 * len(raw)
