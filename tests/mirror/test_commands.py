"""The commands with URLs of mirrors: they say of a run in a store what they say of it here."""

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import accel_track
from accel_track.cli import app
from accel_track.media import Image
from accel_track.mirror.earlier import fetch_rank
from accel_track.mirror.runs import mirrored_runs
from accel_track.mirror.store import Store
from tests.support.runs import only_run
from tests.support.stores import Bucket, Proxy
from tests.support.waiting import until


def invoke(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [*map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.stdout


@pytest.fixture
def names(bucket: Bucket) -> list[str]:
    """Log two runs."""
    for name in ("one", "two"):
        with accel_track.init(
            "project", project_dir="runs", delivery="none", mirror=bucket.url, run_name=name, config={"lr": 0.1}
        ) as run:
            for step in range(20):
                run.log({"loss": step / 3}, step=step)
            run.log({"image": Image(np.zeros((20, 20, 3), dtype=np.uint8))}, step=20)
    return ["one", "two"]


def same(one: Any) -> Any:
    return (
        {key: value for key, value in one.items() if key not in ("path", "mirrored")} if isinstance(one, dict) else one
    )


@pytest.mark.long
def test_ls_and_show_say_the_same(bucket: Bucket, names: list[str]) -> None:
    here, there = json.loads(invoke("ls", "runs", "--json")), json.loads(invoke("ls", bucket.url, "--json"))
    assert list(map(same, here)) == list(map(same, there))
    assert sorted(one["name"] for one in there) == names
    for local, stored in zip(here, there, strict=True):
        assert stored["path"].startswith(bucket.url)
        ours, theirs = (json.loads(invoke("show", one["path"], "--json")) for one in (local, stored))
        assert same(ours) == same(theirs)
        assert stored["path"] in invoke("show", stored["path"])


@pytest.mark.usefixtures("names")
def test_verify_and_export(bucket: Bucket, tmp_path: Path) -> None:
    (url, _) = (one["path"] for one in json.loads(invoke("ls", bucket.url, "--json")))
    assert "everything is there" in invoke("verify", url)
    invoke("export", url, "--format", "jsonl", "--output", tmp_path / "out.jsonl")
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert len(lines) >= 21


@pytest.mark.long
@pytest.mark.usefixtures("names")
def test_one_run_is_meant_where_one_is_needed(bucket: Bucket) -> None:
    result = CliRunner().invoke(app, ["show", bucket.url])
    assert result.exit_code == 2
    assert "holds 2 runs" in result.output
    result = CliRunner().invoke(app, ["show", f"{bucket.url}/nothing"])
    assert result.exit_code == 2
    assert "there is no run" in result.output
    assert "no runs below" in invoke("ls", f"{bucket.url}/nothing")


def test_sync_delivers_all_runs_below_a_url_once(bucket: Bucket, names: list[str], tmp_path: Path) -> None:
    for _ in range(2):
        invoke("sync", bucket.url, "--to", "jsonl")
    files = sorted(tmp_path.glob("project/*/metrics.jsonl"))
    assert [one.parent.name for one in files] == names
    assert [len(one.read_text().splitlines()) for one in files] == [21, 21]


def test_a_folder_that_holds_a_mirror_is_one(tmp_path: Path) -> None:
    with accel_track.init("project", project_dir="runs", delivery="none", mirror=f"file://{tmp_path}/mounted") as run:
        run.log({"loss": 1.0}, step=0)
    path = only_run(tmp_path / "runs").path
    for text in (tmp_path / "mounted", f"file://{tmp_path}/mounted"):
        (found,) = json.loads(invoke("ls", text, "--json"))
        assert (found["records"], found["run_id"]) == (1, path.name)


def test_an_address_that_needs_a_package_says_so() -> None:
    import importlib.util

    if importlib.util.find_spec("gcsfs") is None:
        for command in ("ls", "show", "sync", "verify"):
            result = CliRunner().invoke(app, [command, "gs://bucket/x"])
            assert result.exit_code == 2
            assert "accel-track[gs]" in " ".join(result.output.split())


def test_a_run_is_kept_as_long_as_its_mirror_lacks_something(bucket: Bucket, proxy: Proxy, tmp_path: Path) -> None:
    with accel_track.init(
        "project", "jsonl", project_dir="runs", mirror=bucket.url, mirror_interval=0.2, finish_timeout=5
    ) as run:
        run.log({"loss": 1.0}, step=0)
        until(lambda: list(mirrored_runs(bucket.url)))
        proxy.is_down = True
        proxy.hang_up()
        run.log({"loss": 1.0}, step=1)
        warnings.simplefilter("ignore")
    assert "its mirror" in invoke("prune", "runs", "--older-than", 0, "--dry-run")
    proxy.is_down = False
    invoke("sync", only_run(tmp_path / "runs").path)
    assert "its mirror" not in invoke("prune", "runs", "--older-than", 0, "--dry-run")


def test_a_rank_without_its_folder_fetches_it(bucket: Bucket, tmp_path: Path) -> None:
    with accel_track.init("project", project_dir="runs", delivery="none", mirror=bucket.url) as run:
        for step in range(50):
            run.log({"loss": 1.0}, step=step)
    here = only_run(tmp_path / "runs")
    before = (here.rank() / "00000000.seg").read_bytes()
    shutil.rmtree(here.rank())
    fetch_rank(Store(bucket.url), here, 0)
    assert (here.rank() / "00000000.seg").read_bytes() == before
