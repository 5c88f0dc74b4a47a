"""DVCLive's folder, read from its tables and summaries."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from accel_track.testing import Bins, Columns, Readback, Seen, TrackerContract
from accel_track.trackers.dvclive.tracker import DVCLiveTracker
from tests.support.pictures import pixels

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


def media(folder: Path) -> dict[str, list[Seen]]:
    """Return images, texts and the files of other media by their names, in the order of their steps."""
    found: dict[str, list[Seen]] = {}
    for kind in ("images", "media"):
        root = folder / "plots" / kind
        files = [path for path in root.rglob("*") if path.is_file() and path.parent != root]
        for path in sorted(files, key=lambda path: (_step(path), path.name)):
            name = path.parent.relative_to(root).as_posix()
            found.setdefault(name, []).append(Seen(_what(path), _step(path)))
    for name, rows in tables(folder).items():
        if any(not _is_number(value) for _, value in rows):
            found.setdefault(name, []).extend(Seen(value, step) for step, value in rows)
    return found


def artifacts(file: Path) -> dict[str, list[Seen]]:
    """Return the files of the artifacts that `dvc.yaml` lists, by name."""
    found: dict[str, list[Seen]] = {}
    for name, entry in (yaml.safe_load(file.read_text()).get("artifacts") or {}).items():
        path = file.parent / entry["path"]
        inside = {one.relative_to(path).as_posix(): one.read_bytes() for one in path.rglob("*") if one.is_file()}
        found[name] = [Seen(inside or path.read_bytes(), entry.get("meta", {}).get("step"))]
    return found


def _step(path: Path) -> int:
    return int(re.match(r"\d+", path.name)[0])  # type: ignore[index] # as the tracker names files


def _what(path: Path) -> Any:
    if path.suffix in (".png", ".gif", ".jpg"):
        return pixels(path)
    if path.suffixes == [".json"]:
        rows = json.loads(path.read_text(), parse_constant=pytest.fail)
        if rows and set(rows[0]) == {"bin", "from", "to", "count"}:
            return Bins([row["count"] for row in rows], [*(row["from"] for row in rows), rows[-1]["to"]])
        return Columns(list(rows[0]) if rows else [], [list(row.values()) for row in rows])
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            columns, *lines = csv.reader(file)
        return Columns(columns, lines)
    return path.read_bytes()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


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
        stored.media = {**media(runs[0]), **artifacts(runs[0].parent / "dvc.yaml")}
        assert not (folder / "cwd" / "dvc.yaml").exists()
        assert yaml.safe_load((runs[0].parent / "dvc.yaml").read_text())["metrics"] == ["dvclive/metrics.json"]
        return stored
