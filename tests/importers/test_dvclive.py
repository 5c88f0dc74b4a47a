"""The source of DVCLive's folders: what programs write with `dvclive.Live`."""

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import dvclive
import numpy as np
import pytest
import yaml
from PIL import Image

from accel_track import media
from accel_track.errors import NotReadableError
from accel_track.importers.dvclive import DVCLiveSource
from accel_track.trackers.backend_run import BackendRun
from accel_track.trackers.dvclive.tracker import DVCLiveTracker
from accel_track.trackers.reading.lost import OUTSIDE
from accel_track.trackers.reading.tables import CUT_OFF, ODD
from tests.support.backend_runs import held
from tests.support.pictures import pixels

PIXELS = np.random.default_rng(0).integers(0, 256, (8, 6, 3), np.uint8)


def live(folder: Path, **kwargs: Any) -> Any:
    """Return a Live that does nothing with Git."""
    return dvclive.Live(str(folder), dvcyaml=str(folder.parent / "dvc.yaml"), save_dvc_exp=False, report=None, **kwargs)


def runs(place: Path) -> dict[str, BackendRun]:
    return {run.id: run for run in DVCLiveSource(str(place)).runs()}


def test_a_folder_of_runs(tmp_path: Path) -> None:
    """Runs at any depth: their parameters, numbers and texts, those of one step together."""
    for name in ("one/dvclive", "deep/er/two"):
        with live(tmp_path / name) as one:
            one.log_params({"lr": 1e-05, "nested": {"layers": [1, 2], "name": "yes", "none": None}})
            for step in range(5):
                one.log_metric("loss", 1 / (step + 1))
                one.log_metric("train/acc", step)
                if step == 3:
                    one.log_metric("note", 'a "text"\nof\ttwo lines')
                one.next_step()
            one.log_metric("odd", math.nan)
            one.log_metric("alone", 7, plot=False)
    found = runs(tmp_path)
    assert {run.name for run in found.values()} == {"one", "two"}
    assert set(found) == {"one/dvclive", "deep/er/two"}
    for run in found.values():
        got = held(run, tmp_path / "scratch")
        assert got.points["loss"] == [(step, 1 / (step + 1)) for step in range(5)]
        assert got.points["train/acc"] == [(step, step) for step in range(5)]
        assert got.points["note"] == [(3, 'a "text"\nof\ttwo lines')]
        assert math.isnan(got.points["odd"][0][1])
        assert got.points["alone"] == [(4, 7)]  # the step in metrics.json
        assert len(got.rows) == 6
        assert run.config == {"lr": 1e-05, "nested": {"layers": [1, 2], "name": "yes", "none": None}}
        assert not run.lost
        assert run.created is None  # the time of a file is none of the run's
        assert len(set(got.times["loss"])) == 1


def test_times_and_repeated_steps(tmp_path: Path) -> None:
    """A column of times is taken; values of one step that come again are further calls."""
    with live(tmp_path / "dvclive") as one:
        for value in range(3):
            one.log_metric("a", value, timestamp=True)
            one.log_metric("b", -value, timestamp=True)
    (run,) = runs(tmp_path).values()
    got = held(run, tmp_path / "scratch")
    assert [set(row.values) for row in got.rows] == 3 * [{"a", "b"}]
    assert got.points["a"] == [(0, 0), (0, 1), (0, 2)]
    assert all(abs(time - (tmp_path / "dvclive" / "metrics.json").stat().st_mtime) < 60 for time in got.times["a"])


def test_media_and_artifacts(tmp_path: Path) -> None:
    """Images with and without steps, plots by what they show, and what `dvc.yaml` lists."""
    (tmp_path / "model.bin").write_bytes(b"model")
    with live(tmp_path / "dvclive") as one:
        one.log_image("plain.png", PIXELS)
        for step in range(2):
            one.log_image(f"slides/{step}.png", PIXELS)
        one.log_plot("table", [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}], x="a", y="b")
        one.log_sklearn_plot("confusion_matrix", [0, 1, 1, 10], [0, 1, 0, 10], name="matrix")
        one.log_metric("loss", 1)
    listed = yaml.safe_load((tmp_path / "dvc.yaml").read_text())
    listed["artifacts"] = {
        "model": {"path": "model.bin", "type": "model", "desc": "the best", "meta": {"step": 3, "score": 0.5}},
        "gone": {"path": "gone.bin"},
        "outside": {"path": "../outside.bin"},
        "absolute": {"path": "/etc/hostname"},
    }
    (tmp_path.parent / "outside.bin").write_bytes(b"outside")
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump(listed))
    (run,) = runs(tmp_path).values()
    got = held(run, tmp_path / "scratch")
    assert {name: [step for step, _ in some] for name, some in got.points.items()} == {
        "plain.png": [None],
        "slides": [0, 1],
        "table": [None],
        "matrix": [None],
        "loss": [0],
    }
    for name in ("plain.png", "slides"):
        assert np.array_equal(pixels(got.points[name][0][1].path), PIXELS)
    table, matrix = got.points["table"][0][1], got.points["matrix"][0][1]
    assert (table.columns, table.rows) == (["a", "b"], [[1, "x"], [2, "y"]])
    assert (matrix.labels, matrix.matrix) == (["0", "1", "10"], [[1, 0, 0], [1, 1, 0], [0, 0, 1]])
    assert list(got.artifacts) == ["model"]
    (model,) = got.artifacts["model"]
    assert (Path(model.path).read_bytes(), model.type, model.step) == (b"model", "model", 3)
    assert model.values == {"score": 0.5, "desc": "the best"}
    assert run.lost == {
        OUTSIDE: 2,
        "an artifact is not there, but in DVC's cache or nowhere": 1,
    }


def test_artifacts_of_another_run_beside_it(tmp_path: Path) -> None:
    """A `dvc.yaml` that is not this run's gives it none but those in its own folder."""
    with live(tmp_path / "dvclive") as one:
        one.log_metric("loss", 1)
    (tmp_path / "other.bin").write_bytes(b"other")
    (tmp_path / "dvclive" / "own.bin").write_bytes(b"own")
    listed = {
        "metrics": ["other/metrics.json"],
        "artifacts": {"a": {"path": "other.bin"}, "b": {"path": "dvclive/own.bin"}},
    }
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump(listed))
    (run,) = runs(tmp_path).values()
    assert list(held(run, tmp_path / "scratch").artifacts) == ["b"]


def test_a_killed_program(tmp_path: Path) -> None:
    """Its tables are there, and so is the run, without a summary."""
    code = """if True:
        import os, signal, sys, dvclive
        live = dvclive.Live(sys.argv[1], save_dvc_exp=False, report=None, dvcyaml=None)
        for step in range(20):
            live.log_metric("loss", step)
            live.step += 1
        os.kill(os.getpid(), signal.SIGKILL)
    """
    command = [sys.executable, "-c", code, str(tmp_path / "dvclive")]
    done = subprocess.run(command, timeout=90, check=False, cwd=tmp_path)
    assert done.returncode == -signal.SIGKILL
    (run,) = runs(tmp_path).values()
    assert held(run, tmp_path / "scratch").points["loss"] == [(step, step) for step in range(20)]
    assert run.outcome is None


def test_damaged_files(tmp_path: Path) -> None:
    """What is readable is read, and the rest is counted."""
    with live(tmp_path / "dvclive") as one:
        one.log_params({"lr": 0.5})
        one.log_image("bad.png", PIXELS)
        for step in range(5):
            for name in ("loss", "torn", "odd", "other"):
                one.log_metric(name, step)
            one.next_step()
    metrics = tmp_path / "dvclive" / "plots" / "metrics"
    with (metrics / "torn.tsv").open("r+b") as file:
        file.truncate(os.path.getsize(metrics / "torn.tsv") - 1)
    (metrics / "odd.tsv").write_bytes(
        b"step\todd\n0\t1\n1\n2\t3\t4\nx\t5\n3\t\xff\xfe\n4\t" + b"9" * 200_000 + b"\n5\t6\n"
    )
    (metrics / "other.tsv").write_bytes(b"something\telse\n1\t2\n")
    (metrics / "empty.tsv").write_bytes(b"")
    (tmp_path / "dvclive" / "params.yaml").write_bytes(b"\xff\x00{[")
    (tmp_path / "dvclive" / "metrics.json").write_text('{"loss": 4')
    (tmp_path / "dvclive" / "plots" / "images" / "bad.png").write_bytes(b"no image")
    (run,) = runs(tmp_path).values()
    points = held(run, tmp_path / "scratch").points
    assert len(points["loss"]) == 5
    assert len(points["torn"]) == 4
    assert [step for step, _ in points["odd"]] == [0, 3, 5]
    assert set(points) == {"loss", "torn", "odd"}
    lost = {sentence.partition(":")[0]: count for sentence, count in run.lost.items()}
    assert lost == {
        CUT_OFF: 1,
        ODD: 3,
        "a line of a metric's table has no step": 1,
        "a table of a metric has other columns than a step and a value": 1,
        "params.yaml cannot be read": 1,
        "metrics.json cannot be read": 1,
        "a file of an image or plot cannot be read": 1,
    }


def test_links_out_of_the_folder(tmp_path: Path) -> None:
    """They are not followed."""
    with live(tmp_path / "place" / "dvclive") as one:
        one.log_metric("loss", 1)
    table = tmp_path / "place" / "dvclive" / "plots" / "metrics" / "loss.tsv"
    (tmp_path / "outside.tsv").write_bytes(table.read_bytes())
    table.with_name("linked.tsv").symlink_to(tmp_path / "outside.tsv")
    (tmp_path / "secret.yaml").write_text("secret: 1")
    (tmp_path / "place" / "dvclive" / "params.yaml").symlink_to(tmp_path / "secret.yaml")
    (run,) = runs(tmp_path / "place").values()
    assert set(held(run, tmp_path / "scratch").points) == {"loss"}
    assert run.config == {}
    assert run.lost == {OUTSIDE: 2}


def test_recognition(tmp_path: Path) -> None:
    """By what a folder holds."""
    (tmp_path / "metrics.json").write_text("{}")
    assert not DVCLiveSource.recognises(str(tmp_path))
    assert not DVCLiveSource.recognises(str(tmp_path / "missing"))
    assert not DVCLiveSource.recognises("sqlite:///x")
    assert not DVCLiveSource.recognises("\0")
    with live(tmp_path / "a" / "dvclive") as one:
        one.log_metric("loss", 1)
    assert DVCLiveSource.recognises(str(tmp_path))
    assert DVCLiveSource.recognises(str(tmp_path / "a" / "dvclive"))
    assert not DVCLiveSource.recognises(str(tmp_path / "a" / "dvclive" / "metrics.json"))
    (run,) = runs(tmp_path / "a" / "dvclive").values()
    assert (run.id, run.name) == ("dvclive", "a")
    with pytest.raises(NotReadableError, match="dvclive: there is no folder"):
        list(DVCLiveSource(str(tmp_path / "missing")).runs())


def test_hundreds_of_metrics(tmp_path: Path) -> None:
    """More tables than a process may have open are read in parts."""
    metrics = tmp_path / "plots" / "metrics"
    metrics.mkdir(parents=True)
    for number in range(450):
        (metrics / f"m{number}.tsv").write_text(f"step\tm{number}\n0\t{number}\n1\t{number}\n")
    (run,) = runs(tmp_path).values()
    got = held(run, tmp_path / "scratch")
    assert len(got.points) == 450
    assert len(got.rows) == 6


def test_our_trackers_names(tmp_path: Path) -> None:
    """`stored_name` tells the names of tables, also those that DVCLive cannot have, and for another process."""
    place = tmp_path / "run"
    kwargs: dict[str, Any] = {"dir": str(place / "dvclive"), "dvcyaml": str(place / "dvc.yaml"), "save_dvc_exp": False}
    tracker = DVCLiveTracker("run", **kwargs)
    tracker.start()
    names = ["plain", "a/b", "a", "odd: name?", "x/step", "m", "m/0", "s" * 300]
    for name in names:
        tracker.log({name: 1.0}, step=0)
    tracker.log({"image": media.Image(Image.fromarray(PIXELS))}, step=2)
    tracker.finish()
    for reader in (tracker, DVCLiveTracker("run", **kwargs)):
        points = held(reader.read(), tmp_path / "scratch").points
        assert {reader.stored_name(name) for name in names} | {"image"} == set(points)
        assert len({reader.stored_name(name) for name in names}) == len(names)
    assert points["image"][0][0] == 2
    assert json.loads((place / "dvclive" / "metrics.json").read_text())["plain"] == 1.0


def test_plots_of_other_forms(tmp_path: Path) -> None:
    """A curve of scikit-learn's is a table; an empty plot, too; a list of no rows is counted."""
    with live(tmp_path / "dvclive") as one:
        one.log_metric("loss", 1)
        one.log_sklearn_plot("roc", [0, 1, 1, 0], [0.1, 0.9, 0.4, 0.6], name="curve")
    custom = tmp_path / "dvclive" / "plots" / "custom"
    custom.mkdir()
    (custom / "empty.json").write_text("[]")
    (custom / "none.json").write_text("[1, 2]")
    kept = tmp_path / "dvclive" / "plots" / "media"
    (kept / "table").mkdir(parents=True)
    (kept / "table" / "3.csv").write_text("a,b\n1,x\n")
    (kept / "odd").mkdir()
    (kept / "odd" / "4.bin").write_bytes(b"odd")
    (run,) = runs(tmp_path).values()
    got = held(run, tmp_path / "scratch")
    assert got.points["curve"][0][1].columns == ["fpr", "tpr", "threshold"]
    assert got.points["empty"][0][1].rows == []
    assert (got.points["table"][0][0], got.points["table"][0][1].rows) == (3, [[1, "x"]])
    ((odd,),) = got.artifacts.values()
    assert (odd.name, odd.step, Path(odd.path).read_bytes()) == ("odd", 4, b"odd")
    assert run.lost == {"a file of an image or plot cannot be read": 1}
