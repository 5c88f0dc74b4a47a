"""ClearML's offline sessions, read from their archives."""

import contextlib
import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clearml import Task

from accel_track.testing import Bins, Columns, Readback, Seen, TrackerContract
from accel_track.trackers.clearml.tracker import ClearMLTracker
from tests.support.pictures import pixels

with contextlib.suppress(ImportError):
    # ClearML's thread that looks at the repository imports it, and a figure that is made meanwhile meets half of it.
    import IPython  # noqa: F401


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep the sessions in the test's folder, and leave no task behind."""
    monkeypatch.setenv("CLEARML_CACHE_DIR", str(tmp_path))
    yield
    if (task := Task.current_task()) is not None:
        task.close()
    for name in ("CLEARML_PROC_MASTER_ID", "TRAINS_PROC_MASTER_ID"):
        os.environ.pop(name, None)


def sessions(folder: Path) -> list[Path]:
    """Return the folders of the offline sessions."""
    return sorted(path.parent for path in folder.glob("offline/*/task.json"))


def events(session: Path) -> list[dict[str, Any]]:
    """Return everything that was reported, except the console's output."""
    file = session / "metrics.jsonl"
    return [event for line in file.read_text().splitlines() for event in json.loads(line)] if file.exists() else []


def plotted(plot_str: str) -> Any:
    """Return what a plot shows, which has to be strict JSON, as a browser reads it."""
    figure = json.loads(plot_str, parse_constant=pytest.fail)
    (data,) = figure["data"]
    if data["type"] == "table":
        columns, cells = data["header"]["values"], data["cells"]["values"]
        return Columns(columns, [list(row) for row in zip(*cells, strict=True)])
    if data["type"] == "bar" and "width" in data:
        edges = [x - width / 2 for x, width in zip(data["x"], data["width"], strict=True)]
        return Bins(data["y"], [*edges, data["x"][-1] + data["width"][-1] / 2])
    if data["type"] == "scatter3d":
        return np.stack([data[axis] for axis in "xyz"], axis=1)
    if data["type"] == "heatmap":
        rows = [[label, *row] for label, row in zip(data["y"], data["z"], strict=True)]
        return Columns(["target", *(f"predicted {label}" for label in data["x"])], rows)
    return figure


def artifact(entry: dict[str, Any]) -> Any:
    """Return the bytes of an artifact, or of each file of a folder's."""
    path = Path(entry["uri"])
    if entry["type"] != "archive":
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def media(session: Path) -> dict[str, list[Seen]]:
    """Return media by their series, and artifacts by their names."""
    found: dict[str, list[Seen]] = {}
    for event in events(session):
        if event["type"] == "plot":
            found.setdefault(event["variant"], []).append(Seen(plotted(event["plot_str"]), event["iter"]))
        elif event["type"] == "training_debug_image":
            path = session / "data" / event["key"]
            assert path.resolve().is_relative_to(session.resolve() / "data"), path
            what = pixels(path) if path.suffix in (".png", ".gif", ".jpg") else path.read_bytes()
            found.setdefault(event["variant"], []).append(Seen(what, event["iter"]))
    task = json.loads((session / "task.json").read_text())
    for entry in task.get("execution", {}).get("artifacts", []):
        about = dict(entry.get("display_data") or [])
        found[entry["key"]] = [Seen(artifact(entry), int(about["step"]) if "step" in about else None)]
    return found


class ClearMLContract(TrackerContract):
    """The conformance suite with a tracker that it makes, and the reader of what that stores."""

    tracker_class = ClearMLTracker

    def make(self, folder: Path) -> ClearMLTracker:
        return ClearMLTracker("contract", task_name="run")

    def stored_name(self, name: str) -> str:
        known = {"train/accuracy": "accuracy:train", "val/loss": "loss:val", "val/per_class/cat": "per_class/cat:val"}
        return known.get(name, f"{name}:{name}")

    def read(self, folder: Path) -> Readback:
        assert Task.current_task() is None
        found = sessions(folder)
        task = json.loads((found[0] / "task.json").read_text())
        stored = Readback(project=task["project_name"], run_name=task["name"], runs=len(found))
        general = task.get("hyperparams", {}).get("General", {})
        stored.config = {name: parameter["value"] for name, parameter in general.items()}
        for event in events(found[0]):
            title, series, step = event["metric"], event["variant"], event["iter"]
            if event["type"] == "training_stats_scalar" and not title.startswith(":monitor:"):
                step, title = (None, series) if step == -(2**31) else (step, title)
                stored.metrics.setdefault(f"{title}:{series}", []).append((step, event["value"]))
                stored.times.setdefault(f"{title}:{series}", []).append(event["timestamp"] / 1000)
        stored.media = media(found[0])
        return stored
