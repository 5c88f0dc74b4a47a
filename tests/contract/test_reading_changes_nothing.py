"""Reading back leaves a run as it is, and makes nothing where there is none."""

from pathlib import Path
from typing import Any

import pytest

from accel_track.errors import NotReadableError
from accel_track.testing import TrackerContract
from tests.support.readers.clearml import ClearMLContract, cache  # noqa: F401 - a fixture
from tests.support.readers.dvclive import DVCLiveContract
from tests.support.readers.jsonl import JsonlContract
from tests.support.readers.tensorboard import TensorBoardContract

SUITES = [TensorBoardContract, DVCLiveContract, ClearMLContract, JsonlContract]


def state(folder: Path) -> dict[str, Any]:
    """Return everything below a folder, with the times of its last changes."""
    return {str(one): (one.stat().st_mtime_ns, one.stat().st_size) for one in folder.rglob("*")}


@pytest.mark.first(2)
@pytest.mark.parametrize("suite", SUITES)
def test_reading_changes_nothing(suite: type[TrackerContract], tmp_path: Path) -> None:
    """Neither the run nor anything around it, while it is open and when it has ended."""
    place, scratch = tmp_path / "place", tmp_path / "scratch"
    place.mkdir()
    scratch.mkdir()
    contract: Any = suite()
    tracker = contract.make(place)
    with pytest.raises(NotReadableError):
        tracker.read()
    assert state(place) == {}
    tracker.start()
    tracker.store_init_configuration({"lr": 0.5})
    tracker.log({"loss": 1.0}, step=0)
    tracker.flush()
    read = [(record.step, record.values) for record in tracker.read().records(scratch)]
    assert read == [(0, {"loss": 1.0})]
    tracker.log({"loss": 2.0}, step=1)
    tracker.finish()
    before = state(tmp_path)
    again = [(record.step, record.values) for record in tracker.read().records(scratch)]
    assert again == [(0, {"loss": 1.0}), (1, {"loss": 2.0})]
    assert state(tmp_path) == before
