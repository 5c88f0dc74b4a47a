"""The samples of `show`, `compare` and `tail` in docs/command-line.md are what the commands print."""

import pytest

from tests.support.show_samples import PAGE, page, samples


@pytest.mark.extras
def test_the_page_is_up_to_date() -> None:
    """Else: python -m tests.support.show_samples."""
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text


@pytest.mark.extras
def test_the_samples_fit_a_terminal() -> None:
    for name, sample in samples().items():
        assert max(map(len, sample.splitlines())) <= 80, name
