"""Buckets with what somebody else has put there: nothing leaves the cache, the rest is read, and all is told."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import accel_track
from accel_track.cli import app
from accel_track.mirror.layout import part_of
from accel_track.mirror.runs import mirrored_runs
from accel_track.mirror.store import Store
from tests.support.runs import journaled
from tests.support.waiting import until


@pytest.fixture
def store(url: str) -> Store:
    """Give a store with one good run."""
    with accel_track.init("project", project_dir="runs", delivery="none", mirror=url, run_name="good") as run:
        for step in range(10):
            run.log({"loss": 1.0}, step=step)
    return Store(url)


def run_name(store: Store) -> str:
    (name,) = store.folders("project")
    return f"project/{name}"


def outside(tmp_path: Path) -> set[str]:
    """Return what there is outside of the cache."""
    return {
        str(one)
        for one in (*tmp_path.rglob("*"), *tmp_path.parent.glob("*"))
        if "cache" not in one.parts and "store" not in one.parts
    }


def only(url: str) -> Any:
    (run,) = mirrored_runs(url)
    run.refresh()
    return run


EVIL = [
    "rank-00000/media/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/evil",
    "rank-00000/media/0123abcd/%2e%2e%2f%2e%2e%2fevil",
    "rank-00000/media/0123abcd/%2fetc%2fevil",
    "rank-00000/media/evil",
    "rank-00000/evil.seg",
    "rank-99999999/media/0123abcd/evil",
    "evil/evil",
]


@pytest.mark.first(4)
@pytest.mark.parametrize("evil", EVIL)
def test_no_name_leaves_the_folder(store: Store, url: str, tmp_path: Path, evil: str) -> None:
    store.put(f"{run_name(store)}/{evil}/{part_of(b'evil', 0, 1).name}", b"evil")
    before = outside(tmp_path)
    run = only(url)
    assert journaled(run) == list(range(10))
    assert outside(tmp_path) == before
    assert not list((tmp_path / "cache").rglob("*evil*"))


def test_names_of_trackers_stay_in_their_folder(store: Store, url: str, tmp_path: Path) -> None:
    for number, name in enumerate(("../../../evil", "..", "/tmp/evil", "a/b", "\0")):
        document = {"name": name, "cursor": {"seq": 1}, "tracker": {}}
        store.put(f"{run_name(store)}/rank-00000/trackers/{number}.json", json.dumps(document).encode())
    before = outside(tmp_path)
    result = CliRunner().invoke(app, ["show", url])
    assert result.exit_code in (0, 2)
    assert outside(tmp_path) == before


@pytest.mark.first(6)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\x80\x04evil",
        b'{"run_id": "../../evil", "project": "project", "created": 0}',
        b'{"run_id": "other", "project": "project", "created": 0}',
        b"[" * 100_000,
        b'{"run_id": "' + b"x" * (17 * 1024 * 1024) + b'"}',
    ],
    ids=["empty", "half", "array", "null", "pickle", "path", "other", "deep", "huge"],
)
def test_a_bad_run_is_told_and_costs_the_others_nothing(store: Store, url: str, tmp_path: Path, content: bytes) -> None:
    store.put("project/bad/run.json", content)
    before = outside(tmp_path)
    result = CliRunner().invoke(app, ["ls", url, "--json"])
    assert result.exit_code == 1
    found = {Path(one["path"]).name: one for one in json.loads(result.stdout)}
    assert found.pop("bad")["error"]
    (good,) = found.values()
    assert (good["records"], good["error"]) == (10, None)
    assert outside(tmp_path) == before


def test_garbage_in_place_of_parts_is_counted(store: Store, url: str) -> None:
    start = f"{run_name(store)}/rank-00000/00000000.seg"
    for name, size in store.sizes(start).items():
        store.put(f"{start}/{name}", b"x" * size)
    store.put(f"{start}/garbage", b"x")
    result = CliRunner().invoke(app, ["verify", url])
    assert "is not what its name says" in result.output
    assert "missing or damaged in the store" in result.output
    assert result.exit_code != 0


def test_a_part_that_is_missing_ends_what_is_read(url: str) -> None:
    run = accel_track.init("project", project_dir="runs", delivery="none", mirror=url, mirror_interval=0.05)
    store, steps = Store(url), itertools.count()

    def start() -> str:
        return f"{run_name(store)}/rank-00000/00000000.seg"

    def has_several_parts() -> bool:
        run.log({"loss": 1.0}, step=next(steps))
        return bool(store.folders("project")) and len(store.sizes(start())) > 3

    until(has_several_parts)
    run.finish()
    store.delete(f"{start()}/{sorted(store.sizes(start()))[2]}")
    copy = only(url)
    assert copy.download.problems
    assert journaled(copy) == list(range(len(journaled(copy))))
    assert len(journaled(copy)) < next(steps)


def test_a_half_written_part_waits(url: str, store: Store) -> None:
    """As a reader sees one in a folder, or over sftp, while it is written."""
    start = f"{run_name(store)}/rank-00000/00000000.seg"
    name = max(store.sizes(start))
    whole = store.get(f"{start}/{name}", 2**24)
    assert whole
    store.put(f"{start}/{name}", whole[: len(whole) // 2])
    run = only(url)
    for _ in range(2):
        assert run.download.problems
        run.refresh()
    store.put(f"{start}/{name}", whole)
    run.refresh()
    assert run.download.problems == []
    assert journaled(run) == list(range(10))


def test_a_later_version_is_refused(store: Store, url: str) -> None:
    store.put(f"{run_name(store)}/rank-00000/mirror.json", b'{"time": 0, "interval": 10, "version": 2}')
    result = CliRunner().invoke(app, ["show", url])
    assert result.exit_code == 2
    assert "upgrade" in result.output
