"""Pages that say what is tested name tests and folders of tests that are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("page", ["reliability.md", "tested.md"])
def test_tests_that_a_page_names_are_there(page: str) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    named = re.findall(r"`((?!tests/)[a-z]+/(?:test_\w+\.py)?)`", text)
    assert len(named) > 5
    assert [name for name in named if not (ROOT / "tests" / name).exists()] == []


def test_versions_are_those_of_the_constraints() -> None:
    pinned = {line.split(" ")[0] for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()}
    told = set(re.findall(r"`([a-z0-9-]+==[0-9.]+)`", (ROOT / "docs" / "tested.md").read_text(encoding="utf-8")))
    assert len(told) > 15
    assert told <= pinned, told - pinned
