"""SwanLab's run files, decoded."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import swanlab
import yaml
from PIL import Image
from swanlab.proto.swanlab.record.v1.record_pb2 import Record
from swanlab.sdk.internal.core_python.store import DataStoreReader

from accel_track.testing import Readback, TrackerContract
from accel_track.trackers.swanlab.tracker import SwanLabTracker

# Looking at the machine and its packages takes most of a start.
_UNUSED = dict.fromkeys(("hardware", "requirements", "conda", "git", "runtime", "monitor"), False)

QUICK = {"settings": swanlab.Settings(probe=swanlab.Settings.Probe(**_UNUSED))}


def records(path: Path) -> list[Record]:
    """Decode the file of a run."""
    reader, found = DataStoreReader(), []
    reader.open(path)
    while (content := reader.scan()) is not None:
        found.append(Record())
        found[-1].ParseFromString(content)
    reader.close()
    return found


class SwanLabContract(TrackerContract):
    """The conformance suite with a tracker that it makes, and the reader of what that stores."""

    tracker_class = SwanLabTracker

    @pytest.fixture(autouse=True)
    def _no_run_left(self) -> Iterator[None]:
        """End the run of a test that failed: SwanLab has one at a time."""
        yield
        if swanlab.has_run():
            swanlab.finish()

    def make(self, folder: Path) -> SwanLabTracker:
        return SwanLabTracker("contract", log_dir=str(folder), **QUICK)

    def init_kwargs(self, folder: Path) -> dict[str, Any]:
        return dict(QUICK)

    def read(self, folder: Path) -> Readback:
        paths = sorted(folder.rglob("*.swanlab"))
        stored, ids = Readback(), set()
        for path in paths:
            run = path.parent
            for record in records(path):
                if record.HasField("start"):
                    stored.project, stored.run_name = record.start.project, record.start.name
                    ids.add(record.start.id)
                elif record.HasField("scalar"):
                    scalar = record.scalar
                    stored.metrics.setdefault(scalar.key, []).append((scalar.step, scalar.value.number))
                    stored.times.setdefault(scalar.key, []).append(scalar.timestamp.ToNanoseconds() / 1e9)
                elif record.HasField("media"):
                    self.add_media(stored, record.media, run / "media")
            config = run / "files" / "config.yaml"
            if config.exists():
                entries = yaml.safe_load(config.read_text()) or {}
                stored.config |= {key: entry["value"] for key, entry in entries.items()}
        stored.runs = len(ids)
        return stored

    def add_media(self, stored: Readback, media: Any, folder: Path) -> None:
        for item in media.value.items:
            (path,) = folder.rglob(item.filename)
            if path.suffix == ".txt":
                stored.texts.setdefault(media.key, []).append(path.read_text())
            elif path.suffix == ".png":
                stored.images.setdefault(media.key, []).append(Image.open(path).size[::-1])
