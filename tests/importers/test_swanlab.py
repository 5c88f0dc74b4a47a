"""SwanLab's log files, written with SwanLab itself, read by the source."""

import io
import math
import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from swanlab.proto.swanlab.record.v1.record_pb2 import Record
from swanlab.sdk.internal.core_python.store import DataStoreWriter

from accel_track import media
from accel_track.errors import NotReadableError
from accel_track.importers.swanlab import SwanLabSource
from accel_track.outcome import Outcome
from accel_track.trackers.swanlab.log_file import payloads
from tests.support import warm
from tests.support.imports import Found
from tests.support.processes import PROGRAMS, PYTHON


def write(folder: Path, what: str, code: int = 0) -> None:
    """Run the program that writes runs."""
    work = folder / f"work-{what}"
    work.mkdir(parents=True)
    command = [PYTHON, str(PROGRAMS / "raw_swanlab.py"), what, str(folder / "logs")]
    done = warm.run(command, timeout=120, cwd=work, env=dict(os.environ))
    assert done.returncode == code, done.stdout + done.stderr


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("swanlab")
    write(folder, "whole")
    write(folder, "killed", -9)
    return folder / "logs"


@pytest.fixture
def logs(written: Path, tmp_path: Path) -> Path:
    """Return a copy, deep in a folder."""
    return shutil.copytree(written, tmp_path / "a" / "b" / "logs", symlinks=True)


def read(place: Path) -> dict[str | None, Found]:
    """Return what the source finds, by the names of runs."""
    assert SwanLabSource.recognises(str(place))
    found = {}
    for run in SwanLabSource(str(place)).runs():
        name = run.name if run.project != "other" else "other"
        assert name not in found
        found[name] = Found(run, place.parent / f"scratch-{run.id}")
    return found


def log_file(logs: Path, name: str) -> Path:
    """Return the newest log file of a run."""
    return max(path for path in logs.rglob("*.swanlab") if name.encode() in next(payloads(path)))


def test_numbers_and_texts(logs: Path) -> None:
    found = read(logs.parent.parent)
    assert list(found) == ["first", "second", "other", "killed"]
    first = found["first"]
    assert first.run.project == "digits"
    assert math.isnan(first.run.config.pop("bad"))
    wanted = {"lr": 1e-5, "model": {"layers": 3, "sizes": [1, 2]}, "date": "2025-01-01", "on": "yes"}
    assert first.run.config == wanted
    assert first.run.outcome == Outcome("finished")
    losses = first.points["loss"]
    assert losses[:20] == [(step, 1 / (step + 1)) for step in range(20)]
    assert losses[20][0] == 20
    assert math.isnan(losses[20][1])
    assert first.points["train/acc"] == [(step, step) for step in range(20)]
    assert (first.points["up"], first.points["down"]) == ([(20, math.inf)], [(20, -math.inf)])
    assert first.points["counted"] == [(21, 1.0)]
    assert first.points["text"] == [(30, "hello")]
    created = first.run.created
    assert created is not None
    assert all(0 <= record.time - created < 60 for record in first.records)
    assert first.records[0].values == {"loss": 1.0, "train/acc": 0.0}
    assert not any(name.startswith("__") for name in first.points)


def test_media(logs: Path) -> None:
    first = read(logs)["first"]
    assert {step for some in first.media.values() for step, _ in some} == {30}
    kinds = {name: [type(medium) for _, medium in some] for name, some in first.media.items()}
    assert kinds == {
        "long": [media.Text], "image": [media.Image], "several": [media.Image] * 2, "moving": [media.Video],
        "page": [media.Html], "points": [media.Points3D], "coloured": [media.Points3D], "table": [media.Table],
    }  # fmt: skip
    one = {name: some[0][1] for name, some in first.media.items()}
    pixels = np.arange(144, dtype=np.uint8).reshape(8, 6, 3)
    assert np.array_equal(one["image"].array()[..., :3], pixels)
    assert np.array_equal(first.media["several"][1][1].array()[..., :3], pixels[::-1])
    captions = [medium.caption for some in first.media.values() for _, medium in some]
    assert captions == ["", "noise", "one", "two", "v", "p", "o", "", ""]
    assert one["page"].content().data == "<b>ü</b>".encode()
    assert (one["table"].columns, one["table"].rows) == (["n", "x"], [[1, 0.5], [2, "two"]])
    assert np.load(io.BytesIO(one["points"].content().data)).shape == (4, 3)
    assert np.load(io.BytesIO(one["coloured"].content().data)).shape == (2, 6)
    assert first.artifact("bars").type == "echarts"


def test_saved_files(logs: Path) -> None:
    """A link to a file elsewhere is not followed."""
    first = read(logs)["first"]
    assert first.files["own/b.txt"] == {"b.txt": b"two"}
    assert dict(first.run.lost) == {"a file that the source names is outside of its folder, and was not read": 1}


def test_a_run_in_several_folders(logs: Path) -> None:
    """It is one, with the first value of each step, as SwanLab has it."""
    second = read(logs)["second"]
    assert second.run.id == "theid123"
    assert second.points["loss"] == [
        *((step, float(step)) for step in range(5)),
        *((step, step + 100.0) for step in (5, 6, 7)),
    ]
    assert second.run.config == {"never": 1, "allow": 1}
    assert second.run.outcome == Outcome("failed", "no more")


@pytest.mark.long
def test_an_aborted_and_a_killed_run(logs: Path) -> None:
    found = read(logs)
    assert found["other"].run.outcome == Outcome("interrupted")
    killed = found["killed"]
    assert killed.run.outcome is None
    points = killed.points["loss"]
    assert len(points) > 1000
    assert points == [(step, step / 7) for step in range(len(points))]
    assert sum(killed.run.lost.values()) <= 1
    assert all("cut off" in one for one in killed.run.lost)


def test_nothing_is_changed(logs: Path) -> None:
    def state() -> dict[Path, tuple[int, bytes]]:
        return {one: (one.stat().st_mtime_ns, one.read_bytes()) for one in logs.rglob("*") if one.is_file()}

    before = state()
    read(logs)
    assert state() == before


def test_a_cut_anywhere(logs: Path) -> None:
    """What is before it is read, in order, and that something is lost is said."""
    path = log_file(logs, "first")
    data = path.read_bytes()
    whole = list(payloads(path))
    for size in range(7, len(data) - 1, 37):
        path.write_bytes(data[:size])
        lost: Counter[str] = Counter()
        found = list(payloads(path, lost))
        assert found == whole[: len(found)]
        assert sum(len(one) + 7 for one in found) == size - 7 or lost
    path.write_bytes(data[: len(data) // 2])
    assert read(path)["first"].run.lost["the end of a file of records, which is cut off"] == 1


def test_damage_in_the_middle(logs: Path) -> None:
    """Reading goes on with the next block."""
    path = log_file(logs, "killed")
    data, before = bytearray(path.read_bytes()), read(path)["killed"].points["loss"]
    assert len(data) > 5 * 32768
    data[2 * 32768 + 500] ^= 0xFF
    path.write_bytes(data)
    after = read(path)["killed"]
    assert len(before) - 1500 < len(after.points["loss"]) < len(before)
    assert after.points["loss"][-1] == before[-1]
    assert after.run.lost["a damaged block of a file of records"] >= 1


def test_flipped_bytes(logs: Path) -> None:
    """Nothing is raised, whatever the damage."""
    path, random = log_file(logs, "first"), np.random.default_rng(0)
    files = [
        path,
        *(one for one in path.parent.rglob("*.*") if one.is_file() and one.suffix in (".json", ".png", ".yaml")),
    ]
    whole = {one: one.read_bytes() for one in files}
    for number in range(60):
        for one, data in whole.items():
            damaged = bytearray(data)
            for place in random.integers(0, len(data), 1 + len(data) // 4000):
                damaged[place] ^= 0xFF
            one.write_bytes(damaged)
        for run in SwanLabSource(str(path)).runs() if SwanLabSource.recognises(str(path)) else ():
            Found(run, logs / f"scratch-{number}")


def test_hostile_records(logs: Path, tmp_path: Path) -> None:
    """No file is read that is not in the run's folder."""
    (tmp_path / "secret.png").write_bytes(next(logs.rglob("*.png")).read_bytes())
    folder = tmp_path / "run-1-evil"
    (folder / "media" / "image").mkdir(parents=True)
    (folder / "files").mkdir()
    (folder / "media" / "image" / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "files" / "config.yaml").write_text("a: !!python/object/apply:os.system ['touch evil']")
    writer = DataStoreWriter()
    writer.open(folder / "run-evil.swanlab")
    names = ["../../../secret.png", str(tmp_path / "secret.png"), "link.png", "a\0b", "", "." * 5000]
    for name in names:
        record = Record()
        record.media.key, record.media.type = "x", 2
        record.media.value.items.add().filename = name
        writer.write(record.SerializeToString())
        record = Record()
        record.save.name = record.save.source_path = name
        writer.write(record.SerializeToString())
    record = Record()
    record.scalar.key, record.scalar.step = "m", -5
    writer.write(record.SerializeToString())
    writer.write(b"\xff\xff\xff")
    writer.close()
    (run,) = SwanLabSource(str(folder)).runs()
    found = Found(run, tmp_path / "scratch")
    assert found.points == {"m": [(None, 0.0)]}
    assert not found.media
    assert not found.files
    assert sum(run.lost.values()) == 2 * len(names) + 3
    assert not Path("evil").exists()
    assert not (folder / "evil").exists()


def test_aliases_that_grow(logs: Path) -> None:
    """A small file of hyperparameters that stands for billions is none."""
    path = log_file(logs, "first")
    lines = [
        "a0: &a0 {value: [1, 1]}",
        *(f"a{n}: &a{n} {{value: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 12)),
    ]
    (path.parent / "files" / "config.yaml").write_text("\n".join(lines))
    assert read(path)["first"].run.lost["hyperparameters, of which the file is damaged"] == 1


def test_other_places(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "garbage.swanlab").write_bytes(os.urandom(10_000))
    (tmp_path / "none.swanlab").touch()
    for place in (
        tmp_path / "empty",
        tmp_path / "garbage.swanlab",
        tmp_path / "none.swanlab",
        tmp_path / "gone",
        tmp_path,
    ):
        assert not SwanLabSource.recognises(str(place))
        with pytest.raises(NotReadableError, match="swanlab"):
            list(SwanLabSource(str(place)).runs())


def test_only_a_head(tmp_path: Path) -> None:
    """A process that was killed as it began."""
    path = tmp_path / "run-20250101_000000-abc" / "run-abc.swanlab"
    path.parent.mkdir()
    path.write_bytes(b":SWL" + (0xE1D6).to_bytes(2, "little") + b"\2")
    (run,) = SwanLabSource(str(tmp_path)).runs()
    assert (run.id, list(run.records(tmp_path))) == ("abc", [])
