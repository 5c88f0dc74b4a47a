"""Stores that are down, slow, silent, or cut connections: training goes on at its pace, and all gets there in time."""

import re
import threading
import time
from pathlib import Path

import pytest

import accel_track
from accel_track.delivery import mirroring
from accel_track.mirror.runs import mirrored_runs
from accel_track.run import Run
from tests.support.runs import journaled
from tests.support.stores import Bucket, Proxy
from tests.support.waiting import until

pytestmark = [pytest.mark.timeout(170), pytest.mark.filterwarnings("ignore:mirror")]


def begin(bucket: Bucket, **options) -> Run:
    options = {"mirror": bucket.url, "mirror_interval": 0.2, "delivery": "none", "finish_timeout": 40, **options}
    return accel_track.init("project", project_dir="runs", **options)


def there(bucket: Bucket) -> list[int | None]:
    """Return the steps that the store has, read past what fails."""
    steps: list[int | None] = []
    for run in mirrored_runs(bucket.url):
        run.refresh()
        assert run.download.problems == []
        steps += journaled(run) if run.ranks() else []
    return steps


def slowest(run: Run, steps: range) -> float:
    """Log so many steps, and return how long the slowest call took, in seconds, but for the machine's worst hundredth."""
    took = []
    for step in steps:
        begun = time.perf_counter()
        run.log({"loss": step / 3, "lr": 0.1}, step=step)
        took.append(time.perf_counter() - begun)
    return sorted(took)[len(took) * 99 // 100]


@pytest.mark.long
def test_a_store_that_is_down_at_the_start(bucket: Bucket, proxy: Proxy) -> None:
    proxy.is_down = True
    begun = time.monotonic()
    run = begin(bucket)
    assert slowest(run, range(500)) < 0.01
    assert time.monotonic() - begun < 5
    proxy.is_down = False
    until(lambda: there(bucket) == list(range(500)))
    run.finish()


def test_a_store_that_goes_down_in_the_middle(bucket: Bucket, proxy: Proxy, capsys: pytest.CaptureFixture[str]) -> None:
    run = begin(bucket)
    slowest(run, range(100))
    until(lambda: there(bucket) == list(range(100)))
    proxy.is_down = True
    proxy.hang_up()
    assert slowest(run, range(100, 600)) < 0.01
    proxy.is_down = False
    run.finish()
    assert "lacks" not in capsys.readouterr().err
    assert there(bucket) == list(range(600))


def test_a_store_that_is_down_at_the_end_is_told_and_completed_later(
    bucket: Bucket, proxy: Proxy, capsys: pytest.CaptureFixture[str]
) -> None:
    from typer.testing import CliRunner

    from accel_track.cli import app

    run = begin(bucket, finish_timeout=1)
    slowest(run, range(100))
    until(lambda: there(bucket) == list(range(100)))
    proxy.is_down = True
    proxy.hang_up()
    slowest(run, range(100, 200))
    folder, begun = run.run_directory.path, time.monotonic()
    run.finish()
    assert time.monotonic() - begun < 20
    report = capsys.readouterr().err
    assert "the mirror s3://" in report
    assert "lacks" in report
    shown = CliRunner().invoke(app, ["show", str(folder)]).output
    assert "lacks" in shown
    proxy.is_down = False
    done = CliRunner().invoke(app, ["sync", str(folder)])
    assert "has everything" in done.output, done.output
    assert there(bucket) == list(range(200))
    assert "has everything" in CliRunner().invoke(app, ["show", str(folder)]).output


def test_what_waits_for_its_media_at_the_end_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirroring, "LEAST", 0.5)
    url = f"file://{tmp_path}/store"
    run = accel_track.init("project", mirror=url, mirror_interval=60, delivery="none", finish_timeout=1)
    until(lambda: list(mirrored_runs(url)))
    media = run.run_directory.rank() / "media"
    media.mkdir()
    (media / "slow.raw").touch()  # as while a long video is encoded
    run.log({"loss": 1.0}, step=0)
    run.finish()
    assert re.search(r"lacks \d+ bytes( \(there was no time for it\))?; copy them", capsys.readouterr().err)


def test_a_store_that_says_nothing(bucket: Bucket) -> None:
    run = begin(bucket, finish_timeout=1)
    slowest(run, range(100))
    until(lambda: there(bucket) == list(range(100)))
    bucket.pause()
    try:
        assert slowest(run, range(100, 600)) < 0.01
        begun = time.monotonic()
        run.finish()
        assert time.monotonic() - begun < 20
    finally:
        bucket.go_on()


@pytest.mark.long
def test_a_store_that_is_slow(bucket: Bucket, proxy: Proxy) -> None:
    proxy.delay = 0.3
    run = begin(bucket)
    assert slowest(run, range(500)) < 0.01
    run.finish()
    assert there(bucket) == list(range(500))


def test_a_connection_that_is_lost_in_mid_upload(bucket: Bucket, proxy: Proxy, tmp_path: Path) -> None:
    import os

    (tmp_path / "weights").write_bytes(os.urandom(9 * 1024 * 1024))
    proxy.cut_after = 1024 * 1024
    run = begin(bucket)
    run.log_artifact(tmp_path / "weights", "weights", copy=True)
    run.log({"loss": 1.0}, step=0)
    until(lambda: proxy.cuts >= 3)
    assert there(bucket) == []  # no record whose artifact is not whole
    proxy.cut_after = None
    run.finish()
    (copy,) = mirrored_runs(bucket.url)
    copy.refresh()
    (file,) = copy.path.rglob("weights")
    assert file.read_bytes() == (tmp_path / "weights").read_bytes()
    assert journaled(copy) == [0]


def test_nothing_is_left_of_it_when_a_run_has_ended(bucket: Bucket) -> None:
    run = begin(bucket)
    run.log({"loss": 1.0}, step=0)
    run.finish()
    until(lambda: not [one for one in threading.enumerate() if one.name.endswith("mirror")])


def test_a_bucket_that_is_not_there_is_a_warning(bucket: Bucket) -> None:
    with pytest.warns(match="NoSuchBucket|does not exist") as told:
        run = begin(bucket, mirror="s3://no-such-bucket-at-all/x", finish_timeout=1)
        run.log({"loss": 1.0}, step=0)
        until(lambda: list(told))
        run.finish()


def test_without_a_journal_there_is_no_mirror(bucket: Bucket) -> None:
    with pytest.raises(ValueError, match="`mirror` copies a run's journal"):
        begin(bucket, delivery="inline")


@pytest.mark.parametrize("delivery", ["thread", "process", "none"])
def test_every_mode_with_a_journal_has_it(bucket: Bucket, delivery: str) -> None:
    with accel_track.init(
        "project", "jsonl", project_dir="runs", mirror=bucket.url, mirror_interval=0.2, delivery=delivery
    ) as run:
        run.log({"loss": 1.0}, step=0)
    assert there(bucket) == [0]
    (copy,) = mirrored_runs(bucket.url)
    copy.refresh()
    assert copy.load().status == "finished"
    assert not copy.is_live()


@pytest.mark.parametrize("door", ["Accelerator", "AccelTrackLogger"])
def test_every_front_door_has_it(bucket: Bucket, door: str) -> None:
    options = {"mirror": bucket.url, "mirror_interval": 0.2, "delivery": "none"}
    if door == "Accelerator":
        accelerator = accel_track.Accelerator(log_with="jsonl", project_dir="runs", **options)
        accelerator.init_trackers("project")
        accelerator.log({"loss": 1.0}, step=0)
        accelerator.end_training()
    else:
        logger = accel_track.AccelTrackLogger("jsonl", save_dir="runs", **options)
        logger.log_metrics({"loss": 1.0}, 0)
        logger.finish()
    assert there(bucket) == [0]
