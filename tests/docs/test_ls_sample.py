"""The sample of `ls` in docs/command-line.md is what the command prints."""

from tests.support.ls_sample import PAGE, page, sample


def test_the_page_is_up_to_date() -> None:
    """Else: python -m tests.support.ls_sample."""
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text


def test_the_sample_fits_a_terminal() -> None:
    assert max(map(len, sample().splitlines())) <= 80
