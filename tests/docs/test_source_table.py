"""The table in docs/importing.md says what the sources declare."""

import pytest

from accel_track.importers.registry import BUILT_IN, source_class
from tests.support.source_table import PAGE, page


def test_the_page_is_up_to_date() -> None:
    """Else: python -m tests.support.source_table."""
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text


@pytest.mark.parametrize("name", BUILT_IN)
def test_each_source_says_what_it_is(name: str) -> None:
    cls = source_class(name)
    assert cls.name == name
    assert cls.what
    assert cls.cannot_give
    assert all(cls.options.values())
