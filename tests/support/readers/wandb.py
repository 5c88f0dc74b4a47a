"""wandb's offline run files, decoded."""

import json
import struct
from collections import defaultdict
from pathlib import Path
from typing import Any

from PIL import Image
from wandb.proto import wandb_internal_pb2

from accel_track.testing import Readback, TrackerContract
from accel_track.trackers.wandb.axis import STEP
from accel_track.trackers.wandb.tracker import WandBTracker
from tests.support.waiting import until

BLOCK = 32768
"""Records never cross a block of this many bytes without being split."""


def decoded(path: Path) -> list[Any]:
    """Decode a `.wandb` file, a LevelDB log of protobuf records, as far as it is written."""
    content = path.read_bytes()
    position, part, found = 7, b"", []
    while position + 7 <= len(content):
        left = BLOCK - position % BLOCK
        if left < 7:
            position += left
            continue
        _, size, kind = struct.unpack("<IHB", content[position : position + 7])
        if kind == 0 or position + 7 + size > len(content):
            break
        part = (part if kind in (3, 4) else b"") + content[position + 7 : position + 7 + size]
        if kind in (1, 4):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(part)
            found.append(record)
        position += 7 + size
    return found


def records(path: Path) -> list[Any]:
    """Decode the file of a finished run. `Run.finish` returns a moment before wandb's service has written all of it."""
    until(lambda: any(record.HasField("exit") for record in decoded(path)))
    return decoded(path)


def items(message: Any) -> dict[str, Any]:
    """Decode key-value items; names of nested ones are joined with "|"."""
    return {item.key or "|".join(item.nested_key): json.loads(item.value_json) for item in message}


def rows(folder: Path) -> list[dict[str, Any]]:
    """Return the history of the only run, row by row."""
    (path,) = folder.rglob("*.wandb")
    return [items(record.history.item) for record in records(path) if record.HasField("history")]


class WandBContract(TrackerContract):
    """The conformance suite with a tracker that it makes, and the reader of what that stores."""

    tracker_class = WandBTracker

    def make(self, folder: Path) -> WandBTracker:
        return WandBTracker("contract", dir=str(folder))

    def read(self, folder: Path) -> Readback:
        paths = sorted(folder.rglob("*.wandb"), key=lambda path: path.stat().st_ctime_ns)
        stored = Readback(runs=len({path.name for path in paths}))  # named after the run's id
        for path in paths:
            if path.name != paths[0].name:
                continue
            for record in records(path):
                if record.HasField("run"):
                    stored.project, stored.run_name = record.run.project, record.run.display_name
                    stored.config |= items(record.run.config.update)
                elif record.HasField("config"):
                    stored.config |= items(record.config.update)
                elif record.HasField("history"):
                    self.add_row(stored, items(record.history.item), path.parent / "files")
        return stored

    def add_row(self, stored: Readback, row: dict[str, Any], files: Path) -> None:
        step = row.get(STEP)
        media: dict[str, dict[str, Any]] = defaultdict(dict)
        for key, value in row.items():
            name, _, field = key.partition("|")
            if field:
                media[name][field] = value
            elif isinstance(value, str):
                stored.texts.setdefault(key, []).append(value)
            elif key not in ("_step", "_runtime", "_timestamp", STEP):
                stored.metrics.setdefault(key, []).append((step, value))
                stored.times.setdefault(key, []).append(row["_timestamp"])
        for name, fields in media.items():
            if fields["_type"] == "images/separated":
                stored.images[name] = [Image.open(files / path).size[::-1] for path in fields["filenames"]]
            elif fields["_type"] == "table-file":
                stored.tables[name] = json.loads((files / fields["path"]).read_text())["data"]
