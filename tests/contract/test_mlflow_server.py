"""MLflow through a real `mlflow server` on this machine, read back with a client of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from accel_track.accelerator import Accelerator
from accel_track.trackers.mlflow import MLflowTracker


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a server with a database and artifacts of its own, and return its address."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    stores = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", f"{folder}/artifacts"]
    command = [sys.executable, "-m", "mlflow", "server", *stores, "--workers", "1", "--host", "127.0.0.1"]
    # Without this variable, seven more processes start, for jobs that no test needs.
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--port", str(port)],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment,
            start_new_session=True,  # a process group, which holds the server's workers too
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(address, process, folder / "log")
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=20)
        finally:
            if _group_alive(process.pid):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), urllib.request.urlopen(f"{address}/health", timeout=5):
            return
        time.sleep(0.2)
    pytest.fail(f"no server at {address}:\n{log.read_text()[-3000:]}")


def _group_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_run_on_a_server(server: str, tmp_path: Path) -> None:
    """Metrics, many hyperparameters, images, artifacts, status and names arrive at the server."""
    (tmp_path / "note.txt").write_text("hello")
    tracker = MLflowTracker("it's on a server", run_name="first", tracking_uri=server, description="about")
    tracker.start()
    client = MlflowClient(server)
    assert client.get_run(tracker.run_id).info.status == "RUNNING"
    tracker.store_init_configuration({f"p{index}": index for index in range(250)} | {"long": "ü" * 6000, "empty": ""})
    for step in range(3):
        tracker.log({"loss": 1 / (step + 1), "acc@1": step, "nan": float("nan")}, step=step)
    tracker.log({f"m{index}": index for index in range(1200)}, step=0)
    tracker.log_images({"sample": np.zeros((4, 6, 3))}, step=2)
    tracker.log_artifact(tmp_path / "note.txt", "notes")
    tracker.finish()

    run = client.get_run(tracker.run_id)
    assert client.get_experiment(run.info.experiment_id).name == "it's on a server"
    assert (run.info.run_name, run.info.status) == ("first", "FINISHED")
    assert run.data.tags["mlflow.note.content"] == "about"
    history = client.get_metric_history(run.info.run_id, "loss")
    assert [(point.step, point.value) for point in history] == [(0, 1.0), (1, 0.5), (2, 1 / 3)]
    assert len(run.data.metrics) == 3 + 1200
    assert run.data.metrics["m1199"] == 1199.0
    assert run.data.params["p249"] == "249"
    assert run.data.params["long"] == "ü" * 6000
    assert len(run.data.params) == 252
    pictures = [one.path for one in client.list_artifacts(run.info.run_id, "images")]
    assert any(path.startswith("images/sample+step+2+") and path.endswith(".png") for path in pictures)
    fetched = client.download_artifacts(run.info.run_id, "notes/note.txt", str(tmp_path))
    assert Path(fetched).read_text() == "hello"


def test_through_the_front_door(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLFLOW_TRACKING_URI sends the front door's run to the server, and nothing to its directory."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    accelerator = Accelerator(log_with="mlflow", project_dir=tmp_path / "project", cpu=True)
    accelerator.init_trackers("digits", config={"optimizer": {"lr": 0.1}})
    run_id = accelerator.get_tracker("mlflow", unwrap=True).info.run_id
    accelerator.log({"val": {"loss": 0.5}}, step=4)
    accelerator.end_training()
    client = MlflowClient(server)
    run = client.get_run(run_id)
    assert client.get_experiment(run.info.experiment_id).name == "digits"
    assert run.info.status == "FINISHED"
    assert run.data.params == {"optimizer/lr": "0.1"}
    (point,) = client.get_metric_history(run_id, "val/loss")
    assert (point.step, point.value) == (4, 0.5)
    assert list((tmp_path / "project").iterdir()) == []
