"""The matrix in docs/media.md says what the trackers declare, of all kinds."""

import pytest

from accel_track.media.ways import KINDS
from accel_track.registry import LOGGER_TYPE_TO_CLASS
from tests.support.media_table import NAMES, PAGE, SHOWN, page


def test_the_page_is_up_to_date() -> None:
    """Else: python -m tests.support.media_table."""
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text


@pytest.mark.parametrize("name", NAMES)
def test_each_tracker_says_what_becomes_of_each_kind(name: str) -> None:
    ways = LOGGER_TYPE_TO_CLASS[name].media
    assert set(ways) == set(KINDS)
    for way in ways.values():
        assert way.how in ("native", "fallback", "none")
        assert way.note


def test_what_the_page_says_of_a_file_and_of_the_terminal() -> None:
    native = {
        name: {kind for kind, way in LOGGER_TYPE_TO_CLASS[name].media.items() if way.how == "native"}
        for name in set(NAMES) - set(SHOWN)
    }
    assert native == {"jsonl": set(KINDS), "console": {"text"}}
