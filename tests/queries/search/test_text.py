"""What somebody types is read as in a web search."""

import pytest

from runfold.errors import UsageError
from runfold.queries.search.text import LONGEST, MOST_TERMS, Wanted, wanted_of


def shown(wanted: Wanted) -> tuple[list[list[str]], list[str]]:
    return [[term.text for term in group] for group in wanted.groups], [term.text for term in wanted.excluded]


@pytest.mark.parametrize(
    ("typed", "groups", "excluded"),
    [
        ("tea", [[" tea "]], []),
        ("Tea SET", [[" tea "], [" set "]], []),
        ('"tea set"', [[" tea set "]], []),
        ("src/app_main.py", [[" src app main py "]], []),
        ("tea OR coffee -cold", [[" tea ", " coffee "]], [" cold "]),
        ("refu* src/app*", [[" refu"], [" src app"]], []),
        ('"unclosed tea', [[" unclosed tea "]], []),
        ("OR tea OR", [[" tea "]], []),
        ("a -b OR c", [[" a ", " c "]], [" b "]),
    ],
)
def test_what_is_typed_is_read_as_in_a_web_search(typed: str, groups: list[list[str]], excluded: list[str]) -> None:
    assert shown(wanted_of(typed)) == (groups, excluded)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "nothing to search for in ''; give at least one word"),
        ('- -- * "" \'', "give at least one word, of letters or digits"),
        ("-cold", "give a word that must be there beside those that must not"),
        ("te*", "'te*' is too short for a beginning; give at least 3 letters before the *"),
        ("a " * (MOST_TERMS + 1), f"at most {MOST_TERMS} words and phrases"),
        ("x" * (LONGEST + 1), f"at most {LONGEST:,} characters, not {LONGEST + 1:,}"),
    ],
)
def test_what_cannot_be_searched_for_is_refused_with_the_next_step(typed: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        wanted_of(typed)
    assert said in str(refused.value)
