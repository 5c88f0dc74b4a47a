"""wandb's offline runs, written with wandb itself, as a source of imports."""

import math
import os
import random
import signal
import struct
import subprocess
import sys
import textwrap
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wandb

from accel_track import media
from accel_track.errors import NotReadableError
from accel_track.importers.wandb import WandBSource
from accel_track.records import Artifact, Metrics
from accel_track.trackers.backend_run import BackendRun
from accel_track.trackers.reading.lost import OUTSIDE
from accel_track.trackers.wandb.tracker import WandBTracker
from tests.support.readers.wandb import records as finished
from tests.support.waiting import until

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)


@pytest.fixture(autouse=True)
def _staging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "data"))


def begun(folder: Path, **more: Any) -> Any:
    """Begin a run."""
    folder.mkdir(exist_ok=True)
    return wandb.init(dir=str(folder), reinit="create_new", **{"project": "digits", **more})


def ended(run: Any, exit_code: int = 0) -> Path:
    """End a run, and return its file once that is complete."""
    run.finish(exit_code=exit_code)
    folder = Path(run.dir).parent
    finished(next(folder.glob("*.wandb")))
    return next(folder.glob("*.wandb"))


def runs(place: Path) -> list[BackendRun]:
    """Read the runs of a place."""
    assert WandBSource.recognises(str(place))
    return list(WandBSource(str(place)).runs())


def rows(run: BackendRun, scratch: Path) -> list[Metrics]:
    """Return the calls of a run."""
    return [record for record in all_of(run, scratch) if isinstance(record, Metrics)]


def all_of(run: BackendRun, scratch: Path) -> Iterator[Any]:
    """Yield the records of a run."""
    scratch.mkdir(exist_ok=True)
    return run.records(scratch)


def test_several_runs(tmp_path: Path) -> None:
    """Each has its identity, configuration, status, and calls as they were made; from a folder at any depth."""
    first = begun(tmp_path / "w", name="one", id="first", config={"lr": 0.1, "deep": {"layers": [1, {"b": 2}]}})
    first.log({"loss": 0.5, "train": {"acc": 0.25, "x.y": 1}, "note": "a text", "flag": True, "none": None})
    first.log({"loss": 0.4}, step=7)
    first.log({"loss": 0.3, "nan": math.nan, "inf": math.inf, "less": -math.inf}, step=7)
    first.log({"loss": 0.2}, step=9)
    first.config.update({"lr": 0.2}, allow_val_change=True)
    first.summary["best"] = 0.2
    ended(first)
    second = begun(tmp_path / "w", name="two", project="other")
    ended(second, exit_code=3)
    one, two = runs(tmp_path)
    assert (one.id, one.project, one.name) == ("first", "digits", "one")
    assert one.created == pytest.approx(first.start_time, abs=5)
    assert one.config == {"lr": 0.2, "deep": {"layers": [1, {"b": 2}]}}
    assert one.outcome is not None
    assert one.outcome.status == "finished"
    found = rows(one, tmp_path / "scratch")
    assert [row.step for row in found] == [0, 7, 9, None]
    assert found[0].values == {"loss": 0.5, "train": {"acc": 0.25, "x.y": 1}, "note": "a text", "flag": True}
    assert math.isnan(found[1].values.pop("nan"))
    assert found[1].values == {"loss": 0.3, "inf": math.inf, "less": -math.inf}
    assert found[2].values == {"loss": 0.2}
    assert found[3].values == {"best": 0.2}
    assert all(abs(row.time - first.start_time) < 60 for row in found)
    assert not one.lost
    assert (two.project, two.name, two.config) == ("other", "two", {})
    assert two.outcome is not None
    assert two.outcome.text == "failed: exit code 3"
    assert rows(two, tmp_path / "scratch") == []


def test_the_step_of_libraries(tmp_path: Path) -> None:
    """Where all charts have a field `global_step` as their axis, that is the step; another axis is a value."""
    for axis in ("train/global_step", "epoch"):
        run = begun(tmp_path / axis.replace("/", "-"))
        run.define_metric(axis)
        run.define_metric("*", step_metric=axis)
        run.log({"loss": 0.5, axis: 30})
        run.log({"loss": 0.4, axis: 60})
        ended(run)
    (one,) = runs(tmp_path / "train-global_step")
    (two,) = runs(tmp_path / "epoch")
    assert [(row.step, row.values) for row in rows(one, tmp_path / "s")] == [(30, {"loss": 0.5}), (60, {"loss": 0.4})]
    assert [(row.step, row.values["epoch"]) for row in rows(two, tmp_path / "s")] == [(0, 30), (1, 60)]


def test_media(tmp_path: Path) -> None:
    """Each kind of wandb's is a medium of ours, with its content and caption; also in lists and dictionaries."""
    (tmp_path / "a.wav").write_bytes(media.Audio(np.zeros(80), 8000).content().data or b"")
    (tmp_path / "a.gif").write_bytes(b"GIF89a...")
    (tmp_path / "a.obj").write_text("v 0 0 0\n")
    points = np.random.default_rng(1).uniform(0, 9, (5, 6)).astype(np.float32)
    run = begun(tmp_path / "w")
    run.log(
        {
            "image": wandb.Image(PIXELS, caption="noise"),
            "images": [wandb.Image(PIXELS, caption="a"), wandb.Image(PIXELS[::-1], caption="b")],
            "deep": {"image": wandb.Image(PIXELS)},
            "table": wandb.Table(columns=["n", "x"], data=[[1, "a"], [2, "ü"]]),
            "histogram": wandb.Histogram(np_histogram=([1, 2], [0.0, 0.5, 1.0])),
            "audio": wandb.Audio(str(tmp_path / "a.wav"), sample_rate=8000, caption="tone"),
            "video": wandb.Video(str(tmp_path / "a.gif"), format="gif"),
            "html": wandb.Html("<b>ü</b>", inject=False),
            "points": wandb.Object3D(points),
            "mesh": wandb.Object3D((tmp_path / "a.obj").open()),
            "matrix": wandb.plot.confusion_matrix(y_true=[0, 1, 1], preds=[0, 0, 1], class_names=["cat", "dog"]),
            "curve": wandb.plot.line(wandb.Table(columns=["x", "y"], data=[[1, 2]]), "x", "y"),
        },
        step=3,
    )
    ended(run)
    (found,) = runs(tmp_path / "w")
    row, mesh = all_of(found, tmp_path / "scratch")
    kept = row.values
    assert row.step == 3
    assert (kept["image"].array() == PIXELS).all()
    assert kept["image"].caption == "noise"
    assert [one.caption for one in kept["images"]] == ["a", "b"]
    assert (kept["deep"]["image"].array() == PIXELS).all()
    table = kept["table"].content().data
    assert b'"\xc3\xbc"' in table or b"\\u00fc" in table
    assert kept["histogram"].content().info["counts"] == [1, 2]
    assert kept["audio"].kept().path.read_bytes() == (tmp_path / "a.wav").read_bytes()
    assert kept["audio"].caption == "tone"
    assert isinstance(kept["video"], media.Video)
    assert kept["html"].kept().path.read_text() == "<b>ü</b>"
    assert kept["points"].content().data[-len(points.tobytes()) :] == points.tobytes()
    assert kept["matrix"].content().info == {"matrix": [[1, 0], [1, 1]], "labels": ["cat", "dog"]}
    assert isinstance(kept["curve"], media.Table)
    assert (mesh.name, mesh.step, Path(mesh.path).read_text()) == ("mesh", 3, "v 0 0 0\n")
    assert not found.lost


def test_artifacts(tmp_path: Path) -> None:
    """Files, folders and models, with type and metadata; what is elsewhere, or was changed since, is counted."""
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    (tmp_path / "folder" / "a.txt").write_text("one")
    (tmp_path / "folder" / "deep" / "b.txt").write_text("two")
    run = begun(tmp_path / "w")
    run.log({"loss": 0.5}, step=1)
    one = wandb.Artifact("data", "dataset", metadata={"rows": 3, "step": 5})
    one.add_dir(str(tmp_path / "folder"))
    run.log_artifact(one)
    run.log_model(str(tmp_path / "folder" / "a.txt"), "net")
    other = wandb.Artifact("elsewhere", "dataset")
    other.add_reference("https://example.invalid/x", checksum=False)
    run.log_artifact(other)
    changed = wandb.Artifact("changed", "dataset")
    changed.add_file(str(tmp_path / "folder" / "a.txt"), policy="immutable")
    run.log_artifact(changed)
    ended(run)
    (found,) = runs(tmp_path / "w")
    artifacts = [one for one in all_of(found, tmp_path / "scratch") if isinstance(one, Artifact)]
    folder, model = sorted(artifacts, key=lambda one: one.name)  # wandb stores them in the order of their copies
    assert (folder.name, folder.type, folder.values, folder.step) == ("data", "dataset", {"rows": 3}, 5)
    assert (Path(folder.path) / "deep" / "b.txt").read_text() == "two"
    assert (model.name, model.type, Path(model.path).read_text()) == ("net", "model", "one")
    assert found.lost == {
        "a file of an artifact that is somewhere else": 1,
        OUTSIDE: 1,
        "an artifact without a file that can be read": 2,
    }


def test_media_of_this_package(tmp_path: Path) -> None:
    """Videos that wandb does not take, and checkpoints, which the tracker stores as artifacts, have their own names."""
    (tmp_path / "a.mov").write_bytes(b"moving")
    (tmp_path / "best.ckpt").write_text("weights")
    tracker = WandBTracker("digits", dir=str(tmp_path))
    tracker.start()
    tracker.log({"some/video": media.Video(tmp_path / "a.mov")}, step=3)
    tracker.log_checkpoint("best", str(tmp_path / "best.ckpt"), 7, {"score": 0.5})
    tracker.log({"loss": 0.5}, step=8)
    tracker.finish()
    run = tracker.read()
    found = list(all_of(run, tmp_path / "scratch"))
    (video,) = (one for one in found if isinstance(one, Metrics) and "some/video" in one.values)
    (checkpoint,) = (one for one in found if isinstance(one, Artifact))
    assert video.step == 3
    assert video.values["some/video"].kept().path.read_bytes() == b"moving"
    assert (checkpoint.name, checkpoint.step, checkpoint.values) == ("best", 7, {"score": 0.5})
    assert Path(checkpoint.path).read_text() == "weights"
    assert not run.lost


def test_a_resumed_run_is_one(tmp_path: Path) -> None:
    """The files of one id are read as one run, oldest first; the last one's status counts."""
    ended_with = []
    for part in range(2):
        run = begun(tmp_path / "w", id="same", resume="allow", config={f"part{part}": part})
        run.log({"loss": float(part)}, step=part)
        ended_with.append(ended(run, exit_code=130 * (1 - part)))
    (found,) = runs(tmp_path)
    assert found.config == {"part0": 0, "part1": 1}
    assert [row.values["loss"] for row in rows(found, tmp_path / "s")] == [0.0, 1.0]
    assert found.outcome is not None
    assert found.outcome.status == "finished"


def test_a_killed_run(tmp_path: Path) -> None:
    """What wandb had written is read; its end is not known."""
    code = """
        import wandb, time
        run = wandb.init(project="digits", config={"lr": 0.1})
        for step in range(100_000):
            run.log({"loss": step / 7, "text": "x" * 300}, step=step)
    """
    environment = {**os.environ, "WANDB_DIR": str(tmp_path)}
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], env=environment)
    until(lambda: any(path.stat().st_size > 500_000 for path in tmp_path.rglob("*.wandb")))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (found,) = runs(tmp_path)
    values = [row.values["loss"] for row in rows(found, tmp_path / "s")]
    assert len(values) > 500
    assert values == [step / 7 for step in range(len(values))]
    assert (found.outcome, found.config) == (None, {"lr": 0.1})


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a run of 2,000 rows, in several blocks."""
    folder = tmp_path_factory.mktemp("long")
    run = begun(folder)
    for step in range(2000):
        run.log({"loss": float(step)}, step=step)
    return ended(run)


def read(content: bytes, folder: Path) -> tuple[list[Metrics], BackendRun]:
    """Read a file of this content."""
    (folder / "run-x.wandb").write_bytes(content)
    (found,) = runs(folder)
    return rows(found, folder / "s"), found


def test_a_truncated_file(file: Path, tmp_path: Path) -> None:
    """Whatever is whole is read, and a torn end is counted once, wherever it is torn."""
    content, random_ = file.read_bytes(), random.Random(1)
    for length in [7, 8, 40, 32768, 32770, *(random_.randrange(40, len(content)) for _ in range(20))]:
        found, run = read(content[:length], tmp_path)
        assert [row.values["loss"] for row in found] == [float(step) for step in range(len(found))]
        assert sum(run.lost.values()) <= 1
        assert len(found) >= 2000 * (length - 3000) / len(content) - 50


@pytest.mark.long
def test_damage_costs_its_block(file: Path, tmp_path: Path) -> None:
    """Flipped bytes never become values, are counted, and what is behind their block is read."""
    content, random_ = file.read_bytes(), random.Random(2)
    missing = 0
    for _ in range(20):
        damaged = bytearray(content)
        place = random_.randrange(40_000, len(content) - 40_000)
        damaged[place] ^= 0xFF
        found, run = read(bytes(damaged), tmp_path)
        assert all(row.values == {"loss": float(row.step or 0)} for row in found)
        assert found[-1].step == 1999
        assert len(found) > 1000
        assert run.lost or len(found) == 2000
        missing += 2000 - len(found)
    assert missing > 100


def test_what_is_none_of_wandbs(tmp_path: Path) -> None:
    """Garbage, an empty file and an empty folder are not recognised, and are errors that say so."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "run-a.wandb").write_bytes(random.Random(3).randbytes(5000))
    (tmp_path / "run-b.wandb").write_bytes(b"")
    for place in (tmp_path, tmp_path / "empty", tmp_path / "run-a.wandb", tmp_path / "nowhere", Path("a\0b")):
        assert not WandBSource.recognises(str(place))
        with pytest.raises(NotReadableError, match="wandb"):
            list(WandBSource(str(place)).runs())


def test_paths_that_lead_out(tmp_path: Path) -> None:
    """A file of another folder is never read, whether by its path or by a link."""
    from wandb.proto import wandb_internal_pb2

    secret = tmp_path / "secret.png"
    secret.write_bytes(media.Image(PIXELS).content().pixels.tobytes())  # type: ignore[union-attr]
    run = begun(tmp_path / "w")
    run.log({"image": wandb.Image(PIXELS)})
    path = ended(run)
    for place in ("../../../secret.png", str(secret), "link.png", "no\0file", "", "."):
        record: Any = wandb_internal_pb2.Record()  # type: ignore[attr-defined]
        if place == "link.png":
            (path.parent / "files" / "link.png").symlink_to(secret)
        for key, value in (("_type", '"image-file"'), ("path", f'"{place}"'.replace("\0", "\\u0000"))):
            record.history.item.add(nested_key=["image", key], value_json=value)
        entry = record.SerializeToString()
        header = struct.pack("<IHB", zlib.crc32(b"\x01" + entry), len(entry), 1)
        other = path.with_name("run-hostile.wandb")
        other.write_bytes(path.read_bytes()[:7] + header + entry)
        (found,) = WandBSource(str(other)).runs()
        assert rows(found, tmp_path / "s") == []
        assert sum(found.lost.values()) == 1
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (path.parent / "files").rename(secrets / "files")
    (path.parent / "files").symlink_to(secrets / "files")
    (found,) = WandBSource(str(path)).runs()
    assert rows(found, tmp_path / "s") == []
    assert sum(found.lost.values()) == 1
