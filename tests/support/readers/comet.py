"""Comet's offline archives, read from their messages."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import comet_ml
import numpy as np
from PIL import Image

from accel_track.testing import Readback, TrackerContract
from accel_track.trackers.comet.tracker import CometMLTracker


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


def read(archive: Path) -> Readback:
    """Read one archive."""
    with zipfile.ZipFile(archive) as content:
        stored = Readback(project=json.loads(content.read("experiment.json"))["project_name"])
        for payload in messages(archive, "file_upload"):
            if payload["additional_params"].get("type") == "text-sample":
                text = content.read(payload["file_path"]).decode()
                stored.texts.setdefault(payload["metadata"]["name"], []).append(text)
    stored.metrics = metrics(archive)
    for payload in messages(archive, "metric_msg"):
        stored.times.setdefault(payload["metric"]["metricName"], []).append(payload["local_timestamp"] / 1000)
    for payload in messages(archive, "parameter_msg"):
        stored.config[payload["param"]["paramName"]] = payload["param"]["paramValue"]
    for name, pixels in pictures(archive).items():
        parent, _, index = name.rpartition("/")
        stored.images.setdefault(parent if index.isdigit() else name, []).append(pixels.shape[:2])
    stored.run_name = next((one["value"] for one in messages(archive, "log_other") if one["key"] == "Name"), None)
    return stored


class CometContract(TrackerContract):
    """The conformance suite with a tracker that it makes, and the reader of what that stores."""

    tracker_class = CometMLTracker

    def make(self, folder: Path) -> CometMLTracker:
        return CometMLTracker("contract", experiment_config=offline(folder, display_summary_level=0))

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
