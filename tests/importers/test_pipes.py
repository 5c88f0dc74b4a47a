"""Pipes and links in the place of files: nobody waits for one, or goes through one out of the folder."""

import contextlib
import os
from pathlib import Path

import pytest

from accel_track.errors import NotReadableError
from accel_track.importers.aim import AimSource
from accel_track.importers.mlflow import MLflowSource
from accel_track.importers.registry import BUILT_IN, source_class
from accel_track.importers.swanlab import SwanLabSource
from accel_track.importers.trackio import TrackioSource
from accel_track.records import Metrics


def pipe(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)


@pytest.mark.timeout(60)
def test_pipes(tmp_path: Path) -> None:
    for name in ("a.db", "a.swanlab", "inbox/writer/0.jsonl"):
        pipe(tmp_path / name)
    for kind in ("meta", "seqs"):
        pipe(tmp_path / ".aim" / kind / "chunks" / "abc" / "CURRENT")
    pipe(tmp_path / ".aim" / "run_metadata.sqlite")
    for source in (SwanLabSource, TrackioSource):
        for place in (tmp_path, tmp_path / "a.db", tmp_path / "a.swanlab"):
            assert not source.recognises(str(place))
            with pytest.raises(NotReadableError):
                list(source(str(place)).runs())
    (run,) = AimSource(str(tmp_path)).runs()
    assert list(run.records(tmp_path)) == []
    assert sum(run.lost.values()) == 3


@pytest.mark.timeout(60)
def test_links(tmp_path: Path) -> None:
    """Files and folders that are links to others of the kind are not read."""
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    (outside / "inbox" / "writer").mkdir(parents=True)
    (outside / "inbox" / "writer" / "0.jsonl").write_text(
        '{"kind": "metric", "project": "p", "run": "r", "metrics": {}}'
    )
    (outside / "a.swanlab").write_bytes(b":SWL\xd6\xe1\x02")
    assert TrackioSource.recognises(str(outside))
    assert SwanLabSource.recognises(str(outside))
    inside.mkdir()
    for name in ("inbox", "a.swanlab"):
        (inside / name).symlink_to(outside / name)
    assert not TrackioSource.recognises(str(inside))
    assert not SwanLabSource.recognises(str(inside))


NAMES = (
    "a.wandb", "a.zip", "offline-1.zip", "messages.json", "task.json", "metrics.jsonl", "metrics.csv", "a.tfevents.1",
    "a.db", "metrics.json", "params.yaml", "plots/metrics/loss.tsv", "mlruns/0/meta.yaml",
)  # fmt: skip


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", [name for name in BUILT_IN if name not in ("dvclive", "tensorboard")])
def test_no_source_waits_for_a_pipe(name: str, tmp_path: Path) -> None:
    """Nor takes one for what it is named like."""
    for one in NAMES:
        pipe(tmp_path / one)
    cls = source_class(name)
    for place in (tmp_path, *(tmp_path / one for one in NAMES if "/" not in one)):
        assert not cls.recognises(str(place)), place
    for place in (tmp_path, tmp_path / "a.zip"):
        with contextlib.suppress(NotReadableError):
            assert list(cls(str(place)).runs()) == []


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["dvclive", "tensorboard"])
def test_a_pipe_beside_others(name: str, tmp_path: Path) -> None:
    """These know their folders by names alone: what is none is lost, and the rest is read."""
    for one in NAMES:
        pipe(tmp_path / one)
    for run in source_class(name)(str(tmp_path)).runs():
        assert list(run.records(tmp_path)) == []


@pytest.mark.timeout(60)
def test_pipes_in_a_store_of_mlflows(tmp_path: Path) -> None:
    """Files of values and hyperparameters that are pipes are left out."""
    run = tmp_path / "mlruns" / "0" / "abc"
    run.mkdir(parents=True)
    (run.parent / "meta.yaml").write_text(
        "artifact_location: x\nexperiment_id: '0'\nname: e\nlifecycle_stage: active\n"
    )
    (run / "meta.yaml").write_text("run_id: abc\nrun_uuid: abc\nlifecycle_stage: active\nstatus: 3\nstart_time: 1\n")
    for one in ("params/a", "tags/a", "metrics/a"):
        pipe(run / one)
    (run / "metrics" / "loss").write_text("1000 0.5 1\n")
    (found,) = MLflowSource(str(tmp_path)).runs()
    assert [dict(one.values) for one in found.records(tmp_path / "s") if isinstance(one, Metrics)] == [{"loss": 0.5}]
    assert found.config == {}
