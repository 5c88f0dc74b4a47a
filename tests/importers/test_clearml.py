"""The source of ClearML's offline sessions: what programs write with its own calls."""

import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accel_track import media
from accel_track.errors import NotReadableError
from accel_track.importers.clearml import ClearMLSource
from accel_track.trackers.backend_run import BackendRun
from accel_track.trackers.clearml.tracker import ClearMLTracker
from tests.support.backend_runs import held
from tests.support.pictures import pixels

PROGRAM = """if True:
    import os, signal, sys, time
    from pathlib import Path
    import numpy as np
    from clearml import Task
    folder = Path(sys.argv[1])
    task = Task.init(project_name="a/project", task_name="a run", auto_connect_frameworks=False, auto_connect_arg_parser=False)
    task.connect({"lr": 0.1, "nested": {"layers": 3, "list": [1, 2]}, "flag": True, "none": None, "text": "x", "empty": ""})
    task.connect({"x": 3}, name="Other")
    logger = task.get_logger()
    for step in range(50):
        logger.report_scalar("loss", "train", 1 / (step + 1), step)
        logger.report_scalar("alone", "alone", step, step)
    logger.report_scalar("loss", "train", 7, 49)
    logger.report_single_value("best", 0.5)
    if len(sys.argv) > 2:
        task.flush(wait_for_uploads=True)
        time.sleep(1)
        os.kill(os.getpid(), signal.SIGKILL)
    logger.report_text("printed")
    Path(folder, "page.html").write_text("<b>x</b>")
    Path(folder, "odd.bin").write_bytes(b"odd")
    logger.report_image("img", "im", iteration=1, image=np.zeros((8, 6, 3), np.uint8))
    logger.report_media("media", "page", 2, local_path=str(folder / "page.html"))
    logger.report_media("media", "odd", 2, local_path=str(folder / "odd.bin"))
    logger.report_table("tab", "table", 3, table_plot=[["a", "b"], [1, "x"], [2, "y"]])
    logger.report_histogram("h", "bars", [1, 2, 3], iteration=3, xlabels=["a", "b", "c"])
    logger.report_confusion_matrix("cm", "matrix", np.array([[1, 2], [3, 4]]), iteration=3, xlabels=["a", "b"],
        ylabels=["a", "b"])
    logger.report_scatter3d("p", "points", np.arange(12).reshape(4, 3), iteration=3)
    logger.report_scatter2d("l", "line", np.arange(6).reshape(3, 2), iteration=3)
    task.upload_artifact("data", {"a": 1}, wait_on_upload=True)
    Path(folder, "files").mkdir()
    Path(folder, "files", "one.txt").write_text("one")
    task.upload_artifact("folder", folder / "files", metadata={"rows": "3"}, wait_on_upload=True)
    task.close()
"""


def program(folder: Path, *more: str) -> "subprocess.CompletedProcess[bytes]":
    """Run a program that logs with ClearML."""
    folder.mkdir(exist_ok=True)
    environment = {**os.environ, "CLEARML_OFFLINE_MODE": "1", "CLEARML_CACHE_DIR": str(folder / "cache")}
    command = [sys.executable, "-c", PROGRAM, str(folder), *more]
    return subprocess.run(command, env=environment, capture_output=True, timeout=120, check=False, cwd=folder)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The session of a program that ended."""
    folder = tmp_path_factory.mktemp("clearml")
    done = program(folder)
    assert done.returncode == 0, done.stderr.decode()
    (found,) = (folder / "cache" / "offline").glob("offline-*/")
    return found


def runs(place: Path) -> list[BackendRun]:
    return list(ClearMLSource(str(place)).runs())


@pytest.mark.parametrize("form", ["folder", "archive", "moved"])
def test_a_program_that_ended(session: Path, tmp_path: Path, form: str) -> None:
    """A folder, an archive, and a folder somewhere else have the same."""
    place = session
    if form != "folder":
        (tmp_path / "deep").mkdir()
        place = tmp_path
        if form == "archive":
            shutil.copy(session.with_suffix(".zip"), tmp_path / "deep")
        else:
            shutil.copytree(session, tmp_path / "deep" / session.name)
    (run,) = runs(place)
    assert (run.id, run.project, run.name) == (session.name, "a/project", "a run")
    assert run.config == {
        "lr": 0.1,
        "nested/layers": 3,
        "nested/list": [1, 2],
        "flag": True,
        "none": None,
        "text": "x",
        "empty": "",
        "Other": {"x": 3},
    }
    assert run.outcome is None
    got = held(run, tmp_path / "scratch")
    assert got.points["loss/train"] == [*((step, 1 / (step + 1)) for step in range(50)), (49, 7)]
    assert got.points["alone"] == [(step, step) for step in range(50)]
    assert got.points["best"] == [(None, 0.5)]
    values: dict[str, Any] = {name: some[0][1] for name, some in got.points.items()}
    assert pixels(values["im"].path).shape == (8, 6, 3)
    assert values["page"].text == "<b>x</b>"
    assert (values["table"].columns, values["table"].rows) == (["a", "b"], [[1, "x"], [2, "y"]])
    assert (values["matrix"].labels, values["matrix"].matrix) == (["a", "b"], [[1, 2], [3, 4]])
    assert np.array_equal(values["points"].array(), np.arange(12).reshape(4, 3))
    assert isinstance(values["bars"], media.Figure)
    assert values["bars"].plotly()["data"][0]["type"] == "bar"
    assert isinstance(values["line"], media.Figure)
    (odd,), (data,), (folder,) = (got.artifacts[name] for name in ("odd", "data", "folder"))
    assert Path(odd.path).read_bytes() == b"odd"
    assert json.loads(Path(data.path).read_bytes()) == {"a": 1}
    assert (Path(folder.path) / "one.txt").read_text() == "one"
    assert folder.values == {"rows": "3"}
    assert not run.lost
    assert run.created == got.rows[0].time
    assert 10 < len(got.rows) < 70


def test_an_archive_that_is_named_is_read_beside_its_folder(session: Path) -> None:
    (run,) = runs(session.with_suffix(".zip"))
    assert run.id == session.name


@pytest.mark.long
def test_a_killed_program(tmp_path: Path) -> None:
    """What ClearML had written is there."""
    done = program(tmp_path, "kill")
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    (run,) = runs(tmp_path)
    assert held(run, tmp_path / "scratch").points["loss/train"][:50] == [(step, 1 / (step + 1)) for step in range(50)]
    assert run.name == "a run"
    assert run.outcome is None


def test_a_damaged_session(session: Path, tmp_path: Path) -> None:
    """Lines that are torn or no events, samples that are gone or lead elsewhere: counted, the rest is read."""
    place = tmp_path / session.name
    shutil.copytree(session, place)
    lines = (place / "metrics.jsonl").read_text().splitlines()
    events = [event for line in lines for event in json.loads(line)]
    sample = next(event for event in events if event["type"] == "training_debug_image")
    odd = [
        {**sample, "key": "../../../etc/hostname"},
        {**sample, "key": "/etc/hostname"},
        {"type": "plot", "metric": "a", "variant": "b", "iter": 1, "timestamp": 1, "plot_str": "{"},
        {"type": "new", "metric": "a", "variant": "b", "iter": 1, "timestamp": 1},
        {"type": "training_stats_scalar"},
        "no event",
    ]
    text = "\n".join([*lines, json.dumps(odd), "{}", '[{"type": "plot"'])
    (place / "metrics.jsonl").write_text(text)
    task = json.loads((place / "task.json").read_text())
    first, second = task["execution"]["artifacts"]
    task["execution"]["artifacts"] = [{**first, "uri": "/etc/hostname"}, second, "none", {"key": "x"}]
    (place / "task.json").write_text(json.dumps(task))
    (run,) = runs(tmp_path)
    got = held(run, tmp_path / "scratch")
    assert len(got.points["loss/train"]) == 51
    assert set(got.artifacts) == {"odd", "folder"}
    assert run.lost == {
        "a value cannot be read": 6,
        "a line of the session's events is damaged": 2,
        "an artifact is not in the session or cannot be read": 3,
    }


def test_garbage(session: Path, tmp_path: Path) -> None:
    """No session, a session without a description that can be read, an archive that is cut off."""
    assert not ClearMLSource.recognises(str(tmp_path))
    assert not ClearMLSource.recognises(str(tmp_path / "missing"))
    (tmp_path / "offline-1.zip").write_bytes(b"PK garbage")
    (tmp_path / "offline-2.zip").write_bytes(session.with_suffix(".zip").read_bytes()[:-50])
    with zipfile.ZipFile(tmp_path / "offline-3.zip", "w") as archive:
        archive.writestr("something", "else")
    assert not ClearMLSource.recognises(str(tmp_path))
    with pytest.raises(NotReadableError, match="clearml: there is no offline session"):
        runs(tmp_path)
    (tmp_path / "offline-4").mkdir()
    (tmp_path / "offline-4" / "task.json").write_text("[")
    assert ClearMLSource.recognises(str(tmp_path))
    (run,) = runs(tmp_path)
    assert not held(run, tmp_path / "scratch").rows
    assert any("task.json cannot be read" in sentence for sentence in run.lost)
    with pytest.raises(NotReadableError, match="clearml: there is no"):
        list(ClearMLSource(str(tmp_path / "missing")).runs())


def test_our_trackers_names() -> None:
    """`stored_name` tells how title and series are joined, in the order of the names."""
    tracker = ClearMLTracker("project")
    names = ["loss", "train/loss", "train_loss", "a/b/c", "val/acc", "acc/val"]
    stored = [tracker.stored_name(name) for name in names]
    assert stored == ["loss", "loss/train", "train_loss", "a/b/c", "acc/val", "acc/val/acc/val"]
    assert [tracker.stored_name(name) for name in names] == stored


def written(folder: Path, task: Any, events: list[dict[str, Any]]) -> Path:
    """Write a session by hand."""
    place = folder / "offline-1"
    place.mkdir()
    (place / "task.json").write_text(json.dumps(task))
    (place / "metrics.jsonl").write_text(json.dumps(events) + "\n")
    return place


def plot(data: Any, **more: Any) -> dict[str, Any]:
    text = json.dumps({"data": data, "layout": {}})
    return {"type": "plot", "metric": "p", "variant": "v", "iter": 1, "timestamp": 1e12, "plot_str": text, **more}


def test_plots_that_show_something_else(tmp_path: Path) -> None:
    """What is no table, histogram, matrix or set of points after all is a figure; what is no plot is counted."""
    places = {axis: [1.0, 2.0] for axis in "xyz"}
    traces: dict[str, Any] = {
        "two": [{"type": "bar"}, {"type": "bar"}],
        "table": [{"type": "table", "header": {"values": ["a"]}, "cells": {"values": [[1], [2, 3]]}}],
        "matrix": [{"type": "heatmap", "x": ["a"], "y": ["b"], "z": [[1]]}],
        "points": [{"type": "scatter3d", **places, "marker": {"color": ["rgb(1,2,3)", "rgb(4,5,6)"]}}],
        "categories": [{"type": "scatter3d", **places, "marker": {"color": [1, 2]}}],
        "no colours": [{"type": "scatter3d", **places, "marker": {"color": ["red", "green"]}}],
    }
    events = [plot(data, variant=name) for name, data in traces.items()]
    written(tmp_path, {"configuration": {"file": {"value": "a = 1"}}}, [*events, plot(5, variant="none")])
    (run,) = runs(tmp_path)
    points = held(run, tmp_path / "scratch").points
    kinds = {name: type(some[0][1]) for name, some in points.items()}
    figures = dict.fromkeys(("two", "table", "matrix", "no colours"), media.Figure)
    assert kinds == {**figures, "points": media.Points3D, "categories": media.Points3D}
    assert points["points"][0][1].array().tolist() == [[1, 1, 1, 1, 2, 3], [2, 2, 2, 4, 5, 6]]
    assert points["categories"][0][1].array().tolist() == [[1, 1, 1, 1], [2, 2, 2, 2]]
    assert run.config == {"file": "a = 1"}
    assert run.lost == {"a value cannot be read": 1}


def test_a_damaged_archive(session: Path, tmp_path: Path) -> None:
    """A file in it that is damaged costs what was not read of it before, and no other file."""
    whole = tmp_path / session.with_suffix(".zip").name
    with zipfile.ZipFile(session.with_suffix(".zip")) as archive, zipfile.ZipFile(whole, "w") as stored:
        for name in archive.namelist():  # without compression, so that the damage is known
            stored.writestr(name, archive.read(name))
    data = bytearray(whole.read_bytes())
    place = data.find(b'"best"')
    data[place : place + 6] = b'"west"'
    whole.write_bytes(data)
    (run,) = runs(tmp_path)
    assert set(held(run, tmp_path / "scratch").artifacts) == {"data", "folder"}
    assert (run.name, sum(run.lost.values())) == ("a run", 1)
    assert next(iter(run.lost)).startswith("the session's events cannot be read")


def test_typed_hyperparameters(tmp_path: Path) -> None:
    """A value that is not of its type is the text; a type that is not known, too."""
    values = {"good": ("1e-3", "float"), "int": ("x", "int"), "list": ("[1", "list/int"), "odd": ("y", "odd")}
    section = {name: {"value": text, "type": kind} for name, (text, kind) in values.items()}
    written(tmp_path, {"hyperparams": {"General": section}}, [])
    (run,) = runs(tmp_path)
    assert run.config == {"good": 1e-3, "int": "x", "list": "[1", "odd": "y"}
    assert (run.created, run.id, run.name) == (None, "offline-1", None)
