"""The loss of a machine: what it costs is an interval and an upload, and the run goes on elsewhere."""

import json
import os
import signal
import subprocess
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from typer.testing import CliRunner

import accel_track
from accel_track.cli import app
from accel_track.journal.reader import JournalReader
from accel_track.mirror import runs as mirrors
from accel_track.mirror.runs import mirrored_runs
from accel_track.outcome import Outcome
from tests.support.processes import PYTHON, own_environment
from tests.support.runs import journaled, only_run
from tests.support.stores import Bucket
from tests.support.waiting import until

INTERVAL = 0.5

PROGRAM = """
import os, sys, time
import numpy as np
import accel_track
from accel_track.media import Image

url, delivery, begin, steps = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
side = os.open("side", os.O_WRONLY | os.O_CREAT)
run = accel_track.init(
    "project", "jsonl", project_dir="runs", run_name="name", mirror=url, mirror_interval=0.5, delivery=delivery
)
for step in range(begin, steps):
    run.log({"loss": step / 7}, step=step)
    if step % 50 == 0:
        run.log({"image": Image(np.full((20, 20, 3), step % 250, dtype=np.uint8))}, step=step)
    os.pwrite(side, b"%012d %020.6f" % (step, time.time()), 0)
    time.sleep(0.005)
run.finish()
"""


@pytest.fixture
def train(tmp_path: Path, bucket: Bucket) -> Callable[..., "subprocess.Popen[bytes]"]:
    """Start a program that trains."""
    (tmp_path / "program.py").write_text(PROGRAM)

    def start(delivery: str = "none", begin: int = 0, steps: int = 100_000) -> "subprocess.Popen[bytes]":
        command = [PYTHON, str(tmp_path / "program.py"), bucket.url, delivery, str(begin), str(steps)]
        return subprocess.Popen(command, env=own_environment(), cwd=tmp_path)

    return start


def there(bucket: Bucket) -> list[int | None]:
    steps: list[int | None] = []
    for run in mirrored_runs(bucket.url):
        run.refresh()
        assert run.download.problems == []
        steps += journaled(run) if run.ranks() else []
    return sorted({step for step in steps if step is not None})


def kill(process: "subprocess.Popen[bytes]", tmp_path: Path, machine_is_gone: Callable[[], None]) -> tuple[int, float]:
    """Kill a program, and delete all that its machine had; return its last step, and when that was logged."""
    process.send_signal(signal.SIGKILL)
    process.wait()
    step, moment = (tmp_path / "side").read_text().split()
    machine_is_gone()
    return int(step), float(moment)


@pytest.mark.first(1)
@pytest.mark.parametrize("delivery", ["thread", "none"])
def test_what_a_lost_machine_costs(
    bucket: Bucket, train, tmp_path: Path, machine_is_gone: Callable[[], None], delivery: str
) -> None:
    process = train(delivery)
    until(lambda: len(there(bucket)) > 300)
    last, killed_at = kill(process, tmp_path, machine_is_gone)
    steps = there(bucket)
    assert steps == list(range(len(steps)))
    (run,) = mirrored_runs(bucket.url)
    run.refresh()
    kept = max(record.time for record in JournalReader(run.rank()))
    # An upload to this server takes a fraction of a second; the tests' machine may be busy with others.
    assert killed_at - kept < INTERVAL + 2.0, f"{last - steps[-1]} steps are lost"
    verified = CliRunner().invoke(app, ["verify", bucket.url])
    assert verified.exit_code == 0, verified.output
    assert list((tmp_path / "cache").rglob("*.png"))


@pytest.mark.long
def test_a_companion_completes_the_mirror_of_a_killed_program(bucket: Bucket, train, tmp_path: Path) -> None:
    process = train("process")
    until(lambda: len(there(bucket)) > 100)
    process.send_signal(signal.SIGKILL)
    process.wait()
    last = int((tmp_path / "side").read_text().split()[0])
    until(lambda: there(bucket)[-1] >= last)
    (run,) = mirrored_runs(bucket.url)
    run.refresh()
    until(lambda: run.refresh() or run.load().status == "failed")
    assert journaled(only_run(tmp_path / "runs")) == journaled(run)


@pytest.mark.long
def test_what_is_there_is_delivered_by_somebody_else(
    bucket: Bucket, train, tmp_path: Path, machine_is_gone: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    process = train()
    until(lambda: len(there(bucket)) > 100)
    kill(process, tmp_path, machine_is_gone)
    monkeypatch.setattr(mirrors, "SILENT", 0.0)
    until(lambda: not next(mirrored_runs(bucket.url)).is_live())
    steps = there(bucket)
    for _ in range(2):
        machine_is_gone()
        done = CliRunner().invoke(app, ["sync", bucket.url, "--to", "jsonl"])
        assert done.exit_code == 0, done.output
    (file,) = tmp_path.rglob("metrics.jsonl")
    assert [one["step"] for one in map(json.loads, file.read_text().splitlines()) if "loss" in one] == steps


@pytest.mark.long
def test_a_run_goes_on_elsewhere(bucket: Bucket, train, tmp_path: Path, machine_is_gone: Callable[[], None]) -> None:
    process = train("thread")
    until(lambda: len(there(bucket)) > 200)
    kill(process, tmp_path, machine_is_gone)
    steps = there(bucket)
    begin = steps[-1] + 1
    process = train("thread", begin=begin, steps=begin + 100)
    assert process.wait(120) == 0
    (run,) = mirrored_runs(bucket.url)
    run.refresh()
    info = run.load()
    assert (info.starts, info.name, info.status) == (2, "name", "finished")
    assert there(bucket) == list(range(begin + 100))
    here = only_run(tmp_path / "runs")
    assert here.path.name == run.path.name
    assert sorted(set(journaled(here))) == list(range(begin + 100))
    assert CliRunner().invoke(app, ["verify", str(here.path)]).exit_code == 0


def test_a_copy_that_the_run_has_outgrown_makes_way(bucket: Bucket, tmp_path: Path) -> None:
    options = {"mirror": bucket.url, "mirror_interval": 0.2, "delivery": "none", "run_name": "name"}

    def part(machine: str, step: int, resume: str = "auto") -> None:
        folder = tmp_path / machine
        run = accel_track.init("project", project_dir=folder, resume=resume, **options)
        run.log({"loss": 1.0}, step=step)
        run.finish(Outcome("preempted"))

    part("one", 0)
    part("two", 1, "must")
    with pytest.warns(match="went on elsewhere"):
        part("one", 2, "must")
    assert there(bucket) == [0, 1, 2]
    (run,) = mirrored_runs(bucket.url)
    run.refresh()
    assert run.load().starts == 3
    assert list((tmp_path / "one" / ".accel_track" / ".superseded").rglob("run.json"))
    assert sorted(set(journaled(only_run(tmp_path / "one")))) == [0, 1, 2]


def test_a_lost_run_is_found_by_the_name_that_it_was_to_have(tmp_path: Path) -> None:
    options = {"mirror": f"file://{tmp_path}/store", "mirror_interval": 0.2, "delivery": "none", "run_name": "name"}
    accel_track.init("project", project_dir="one", **options).finish()
    with pytest.warns(match="called 'name-2'"):
        lost = accel_track.init("project", project_dir="one", **options)
    lost.finish("preempted")
    again = accel_track.init("project", project_dir="two", **options)
    again.finish()
    assert (again.name, again.run_id) == ("name-2", lost.run_id)


@pytest.mark.filterwarnings("ignore:.*just about to")
def test_of_machines_that_continue_a_run_at_the_same_moment_one_does(tmp_path: Path) -> None:
    options = {"mirror": f"file://{tmp_path}/store", "mirror_interval": 0.2, "delivery": "none", "run_name": "name"}
    lost = accel_track.init("project", project_dir="lost", **options)
    lost.finish("preempted")
    at_once = threading.Barrier(4)

    def begun(machine: int) -> str:
        at_once.wait()
        run = accel_track.init("project", project_dir=f"machine-{machine}", **options)
        run.finish()
        return run.run_id

    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(begun, range(4)))
    assert len(set(ids)) == 4
    assert lost.run_id in ids


def test_a_child_of_a_lost_run_goes_on_elsewhere(tmp_path: Path) -> None:
    options = {"mirror": f"file://{tmp_path}/store", "mirror_interval": 0.2, "delivery": "none", "run_name": "name"}
    ids = []
    for machine in ("one", "two"):
        run = accel_track.init("project", project_dir=machine, **options)
        child = run.child("fold")
        child.log({"loss": 1.0}, step=len(ids))
        ids.append((run.run_id, child.run_id))
        child.finish("preempted")
        run.finish("preempted")
    assert ids[0] == ids[1]


def test_a_run_that_goes_on_is_not_continued(bucket: Bucket, train, tmp_path: Path) -> None:
    process = train()
    until(lambda: len(there(bucket)) > 10)
    try:
        with pytest.warns(match="another process is logging to it"):
            run = accel_track.init(
                "project",
                project_dir="elsewhere",
                run_name="name",
                mirror=bucket.url,
                mirror_interval=0.2,
                delivery="none",
            )
        run.finish()
        assert run.run_directory.path.name != next(iter((tmp_path / "runs/.accel_track/project").iterdir())).name
    finally:
        process.kill()
        process.wait()


@pytest.mark.long
def test_a_store_that_is_down_lets_a_new_run_begin(bucket: Bucket, proxy) -> None:
    proxy.is_down = True
    begun = time.monotonic()
    with pytest.warns(match="no run is looked for"):
        run = accel_track.init(
            "project", project_dir="runs", run_name="name", mirror=bucket.url, delivery="none", finish_timeout=1
        )
    assert time.monotonic() - begun < 20
    run.finish()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
def test_a_forked_child_has_no_mirror(bucket: Bucket) -> None:
    run = accel_track.init("project", project_dir="runs", mirror=bucket.url, mirror_interval=0.2, delivery="none")
    run.log({"loss": 1.0}, step=0)
    child = os.fork()
    if not child:
        try:
            warnings.simplefilter("ignore")
            run.log({"loss": 2.0}, step=1)
            run.finish()
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    run.log({"loss": 3.0}, step=2)
    run.finish()
    assert there(bucket) == [0, 2]
