"""From every source to TensorBoard, MLflow, wandb and Trackio: imported, delivered, read back, and whole."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from accel_track.delivery.receipt import compare
from accel_track.delivery.sync import Sync
from accel_track.importers.importer import Importer
from accel_track.importers.registry import BUILT_IN, source_at
from tests.support.programs import raw_runs

TARGETS = ("tensorboard", "mlflow", "wandb", "trackio")


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database of MLflow's without runs."""
    folder = tmp_path_factory.mktemp("mlflow")
    MlflowClient(f"sqlite:///{folder}/mlflow.db").search_experiments()  # migrations take seconds
    return folder / "mlflow.db"


def test_every_source_has_a_line() -> None:
    assert set(raw_runs.MAKERS) == set(BUILT_IN)


_FIRST = ("mlflow", "tensorboard", "wandb")
_KINDS = [kind if kind in _FIRST else pytest.param(kind, marks=pytest.mark.long) for kind in sorted(BUILT_IN)]


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", _KINDS)
def test_from_there_to_everywhere(kind: str, tmp_path: Path, empty_database: Path) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    subprocess.run([sys.executable, raw_runs.__file__, kind, str(folder)], check=True, env=dict(os.environ), cwd=folder)
    place = (tmp_path / "place").read_text()
    source = source_at(place, {})
    assert source.name == kind
    (run,) = source.runs()
    found = Importer(tmp_path / "runs", f"from-{kind}").take(source, run)
    assert (found.state, found.lost) == ("imported", {})
    assert found.values >= 38
    assert found.directory is not None
    (again,) = source_at(place, {}).runs()
    assert Importer(tmp_path / "runs").take(source, again).state == "there"
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    arguments = {"mlflow": {"tracking_uri": f"sqlite:///{tmp_path}/mlflow.db"}}
    statuses = Sync(found.directory, TARGETS, arguments).deliver(follow=False, timeout=120)
    assert all(status.complete for status in statuses), statuses
    receipts = [compare(found.directory, name, arguments.get(name, {})) for name in TARGETS]
    assert all(receipt.whole for receipt in receipts), "\n".join(map(str, receipts))
    assert all(receipt.values.sent + receipt.by_design.total() >= 38 for receipt in receipts)
    assert all(receipt.uncompared.keys() <= {"captions"} for receipt in receipts), "\n".join(map(str, receipts))
