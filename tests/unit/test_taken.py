"""What a backend has of batches that failed half-way."""

from typing import Any

import pytest

from accel_track.records import Metrics
from accel_track.trackers.taken import Taken


def test_calls_within_calls_for_one_record() -> None:
    """What was made is known until all of the record's calls are made, also behind an inner part of them."""
    taken, record, made = Taken(), Metrics(0, 0.0, {}), []

    def tried(fails: bool) -> None:
        with taken.within(record):
            taken.part("medium", lambda: made.append("medium"))
            with taken.within(record):
                taken.part("value", lambda: made.append("value"))
            if fails:
                raise ConnectionError

    with pytest.raises(ConnectionError):
        tried(fails=True)
    assert taken.begun(record)
    tried(fails=False)
    assert made == ["medium", "value"]
    assert not taken.begun(record)
    other: Any = []
    taken.part("value", lambda: other.append(1))
    assert other == [1], "outside, each call is made"
