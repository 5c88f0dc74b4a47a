"""Trackio's databases, written with Trackio itself, read by the source."""

import io
import json
import math
import os
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import trackio as _trackio  # noqa: F401 - what writes the runs

from accel_track import media
from accel_track.errors import NotReadableError
from accel_track.importers.trackio import TrackioSource
from accel_track.trackers.reading.database import opened
from tests.support import warm
from tests.support.imports import Found
from tests.support.processes import PROGRAMS, PYTHON


def write(folder: Path, what: str, project: str, code: int = 0, **variables: str) -> None:
    """Run the program that writes runs."""
    work = folder / f"work-{what}"
    work.mkdir(parents=True)
    command = [PYTHON, str(PROGRAMS / "raw_trackio.py"), what, project]
    done = warm.run(
        command, timeout=120, cwd=work, env={**os.environ, "TRACKIO_DIR": str(folder / "store"), **variables}
    )
    assert done.returncode == code, done.stdout + done.stderr


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trackio")
    write(folder, "whole", "my.digits")
    write(folder, "killed", "crash", -9)
    return folder / "store"


@pytest.fixture
def store(written: Path, tmp_path: Path) -> Path:
    """Return a copy, deep in a folder."""
    return shutil.copytree(written, tmp_path / "a" / "b" / "store")


def read(place: Path) -> dict[str | None, Found]:
    """Return what the source finds, by the names of runs."""
    assert TrackioSource.recognises(str(place))
    return {run.name: Found(run, place.parent / f"scratch-{run.name}") for run in TrackioSource(str(place)).runs()}


def test_numbers_and_texts(store: Path) -> None:
    found = read(store.parent.parent)
    assert set(found) == {"first", "second", "killed"}
    first = found["first"]
    assert first.run.project == "mydigits"
    assert first.run.config.pop("bad") is not None
    assert first.run.config == {"lr": 0.5, "model": {"layers": 3, "sizes": [1, 2]}, "note": "ü"}
    assert first.run.outcome is None
    losses = first.points["loss"]
    assert losses[:21] == [*((step, 1 / (step + 1)) for step in range(20)), (3, 9.0)]
    assert math.isnan(losses[21][1])
    assert first.points["train/acc"] == [(step, step) for step in range(20)]
    assert (first.points["up"], first.points["down"]) == ([(20, math.inf)], [(20, -math.inf)])
    assert first.points["text"] == [(20, "hello")]
    assert (first.points["step"], first.points["__odd"]) == ([(21, 1)], [(21, 2)])
    assert first.points["list"] == [(21, 1), (21, 2.5)]
    created = first.run.created
    assert created is not None
    assert all(0 <= record.time - created < 60 for record in first.records)
    assert len(found["second"].points["loss"]) == 2
    assert found["second"].run.config == {"lr": 0.25}


def test_values_of_one_call_are_together(store: Path) -> None:
    first = read(store)["first"]
    assert first.records[0].values == {"loss": 1.0, "train": {"acc": 0}, "count": 0}


def test_media(store: Path) -> None:
    first = read(store)["first"]
    (one,) = ({name: medium for name, ((_, medium),) in first.media.items()},)
    assert {step for some in first.media.values() for step, _ in some} == {22}
    assert np.array_equal(one["image"].array()[..., :3], np.arange(144, dtype=np.uint8).reshape(8, 6, 3))
    assert one["image"].caption == "noise"
    kinds = {name: type(medium) for name, medium in one.items()}
    assert kinds == {
        "image": media.Image, "moving": media.Video, "sound": media.Audio, "film": media.Video, "page": media.Html,
        "points": media.Points3D, "table": media.Table, "histogram": media.Histogram, "report": media.Text,
    }  # fmt: skip
    assert one["sound"].caption == "hum"
    assert one["page"].content().data == "<b>ü</b>".encode()
    assert np.array_equal(np.load(io.BytesIO(one["points"].content().data)), np.arange(12).reshape(4, 3))
    assert (one["table"].columns, one["table"].rows) == (["n", "x"], [[1, 0.5], [2, "two"]])
    assert one["histogram"].content().info["counts"] == [2] * 5
    assert one["report"].content().info == {"text": "# Title"}
    assert list(first.files["model3d"].values()) == [b"v 0 0 0\n"]


def test_artifacts(store: Path) -> None:
    found = read(store)
    assert found["first"].files["data"] == {"a.txt": b"one", "deep/b.bin": b"two"}
    artifact = found["first"].artifact("data")
    assert (artifact.type, artifact.values) == ("dataset", {"rows": 3})
    assert found["second"].files == {"again": {"a.txt": b"one"}}


def test_what_has_no_form_is_counted(store: Path) -> None:
    first = read(store)["first"]
    assert dict(first.run.lost) == {"a value that is neither number, text nor medium": 1}


def test_a_killed_run(store: Path) -> None:
    killed = read(store)["killed"]
    assert killed.points["loss"] == [(step, step / 7) for step in range(100)]
    assert not killed.run.lost


def test_nothing_is_changed(store: Path) -> None:
    """Also where nothing can be: of files and of the folder."""

    def state() -> dict[Path, tuple[int, bytes]]:
        return {one: (one.stat().st_mtime_ns, one.read_bytes()) for one in store.rglob("*") if one.is_file()}

    before = state()
    read(store)
    assert state() == before


def test_damaged_rows(store: Path) -> None:
    with closing(sqlite3.connect(store / "mydigits.db")) as connection:
        connection.execute("update metrics set metrics = '{\"loss\": ' where step = 5")
        connection.execute("update metrics set metrics = ? where step = 6", ("[" * 100_000,))
        deep = '{"a":' * 700 + "1" + "}" * 700
        connection.execute("update metrics set metrics = ? where step = 9", ('{"count": 9, "deep": ' + deep + "}",))
        connection.execute("update configs set config = ? where run_name = 'first'", (deep,))
        connection.execute("update metrics set step = -1 where step = 7")
        connection.execute("update metrics set timestamp = 'noon' where step = 8")
        connection.execute("update configs set config = 'x' where run_name = 'second'")
        connection.commit()
    found = read(store)
    first = found["first"]
    assert [step for step, _ in first.points["count"]] == [0, 1, 2, 3, 4, None, *range(8, 20)]
    assert first.run.lost["a row that is no JSON"] == 2
    assert first.run.lost["a step that is no whole number from 0 on; its values are there without it"] == 1
    assert first.run.lost["a value that is nested too deeply"] == 2
    assert found["second"].run.lost == {"hyperparameters that are no JSON": 1}


def test_media_that_lead_elsewhere(store: Path, tmp_path: Path) -> None:
    """Nothing outside of Trackio's folder is read, whatever a row says."""
    secret = tmp_path / "secret.png"
    shutil.copy(next(store.rglob("*.png")), secret)
    (store / "media" / "link.png").symlink_to(secret)
    os.mkfifo(store / "media" / "pipe.png")
    ways = [str(secret), "../../../../secret.png", "link.png", "pipe.png", "gone.png", "a\0b", ".", 7]
    rows = [{f"m{place}": {"_type": "trackio.image", "file_path": way}} for place, way in enumerate(ways)]
    with closing(sqlite3.connect(store / "mydigits.db")) as connection:
        for row in rows:
            text = json.dumps(row)
            connection.execute(
                "insert into metrics (run_id, run_name, timestamp, step, metrics) values ('x', 'x', '', 1, ?)", (text,)
            )
        connection.execute("update artifact_versions set manifest = replace(manifest, 'deep/b.bin', '../../../b.bin')")
        connection.commit()
    found = read(store)
    assert not found["x"].records
    assert sum(found["x"].run.lost.values()) == len(ways)
    assert found["x"].run.lost["a file that the source names is outside of its folder, and was not read"] == 3
    assert found["first"].files["data"] == {"a.txt": b"one"}
    assert any("leads out of its folder" in one for one in found["first"].run.lost)


def test_damaged_media(store: Path) -> None:
    for one in store.rglob("media/**/*.*"):
        one.write_bytes(b"nothing")
    first = read(store)["first"]
    assert first.run.lost["a medium of the kind image that is damaged, or cannot be one"] == 2


def test_a_changed_file_of_an_artifact(store: Path) -> None:
    """Its name there is its checksum."""
    for one in store.rglob("sha256/*/*"):
        if one.read_bytes() == b"two":
            one.unlink()
            one.write_bytes(b"2")
    first = read(store)["first"]
    assert first.files["data"] == {"a.txt": b"one"}
    assert first.run.lost["a file of an artifact that was changed since"] == 1


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_truncated_database(store: Path, share: float) -> None:
    """What is before the cut is read, the rest is counted."""
    path = store / "crash.db"
    with opened(path) as connection:
        ((whole,),) = connection.execute("select count(*) from metrics")
    os.truncate(path, int(path.stat().st_size * share))
    for wal in store.glob("crash.db-*"):
        wal.unlink()
    try:
        found = read(store)
    except NotReadableError as error:
        assert "crash.db" in str(error)  # noqa: PT017 - either is fine
        return
    killed = found.get("killed")
    assert killed is None or len(killed.points["loss"]) == whole or killed.run.lost


def test_flipped_bytes(store: Path) -> None:
    """Nothing is raised, whatever the damage."""
    path = store / "mydigits.db"
    data = path.read_bytes()
    random = np.random.default_rng(0)
    for number in range(30):
        damaged = bytearray(data)
        for place in random.integers(100, len(data), 40):
            damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        try:
            for run in TrackioSource(str(path)).runs():
                Found(run, store / f"scratch-{number}-{run.name}")
        except NotReadableError:
            pass


def test_an_old_database(tmp_path: Path) -> None:
    """One without ids of runs, as Trackio wrote them before its release 0.24."""
    with closing(sqlite3.connect(tmp_path / "old.db")) as connection:
        connection.execute("create table metrics (id integer primary key, timestamp, run_name, step, metrics)")
        connection.execute("insert into metrics values (1, '2025-01-01T00:00:00', 'one', 4, '{\"loss\": 0.5}')")
        connection.commit()
    (found,) = read(tmp_path).values()
    assert (found.run.id, found.run.name, found.run.created) == ("one", "one", 1735689600.0)
    assert found.points == {"loss": [(4, 0.5)]}


def test_other_places(tmp_path: Path) -> None:
    """Nothing else is taken for Trackio's."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "garbage.db").write_bytes(os.urandom(10_000))
    (tmp_path / "none.db").touch()
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("create table metrics (key, value)")
        connection.commit()
    (tmp_path / "locked.db").write_bytes((tmp_path / "other.db").read_bytes())
    (tmp_path / "locked.db").chmod(0)
    for place in (tmp_path / "empty", tmp_path / "garbage.db", tmp_path / "other.db", tmp_path / "gone", tmp_path):
        assert not TrackioSource.recognises(str(place))
        with pytest.raises(NotReadableError, match="trackio"):
            list(TrackioSource(str(place)).runs())
    (tmp_path / "locked.db").chmod(stat.S_IRUSR)


def test_options() -> None:
    with pytest.raises(ValueError, match="unknown option 'x'"):
        TrackioSource("/", {"x": "1"})


def test_rows_that_wait_in_an_inbox(tmp_path: Path) -> None:
    """Where the folder is on a network file system; some of a run may be in the database already."""
    write(tmp_path, "waiting", "my.digits", TRACKIO_STORAGE_MODE="jsonl")
    folder = tmp_path / "store"
    assert not (folder / "mydigits.db").exists()
    inbox = sorted(folder.glob("inbox/*/*.jsonl"))
    assert len(inbox) > 2
    with closing(sqlite3.connect(folder / "other.db")) as connection:
        connection.execute("create table metrics (id integer primary key, timestamp, run_id, run_name, step, metrics)")
        connection.execute("insert into metrics values (1, '2025-01-01T00:00:00', 'x', 'one', 4, '{\"loss\": 0.5}')")
        connection.commit()
    found = read(tmp_path)
    assert set(found) == {"waiting-0", "waiting-1", "one"}
    for number in range(2):
        run = found[f"waiting-{number}"]
        assert run.points["loss"] == [(step, step / 7) for step in range(5)]
        assert [step for step, _ in run.media["image"]] == list(range(5))
        assert math.isnan(run.points["bad"][0][1])
        assert run.run.config == {"lr": 0.5, "number": number}
        assert run.run.project == "mydigits"
        assert not run.run.lost
    one = found["waiting-0"].run.id
    text = json.dumps(
        {"kind": "metric", "project": "other", "run": "one", "run_id": "x", "step": 5, "metrics": {"loss": 1}}
    )
    lines = ["no JSON", text, '{"kind": "metric", "project": "other", "run": "one", "run_id": "x", "metrics": 7}']
    (inbox[0].parent / "99999999.jsonl").write_text("\n".join(lines))
    found = read(tmp_path)
    assert found["one"].points == {"loss": [(4, 0.5), (5, 1)]}
    assert found["one"].run.lost == {"a line of the inbox that is no JSON": 1, "a row that is no JSON": 1}
    assert found["waiting-0"].run.id == one
