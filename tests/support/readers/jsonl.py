"""The files of the tracker "jsonl", read line by line."""

import json
from pathlib import Path
from typing import Any

from accel_track.testing import Readback, TrackerContract
from accel_track.trackers.jsonl import JsonlTracker


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def number(value: Any) -> Any:
    """Return NaN and infinities, which are texts in the file, as numbers."""
    return float(value) if value in ("NaN", "Infinity", "-Infinity") else value


class JsonlContract(TrackerContract):
    """The conformance suite with a tracker that it makes, and the reader of what that stores."""

    tracker_class = JsonlTracker

    def make(self, folder: Path) -> JsonlTracker:
        return JsonlTracker("run", folder)

    def read(self, folder: Path) -> Readback:
        files = sorted(folder.rglob("metrics*.jsonl"))
        stored = Readback(runs=len(files))
        *_, stored.project, stored.run_name, _ = ("", "", *files[0].parts)
        for line in lines(files[0]):
            step, time, _ = (line.pop(name) for name in ("step", "time", "seq"))
            for name, value in line.items():
                if isinstance(number(value), str):
                    stored.texts.setdefault(name, []).append(value)
                else:
                    stored.metrics.setdefault(name, []).append((step, number(value)))
                    stored.times.setdefault(name, []).append(time)
        if (config := files[0].with_name("config.json")).exists():
            stored.config = json.loads(config.read_text())
        return stored
