"""Texts that are hard to split into words."""

import random

PIECES = (
    *(
        "tea",
        "set",
        "src/app_main.py",
        "a.b",
        "Straße",
        "ﬁx",
        "漢字テスト",
        "İ",
        "x" * 450,
        "it's",
        "back\\slash",
        "'q'",
        "-minus",
    ),
    *(
        "\u202e",
        "run_0198-ab",
        "e\u0301",
        "ß",
        "\x07",
        '"',
        "#tag",
        "OR",
        "*",
        "&|!:<->()",
        "٣",
        "ไทย",
        "😀",
        "ǅ",
        "tea*",
        "A1b2",
        "Pru\u0308fung",
        "\u0301",
        "か\u3099",
        "\u1112\u1161\u11ab",
        "\u0958",
        "\u212b",
    ),
)


def any_text(chance: random.Random, most: int = 9) -> str:
    """Some of them together."""
    return chance.choice([" ", "_", "", "/"]).join(chance.choices(PIECES, k=chance.randrange(most)))
