"""The conformance suite of accel_track's own trackers, on ours."""

import csv
import json
from pathlib import Path

from accel_track_csv import CSVTracker

from accel_track.testing import Readback, TrackerContract


class TestCSV(TrackerContract):
    tracker_class = CSVTracker

    def make(self, folder: Path) -> CSVTracker:
        return CSVTracker("run", folder)

    def read(self, folder: Path) -> Readback:
        """Say what the files hold, without the code under test."""
        (path,) = folder.rglob("*.csv")
        found = Readback(project=path.parent.name, run_name=path.stem)
        if path.with_suffix(".json").exists():
            found.config = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        for row in csv.DictReader(path.open(encoding="utf-8", newline="")):
            name, step = row["name"], int(row["step"]) if row["step"] else None
            try:
                found.metrics.setdefault(name, []).append((step, float(row["value"])))
                found.times.setdefault(name, []).append(float(row["time"]))
            except ValueError:
                found.texts.setdefault(name, []).append(row["value"])
        return found
