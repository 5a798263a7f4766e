"""How things are written on pages."""

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runfold.pages.drawing import environment
from runfold.pages.words import cost, shown


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("a\r\nb\rc", "a\nb␍c"),
        ("\x00\x1b[31mred\x7f\x9b", "␀␛[31mred␡⟨U+009B⟩"),
        ("invoice\u202egnp.exe\u2066\u200f", "invoice⟨U+202E⟩gnp.exe⟨U+2066⟩⟨U+200F⟩"),
        ("zero\u200bwidth\ufeff\xad", "zero⟨U+200B⟩width⟨U+FEFF⟩⟨U+00AD⟩"),
        ("hidden \U000e0041\U000e0042", "hidden ⟨U+E0041⟩⟨U+E0042⟩"),
        ("half \ud83d of a pair", "half ⟨U+D83D⟩ of a pair"),
        ("👩\u200d🔧 joined\u200c", "👩\u200d🔧 joined\u200c"),
    ],
)
def test_what_nobody_would_see_of_a_text_is_visible(text: str, seen: str) -> None:
    assert shown(text) == seen
    assert shown(seen) == seen, "once more it is the same"


@given(st.text(st.characters(blacklist_categories=())))
def test_any_text_can_be_drawn_wherever_it_stands_and_is_only_text(text: str) -> None:
    drawn = environment().from_string('<p title="{{ text }}">{{ text }}</p>{{ text | shown }}').render(text=text)
    drawn.encode()
    assert drawn.count("<") == 2
    assert drawn.count('"') == 2
    assert not any(ord(letter) < 32 and letter not in "\n\t" for letter in drawn)


def test_what_a_field_was_given_is_sent_again_as_it_was() -> None:
    made = environment()
    for name in made.list_templates():
        source, _, _ = made.loader.get_source(made, name) if made.loader else ("", None, None)
        fields = re.findall(r"<(?:input|option)\b[^>]*", re.sub(r"{%.*?%}", "", source))
        values = [value for field in fields for value in re.findall(r'value="{{ (.*?) }}"', field)]
        ours = {"frame.form_token", "form_token", "strip.at_stop", "position"}
        assert [value for value in values if value not in ours and not value.endswith("| given")] == [], name
    odd = 'a\u202eb\u200b\x1b\r\n"><b>'
    drawn = made.from_string('<input value="{{ text | given }}"> {{ text }}').render(text=odd)
    assert drawn.startswith('<input value="a\u202eb\u200b\x1b\r\n&#34;&gt;&lt;b&gt;"> a⟨U+202E⟩b⟨U+200B⟩␛')


def test_nothing_is_marked_safe_by_a_template_of_ours() -> None:
    made = environment()
    for name in made.list_templates():
        source, _, _ = made.loader.get_source(made, name) if made.loader else ("", None, None)
        assert "safe" not in source.replace("unsafe", ""), name
        assert "autoescape" not in source, name
        assert re.findall(r'class="text\b[^"]*"(?! dir="auto")', source) == [], "a text begins where its own script begins"
        assert " style=" not in source, name
        assert "<script>" not in source, name
        assert not any(f" on{event}=" in source for event in ("click", "load", "error", "input", "change", "submit")), name


@pytest.mark.parametrize(
    ("amount", "currency", "written"),
    [
        (None, "USD", ""),
        (Decimal("0.00123"), "USD", "0.0012 USD"),
        (Decimal("1234.5"), "EUR", "1,234.50 EUR"),
        (0, "", "0.00"),
        ({"USD": Decimal(2), "EUR": Decimal(1)}, "", "1.00 EUR, 2.00 USD"),
    ],
)
def test_costs_are_written_with_their_currency(amount: object, currency: str, written: str) -> None:
    assert cost(amount, currency) == written  # type: ignore[arg-type]
