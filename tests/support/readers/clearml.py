"""ClearML's offline sessions, read from their archives."""

import json
from pathlib import Path
from typing import Any

from clearml import Task
from PIL import Image

from accel_track.testing import Readback, TrackerContract
from accel_track.trackers.clearml.tracker import ClearMLTracker


def sessions(folder: Path) -> list[Path]:
    """Return the folders of the offline sessions."""
    return sorted(path.parent for path in folder.glob("offline/*/task.json"))


def events(session: Path) -> list[dict[str, Any]]:
    """Return everything that was reported, except the console's output."""
    file = session / "metrics.jsonl"
    return [event for line in file.read_text().splitlines() for event in json.loads(line)] if file.exists() else []


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
            elif event["type"] == "plot":
                (table,) = json.loads(event["plot_str"])["data"]
                stored.tables[title] = [list(row) for row in zip(*table["cells"]["values"], strict=True)]
            elif event["type"] == "training_debug_image":
                with Image.open(next(folder.rglob(event["url"].rpartition("/")[2]))) as image:
                    stored.images.setdefault(title, []).append((image.height, image.width))
        return stored
