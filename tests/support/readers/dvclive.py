"""DVCLive's folder, read from its tables and summaries."""

import csv
import json
from pathlib import Path
from typing import Any

import yaml

from accel_track.testing import Readback, TrackerContract
from accel_track.trackers.dvclive.tracker import DVCLiveTracker

QUIET = {"save_dvc_exp": False}


def tables(folder: Path) -> dict[str, list[tuple[int, str]]]:
    """Return the rows of each metric's table by the metric's name."""
    found: dict[str, list[tuple[int, str]]] = {}
    root = folder / "plots" / "metrics"
    for path in sorted(root.rglob("*.tsv")):
        name = path.relative_to(root).as_posix().removesuffix(".tsv")
        with path.open(newline="", encoding="utf-8") as file:
            header, *lines = csv.reader(file, delimiter="\t")
        assert header == ["step", name.rpartition("/")[2]]
        found[name] = [(int(step), value) for step, value in lines]
    return found


class DVCLiveContract(TrackerContract):
    """The conformance suite with a tracker that it makes, and the reader of what that stores."""

    tracker_class = DVCLiveTracker

    def make(self, folder: Path) -> DVCLiveTracker:
        place = folder / "contract" / "run"
        return DVCLiveTracker("contract", dir=str(place / "dvclive"), dvcyaml=str(place / "dvc.yaml"), **QUIET)

    def init_kwargs(self, folder: Path) -> dict[str, Any]:
        return dict(QUIET)

    def read(self, folder: Path) -> Readback:
        runs = [path.parent for path in folder.rglob("metrics.json")]
        summary = json.loads((runs[0] / "metrics.json").read_text())
        project, *run_name, _ = runs[0].relative_to(folder).parts
        stored = Readback(project=project, run_name="".join(run_name), runs=len(runs))
        if (runs[0] / "params.yaml").exists():
            stored.config = yaml.safe_load((runs[0] / "params.yaml").read_text())
        for name, rows in tables(runs[0]).items():
            last = summary
            for part in name.split("/"):
                last = last[part]
            assert str(last) == rows[-1][1]
            try:
                stored.metrics[name] = [(step, float(value)) for step, value in rows]
            except ValueError:
                stored.texts[name] = [value for _, value in rows]
        assert not (folder / "cwd" / "dvc.yaml").exists()
        assert yaml.safe_load((runs[0].parent / "dvc.yaml").read_text())["metrics"] == ["dvclive/metrics.json"]
        return stored
