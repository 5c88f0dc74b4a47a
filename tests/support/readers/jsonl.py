"""The files of the tracker "jsonl", read line by line."""

import hashlib
import json
from pathlib import Path
from typing import Any

from accel_track.testing import Bins, Columns, Readback, Seen, TrackerContract
from accel_track.trackers.jsonl import JsonlTracker
from accel_track.trackers.jsonl_media import ARTIFACTS, INDEX
from tests.support.pictures import pixels


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def number(value: Any) -> Any:
    """Return NaN and infinities, which are texts in the file, as numbers."""
    return float(value) if value in ("NaN", "Infinity", "-Infinity") else value


def seen(medium: dict[str, Any], step: int | None, folder: Path) -> Seen:
    """Return what an object in a line stands for."""
    kind: str = medium["_type"]
    what: Any = None
    if "file" in medium:
        what = (folder / medium["file"]).read_bytes()
        assert hashlib.sha256(what).hexdigest() == medium["sha256"]
    if kind in ("image", "figure"):
        return Seen(pixels(what), step, medium.get("caption", ""))
    if kind == "table":
        whole = json.loads(what)
        return Seen(Columns(whole["columns"], whole["data"]), step)
    if kind == "histogram":
        return Seen(Bins(medium["counts"], medium["edges"]), step)
    if kind == "confusion_matrix":
        rows = [[label, *row] for label, row in zip(medium["labels"], medium["matrix"], strict=True)]
        return Seen(Columns(["target", *(f"predicted {label}" for label in medium["labels"])], rows), step)
    return Seen(what if what is not None else medium["text"], step, medium.get("caption", ""))


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
                media = value if isinstance(value, list) else [value]
                if isinstance(media[0], dict):
                    stored.media[name] = [seen(one, step, files[0].parent) for one in media]
                elif isinstance(number(value), str):
                    stored.texts.setdefault(name, []).append(value)
                else:
                    stored.metrics.setdefault(name, []).append((step, number(value)))
                    stored.times.setdefault(name, []).append(time)
        index = files[0].with_name(INDEX)
        for place, about in (json.loads(index.read_text()) if index.exists() else {}).items():
            folder = files[0].parent / ARTIFACTS / place
            parts = {one.relative_to(folder).as_posix(): one.read_bytes() for one in folder.rglob("*") if one.is_file()}
            assert {name: hashlib.sha256(data).hexdigest() for name, data in parts.items()} == about["sha256"]
            stored.media.setdefault(about["name"], []).append(Seen(parts, about["step"]))
        if (config := files[0].with_name("config.json")).exists():
            stored.config = json.loads(config.read_text())
        return stored
