"""Imports between tests: what several of them use is in tests/support, so that each file can be moved or run alone."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
ELSEWHERE = re.compile(r"(?:from|import) tests\.(?!support\b)|[\"']tests\.(?!support\b)\w+\.\w")


@pytest.mark.parametrize("folder", sorted(path.name for path in TESTS.iterdir() if any(path.rglob("*.py"))))
def test_nothing_is_imported_from_a_test_or_a_conftest(folder: str) -> None:
    """Neither by a module nor in a program that a test has as text."""
    assert not [
        f"{path.relative_to(TESTS)}: {line}"
        for path in (TESTS / folder).rglob("*.py")
        for line in path.read_text().splitlines()
        if ELSEWHERE.search(line)
    ]
