"""The table in docs/verifying.md says what the trackers declare."""

from tests.support.verifying_table import PAGE, page


def test_the_page_is_up_to_date() -> None:
    """Else: python -m tests.support.verifying_table."""
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text
