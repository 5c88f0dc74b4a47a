"""The pages on the command line are what the commands print, on a terminal of 80 columns, and what they take."""

import pytest

from tests.support import command_tables
from tests.support.cli_samples import COMMANDS, PAGE, page, samples

pytestmark = pytest.mark.extras


def test_the_page_is_up_to_date() -> None:
    """Else: python -m tests.support.cli_samples."""
    text, found = PAGE.read_text(encoding="utf-8"), samples()
    assert page(text, found) == text
    assert found.keys() == COMMANDS.keys()
    for name, sample in found.items():
        assert max(map(len, sample.splitlines())) <= 80, name


def test_all_commands_and_options_are_there() -> None:
    """Else: python -m tests.support.command_tables."""
    text = command_tables.PAGE.read_text(encoding="utf-8")
    assert command_tables.page() == text
    for name, command in command_tables.commands().items():
        section = text.split(f"\n## {name or 'accel-track'}\n")[1].split("\n## ")[0]
        assert all(f"`{option}`" in section for one in command.params for option in one.opts if option.startswith("-"))
