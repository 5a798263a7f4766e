"""The picture of the README is small, and is a picture."""

from tests.docs.pages import README, ROOT

MOST_BYTES = 200_000


def test_the_picture_on_the_first_screen_is_small() -> None:
    first_screen = README.read_text(encoding="utf-8").split("```", 1)[0]
    picture = (ROOT / "docs" / "pages.png").read_bytes()
    assert "](docs/pages.png)" in first_screen
    assert picture.startswith(b"\x89PNG\r\n")
    assert len(picture) < MOST_BYTES
