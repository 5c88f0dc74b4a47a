"""The samples in docs/command-line.md are what the commands print, on a terminal of 80 columns."""

import pytest

from tests.support.cli_samples import COMMANDS, PAGE, page, samples

pytestmark = pytest.mark.extras


def test_the_page_is_up_to_date() -> None:
    """Else: python -m tests.support.cli_samples."""
    text, found = PAGE.read_text(encoding="utf-8"), samples()
    assert page(text, found) == text
    assert found.keys() == COMMANDS.keys()
    for name, sample in found.items():
        assert max(map(len, sample.splitlines())) <= 80, name
