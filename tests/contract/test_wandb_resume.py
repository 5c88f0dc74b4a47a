"""How wandb's runs end, go on and keep checkpoints, read back from the transaction log."""

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from accel_track.outcome import Outcome
from accel_track.records import Metrics
from accel_track.trackers.wandb.axis import STEP
from accel_track.trackers.wandb.tracker import WandBTracker
from tests.support.lives import killed_in_start, live
from tests.support.readers.wandb import decoded, items, records


def logs(folder: Path) -> list[Path]:
    """Return the files of all runs, oldest first."""
    return sorted(folder.rglob("*.wandb"), key=lambda path: path.stat().st_ctime_ns)


def points(found: list[Any]) -> list[tuple[int, float]]:
    """Return the steps and values of "loss"."""
    rows = [items(record.history.item) for record in found if record.HasField("history")]
    return [(row[STEP], row["loss"]) for row in rows]


def exit_codes(found: list[Any]) -> list[int]:
    """Return how a run ended."""
    return [record.exit.exit_code for record in found if record.HasField("exit")]


def artifacts(folder: Path) -> list[Any]:
    """Return the artifacts of the only run."""
    (path,) = logs(folder)
    return [record.artifact for record in records(path) if record.HasField("artifact")]


def content(artifact: Any) -> dict[str, str]:
    """Return the files that `wandb sync` would upload."""
    return {entry.path: Path(entry.local_path).read_text() for entry in artifact.manifest.contents}


@pytest.mark.first(2)
@pytest.mark.parametrize(("status", "code"), [("finished", 0), ("failed", 1), ("interrupted", 130), ("preempted", 143)])
def test_status(tmp_path: Path, status: Any, code: int) -> None:
    """It is the exit code; a preempted run is marked as one, which the service needs to tell it from a failed one."""
    tracker = WandBTracker("p", dir=str(tmp_path))
    tracker.start()
    tracker.outcome = Outcome(status, "why")
    tracker.finish()
    (path,) = logs(tmp_path)
    found = records(path)
    assert exit_codes(found) == [code]
    assert any(record.HasField("preempting") for record in found) is (status == "preempted")


def continued(folder: Path) -> tuple[WandBTracker, dict[str, Any]]:
    """Log a run of two parts; return the tracker of the second once all is in its file, and what continues the run."""
    identity: dict[str, Any] = {}
    for step in range(2):
        tracker = WandBTracker("p", dir=str(folder), **identity)
        tracker.start()
        identity = tracker.identity()
        tracker.log({"loss": step / 2}, step=step)
        tracker.finish()
    tracker.read()
    return tracker, identity


def test_a_continued_run_is_read_when_wandbs_service_has_written_its_end(tmp_path: Path) -> None:
    """The first part has ended long ago; what the service has written of the second is at first its header."""
    (scratch := tmp_path / "scratch").mkdir()
    tracker, _ = continued(tmp_path)
    last = logs(tmp_path)[-1]
    whole = last.read_bytes()
    last.write_bytes(whole[:7])
    writer = threading.Timer(0.3, last.write_bytes, (whole,))
    writer.start()
    found = [(row.values, row.step) for row in tracker.read().records(scratch) if isinstance(row, Metrics)]
    writer.join()
    assert found == [({"loss": 0.0}, 0), ({"loss": 0.5}, 1)]


@pytest.mark.parametrize("there", [0, 7])
def test_another_process_waits_for_the_part_that_wandbs_service_begins(tmp_path: Path, there: int) -> None:
    """The reader has not had the run itself; also the command to upload it has both folders, though of one second."""
    (scratch := tmp_path / "scratch").mkdir()
    _, identity = continued(tmp_path)
    first, last = logs(tmp_path)
    folder = first.parent.with_name(f"{first.parent.name}-1")
    last.parent.replace(folder)
    last = folder / last.name
    whole = last.read_bytes()
    last.write_bytes(whole[:there])
    writer = threading.Timer(0.3, last.write_bytes, (whole,))
    writer.start()
    reader = WandBTracker("p", dir=str(tmp_path), **identity)
    found = [(row.values, row.step) for row in reader.read().records(scratch) if isinstance(row, Metrics)]
    writer.join()
    assert found == [({"loss": 0.0}, 0), ({"loss": 0.5}, 1)]
    assert str(first.parent) in (command := reader.look() or "")
    assert str(folder) in command


@pytest.mark.long
def test_continued_after_kill_9_in_start(tmp_path: Path) -> None:
    """The run's id is stored before there is a run: delivery goes on in it."""
    identity = killed_in_start("wandb", tmp_path)
    folders = list(tmp_path.glob("wandb/offline-run-*"))
    assert len(folders) == 2
    assert {path.name.rpartition("-")[2] for path in folders} == {identity}


@pytest.mark.parametrize(
    ("kwargs", "variable"),
    [({"id": "mine"}, ""), ({"resume": "auto"}, ""), ({"settings": {"run_id": "mine"}}, "")]
    + [({}, name) for name in ("WANDB_RUN_ID", "WANDB_RESUME", "WANDB_SWEEP_ID", "SM_TRAINING_ENV")],
)
def test_an_id_that_is_chosen_elsewhere(kwargs: Any, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if variable:
        monkeypatch.setenv(variable, "{}")
    assert WandBTracker("p", **kwargs).planned_identity() == {}


@pytest.mark.long
def test_continued_after_kill_9(tmp_path: Path) -> None:
    """Another process adds a folder of the same id and name; delivered again, every value is there with its step."""
    first, rest = [(step, step / 4) for step in range(5)], [(step, step / 4) for step in range(5, 9)]
    identity = live("wandb", tmp_path, first, None, config={"lr": 0.1})
    assert live("wandb", tmp_path, first + rest, config={"lr": 0.1}, **identity) == identity
    killed, continued = logs(tmp_path)
    assert killed.name == continued.name
    assert exit_codes(decoded(killed)) == []
    found = records(continued)
    assert exit_codes(found) == [0]
    assert points(found) == first + rest
    names = {record.run.display_name for path in (killed, continued) for record in decoded(path) if record.run.run_id}
    assert len(names) == 1


@pytest.mark.long
def test_a_failed_run_goes_on_and_finishes(tmp_path: Path) -> None:
    """Its folders are one run that failed and then finished; a rewound step is there twice, the later value last."""
    identity = live("wandb", tmp_path, [(0, 0.0), (1, 1.0), (2, 2.0)], "failed")
    live("wandb", tmp_path, [(1, -1.0), (2, -2.0), (3, -3.0)], rewind=1, **identity)
    failed, finished = map(records, logs(tmp_path))
    assert (exit_codes(failed), exit_codes(finished)) == ([1], [0])
    assert points(failed) == [(0, 0.0), (1, 1.0), (2, 2.0)]
    assert points(finished) == [(1, -1.0), (2, -2.0), (3, -3.0)]


def test_checkpoints(tmp_path: Path) -> None:
    """They are versions of one artifact, with aliases, and copies: the program may delete its own at once."""
    tracker = WandBTracker("p", dir=str(tmp_path))
    tracker.start()
    file, folder = tmp_path / "kept" / "x.ckpt", tmp_path / "kept" / "sharded"
    (folder / "part").mkdir(parents=True)
    file.write_text("whole")
    (folder / "part" / "0").write_text("zero")
    (folder / ".meta").write_text("meta")
    tracker.log_checkpoint("epoch=3-loss=0.5", str(file), 400, {"score": 0.5, "best": True, "last": False})
    file.write_text("later")
    tracker.log_checkpoint("epoch=3-loss=0.5", str(file), 401, {"monitor": None})
    tracker.log_checkpoint("last", str(folder), None, {"last": True})
    shutil.rmtree(tmp_path / "kept")
    tracker.delete_checkpoint("last")
    tracker.finish()
    first, second, third = artifacts(tmp_path)
    assert {first.name, second.name, third.name} == {f"model-{first.run_id}"}
    assert {first.type, second.type, third.type} == {"model"}
    assert content(first) == {"epoch=3-loss=0.5.ckpt": "whole"}
    assert content(second) == {"epoch=3-loss=0.5.ckpt": "later"}
    assert content(third) == {"last/part/0": "zero", "last/.meta": "meta"}
    assert set(first.aliases) == {"epoch=3-loss=0.5", "best", "latest"}
    assert set(second.aliases) == {"epoch=3-loss=0.5", "latest"}
    assert set(third.aliases) == {"last", "latest"}
    metadata = json.loads(first.metadata)
    assert metadata == {"score": 0.5, "name": "epoch=3-loss=0.5", "step": 400}


def test_ranks_are_a_group(tmp_path: Path) -> None:
    """Every rank's run has the group that they share."""
    tracker = WandBTracker.for_run("p", "run-rank1", tmp_path, WandBTracker.grouped("run", 1))
    tracker.start()
    tracker.finish()
    (path,) = logs(tmp_path)
    groups = [record.run.run_group for record in records(path) if record.HasField("run")]
    assert groups[0] == "run"


def test_a_second_run_starts_clean(tmp_path: Path) -> None:
    """A tracker's next run has another id, and neither the hyperparameters nor the status of the one before."""
    tracker = WandBTracker("p", dir=str(tmp_path))
    for config, status in (({"a": 1}, "preempted"), ({"b": 2}, "finished")):
        tracker.start()
        tracker.store_init_configuration(dict(config))
        tracker.log({"loss": 0.5}, step=3)
        tracker.outcome = Outcome(status)  # type: ignore[arg-type]
        tracker.finish()
    found = sorted(map(records, logs(tmp_path)), key=exit_codes)
    assert [exit_codes(one) for one in found] == [[0], [143]]
    updates = [record.config.update for record in found[0] if record.HasField("config")]
    assert {key for update in updates for key in items(update)} & {"a", "b"} == {"b"}
    assert not any(record.HasField("preempting") for record in found[0])
