"""Aim's repositories, written with Aim itself, read by the source."""

import math
import os
import shutil
from pathlib import Path
from typing import Any

import aim
import numpy as np
import pytest

from accel_track import media
from accel_track.errors import NotReadableError
from accel_track.importers.aim import AimSource
from accel_track.media.fallbacks import stored
from accel_track.outcome import Outcome
from accel_track.trackers.aim.reading import run_hashes
from tests.support import warm
from tests.support.imports import Found
from tests.support.processes import PROGRAMS, PYTHON


def write(folder: Path, what: str, code: int = 0) -> None:
    """Run the program that writes runs."""
    work = folder / f"work-{what}"
    work.mkdir(parents=True)
    command = [PYTHON, str(PROGRAMS / "raw_aim.py"), what, str(folder / "repository")]
    done = warm.run(command, timeout=120, cwd=work, env=dict(os.environ))
    assert done.returncode == code, done.stdout + done.stderr


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("aim")
    (folder / "repository").mkdir()
    write(folder, "whole")
    write(folder, "killed", -9)
    return folder / "repository"


@pytest.fixture
def repository(written: Path, tmp_path: Path) -> Path:
    """Return a copy, deep in a folder, with the folder of artifacts beside it."""
    return shutil.copytree(written, tmp_path / "a" / "b" / "repository")


def read(place: Path) -> dict[str | None, Found]:
    """Return what the source finds, by the names of runs."""
    assert AimSource.recognises(str(place))
    return {run.name: Found(run, place.parent / f"scratch-{run.id}") for run in AimSource(str(place)).runs()}


def test_numbers_and_texts(repository: Path) -> None:
    found = read(repository.parent.parent)
    assert set(found) == {"first", "second", "killed"}
    first = found["first"]
    assert first.run.project == "digits"
    model = {"layers": 3, "sizes": [1, 2, "x"]}
    assert first.run.config == {"lr": 0.5, "model": model, "none": None, "on": True, "seed": 7}
    assert first.run.outcome == Outcome("finished")
    for subset in ("train", "val"):
        assert first.points[f"{subset}/loss"] == [(step, 1 / (step + 1)) for step in range(20)]
        assert first.points[f"{subset}/acc"] == [(step, step) for step in range(20)]
    plain = dict(first.points["plain"])
    assert plain == {step: 99.0 if step == 3 else step / 7 for step in range(20)}
    assert math.isnan(first.points["bad"][0][1])
    assert first.points["bad"][1] == (1, math.inf)
    assert first.points["mixed"] == [(0, 3), (1, 3.5)]
    assert first.points["text"] == [(2, "hello")]
    created = first.run.created
    assert created is not None
    assert all(-1 < record.time - created < 60 for record in first.records)
    assert not any(name.startswith("__") for name in first.points)
    assert not first.run.lost


def test_values_of_one_step_are_together(repository: Path) -> None:
    first = read(repository)["first"]
    row = {"train/loss", "train/acc", "val/loss", "val/acc", "plain"}
    assert set(first.records[0].values) == row
    assert set(first.records[10].values) == row
    times = [record.time for record in first.records[:20]]
    assert times == sorted(times)


def test_contexts(repository: Path) -> None:
    """No two sequences have one name."""
    second = read(repository)["second"].points
    assert sorted(second.values()) == [[(0, 1.0)], [(0, 2.0)], [(0, 3.0)]]
    assert "2/val/loss" in second
    assert "val/loss" in second
    assert len(second) == 3


def test_media(repository: Path, tmp_path: Path) -> None:
    first = read(repository)["first"]
    kinds = {name: [type(medium) for _, medium in some] for name, some in first.media.items()}
    assert kinds == {
        "texts": [media.Text] * 2, "image": [media.Image], "several": [media.Image] * 2, "moving": [media.Video],
        "histogram": [media.Histogram], "sound": [media.Audio],
    }  # fmt: skip

    def picture(name: str, place: int) -> Any:
        return stored(first.media[name][place][1], tmp_path / "stored").array()

    pixels = np.arange(144, dtype=np.uint8).reshape(8, 6, 3)
    assert first.media["image"][0][0] == 4
    assert np.array_equal(picture("image", 0), pixels)
    assert np.array_equal(picture("several", 1), pixels[::-1])
    assert [one.caption for _, one in first.media["several"]] == ["one", ""]
    assert first.media["sound"][0][1].caption == "hum"
    histogram = first.media["histogram"][0][1].content().info
    assert (histogram["counts"], histogram["edges"]) == ([2] * 5, pytest.approx(np.linspace(0, 9, 6).tolist()))


def test_artifacts(repository: Path) -> None:
    """Those beside the repository are read, also where both have been moved; others are counted."""
    found = read(repository)
    assert found["first"].files == {"deep/a.txt": {"a.txt": b"one"}}
    assert found["second"].files == {}
    assert dict(found["second"].run.lost) == {"a file that the source names is not there": 1}


def test_a_killed_run(repository: Path) -> None:
    killed = read(repository)["killed"]
    assert killed.run.outcome is None
    assert killed.points["loss"] == [(step, step / 7) for step in range(500)]
    assert killed.points["acc"] == [(step, step) for step in range(500)]
    assert [len(record.values) for record in killed.records] == [2] * 500
    assert not killed.run.lost


def test_nothing_is_changed(repository: Path) -> None:
    def state() -> dict[Path, tuple[int, bytes]]:
        return {
            one: (one.stat().st_mtime_ns, one.read_bytes() if one.is_file() else b"") for one in repository.rglob("*")
        }

    before = state()
    read(repository)
    assert state() == before


def test_a_run_that_is_going_on(tmp_path: Path) -> None:
    """It is read from its files while Aim has them open."""
    run = aim.Run(repo=str(tmp_path), system_tracking_interval=None, capture_terminal_logs=False)
    run.track(0.5, name="loss", step=0)
    (found,) = read(tmp_path).values()
    assert found.points["loss"] == [(0, 0.5)]
    assert found.run.outcome is None
    run.track(0.25, name="loss", step=1)
    run.close()
    (found,) = read(tmp_path).values()
    assert found.points["loss"] == [(0, 0.5), (1, 0.25)]


def files(repository: Path, name: str) -> list[Path]:
    """Return the files of a run's databases."""
    (run,) = (one for one in AimSource(str(repository)).runs() if one.name == name)
    return [one for one in (repository / ".aim").glob(f"*/chunks/{run.id}/*") if one.stat().st_size]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_truncated_files(repository: Path, share: float) -> None:
    """What there is less of is said."""
    for path in files(repository, "killed"):
        if path.suffix in (".log", ".sst"):
            os.truncate(path, int(path.stat().st_size * share))
    found = read(repository)
    assert len(found["first"].points["plain"]) == 20
    killed = found["killed"]
    assert killed.run.lost or len(killed.points["loss"]) < 500


@pytest.mark.long
def test_flipped_bytes(repository: Path) -> None:
    """Nothing is raised, whatever the damage."""
    random, paths = np.random.default_rng(0), files(repository, "first")
    (repository / ".aim" / "run_metadata.sqlite").write_bytes(b"nothing")
    whole = {one: one.read_bytes() for one in paths}
    for number in range(25):
        for one, data in whole.items():
            damaged = bytearray(data)
            for place in random.integers(0, len(data), 1 + len(data) // 1000):
                damaged[place] ^= 0xFF
            one.write_bytes(damaged)
        for run in AimSource(str(repository)).runs():
            assert run.lost
            Found(run, repository / f"scratch-{number}-{run.id}")


def test_artifacts_that_lead_elsewhere(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    kept = next((repository / "kept").rglob("a.txt"))
    kept.unlink()
    kept.symlink_to(tmp_path / "secret.txt")
    first = read(repository)["first"]
    assert not first.files
    assert dict(first.run.lost) == {"a file that the source names is outside of its folder, and was not read": 1}


def test_a_run_that_is_a_link(repository: Path, tmp_path: Path) -> None:
    """It is left out, with what it leads to."""
    other = tmp_path / "other" / ".aim"
    for kind in ("meta", "seqs"):
        (other / kind / "chunks").mkdir(parents=True)
    chunk = next((repository / ".aim" / "meta" / "chunks").iterdir())
    (other / "meta" / "chunks" / chunk.name).symlink_to(chunk)
    assert run_hashes(other) == []


def test_other_places(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "x" / ".aim").mkdir(parents=True)
    (tmp_path / "file.aim").write_bytes(os.urandom(100))
    for place in (tmp_path / "empty", tmp_path / "x", tmp_path / "file.aim", tmp_path / "gone", tmp_path):
        assert not AimSource.recognises(str(place))
        with pytest.raises(NotReadableError, match="aim"):
            list(AimSource(str(place)).runs())


def test_garbage(tmp_path: Path) -> None:
    """A folder that looks like a repository, without one in it."""
    for kind in ("meta", "seqs"):
        (tmp_path / ".aim" / kind / "chunks" / "abc").mkdir(parents=True)
        (tmp_path / ".aim" / kind / "chunks" / "abc" / "CURRENT").write_text("garbage\n")
    (run,) = AimSource(str(tmp_path)).runs()
    found = Found(run, tmp_path / "scratch")
    assert not found.records
    assert len(run.lost) == 3


def test_no_room_to_sort_in(repository: Path) -> None:
    """It is no damage of the source."""
    (run, *_) = AimSource(str(repository)).runs()
    with pytest.raises(OSError, match="cannot be sorted"):
        list(run.records(repository / "nowhere"))
    assert not run.lost


def test_hostile_sequences(tmp_path: Path) -> None:
    """Each value that is none is counted, and the others are there."""
    run = aim.Run(repo=str(tmp_path), system_tracking_interval=None, capture_terminal_logs=False)
    run.track(True, name="flag", step=0)
    for name in ("good", "step", "time", "value", "object"):
        for step in range(4):
            run.track(step / 2, name=name, step=step)
    run.track(aim.Text("t"), name="text", step=0)
    run.track(aim.Text("t"), name="gone", step=0)
    run.track(aim.Text("t"), name="minus", step=-3)
    context = aim.storage.context.Context({}).idx
    series = run.series_run_trees[2]
    key = aim.storage.hashing.hash_auto(2)
    container = series.container
    encode_path = __import__("aim.storage.encoding", fromlist=["x"]).encode_path
    container[encode_path((context, "time", "time", key))] = b"\x04a text"
    container[encode_path((context, "value", "val", key))] = b"\x03x"
    del container[encode_path((context, "step", "step", key))]
    run.series_run_trees[1][context, "gone", "val", 0] = 7
    run.series_run_trees[1][context, "text", "val", 0] = aim.sdk.logging.log_record.LogRecord("x", 1)
    run.close()
    (found,) = read(tmp_path).values()
    whole = [(step, step / 2) for step in range(4)]
    assert found.points["good"] == found.points["object"] == whole
    rest = [(step, value) for step, value in whole if step != 2]
    assert found.points["time"] == found.points["value"] == found.points["step"] == rest
    assert found.points["flag"] == [(0, True)]
    assert found.points["gone"] == [(0, 7)]
    assert dict(found.run.lost) == {
        "a value whose step is none, or whose time is none": 1,
        "a value without its step or its time": 1,
        "a number that is damaged": 2,
        "an object of the kind LogRecord": 1,
    }
