"""Comet's offline archives, read from their messages."""

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import comet_ml
import numpy as np
from PIL import Image

from accel_track.testing import Bins, Columns, Readback, Seen, TrackerContract
from accel_track.trackers.comet.tracker import CometMLTracker
from tests.support import pictures as pillow


def offline(folder: Path, **options: Any) -> comet_ml.ExperimentConfig:
    """Return a configuration that keeps the archive in `folder`."""
    folder.mkdir(exist_ok=True)  # the SDK makes one level only
    return comet_ml.ExperimentConfig(offline_directory=str(folder / "comet"), **options)


def messages(archive: Path, kind: str) -> list[dict[str, Any]]:
    """Return the payloads of one type."""
    with zipfile.ZipFile(archive) as content:
        lines = [json.loads(line) for line in content.read("messages.json").splitlines()]
    return [line["payload"] for line in lines if line["type"] == kind]


def archives(folder: Path) -> list[Path]:
    """Return all archives below `folder`, oldest first."""
    return sorted(folder.rglob("*.zip"), key=lambda path: path.stat().st_mtime_ns)


def metrics(archive: Path) -> dict[str, list[tuple[int | None, float]]]:
    """Return the points of every metric."""
    stored: dict[str, list[tuple[int | None, float]]] = {}
    for payload in messages(archive, "metric_msg"):
        metric = payload["metric"]
        stored.setdefault(metric["metricName"], []).append((metric["step"], float(metric["metricValue"])))
    return stored


def pictures(archive: Path) -> dict[str, np.ndarray]:
    """Return the stored images by name."""
    with zipfile.ZipFile(archive) as content:
        uploads = [one for one in messages(archive, "file_upload") if one["upload_type"] == "visualization"]
        files = {one["additional_params"]["figName"]: io.BytesIO(content.read(one["file_path"])) for one in uploads}
        return {name: np.asarray(Image.open(file)) for name, file in files.items()}


def uploads(archive: Path) -> list[dict[str, Any]]:
    """Return what is told of each file, except the source code, which Comet logs by itself."""
    return [one for one in messages(archive, "file_upload") if one["upload_type"] != "source_code"]


def media(archive: Path) -> dict[str, list[Seen]]:
    """Return media by the names that Comet shows, without the suffixes of files; files of artifacts by the artifact's."""
    found: dict[str, list[Seen]] = {}
    with zipfile.ZipFile(archive) as content:
        for payload in uploads(archive):
            about, more = payload["additional_params"], payload.get("metadata") or {}
            data, kind = content.read(payload["file_path"]), payload["upload_type"]
            name = about.get("figName") or about.get("fileName")
            seen = Seen(_what(kind, data, more), about.get("step"), more.get("caption", ""))
            if kind == "text-sample":
                found.setdefault(more["name"], []).append(seen)
            elif kind == "model-element" or "artifact" in more:
                _add_file(found, more.get("artifact", about.get("groupingName")), name, seen)
            elif kind == "visualization":
                found.setdefault(name, []).append(seen)
            else:
                found.setdefault(re.sub(r"(\.\w+)+$", "", name), []).append(seen)
        for payload in messages(archive, "3d-image"):
            (points,) = (item for item in payload["items"] if item["type"] == "points")
            lines = content.read(points["file_path"]).splitlines()
            place = Seen(np.array([json.loads(line) for line in lines]), payload["step"])
            found.setdefault(payload["name"], []).append(place)
    for payload in messages(archive, "html"):
        head, _, page = payload["html"].partition("\n")
        name, step = re.fullmatch(r"<h4>(.*?)(?:, step (\d+))?</h4>", head).groups()  # type: ignore[union-attr]
        found.setdefault(name, []).append(Seen(page, None if step is None else int(step)))
    return found


def _add_file(found: dict[str, list[Seen]], owner: str, name: str, seen: Seen) -> None:
    """Add a file alone, or one more of a folder."""
    if "/" not in name.removeprefix(owner):
        found.setdefault(owner, []).append(seen)
    elif owner in found:
        found[owner][0].what[name.removeprefix(f"{owner}/")] = seen.what
    else:
        found[owner] = [seen._replace(what={name.removeprefix(f"{owner}/"): seen.what})]


def _what(kind: str, data: bytes, more: dict[str, Any]) -> Any:
    if kind == "visualization":
        return pillow.pixels(data)
    if kind == "text-sample":
        return data.decode()
    if kind == "histogram3d":
        assert sum(count for _, count in json.loads(data)["index_values"]) == sum(more["counts"])
        return Bins(more["counts"], more["edges"])
    if kind == "confusion-matrix":
        whole = json.loads(data)
        rows = [[label, *row] for label, row in zip(whole["labels"], whole["matrix"], strict=True)]
        return Columns(["target", *(f"predicted {label}" for label in whole["labels"])], rows)
    return data


def read(archive: Path) -> Readback:
    """Read one archive."""
    with zipfile.ZipFile(archive) as content:
        stored = Readback(project=json.loads(content.read("experiment.json"))["project_name"])
        for payload in messages(archive, "file_upload"):
            if payload["upload_type"] == "text-sample":
                text = content.read(payload["file_path"]).decode()
                stored.texts.setdefault(payload["metadata"]["name"], []).append(text)
    stored.metrics = metrics(archive)
    for payload in messages(archive, "metric_msg"):
        stored.times.setdefault(payload["metric"]["metricName"], []).append(payload["local_timestamp"] / 1000)
    for payload in messages(archive, "parameter_msg"):
        stored.config[payload["param"]["paramName"]] = payload["param"]["paramValue"]
    stored.media = media(archive)
    stored.run_name = next((one["value"] for one in messages(archive, "log_other") if one["key"] == "Name"), None)
    return stored


class CometContract(TrackerContract):
    """The conformance suite with a tracker that it makes, and the reader of what that stores."""

    tracker_class = CometMLTracker

    def make(self, folder: Path) -> CometMLTracker:
        return CometMLTracker("contract", experiment_config=offline(folder, display_summary_level=0))

    def continued(self, folder: Path, identity: dict[str, Any]) -> CometMLTracker:
        return CometMLTracker("contract", experiment_config=offline(folder, display_summary_level=0), **identity)

    def read(self, folder: Path) -> Readback:
        found = archives(folder)
        stored = read(found[0])
        keys = [path.name.partition("-")[0] for path in found]
        for archive in found[1 : keys.count(keys[0])]:  # continued
            more = read(archive)
            stored.config |= more.config
            for name, points in more.metrics.items():
                stored.metrics.setdefault(name, []).extend(points)
        stored.runs = len(set(keys))
        return stored
