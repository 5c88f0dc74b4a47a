"""`accel-track open`: the real servers of backends on runs that never had them, live, and nothing left behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

import pytest

import accel_track
from accel_track.delivery.beside import Beside
from accel_track.delivery.sync import Sync
from accel_track.views.opened.opening import Opening
from tests.support import warm
from tests.support.cli_samples import DOCS
from tests.support.servers import free_port, listens
from tests.support.waiting import until


def asked(url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data, {"content-type": "application/json"})
    with build_opener(ProxyHandler({})).open(request, timeout=30) as answer:
        return json.loads(answer.read())


def content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., tuple["subprocess.Popen[str]", str]]]:
    """Return a function that starts the command, and returns the process and the URL that it prints."""
    begun: list[subprocess.Popen[str]] = []

    def opened(*words: Any) -> tuple["subprocess.Popen[str]", str]:
        port = free_port()
        command = [sys.executable, "-m", "accel_track", "open", *map(str, words), "--port", str(port)]
        foreign = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "TRACKIO_SPACE_ID": "some/space"}
        environment = {**os.environ, **warm.coverage, **foreign, "XDG_CACHE_HOME": str(tmp_path / "cache")}
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
        )
        begun.append(process)
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url == f"http://127.0.0.1:{port}/", process.communicate()
        return process, url

    yield opened
    for process in begun:
        if process.poll() is None:
            process.kill()
        process.communicate()


def ended(process: "subprocess.Popen[str]", url: str, by: signal.Signals = signal.SIGINT) -> None:
    process.send_signal(by)
    _, errors = process.communicate(timeout=60)
    assert "Traceback" not in errors
    assert process.returncode == (-by if by == signal.SIGKILL else 0)
    until(lambda: not listens(int(url.rstrip("/").rpartition(":")[2])))


def test_open_shows_runs_in_tensorboard_live_and_again(opened: Any, make: Any, tmp_path: Path) -> None:
    done = make("lines", count=3, config={"lr": 0.1})
    before = content(done.path)
    with accel_track.init("live", run_name="on", project_dir="others", delivery="none") as run:
        run.log({"a": 0}, 0)
        assert run.run_directory is not None
        words = (done.path, run.run_directory.path, "--no-browser")
        process, url = opened(*words)
        assert f"http://127.0.0.1:6006/\n{process.stdout.readline()}```" in (DOCS / "commands" / "watch.md").read_text(
            "utf-8"
        )
        scalars = f"{url}data/plugin/scalars/"
        until(lambda: "live/on" in asked(f"{scalars}tags"))
        run.log({"a": 1}, 1)
        until(lambda: len(asked(f"{scalars}scalars?run=live/on&tag=a")) == 2)
        name = f"proj/{done.path.name}"
        values = [value for _, _, value in until(lambda: asked(f"{scalars}scalars?run={name}&tag=train/loss"))]
        assert values == pytest.approx([1, 1 / 2, 1 / 3])
        ended(process, url)
    assert content(done.path) == before  # not one byte of the run has changed
    assert not list(run.run_directory.path.rglob("cursors/*"))
    process, url = opened(*words)  # it goes on where it was
    until(lambda: asked(f"{url}data/plugin/scalars/scalars?run=live/on&tag=a"))
    assert len(asked(f"{url}data/plugin/scalars/scalars?run=live/on&tag=a")) == 2
    ended(process, url, signal.SIGKILL)
    (folder,) = (tmp_path / "cache" / "accel_track" / "open").iterdir()
    assert len(list(folder.glob("live/on/events*"))) == 1


@pytest.mark.long
@pytest.mark.extras
def test_open_shows_runs_in_mlflow(opened: Any, make: Any) -> None:
    run = make("lines", count=3, config={"lr": 0.1})
    process, url = opened(run.path, "--with", "mlflow")
    found = asked(f"{url}api/2.0/mlflow/runs/search", {"experiment_ids": ["1"]})["runs"]
    assert [one["info"]["run_name"] for one in found] == [run.path.name]
    ended(process, url, signal.SIGTERM)


@pytest.mark.long
@pytest.mark.extras
def test_open_shows_runs_in_trackio(opened: Any, make: Any) -> None:
    run = make("lines", count=3)
    process, url = opened(run.path, "--with", "trackio")
    assert asked(f"{url}api/get_runs_for_project", {"project": "proj"})["data"]
    ended(process, url)


def test_what_cannot_be_opened_is_said_in_a_line(make: Any, invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make()
    assert "choose tensorboard, mlflow, trackio" in invoke("open", run.path, "--with", "wandb", code=2).stderr
    assert "there is no run 'none'" in invoke("open", "none", code=2).stderr
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert 'pip install "accel-track[mlflow]"' in invoke("open", run.path, "--with", "mlflow", code=2).stderr


def test_a_port_that_is_taken_is_said(make: Any, invoke: Any) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"port {port} of 127.0.0.1 is taken" in invoke("open", make().path, "--port", port, code=2).stderr


def test_a_run_from_beside_is_delivered_and_not_touched(make: Any, tmp_path: Path) -> None:
    run = make("lines", count=3)
    before = content(run.path)
    place = tmp_path / "beside" / ".accel_track" / "proj" / run.path.name
    place.mkdir(parents=True)
    beside = Beside(run, place, "named")
    (status,) = Sync(beside, ["jsonl"]).deliver(follow=False, timeout=30)
    assert (status.delivered, status.pending) == (3, 0)
    assert (tmp_path / "beside" / "proj" / "named" / "metrics.jsonl").read_text().count("\n") == 3
    assert list(beside.load().trackers) == ["jsonl"]
    assert content(run.path) == before


def test_two_runs_of_one_name_are_two_and_old_ones_are_deleted(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    runs = [make(name="same", folder=folder, count=2) for folder in ("a", "b")]
    first = Opening(runs, "jsonl")
    first.start()
    until(lambda: first.settled)
    first.close()
    assert sorted(path.name for path in (first.folder / "proj").iterdir()) == ["same", f"same {runs[1].path.name}"]
    os.utime(first.folder, (0, 0))
    second = Opening(runs[:1], "jsonl")
    second.close()
    assert second.folder.is_dir()
    assert not first.folder.exists()
