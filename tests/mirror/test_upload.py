"""The upload: what is sent, in which order, once each, and never to another journal's place."""

import contextlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import accel_track
from accel_track.journal.directory import RunDirectory
from accel_track.media import Image
from accel_track.mirror.layout import PART, SEGMENT, STARTED, State, decoded
from accel_track.mirror.runs import MirroredRun, mirrored_runs
from accel_track.mirror.store import Store, StoreError
from accel_track.mirror.upload import OtherJournalError, Upload
from tests.support.runs import journaled, only_run
from tests.support.waiting import until


class Noting(Store):
    """A real store that notes what is put into it, and fails when it is told to."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.puts: list[str] = []
        self.bytes, self.left = 0, 10**9

    def put_all(self, objects: Mapping[str, bytes]) -> None:
        for name, data in objects.items():
            if self.left <= 0:
                raise StoreError("the connection is lost")
            self.left -= 1
            super().put_all({name: data})
            if not name.startswith(STARTED):
                self.puts.append(name)
            self.bytes += len(data)


@pytest.fixture
def written(tmp_path: Path) -> RunDirectory:
    """Give the run directory of a run with numbers, an image and an artifact."""
    folder = tmp_path / "artifact folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "weights ü?.bin").write_bytes(np.random.default_rng(0).bytes(PART + 1000))
    (folder / "empty").touch()
    with accel_track.init("project", project_dir="runs", delivery="none", run_name="one") as run:
        for step in range(500):
            run.log({"loss": step / 3}, step=step)
        run.log({"image": Image(np.zeros((30, 20, 3), dtype=np.uint8))}, step=500)
        run.log_artifact(folder, "weights", copy=True)
    return only_run(tmp_path / "runs")


def upload(store: Store, run: RunDirectory) -> Upload:
    return Upload(store, run, 0, 10.0, time.sleep)


def copy_of(url: str) -> MirroredRun:
    (run,) = mirrored_runs(url)
    run.refresh()
    assert run.download.problems == []
    return run


def content(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return the bytes and times of the files that a mirror has to have."""
    kept = [one for one in folder.rglob("*") if one.is_file() and ("media" in one.parts or SEGMENT.fullmatch(one.name))]
    return {
        one.relative_to(folder).as_posix(): (one.read_bytes(), 0 if one.suffix == ".seg" else one.stat().st_mtime_ns)
        for one in kept
        if one.name != "SHA256SUMS"
    }


def test_a_copy_is_what_was_there(url: str, written: RunDirectory) -> None:
    upload(Store(url), written).look({}, over=True)
    copy = copy_of(url)
    assert content(copy.path) == content(written.path)
    assert len(content(copy.path)) == 4
    assert copy.load() == written.load()
    assert not copy.is_live()


def test_what_is_there_is_not_sent_again(url: str, written: RunDirectory) -> None:
    store = Noting(url)
    first = upload(store, written)
    first.look({})
    assert store.bytes > PART
    store.puts.clear()
    first.look({})
    assert [name.rpartition("/")[2] for name in store.puts] == ["mirror.json"]
    store.puts.clear()
    upload(store, written).look({})  # another process, which asks the store
    documents = {"mirror.json", "run.json", "began.json", "beat.json"}
    assert {name.rpartition("/")[2] for name in store.puts} == documents


def test_what_a_record_refers_to_is_there_before_the_record(written: RunDirectory) -> None:
    store = Noting("memory://order")
    upload(store, written).look({})
    kinds = [
        "media" if "/media/" in one else "segment" if ".seg/" in one else one.rpartition("/")[2] for one in store.puts
    ]
    evidence = ["beat.json", "began.json"]
    assert sorted(set(kinds), key=kinds.index) == ["media", "segment", *evidence, "run.json", "mirror.json"]
    assert kinds.index("segment") > max(place for place, kind in enumerate(kinds) if kind == "media")


def test_a_reader_at_any_moment_has_records_whose_media_are_there(written: RunDirectory, tmp_path: Path) -> None:
    url = "memory://moments"
    store, moments = Noting(url), 0
    for allowed in range(1, 50):
        store.left = allowed  # each time a process that is killed behind so many objects
        with contextlib.suppress(StoreError):
            upload(store, written).look({})
        for found in mirrored_runs(url):
            run = MirroredRun(Store(url), found.download.name, tmp_path / "copies" / str(allowed) / written.path.name)
            run.refresh()
            moments += 1
            if run.ranks() and journaled(run):
                assert len(content(run.path)) == 4
                assert journaled(run) == journaled(written)
        if store.puts[-1].endswith("mirror.json"):
            break
    assert store.puts[-1].endswith("mirror.json")
    assert moments >= 1


def test_a_lost_connection_costs_the_rest_only(url: str, written: RunDirectory) -> None:
    store = Noting(url)
    store.left = 3
    sender = upload(store, written)
    with pytest.raises(StoreError):
        sender.look({})
    assert sender.behind > 0
    store.left = 10**9
    sender.look({}, over=True)
    assert sender.behind == 0
    assert content(copy_of(url).path) == content(written.path)


def test_what_was_appended_follows(url: str, tmp_path: Path) -> None:
    run = accel_track.init("project", project_dir="runs", delivery="none", run_name="one")
    run.log({"loss": 1.0}, step=0)
    folder = only_run(tmp_path / "runs")
    store = Noting(url)
    sender = upload(store, folder)
    sender.look({})
    copy = copy_of(url)
    assert journaled(copy) == [0]
    run.log({"loss": 2.0}, step=1)
    sender.look({})
    assert copy.changed()
    assert copy.refresh()
    assert journaled(copy) == [0, 1]
    assert not copy.refresh()
    run.finish()


def test_another_journal_of_the_run_is_left_alone(url: str, written: RunDirectory) -> None:
    upload(Store(url), written).look({})
    before = {name: Store(url).get(name, 2**24) for name in Store(url).sizes("")}
    segment = written.rank() / "00000000.seg"
    for damage in (segment.read_bytes()[:-1], segment.read_bytes()[:-1] + b"x", None):
        segment.unlink() if damage is None else segment.write_bytes(damage)
        with pytest.raises(OtherJournalError, match="another journal"):
            upload(Store(url), written).look({})
    assert {name: Store(url).get(name, 2**24) for name in Store(url).sizes("")} == before


def test_a_state_that_is_being_written_is_none() -> None:
    whole = b'{"time": 1.0, "interval": 10.0, "segments": {"00000000.seg": 12}}'
    assert decoded(whole, State) is not None
    assert all(decoded(whole[:length], State) is None for length in range(len(whole)))


def test_memory_does_not_depend_on_the_size_of_an_artifact(tmp_path: Path, machine_is_gone: Callable[[], None]) -> None:
    import tracemalloc

    (tmp_path / "large").write_bytes(bytes(20 * PART))
    with accel_track.init("project", project_dir="runs", delivery="none") as run:
        run.log_artifact(tmp_path / "large", "large", copy=True)
    url, folder = f"file://{tmp_path}/store", only_run(tmp_path / "runs")
    tracemalloc.start()
    upload(Store(url), folder).look({}, over=True)
    machine_is_gone()
    copy = copy_of(url)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert next(one.stat().st_size for one in copy.path.rglob("large")) == 20 * PART
    assert most < 8 * PART


def test_the_mirror_is_noted_without_a_password(bucket: Any, tmp_path: Path) -> None:
    secret = bucket.url.replace("s3://", "s3://user:hunter2hunter2@")
    with (
        pytest.warns(match="mirror") as told,
        accel_track.init(
            "p", project_dir="runs", delivery="none", mirror=secret, mirror_interval=0.1, finish_timeout=1
        ),
    ):
        until(lambda: len(told))  # the store's package may take longer to import than the end waits
    texts = [one.read_bytes() for one in (tmp_path / "runs").rglob("*") if one.is_file()]
    assert any(b"s3://***@" in one for one in texts)
    assert not any(b"hunter2" in one for one in texts)
