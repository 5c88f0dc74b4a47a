"""The sample in docs/autopsy.md is what the command says."""

from tests.support.autopsy_page import PAGE, page


def test_the_page_is_up_to_date() -> None:
    """Else: python -m tests.support.autopsy_page."""
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text
