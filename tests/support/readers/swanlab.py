"""SwanLab's run files, decoded."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import swanlab
import yaml
from swanlab.proto.swanlab.record.v1.record_pb2 import Record
from swanlab.sdk.internal.core_python.store import DataStoreReader

from accel_track.testing import Bins, Columns, Readback, Seen, TrackerContract
from accel_track.testing._backend import Backend
from accel_track.trackers.swanlab.tracker import SwanLabTracker
from tests.support.pictures import pixels

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


class SwanLabBackend(Backend):
    """How a tracker is made, and what it stores is read."""

    tracker_class = SwanLabTracker

    @pytest.fixture(autouse=True)
    def _no_run_left(self) -> Iterator[None]:
        """End the run of a test that failed: SwanLab has one at a time."""
        yield
        if swanlab.has_run():
            swanlab.finish()

    def make(self, folder: Path) -> SwanLabTracker:
        return SwanLabTracker("contract", log_dir=str(folder), **QUICK)

    def continued(self, folder: Path, identity: dict[str, Any]) -> SwanLabTracker:
        return SwanLabTracker("contract", log_dir=str(folder), **QUICK, **identity)

    def init_kwargs(self, folder: Path) -> dict[str, Any]:
        return dict(QUICK)

    def read(self, folder: Path) -> Readback:
        paths = sorted(folder.rglob("*.swanlab"))
        stored, ids = Readback(), set()
        self.versions: dict[str, dict[str, dict[str, bytes]]] = {}
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
                elif record.HasField("save") and record.save.source_path:
                    self.add_file(stored, record.save)
            config = run / "files" / "config.yaml"
            if config.exists():
                entries = yaml.safe_load(config.read_text()) or {}
                stored.config |= {key: entry["value"] for key, entry in entries.items()}
        stored.runs = len(ids)
        return stored

    def add_media(self, stored: Readback, media: Any, folder: Path) -> None:
        for item in media.value.items:
            (path,) = folder.rglob(item.filename)
            what = content(path)
            stored.media.setdefault(media.key, []).append(Seen(what, media.step, item.caption))
            if path.suffix == ".txt":
                stored.texts.setdefault(media.key, []).append(what)

    def add_file(self, stored: Readback, save: Any) -> None:
        """Add a saved file of an artifact, or one that stands for a medium."""
        kind, name, *rest = [*save.name.split("/", 3), ""]
        if kind == "media":
            stored.media.setdefault(name, []).append(Seen(Path(save.source_path).read_bytes()))
        elif kind == "artifacts" and rest[1].startswith("files/"):
            versions = self.versions.setdefault(name, {})
            if rest[0] not in versions:
                versions[rest[0]] = {}
                stored.media.setdefault(name, []).append(Seen(versions[rest[0]]))
            versions[rest[0]][rest[1].removeprefix("files/")] = Path(save.source_path).read_bytes()


def content(path: Path) -> Any:
    """Return what a file of SwanLab's media holds."""
    if path.suffix in (".txt", ".html"):
        return path.read_bytes().decode()
    if path.suffix in (".png", ".jpg", ".gif"):
        return pixels(path)
    if path.name.endswith(".pts.json"):
        return np.array(json.loads(path.read_text())["points"])
    return chart(json.loads(path.read_text())) if path.suffix == ".json" else path.read_bytes()


def chart(options: dict[str, Any]) -> Columns | Bins:
    """Return the table, the bars or the heat map of a chart."""
    if options.get("_swanLab") == "table":
        columns = [one["field"] for one in options["colDefs"]]
        return Columns(columns, [[row[one] for one in columns] for row in options["rowData"]])
    (series,), labels = options["series"], options["xAxis"][0]["data"]
    if series["type"] == "bar":
        return Bins(series["data"])
    counts = {(row, column): count for column, row, count in series["data"]}
    targets = enumerate(options["yAxis"][0]["data"])
    rows = [[target, *(counts[row, column] for column in range(len(labels)))] for row, target in targets]
    return Columns(["target", *(f"predicted {label}" for label in labels)], rows)


class SwanLabContract(SwanLabBackend, TrackerContract):
    """The conformance suite for it."""
