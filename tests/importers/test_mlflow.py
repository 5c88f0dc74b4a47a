"""MLflow's runs, written with MLflow itself, as a source of imports: a SQLite file, a folder, and a server."""

import math
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient

from accel_track import media
from accel_track.errors import NotReadableError
from accel_track.importers.mlflow import MLflowSource
from accel_track.records import Artifact, Metrics
from accel_track.trackers.backend_run import BackendRun
from tests.support.servers import Server
from tests.support.waiting import until

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)


def written(client: MlflowClient, folder: Path) -> list[str]:
    """Write two runs of one experiment, one of another, and a deleted one, as users of MLflow do; return their ids."""
    home = (folder / "artifacts").as_uri() if not client.tracking_uri.startswith("http") else None
    experiment = client.create_experiment("digits", artifact_location=home)
    one = client.create_run(experiment, run_name="one", tags={"mlflow.note.content": "a note", "mine": "x"})
    run_id = one.info.run_id
    for name, value in {"lr": 0.1, "deep/layers": 3, "name": "net", "flag": True, "none": None, "odd": "007"}.items():
        client.log_param(run_id, name, value)
    for step in range(5):
        for name, number in (("loss", step / 7), ("val/acc", float(step))):
            client.log_metric(run_id, name, number, timestamp=1_700_000_000_000 + step, step=step)
    client.log_metric(run_id, "loss", 9.0, timestamp=1_700_000_000_009, step=2)  # of a step that it has already
    client.log_metric(run_id, "odd", math.nan, timestamp=1_700_000_000_010, step=9)
    client.log_metric(run_id, "odd", math.inf, timestamp=1_700_000_000_011, step=10)
    client.log_metric(run_id, "odd", -math.inf, timestamp=1_700_000_000_012, step=11)
    client.log_image(run_id, PIXELS, key="some/image", step=4, timestamp=1_700_000_000_004)
    client.log_table(run_id, {"n": [1, 2], "text": ["a", "ü"]}, "tables/results.json")
    client.log_text(run_id, "hello", "notes/deep/a.md")
    client.log_text(run_id, "alone", "alone.txt")
    model = client.create_logged_model(experiment, name="net", source_run_id=run_id)
    (folder / "model").mkdir(exist_ok=True)
    (folder / "model" / "weights.bin").write_bytes(b"weights")
    client.log_model_artifacts(model.model_id, str(folder / "model"))
    client.finalize_logged_model(model.model_id, "READY")
    client.set_terminated(run_id, "FINISHED")
    two = client.create_run(experiment, run_name="two").info.run_id
    client.set_terminated(two, "FAILED")
    gone = client.create_run(experiment, run_name="gone").info.run_id
    client.delete_run(gone)
    other = client.create_run(client.create_experiment("other"), run_name="three").info.run_id
    return [run_id, two, other]


@pytest.fixture(scope="module", params=["file", "address", "folder", "server"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, list[str]]]:
    """Where runs are, and their ids."""
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        patch.chdir(folder)
        if request.param == "server":
            server = Server(folder / "server")
            server.start()
            yield server.uri, written(MlflowClient(server.uri), folder)
            server.stop()
        elif request.param == "folder":
            ids = written(MlflowClient((folder / "mlruns").as_uri()), folder)
            patch.delenv("MLFLOW_ALLOW_FILE_STORE")
            yield str(folder), ids
        else:
            address = f"sqlite:///{folder / 'mlflow.db'}"
            ids = written(MlflowClient(address), folder)
            yield str(folder) if request.param == "file" else address, ids


def runs(place: str, **options: str) -> list[BackendRun]:
    """Read the runs of a place."""
    assert MLflowSource.recognises(place)
    return list(MLflowSource(place, options).runs())


def read(run: BackendRun, scratch: Path) -> tuple[list[Metrics], dict[str, Artifact]]:
    """Return a run's calls, and its artifacts by name."""
    scratch.mkdir(exist_ok=True)
    found = list(run.records(scratch))
    artifacts = {one.name: one for one in found if isinstance(one, Artifact)}
    return [one for one in found if isinstance(one, Metrics)], artifacts


def test_every_store(store: tuple[str, list[str]], tmp_path: Path) -> None:
    """Identity, configuration, status, values, media, artifacts and models of each run that is not deleted."""
    place, ids = store
    before = _state(place)
    one, two, three = runs(place)
    assert [one.id, two.id, three.id] == ids
    assert (one.project, one.name, two.name, three.project) == ("digits", "one", "two", "other")
    assert one.config == {"lr": 0.1, "deep/layers": 3, "name": "net", "flag": True, "none": None, "odd": "007"}
    assert one.outcome is not None
    assert two.outcome is not None
    assert (one.outcome.status, two.outcome.status, three.outcome) == ("finished", "failed", None)
    assert one.created == pytest.approx(os.path.getmtime(tmp_path), abs=600)
    scratch = tmp_path / "scratch"
    found, artifacts = read(one, scratch)
    dated = [row for row in found if row.time < 1_700_000_001]
    rows = [(row.step, round((row.time - 1.7e9) * 1000), dict(row.values)) for row in dated]
    image = rows[4][2].pop("some/image")
    assert (image.array() == PIXELS).all()
    assert rows[:5] == [(step, step, {"loss": step / 7, "val/acc": float(step)}) for step in range(5)]
    assert rows[5] == (2, 9, {"loss": 9.0})
    assert [(step, str(values["odd"])) for step, _, values in rows[6:]] == [(9, "nan"), (10, "inf"), (11, "-inf")]
    (table,) = (row.values["tables/results"] for row in found if "tables/results" in row.values)
    assert table.content().info["rows"] == 2
    texts = {name: Path(artifacts[name].path) for name in ("notes", "alone.txt", "net")}
    assert (texts["notes"] / "deep" / "a.md").read_text() == "hello"
    assert texts["alone.txt"].read_text() == "alone"
    assert (artifacts["net"].type, texts["net"].read_bytes()) == ("model", b"weights")
    assert set(artifacts) == set(texts)
    assert not one.lost
    assert read(two, scratch) == ([], {})
    assert _state(place) == before


def _state(place: str) -> Any:
    """Return what there is in a place on the disk."""
    folder = Path(place.removeprefix("sqlite:///"))
    folder = folder if folder.is_dir() else folder.parent
    return sorted((str(one), one.stat().st_mtime_ns) for one in folder.rglob("*")) if folder.is_dir() else None


def test_one_experiment(store: tuple[str, list[str]]) -> None:
    """The option names it; another name is an error that says so."""
    place, ids = store
    assert [run.id for run in runs(place, experiment="other")] == ids[2:]
    with pytest.raises(NotReadableError, match="mlflow: there is no run in an experiment 'nowhere'"):
        runs(place, experiment="nowhere")
    with pytest.raises(ValueError, match="mlflow: unknown option 'nothing'"):
        runs(place, nothing="1")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with one run of many values."""
    folder = tmp_path_factory.mktemp("database")
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.create_experiment("digits", artifact_location=(folder / "artifacts").as_uri())
    run = client.create_run(experiment)
    from mlflow.entities import Metric

    for begin in range(0, 3000, 1000):
        metrics = [Metric("loss", step / 7, 1_700_000_000_000 + step, step) for step in range(begin, begin + 1000)]
        client.log_batch(run.info.run_id, metrics)
    return folder / "mlflow.db"


def changed(database: Path, folder: Path, statement: str) -> BackendRun:
    """Return the run of a copy of a database in which something is changed."""
    copy = folder / "copy.db"
    shutil.copyfile(database, copy)
    with closing(sqlite3.connect(copy)) as connection:
        connection.executescript(statement)
    (run,) = runs(str(copy))
    return run


def test_files_elsewhere(database: Path, tmp_path: Path) -> None:
    """Artifacts are read in the folder of the database, or in one that is named; no link leads out of these."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("secret")
    home = tmp_path / "home"
    (home / "own").mkdir(parents=True)
    (home / "own" / "link").symlink_to(secret / "key")
    for address in (secret.as_uri(), str(secret), "../secret", "file:///proc/self", str(home / "own"), "a\0b"):
        run = changed(
            database, home, "UPDATE runs SET artifact_uri = " + repr(address).replace("\\x00", "' || char(0) || '")
        )
        _, artifacts = read(run, tmp_path / "scratch")
        assert artifacts == {}
        assert sum(run.lost.values()) == 1
    run = changed(database, home, f"UPDATE runs SET artifact_uri = '{secret}'")
    (run,) = runs(str(home / "copy.db"), artifacts=str(secret))
    _, artifacts = read(run, tmp_path / "scratch")
    assert Path(artifacts["key"].path).read_text() == "secret"


def test_values_that_are_none(database: Path, tmp_path: Path) -> None:
    """What is no number is counted, and the others are read; also of an old database without models."""
    run = changed(database, tmp_path, "UPDATE metrics SET value = 'x' WHERE step = 7; DROP TABLE logged_models")
    found, _ = read(run, tmp_path / "scratch")
    assert len(found) == 2999
    assert run.lost == {"values that are damaged": 1}


def test_a_truncated_database(database: Path, tmp_path: Path) -> None:
    """It is an error or a count that says so, and never a false value."""
    content = database.read_bytes()
    for share in (0.1, 0.5, 0.9, 0.999):
        (tmp_path / "torn.db").write_bytes(content[: int(len(content) * share)])
        try:
            (run,) = MLflowSource(str(tmp_path / "torn.db")).runs()
        except NotReadableError:
            continue
        found, _ = read(run, tmp_path / "scratch")
        assert all(row.values == {"loss": (row.step or 0) / 7} for row in found)
        assert run.lost or len(found) == 3000


def test_a_torn_file_of_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that was not written to its end is no value."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    client = MlflowClient((tmp_path / "mlruns").as_uri())
    run = client.create_run(client.create_experiment("digits"))
    for step in range(3):
        client.log_metric(run.info.run_id, "loss", 0.25, timestamp=step + 1, step=10 + step)
    (path,) = tmp_path.rglob("metrics/loss")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "key").write_text("secret")
    (path.parent.parent / "params").rmdir()
    (path.parent.parent / "params").symlink_to(tmp_path / "secrets")
    path.write_bytes(path.read_bytes()[:-2] + b"\n1 x 2\n4 0.25 1")
    (found,) = runs(str(tmp_path))
    assert [row.step for row in read(found, tmp_path / "scratch")[0]] == [10, 11, 1]
    assert found.lost == {"values that are damaged": 2}
    assert found.config == {}  # nothing is read through links


@pytest.mark.long
def test_a_killed_run(database: Path, tmp_path: Path) -> None:
    """What was stored is read; it counts as running."""
    copy = tmp_path / "mlflow.db"
    shutil.copyfile(database, copy)
    code = f"""
        import mlflow
        mlflow.set_tracking_uri("sqlite:///{copy}")
        mlflow.set_experiment("killed")
        with mlflow.start_run():
            for step in range(100_000):
                mlflow.log_metrics({{"loss": step / 7, "acc": 1.0}}, step=step)
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], cwd=tmp_path)

    def logged() -> int:
        with closing(sqlite3.connect(copy, timeout=30)) as connection:
            return int(connection.execute("SELECT COUNT(*) FROM metrics").fetchone()[0])

    until(lambda: logged() > 3020)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (found,) = runs(str(copy), experiment="killed")
    rows, _ = read(found, tmp_path / "scratch")
    assert len(rows) >= 10
    assert [row.values for row in rows] == [{"loss": step / 7, "acc": 1.0} for step in range(len(rows))]
    assert found.outcome is None


def test_what_is_none_of_mlflows(tmp_path: Path) -> None:
    """Garbage, other databases, empty folders and servers that are none are not recognised, and are errors."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "garbage.db").write_bytes(random.Random(0).randbytes(9000))
    (tmp_path / "half.db").write_bytes(b"SQLite format 3\x00" + random.Random(1).randbytes(9000))
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("CREATE TABLE runs (x)")
    (tmp_path / "mlruns" / "0").mkdir(parents=True)
    (tmp_path / "mlruns" / "0" / "meta.yaml").write_text("!!python/object/apply:os.system ['touch hacked']")
    places = ["", "empty", "garbage.db", "half.db", "other.db", "nowhere", "mlruns"]
    for place in [str(tmp_path / one) for one in places] + ["http://127.0.0.1:9", "a\0b", "sqlite:///nowhere.db"]:
        assert not MLflowSource.recognises(place)
        with pytest.raises(NotReadableError, match="mlflow"):
            list(MLflowSource(place).runs())
    assert not Path("hacked").exists()
    assert not Path("nowhere.db").exists()


def test_media_of_this_package(tmp_path: Path) -> None:
    """What the tracker stores besides MLflow's own kinds comes back as what it was, and quantiles are no values."""
    from accel_track.trackers.mlflow.tracker import MLflowTracker

    tracker = MLflowTracker("media", tmp_path / "artifacts", tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    tracker.start()
    values = {"h": media.Histogram(np.arange(50.0), 10), "t": media.Text("ü"), "p": media.Points3D(np.ones((2, 3)))}
    tracker.log({**values, "loss": 0.5}, step=3)
    tracker.log_artifact(_file(tmp_path / "a.txt"), "data", type="dataset", metadata={"rows": 3}, step=5)
    tracker.log_checkpoint("best", str(_file(tmp_path / "best.ckpt")), 7, {"score": 0.5})
    tracker.finish()
    (run,) = runs(str(tmp_path))
    (row,), artifacts = read(run, tmp_path / "scratch")
    assert sorted(row.values) == ["h", "loss", "p", "t"]
    assert sum(row.values["h"].content().info["counts"]) == 50
    data, best = artifacts["data"], artifacts["best"]
    assert (data.type, data.values, data.step, Path(data.path).read_text()) == ("dataset", {"rows": 3}, 5, "a.txt")
    assert (best.type, best.step, best.values, Path(best.path).read_text()) == ("model", 7, {"score": 0.5}, "best.ckpt")


def _file(path: Path) -> Path:
    path.write_text(path.name)
    return path
