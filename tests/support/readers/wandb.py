"""wandb's offline run files, decoded."""

import json
import struct
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from wandb.proto import wandb_internal_pb2

from accel_track.testing import Bins, Columns, Readback, Seen, TrackerContract
from accel_track.testing._backend import Backend
from accel_track.trackers.wandb.axis import STEP
from accel_track.trackers.wandb.tracker import WandBTracker
from tests.support.pictures import pixels
from tests.support.waiting import until

CHARTS = "_wandb|visualize|"
"""Beginning of the configuration's names of wandb's own charts."""

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


def artifacts(folder: Path) -> list[tuple[Any, dict[str, bytes]]]:
    """Return the record and the files of each version of an artifact of the only run, in order, without tables."""
    (path,) = folder.rglob("*.wandb")
    return [contents(one.artifact) for one in records(path) if one.HasField("artifact")]


def contents(artifact: Any) -> tuple[Any, dict[str, bytes]]:
    """Return an artifact's record, and its files by their paths in there."""
    return artifact, {one.path: Path(one.local_path).read_bytes() for one in artifact.manifest.contents}


class WandBBackend(Backend):
    """How a tracker is made, and what it stores is read."""

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
                elif record.HasField("artifact") and record.artifact.type != "run_table":
                    artifact, files = contents(record.artifact)
                    stored.media.setdefault(artifact.name, []).append(Seen(files))
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
                stored.media.setdefault(key, []).append(Seen(value, step))
            elif key not in ("_step", "_runtime", "_timestamp", STEP):
                stored.metrics.setdefault(key, []).append((step, value))
                stored.times.setdefault(key, []).append(row["_timestamp"])
        for name, fields in media.items():
            stored.media.setdefault(name, []).extend(self.seen(fields, files, step))
        for name in [one for one in stored.media if one.endswith("_table") and f"{CHARTS}{one[:-6]}" in stored.config]:
            table = stored.media.pop(name)
            stored.media[name.removesuffix("_table")] = [one._replace(what=matrix(one.what)) for one in table]

    def seen(self, fields: dict[str, Any], files: Path, step: int | None) -> Iterator[Seen]:
        """Yield the media of one name in a row."""
        kind = fields["_type"]
        if kind == "images/separated":
            for path, caption in zip(
                fields["filenames"], fields.get("captions") or [""] * fields["count"], strict=True
            ):
                yield Seen(pixels(files / path), step, caption)
        elif kind in ("videos", "html", "object3D"):
            for one in fields[{"videos": "videos", "html": "html", "object3D": "objects"}[kind]]:
                yield from self.seen(one, files, step)
        elif kind == "histogram":
            yield Seen(Bins(fields["values"], fields["bins"]), step)
        elif kind == "table-file":
            table = json.loads((files / fields["path"]).read_text())
            yield Seen(Columns(table["columns"], table["data"]), step)
        elif kind == "object3D-file":
            points = json.loads((files / fields["path"]).read_text())
            yield Seen(np.array(points, np.float32), step, fields.get("caption", ""))
        elif kind in ("image-file", "video-file") and not fields["path"].endswith((".mp4", ".webm", ".ogg")):
            yield Seen(pixels(files / fields["path"]), step, fields.get("caption", ""))
        else:
            yield Seen((files / fields["path"]).read_bytes(), step, fields.get("caption", ""))


def matrix(cells: Columns) -> Columns:
    """Return the table of a confusion matrix whose cells wandb has in rows of their own."""
    labels = list(dict.fromkeys(actual for actual, _, _ in cells.rows))
    counts = {(actual, predicted): count for actual, predicted, count in cells.rows}
    rows = [[actual, *(counts[actual, predicted] for predicted in labels)] for actual in labels]
    return Columns(["target", *(f"predicted {label}" for label in labels)], rows)


class WandBContract(WandBBackend, TrackerContract):
    """The conformance suite for it."""
