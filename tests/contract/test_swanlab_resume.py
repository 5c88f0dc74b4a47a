"""How SwanLab's runs end, go on and keep checkpoints, read back with the reader that `swanlab sync` uses."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import swanlab
import yaml
from swanlab.proto.swanlab.run.v1.run_pb2 import RunState

from accel_track.errors import AccelTrackWarning
from accel_track.outcome import Outcome
from accel_track.trackers.swanlab.tracker import SwanLabTracker
from tests.support.lives import killed_in_start, live
from tests.support.readers.swanlab import QUICK, records


@pytest.fixture(autouse=True)
def _no_run_left() -> Iterator[None]:
    """End the run of a test that failed: SwanLab has one at a time."""
    yield
    if swanlab.has_run():
        swanlab.finish()


def logs(folder: Path) -> list[Path]:
    """Return the files of all runs, oldest first."""
    return sorted(folder.rglob("*.swanlab"), key=lambda path: path.parent.name)


def points(path: Path) -> list[tuple[int, float]]:
    """Return the steps and values of "loss"."""
    scalars = [record.scalar for record in records(path) if record.HasField("scalar")]
    return [(scalar.step, scalar.value.number) for scalar in scalars if scalar.key == "loss"]


def ends(path: Path) -> list[tuple[str, str]]:
    """Return how a run ended, and why."""
    found = [record.finish for record in records(path) if record.HasField("finish")]
    return [(RunState.Name(one.state).removeprefix("RUN_STATE_"), one.error) for one in found]


def configuration(path: Path) -> dict[str, Any]:
    """Return the hyperparameters in a run's folder, which replace those that the service has."""
    entries = yaml.safe_load((path.parent / "files" / "config.yaml").read_text()) or {}
    return {key: entry["value"] for key, entry in entries.items()}


def saved(path: Path) -> dict[str, str]:
    """Return the files that `swanlab sync` would upload."""
    saves = [record.save for record in records(path) if record.HasField("save")]
    own = [save for save in saves if save.name.startswith("checkpoints")]
    return {save.name: Path(save.source_path).read_text() for save in own if Path(save.source_path).is_file()}


@pytest.mark.parametrize(
    ("outcome", "end"),
    [
        (Outcome(), ("FINISHED", "")),
        (Outcome("failed", "ValueError: no"), ("CRASHED", "failed: ValueError: no")),
        (Outcome("interrupted", "KeyboardInterrupt"), ("ABORTED", "interrupted: KeyboardInterrupt")),
        (Outcome("preempted"), ("ABORTED", "preempted")),
    ],
)
def test_status(tmp_path: Path, outcome: Outcome, end: tuple[str, str]) -> None:
    tracker = SwanLabTracker("p", log_dir=str(tmp_path), **QUICK)
    tracker.start()
    tracker.outcome = outcome
    tracker.finish()
    (path,) = logs(tmp_path)
    assert ends(path) == [end]


@pytest.mark.long
def test_a_program_that_fails_loses_nothing(tmp_path: Path) -> None:
    """SwanLab's own hook for exceptions would end the run before the worker has delivered everything."""
    code = (
        "from accel_track import Accelerator\n"
        f"accelerator = Accelerator(log_with='swanlab', project_dir={str(tmp_path)!r}, cpu=True)\n"
        "accelerator.init_trackers('digits')\n"
        "for step in range(3000):\n    accelerator.log({'loss': step / 4}, step=step)\n"
        "raise ValueError('no')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 1, done.stderr
    (path,) = logs(tmp_path)
    assert points(path) == [(step, step / 4) for step in range(3000)]
    assert ends(path) == [("CRASHED", "failed: ValueError: no")]


@pytest.mark.long
def test_continued_after_kill_9(tmp_path: Path) -> None:
    """Another process adds a folder of the same id and name; delivered again, every value is there with its step."""
    first, rest = [(step, step / 4) for step in range(5)], [(step, step / 4) for step in range(5, 9)]
    identity = live("swanlab", tmp_path, first, None, config={"lr": 0.1})
    assert live("swanlab", tmp_path, first + rest, config={"lr": 0.1}, **identity)["id"] == identity["id"]
    _, continued = logs(tmp_path)
    assert ends(continued) == [("FINISHED", "")]
    assert points(continued) == first + rest
    assert configuration(continued) == {"lr": 0.1}
    start = next(record.start for record in records(continued) if record.HasField("start"))
    assert (start.id, start.name) == (identity["id"], identity["name"])


def test_continued_after_kill_9_in_start(tmp_path: Path) -> None:
    """The run's id is stored before there is a run: delivery goes on in it."""
    identity = killed_in_start("swanlab", tmp_path)
    folders = [path.parent.name for path in logs(tmp_path)]
    assert len(folders) == 2
    assert {name.rpartition("-")[2] for name in folders} == {identity}


@pytest.mark.parametrize(
    ("kwargs", "variable"),
    [({"id": "mine"}, ""), ({"resume": "allow"}, ""), ({"parallel": "shared"}, ""), ({}, "SWANLAB_RUN_ID")],
)
def test_an_id_that_is_chosen_elsewhere(kwargs: Any, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if variable:
        monkeypatch.setenv(variable, "mine")
    assert SwanLabTracker("p", **kwargs).planned_identity() == {}


@pytest.mark.long
def test_a_failed_run_goes_on_and_finishes(tmp_path: Path) -> None:
    """Its folders are one run that failed and then finished; the new one has new values of rewound steps, too."""
    identity = live("swanlab", tmp_path, [(0, 0.0), (1, 1.0), (2, 2.0)], "failed", config={"lr": 0.1, "layers": [1]})
    live("swanlab", tmp_path, [(1, -1.0), (2, -2.0), (3, -3.0)], rewind=1, config={"lr": 0.2}, **identity)
    failed, finished = logs(tmp_path)
    assert (ends(failed), ends(finished)) == ([("CRASHED", "failed")], [("FINISHED", "")])
    assert points(failed) == [(0, 0.0), (1, 1.0), (2, 2.0)]
    assert points(finished) == [(1, -1.0), (2, -2.0), (3, -3.0)]
    assert configuration(finished) == {"lr": 0.2, "layers": [1]}


def test_rewound_in_one_process(tmp_path: Path) -> None:
    """What SwanLab does not take again is announced and counted."""
    tracker = SwanLabTracker("p", log_dir=str(tmp_path), **QUICK)
    tracker.start()
    for step in range(3):
        tracker.log({"loss": step / 4}, step=step)
    with pytest.warns(AccelTrackWarning, match="from step 1 on is not replaced"):
        tracker.rewind(1)
    with pytest.warns(AccelTrackWarning, match="'loss'.*first value of a step"):
        for step in range(1, 4):
            tracker.log({"loss": -step / 4}, step=step)
    tracker.finish()
    (path,) = logs(tmp_path)
    assert points(path) == [(0, 0.0), (1, 0.25), (2, 0.5), (3, -0.75)]
    assert tracker.dropped == {"loss": 2}


def test_checkpoints(tmp_path: Path) -> None:
    """They are copies in the run's folder: the program may delete its own at once."""
    tracker = SwanLabTracker("p", log_dir=str(tmp_path / "logs"), **QUICK)
    tracker.start()
    file, folder = tmp_path / "kept" / "x.ckpt", tmp_path / "kept" / "sharded"
    (folder / "part").mkdir(parents=True)
    file.write_text("whole")
    (folder / "part" / "0").write_text("zero")
    (folder / "meta[1]").write_text("meta")
    tracker.log_checkpoint("loss=0.5", str(file), 400, {"score": 0.5, "best": True})
    tracker.log_checkpoint("loss=0", str(file), 401, {})
    file.write_text("later")
    tracker.log_checkpoint("loss=0.5", str(file), 402, {"score": 0.25, "best": True})
    tracker.log_checkpoint("last", str(folder), None, {"last": True})
    shutil.rmtree(folder / "part")
    tracker.log_checkpoint("last", str(folder), None, {"last": True})
    shutil.rmtree(tmp_path / "kept")
    tracker.delete_checkpoint("loss=0")
    tracker.finish()
    assert not tracker.dropped
    (path,) = logs(tmp_path)
    files = saved(path)
    assert json.loads(files.pop("checkpoints/loss=0.5.json")) == {"score": 0.25, "step": 402}
    assert json.loads(files.pop("checkpoints/last.json")) == {"step": None}
    assert files == {"checkpoints/loss=0.5/loss=0.5.ckpt": "later", "checkpoints/last/meta[1]": "meta"}
    assert not [name for name in files if (path.parent / "files" / name).is_symlink()]


def test_a_checkpoint_of_an_earlier_process_is_deleted(tmp_path: Path) -> None:
    """Its copy is in another folder of the same run."""
    file = tmp_path / "x.ckpt"
    file.write_text("whole")
    kwargs: dict[str, Any] = {}
    for _ in range(2):
        tracker = SwanLabTracker("p", **{"log_dir": str(tmp_path / "logs"), **QUICK, **kwargs})
        tracker.start()
        if not kwargs:
            tracker.log_checkpoint("last", str(file), 0, {})
            kwargs = tracker.identity()
        else:
            tracker.delete_checkpoint("last")
        tracker.finish()
    first, _ = logs(tmp_path)
    assert not saved(first)


def test_ranks_are_a_group(tmp_path: Path) -> None:
    """Every rank's run has the group that they share."""
    tracker = SwanLabTracker.for_run("p", "run-rank1", tmp_path, {**SwanLabTracker.grouped("run", 1), **QUICK})
    tracker.start()
    tracker.finish()
    (path,) = logs(tmp_path)
    assert [record.start.group for record in records(path) if record.HasField("start")] == ["run"]


def test_a_second_run_starts_clean(tmp_path: Path) -> None:
    """A tracker's next run has neither the steps nor the hyperparameters of the one before, nor its id."""
    tracker = SwanLabTracker("p", log_dir=str(tmp_path), **QUICK)
    for config, status in (({"a": 1}, "failed"), ({"b": 2}, "finished")):
        tracker.start()
        tracker.store_init_configuration(dict(config))
        tracker.log({"loss": 0.5}, step=3)
        tracker.outcome = Outcome(status)  # type: ignore[arg-type]
        tracker.finish()
    found = {ends(path)[0][0]: (configuration(path), points(path)) for path in logs(tmp_path)}
    assert found == {"CRASHED": ({"a": 1}, [(3, 0.5)]), "FINISHED": ({"b": 2}, [(3, 0.5)])}
    assert not tracker.dropped


def test_a_planned_id_lets_an_online_run_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reaches SwanLab's server: this is the last call before it."""

    def reached(*_: object) -> None:
        raise ConnectionError("reached")

    monkeypatch.setenv("SWANLAB_API_KEY", "a" * 21)
    monkeypatch.setattr("swanlab.sdk.cmd.init._init", reached)
    tracker = SwanLabTracker.for_run("p", "name", tmp_path, {"mode": "online"})
    assert tracker.planned_identity()["id"]
    with pytest.raises(ConnectionError, match="reached"):
        tracker.start()
