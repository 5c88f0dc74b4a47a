"""What the tracker for JSON lines reads back: names, values that JSON lacks, damage, files that lead elsewhere."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from accel_track import media
from accel_track.errors import NotReadableError
from accel_track.records import Metrics
from accel_track.trackers.jsonl import JsonlTracker
from accel_track.trackers.reading.lost import MISSING, OUTSIDE
from tests.support.backend_runs import held


def logged(folder: Path) -> Path:
    """Log a little, and return the file."""
    tracker = JsonlTracker("run", folder)
    tracker.start()
    tracker.store_init_configuration({"lr": 0.5, "nested": {"a": [1, 2]}})
    tracker.log_batch([Metrics(number, 100.0 + number, {"loss": number / 3}, step=number) for number in range(3)])
    tracker.finish()
    return folder / "run" / "metrics.jsonl"


def test_names_and_values(tmp_path: Path) -> None:
    """Names like a line's own fields, NaN and infinities, long integers, values of one step, times, no step."""
    tracker = JsonlTracker("run", tmp_path)
    tracker.start()
    values = {"step": 1, "_time": 2, "x": {"y": 2**70}, "nan": math.nan, "inf": -math.inf, "none": None, "text": "NaN?"}
    tracker.log_batch([Metrics(0, 100.0, values, step=3), Metrics(1, 101.0, {"x/y": 5}, step=3)])
    tracker.log_batch([Metrics(2, 102.0, {"x/y": 6})])
    tracker.finish()
    run = tracker.read()
    got = held(run, tmp_path / "scratch")
    assert got.points["step"] == [(3, 1)]
    assert got.points["_time"] == [(3, 2)]
    assert got.points["x/y"] == [(3, 2**70), (3, 5), (None, 6)]
    assert got.times["x/y"] == [100.0, 101.0, 102.0]
    assert math.isnan(got.points["nan"][0][1])
    assert got.points["inf"] == [(3, -math.inf)]
    assert got.points["none"] == [(3, None)]
    assert got.points["text"] == [(3, "NaN?")]
    assert (run.created, run.name, run.lost) == (100.0, "run", {})


def test_a_second_file_of_a_folder(tmp_path: Path) -> None:
    """A tracker reads its own file, also after its end, and one that is told which by `identity` the same."""
    logged(tmp_path)
    tracker = JsonlTracker("run", tmp_path)
    tracker.start()
    tracker.log({"loss": 7}, step=0)
    identity = tracker.identity()
    assert held(tracker.read(), tmp_path).points["loss"] == [(0, 7)]
    tracker.finish()
    for reader in (tracker, JsonlTracker(logging_dir=tmp_path, **identity)):
        assert held(reader.read(), tmp_path).points["loss"] == [(0, 7)]
    assert len(held(JsonlTracker("run", tmp_path).read(), tmp_path).rows) == 3


def test_damage(tmp_path: Path) -> None:
    """Torn lines, lines of something else, values of no kind: counted, and the rest is read."""
    file = logged(tmp_path)
    odd = [
        "{",
        "[1]",
        "5",
        '{"loss": 1}',
        "\x00",
        '{"step": -1, "time": "x", "seq": 0, "ok": 1, "bad": {"_type": "x"}}',
    ]
    file.write_bytes("\n".join([*odd, file.read_text()]).encode() + b'{"step": 9')
    (file.parent / "config.json").write_text("{")
    run = JsonlTracker("run", tmp_path).read()
    got = held(run, tmp_path)
    assert got.points["ok"] == [(None, 1)]
    assert [step for step, _ in got.points["loss"]] == [0, 1, 2]
    assert run.config == {}
    assert {sentence.partition(":")[0]: count for sentence, count in run.lost.items()} == {
        "a line is damaged": 5,
        "a value is damaged, or its file is not there": 1,
        "the last line is cut off": 1,
        "config.json cannot be read": 1,
    }


def test_files_that_lead_elsewhere(tmp_path: Path) -> None:
    """Media and artifacts outside of the folder, others than the lines tell of, or none, are refused."""
    tracker = JsonlTracker("run", tmp_path)
    tracker.start()
    (tmp_path / "a.txt").write_text("a")
    tracker.log({"good": media.Image(np.zeros((2, 2, 3), np.uint8))}, step=0)
    tracker.log_artifact(tmp_path / "a.txt", "artifact", step=2, metadata={"rows": 3})
    tracker.finish()
    file = tmp_path / "run" / "metrics.jsonl"
    line = json.loads(file.read_text())
    good = line["good"]
    outside = tmp_path / "outside.png"
    outside.write_bytes((file.parent / good["file"]).read_bytes())
    (file.parent / "media" / "link.png").symlink_to(outside)
    (file.parent / "media" / "other.png").write_bytes(b"other")
    names = ["../outside.png", str(outside), "media/link.png", "media/other.png", "media/none.png"]
    line |= {f"bad {number}": {**good, "file": name} for number, name in enumerate(names)}
    file.write_text(json.dumps(line) + "\n")
    index = json.loads((file.parent / "artifacts.json").read_text())
    (artifact,) = index.values()
    index |= {"../..": artifact, "none": artifact, "odd": {}, "list": [], "when": {**artifact, "time": "x"}}
    (file.parent / "artifacts.json").write_text(json.dumps(index))
    run = tracker.read()
    got = held(run, tmp_path / "scratch")
    assert set(got.points) == {"good"}
    ((found,),) = got.artifacts.values()
    assert Path(found.path).read_text() == "a"
    assert (found.step, found.values) == (2, {"rows": 3})
    assert run.lost == {
        "a value is damaged, or its file is not there": 5,
        MISSING: 2,
        OUTSIDE: 1,
        "an artifact's description is damaged": 2,
    }


def test_no_file(tmp_path: Path) -> None:
    """It says so, and makes no folder."""
    with pytest.raises(NotReadableError, match=r"jsonl: there is no file .*metrics\.jsonl"):
        JsonlTracker("run", tmp_path).read()
    assert not (tmp_path / "run").exists()
