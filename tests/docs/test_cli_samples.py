"""The pages on the command line are what the commands print, on a terminal of 80 columns, and what they take."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import command_tables
from tests.support.cli_samples import COMMANDS, DOCS, PAGES, documents, names_in, page, samples

pytestmark = pytest.mark.extras


def test_the_samples_are_up_to_date() -> None:
    """Else: python -m tests.support.cli_samples."""
    found, placed = samples(), []
    for place in PAGES:
        text = place.read_text(encoding="utf-8")
        assert page(text, found) == text, place
        placed += names_in(text)
    assert sorted(placed) == sorted(COMMANDS) == sorted(found)
    for name, sample in found.items():
        assert max(map(len, sample.splitlines())) <= 80, name


def test_all_commands_and_options_are_there() -> None:
    """Else: python -m tests.support.command_tables."""
    texts = [place.read_text(encoding="utf-8") for place in command_tables.PAGES]
    assert list(map(command_tables.page, texts)) == texts
    for name, command in command_tables.commands().items():
        blocks = [
            part for text in texts for part in re.findall(rf"<!-- options of {name}: .*?<!-- end", text, re.DOTALL)
        ]
        options = [option for one in command.params for option in (*one.opts, *one.secondary_opts) if option[0] == "-"]
        missing = [option for option in options if not re.search(rf"`{option}[ `]", "".join(blocks))]
        assert missing in ([], ["--json"]), name
        assert len(blocks) <= 1, name


def test_the_overview_has_every_command() -> None:
    text = (DOCS / "command-line.md").read_text(encoding="utf-8")
    assert {*re.findall(r"\[`([a-z]+)`\]", text)} == {*command_tables.commands()} - {"accel-track"}


def _fields(document: Any) -> Iterator[str]:
    """Yield the fields of a document, of lists in it, and of parts that are no fields by name."""
    for one in document if isinstance(document, list) else [document]:
        if isinstance(one, dict):
            yield from one
            for name in ("ranks", "runs", "trackers", "receipts"):
                if isinstance(one.get(name), list):
                    yield from _fields(one[name])


def test_the_page_on_json_has_every_field() -> None:
    text = (DOCS / "commands" / "json.md").read_text(encoding="utf-8")
    for command, document in documents().items():
        missing = {field for field in _fields(document) if f"`{field}`" not in text}
        assert not missing, command
