"""Many runs followed at once: each as it comes, goes on and ends, within bounds, and by one collector."""

import json
import signal
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer.testing import CliRunner

import accel_track
from accel_track.cli import app
from accel_track.delivery.fleet import Fleet
from accel_track.delivery.status import records
from accel_track.delivery.sync import Sync
from accel_track.journal import cursor as cursors
from accel_track.journal.writer import JournalWriter
from accel_track.mirror import claims
from accel_track.mirror import runs as mirrors
from accel_track.mirror.claims import Claim
from accel_track.mirror.runs import mirrored_runs
from accel_track.mirror.store import Store
from accel_track.mirror.upload import Upload
from accel_track.outcome import Outcome
from accel_track.run import Run
from tests.support import warm
from tests.support.processes import PYTHON, own_environment
from tests.support.runs import only_run
from tests.support.stores import Bucket, Proxy
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(400)


@pytest.fixture
def collector(tmp_path: Path) -> Any:
    """Start a collecting job, on a machine of its own."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, name: str = "collector", **environment: object) -> "subprocess.Popen[str]":
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        command = [PYTHON, "-m", "accel_track", "sync", *arguments, "--follow"]
        variables = own_environment(XDG_CACHE_HOME=folder / "cache", **environment, **warm.coverage)
        process = subprocess.Popen(command, cwd=folder, env=variables, stderr=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        with process:  # closes its pipes
            process.kill()


def stop(process: "subprocess.Popen[str]") -> str:
    """Press Ctrl-C; return what the collector has said."""
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    return said


def begin(bucket: Bucket, name: str, tmp_path: Path) -> Run:
    return accel_track.init(
        "project",
        project_dir=tmp_path / "machines",
        run_name=name,
        delivery="none",
        mirror=bucket.url,
        mirror_interval=0.5,
    )


def lines(folder: Path, name: str) -> list[int]:
    """Return the steps that a collector's JSON lines have of a run."""
    with suppress(FileNotFoundError):
        text = (folder / "project" / name / "metrics.jsonl").read_text()
        return [one["step"] for one in map(json.loads, text.splitlines())]
    return []


@pytest.mark.long
def test_runs_come_go_on_and_end(bucket: Bucket, tmp_path: Path, collector: Any) -> None:
    first = begin(bucket, "first", tmp_path)
    first.log({"loss": 1.0}, step=0)
    process = collector(bucket.url, "--to", "jsonl")
    folder = tmp_path / "collector"
    until(lambda: lines(folder, "first") == [0])
    second = begin(bucket, "second", tmp_path)
    second.log({"loss": 1.0}, step=5)
    first.log({"loss": 1.0}, step=1)
    until(lambda: lines(folder, "first") == [0, 1] and lines(folder, "second") == [5])
    first.finish()
    second.finish(Outcome("failed", "no more"))

    def told() -> bool:
        found = [one.download.delivered(0) for one in mirrored_runs(bucket.url)]
        return len(found) == 2 and all(one and one[0].cursor.status for one in found)

    until(told)
    said = stop(process)
    assert "finished; jsonl: 2 delivered" in said
    assert "failed; jsonl: 1 delivered" in said
    assert "2 runs, 2 ended; 3 records delivered" in said
    assert process.returncode == 0


@pytest.mark.long
def test_backend_runs_are_open_until_the_run_ends(bucket: Bucket, tmp_path: Path, collector: Any) -> None:
    from mlflow import MlflowClient

    run = begin(bucket, "one", tmp_path)
    process = collector(bucket.url, "--to", "mlflow")
    database = tmp_path / "collector" / "mlflow.db"

    def has_values() -> bool:
        with (
            suppress(sqlite3.OperationalError),
            closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as opened,
        ):
            return bool(opened.execute("select count(*) from metrics").fetchone()[0])
        return False

    run.log({"loss": 1.0}, step=0)
    until(has_values)  # a client that came earlier would make MLflow's tables at the same time
    client = MlflowClient(f"sqlite:///{database}")

    def history() -> tuple[str, list[int]]:
        (found,) = client.search_runs([one.experiment_id for one in client.search_experiments()])
        steps = [metric.step for metric in client.get_metric_history(found.info.run_id, "loss")]
        return found.info.status, sorted(steps)

    for step in range(3):
        if step:
            run.log({"loss": 1.0}, step=step)
        until(lambda: history() == ("RUNNING", list(range(step + 1))))  # noqa: B023 - called at once
    run.finish(Outcome("failed", "no more"))
    until(lambda: history() == ("FAILED", [0, 1, 2]))
    stop(process)


def test_one_run_is_followed_until_it_ends(bucket: Bucket, tmp_path: Path, collector: Any) -> None:
    run = begin(bucket, "one", tmp_path)
    run.log({"loss": 1.0}, step=0)
    (found,) = until(lambda: list(mirrored_runs(bucket.url)))
    process = collector(found.shown, "--to", "jsonl")
    until(lambda: lines(tmp_path / "collector", "one") == [0])
    run.log({"loss": 1.0}, step=1)
    run.finish()
    _, said = process.communicate(timeout=90)
    assert process.returncode == 0, said
    assert lines(tmp_path / "collector", "one") == [0, 1]


def test_a_rank_that_ends_later_is_followed_to_its_end(bucket: Bucket, tmp_path: Path) -> None:
    run = begin(bucket, "one", tmp_path)
    directory = only_run(tmp_path / "machines")
    journal = JournalWriter(directory.rank(1), 1)
    other = Upload(Store(bucket.url), directory, 1, 0.5, time.sleep)
    other.look({"trackio": True})
    run.finish()
    fleet = Fleet(partial(mirrored_runs, Store(bucket.url)), Sync, 10.0, print)
    following = threading.Thread(target=fleet.follow, kwargs={"until_ended": True}, daemon=True)
    following.start()
    (one,) = until(lambda: [one for one in fleet.followed.values() if one.alive is not None and not one.busy])
    assert one.ended == ""
    assert one.run.claim("trackio", 1) is None  # it delivers there itself
    journal.metrics({"loss": 1.0}, 0, {})
    journal.close()
    other.look({"trackio": False}, over=True)
    following.join(30)
    assert one.ended == "finished"
    assert records(one.run)[1] == 1


@pytest.mark.long
def test_two_collectors_deliver_once(bucket: Bucket, tmp_path: Path, collector: Any) -> None:
    runs = [begin(bucket, f"run-{number}", tmp_path) for number in range(6)]
    both = [collector(bucket.url, "--to", "jsonl", name=name) for name in ("east", "west")]
    for step in range(20):
        for run in runs:
            run.log({"loss": 1.0}, step=step)
        time.sleep(0.1)
    for run in runs:
        run.finish()

    def steps(number: int) -> Counter[int]:
        return Counter(step for place in ("east", "west") for step in lines(tmp_path / place, f"run-{number}"))

    until(lambda: all(set(steps(number)) == set(range(20)) for number in range(6)))
    time.sleep(2)  # a second delivery would come now
    assert [stop(process) for process in both]
    assert all(steps(number) == Counter(range(20)) for number in range(6))


@pytest.mark.long
def test_a_collector_that_was_killed_is_replaced(bucket: Bucket, tmp_path: Path, collector: Any) -> None:
    run = begin(bucket, "one", tmp_path)
    run.log({"loss": 1.0}, step=0)
    process = collector(bucket.url, "--to", "jsonl", name="east")
    until(lambda: lines(tmp_path / "east", "one") == [0])
    process.kill()
    process.wait()
    run.log({"loss": 1.0}, step=1)
    run.finish()
    again = collector(bucket.url, "--to", "jsonl", name="east")
    until(lambda: set(lines(tmp_path / "east", "one")) == {0, 1})  # what it had not noted comes once more
    stop(again)


def test_what_was_begun_anew_is_anew_for_all(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with begin(bucket, "one", tmp_path) as run:
        run.log({"loss": 1.0}, step=0)

    def deliver(place: str, *more: str) -> int:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / place))
        done = CliRunner().invoke(app, ["sync", bucket.url, "--to", "jsonl", *more])
        assert done.exit_code == 0, done.output
        return sum(len(one.read_text().splitlines()) for one in tmp_path.rglob("metrics*.jsonl"))

    assert [deliver("east"), deliver("west"), deliver("west", "--from-start")] == [1, 1, 2]
    assert [deliver("east"), deliver("west")] == [2, 2]


def test_a_cursor_that_the_store_was_not_told_is_this_machines(bucket: Bucket, tmp_path: Path) -> None:
    with begin(bucket, "one", tmp_path) as run:
        run.log({"loss": 1.0}, step=0)
    (found,) = mirrored_runs(bucket.url)
    found.refresh()
    lock = found.claim("jsonl")
    assert lock is not None
    cursors.save(found.cursor("jsonl"), cursors.Cursor(seq=1, delivered=1, time=time.time()))
    found.refresh()  # and the process is killed: nothing was published
    (again,) = mirrored_runs(bucket.url)
    again.refresh()
    assert cursors.load(again.cursor("jsonl")).seq == 1


def test_a_claim_counts_for_a_while(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(bucket.url)
    one, other = Claim(store, "claims/x"), Claim(store, "claims/x")
    assert one.take()
    assert not other.take()
    assert not Claim(store, "claims/x", "elsewhere").take()
    monkeypatch.setattr(claims, "LASTS", -1.0)
    assert other.take()
    monkeypatch.setattr(claims, "LASTS", 300.0)
    monkeypatch.setattr(claims, "RENEWED", 0.0)
    assert not one.renew()
    assert other.renew()
    one.release()
    assert other.holder is not None
    other.release()
    assert other.holder is None
    here = Claim(store, "claims/x", "here")
    assert here.take()
    assert Claim(store, "claims/x", "here").take()  # who has the lock there knows that the other one is gone
    assert not here.renew()


def test_a_run_that_falls_silent_was_killed(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = begin(bucket, "one", tmp_path)
    run.log({"loss": 1.0}, step=0)
    (found,) = until(lambda: list(mirrored_runs(bucket.url)))
    until(lambda: found.refresh() or found.is_live())
    assert found.outcome(found.load()) is None
    bucket.pause()
    try:
        monkeypatch.setattr(mirrors, "SILENT", 0.1)
        until(lambda: not found.is_live())
        assert found.outcome(found.load()).status == "failed"
    finally:
        bucket.go_on()
    until(lambda: found.changed() or found.is_live())
    run.finish()


def log_many(tmp_path: Path, steps: int) -> None:
    """Have programs log many small runs, several a process."""
    program = tmp_path / "many.py"
    program.write_text(
        "import sys, time, accel_track\n"
        "runs = [accel_track.init('project', project_dir=f'machines/{n}', run_name=f'run-{n}', delivery='none',\n"
        "        mirror=sys.argv[1], mirror_interval=10.0, finish_timeout=120) for n in range(int(sys.argv[2]), int(sys.argv[3]))]\n"
        f"for step in range({steps}):\n"
        "    for run in runs:\n"
        "        run.log({'loss': step / 3, 'lr': 0.1}, step=step)\n"
        "time.sleep(float(sys.argv[4]))\n"
        "for run in runs:\n"
        "    run.finish()\n"
    )


@pytest.mark.long
@pytest.mark.parametrize("many", [30, pytest.param(200, marks=pytest.mark.long)])
def test_many_runs_are_followed_at_once(
    bucket: Bucket, proxy: Proxy, tmp_path: Path, collector: Any, many: int
) -> None:
    steps = 100
    log_many(tmp_path, steps)
    variables = own_environment(AWS_ENDPOINT_URL=f"http://127.0.0.1:{bucket.port}")
    command = [PYTHON, str(tmp_path / "many.py"), bucket.url, "0", str(many), "1"]
    training = subprocess.Popen(command, cwd=tmp_path, env=variables)
    process = collector(bucket.url, "--to", "jsonl")
    seen = psutil.Process(process.pid)
    begun, most, threads = time.monotonic(), 0, 0
    folder, wanted = tmp_path / "collector", [f"run-{number}" for number in range(many)]

    def done() -> bool:
        nonlocal most, threads
        most, threads = max(most, seen.memory_info().rss), max(threads, seen.num_threads())
        return all(len(lines(folder, name)) == steps for name in wanted)

    until(done, 360, every=0.5)
    took = time.monotonic() - begun
    assert training.wait(180) == 0
    ended_at = time.monotonic()

    def all_ended() -> bool:
        done()
        found = [run.download.delivered(0) for run in mirrored_runs(f"s3://{bucket.name}/some/prefix")]
        return len(found) == many and all(one and one[0].cursor.status for one in found)

    until(all_ended, 180, every=5)
    print(
        f"{many} runs: {took:.0f} s, ended {time.monotonic() - ended_at:.0f} s later; "
        f"{most / 2**20:.0f} MiB, {threads} threads, {proxy.most} connections"
    )
    assert f"{many} runs, {many} ended; {many * steps:,} records delivered" in stop(process)
    assert most < 500 * 2**20
    assert proxy.most <= 60
    assert threads <= 40
