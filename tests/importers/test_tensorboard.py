"""The source of TensorBoard's event files: what programs write with torch's SummaryWriter, read by ours and by theirs."""

import math
import signal
import struct
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.histogram import metadata as histogram_metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo
from tensorboard.plugins.image import metadata as image_metadata
from tensorboard.plugins.scalar import metadata as scalar_metadata
from tensorboard.plugins.text import metadata as text_metadata
from tensorboard.util import tensor_util
from torch.utils.tensorboard import SummaryWriter

from accel_track import media
from accel_track.errors import NotReadableError
from accel_track.importers.tensorboard import TensorBoardSource
from accel_track.outcome import Outcome
from accel_track.trackers.backend_run import BackendRun
from accel_track.trackers.tensorboard import wire
from accel_track.trackers.tensorboard.frames import CUT_OFF, DAMAGED, frames
from accel_track.trackers.tensorboard.summaries import session_start
from tests.support.backend_runs import held
from tests.support.pictures import pixels
from tests.support.readers.tensorboard import shown

PIXELS = np.random.default_rng(0).integers(0, 256, (8, 6, 3), np.uint8)


def runs(place: Path) -> dict[str, BackendRun]:
    """Return the runs of a place by their ids."""
    return {run.id: run for run in TensorBoardSource(str(place)).runs()}


def event_file(folder: Path) -> Path:
    (file,) = folder.glob("*tfevents*")
    return file


def test_a_folder_of_runs(tmp_path: Path) -> None:
    """Each folder with event files is a run by its path; its values are those that TensorBoard shows."""
    for name in ("first", "deep/er/second", "deep"):
        with SummaryWriter(str(tmp_path / name)) as writer:
            for step in range(20):
                writer.add_scalar("train/loss", 1 / (step + 1), step)
                writer.add_scalar("double", step / 3, step, new_style=True, double_precision=True)
            writer.add_scalar("again", 1.0, 5)
            writer.add_scalar("again", 2.0, 5)
            writer.add_scalar("odd", math.nan, 1)
            writer.add_scalar("odd", math.inf, 2)
    found = runs(tmp_path)
    assert set(found) == {"first", "deep/er/second", "deep"}
    for name, run in found.items():
        points = held(run, tmp_path / "scratch").points
        theirs, _ = shown(tmp_path / "first")
        assert {tag: len(some) for tag, some in points.items()} == {tag: len(some) for tag, some in theirs.items()}
        assert points["train/loss"] == theirs["train/loss"]
        assert points["double"] == [(step, step / 3) for step in range(20)]
        assert points["again"] == [(5, 1.0), (5, 2.0)]
        assert math.isnan(points["odd"][0][1])
        assert points["odd"][1] == (2, math.inf)
        assert not run.lost
        assert run.name == name
        assert run.created is not None
        assert run.outcome is None


def test_values_of_one_call_are_together(tmp_path: Path) -> None:
    """Neighbours of one step are one call's, but not the second value of a name, and not a much later one."""
    with SummaryWriter(str(tmp_path)) as writer:
        for step in range(3):
            writer.add_scalar("a", step, step, walltime=100.0 + step)
            writer.add_scalar("b", step, step, walltime=100.01 + step)
        writer.add_scalar("a", 7, 2, walltime=102.02)
        writer.add_scalar("c", 7, 2, walltime=103.0)
    (run,) = runs(tmp_path).values()
    rows = held(run, tmp_path).rows
    assert [(row.step, row.time, row.values) for row in rows] == [
        (0, 100.0, {"a": 0.0, "b": 0.0}),
        (1, 101.0, {"a": 1.0, "b": 1.0}),
        (2, 102.0, {"a": 2.0, "b": 2.0}),
        (2, 102.02, {"a": 7.0}),
        (2, 103.0, {"c": 7.0}),
    ]


def test_add_scalars_belongs_to_its_run(tmp_path: Path) -> None:
    """The folders that it makes are no runs, and their one curve has the name that was given, with the others' rows."""
    with SummaryWriter(str(tmp_path / "run")) as writer:
        for step in range(5):
            writer.add_scalars("loss/all", {"train": step, "val": -step, "per/class": 0}, step, walltime=50.0 + step)
            writer.add_scalar("loss_all", 9, step, walltime=50.0 + step)
    with SummaryWriter(
        str(tmp_path / "run" / "loss_all_else")
    ) as writer:  # a run of its own, whose name is like theirs
        writer.add_scalar("loss_all", 1, 0)
        writer.add_scalar("other", 1, 0)
    found = runs(tmp_path)
    assert set(found) == {"run", "run/loss_all_else"}
    got = held(found["run"], tmp_path / "scratch")
    assert set(got.points) == {"loss/all/train", "loss/all/val", "loss/all/per/class", "loss_all"}
    assert got.points["loss/all/val"] == [(step, -float(step)) for step in range(5)]
    assert len(got.rows) == 5
    assert set(held(found["run/loss_all_else"], tmp_path / "scratch").points) == {"loss_all", "other"}


@pytest.mark.parametrize("trials", [1, 2])
def test_add_hparams(tmp_path: Path, trials: int) -> None:
    """One `add_hparams` is its run's configuration and values; several are a run each, as on TensorBoard's page."""
    with SummaryWriter(str(tmp_path / "run")) as writer:
        writer.add_scalar("loss", 1, 0)
        for number in range(trials):
            hparams = {"lr": 0.5 + number, "layers": 3, "name": "x", "flag": True}
            writer.add_hparams(hparams, {"hparam/accuracy": 0.25})
    found = runs(tmp_path)
    assert len(found) == (1 if trials == 1 else 3)
    config = {"lr": 0.5, "layers": 3, "name": "x", "flag": True}
    if trials == 1:
        assert found["run"].config == config
        assert held(found["run"], tmp_path / "scratch").points["hparam/accuracy"] == [(0, 0.25)]
    else:
        assert found["run"].config == {}
        assert sorted(run.config["lr"] for name, run in found.items() if name != "run") == [0.5, 1.5]


@pytest.mark.parametrize(("status", "outcome"), [(1, Outcome("finished")), (2, Outcome("failed")), (3, None)])
def test_the_end_of_a_session(tmp_path: Path, status: int, outcome: Outcome | None) -> None:
    """It tells how the run ended, if it is the last event and values came before it, and not at the beginning."""
    data = HParamsPluginData(session_end_info=SessionEndInfo(status=status))
    end = Summary.Value(tag="_hparams_/session_end_info")
    end.metadata.plugin_data.plugin_name, end.metadata.plugin_data.content = "hparams", data.SerializeToString()
    stop = wire.event([wire.value(end.SerializeToString())], None, 9.0)
    ends = [("run", False, True), ("early", True, False), ("goes-on", False, False)]
    for name, early, last in ends:
        values = [wire.event([wire.number("loss", 1.0)], step, 9.0) for step in range(2)]
        before, after = ([], []) if early else (values, [] if last else values)
        events = [wire.first_event(1.0), wire.event([session_start({"lr": 0.5})], None, 2.0), *before, stop, *after]
        (tmp_path / name).mkdir()
        (tmp_path / name / "events.out.tfevents.1.x").write_bytes(b"".join(events))
    found = runs(tmp_path)
    assert {name: run.outcome for name, run in found.items()} == {"run": outcome, "early": None, "goes-on": None}
    assert {run.config["lr"] for run in found.values()} == {0.5}


def test_a_file_of_hyperparameters_beside_it(tmp_path: Path) -> None:
    """Lightning's is read without the objects in it, which are texts; one that is no YAML is counted."""
    for name in ("good", "bad"):
        with SummaryWriter(str(tmp_path / name)) as writer:
            writer.add_scalar("loss", 1, 0)
    (tmp_path / "good" / "hparams.yaml").write_text(
        f"lr: 0.5\nshape: !!python/tuple [1, 2]\nx: !!python/object/apply:os.mkdir ['{tmp_path}/made']\n"
    )
    (tmp_path / "bad" / "hparams.yaml").write_text("lr: [0.5")
    found = runs(tmp_path)
    assert found["good"].config["lr"] == 0.5
    assert found["good"].config["shape"] == [1, 2]
    assert found["good"].config["x"].startswith("!!python/object/apply:os.mkdir")
    assert not (tmp_path / "made").exists()
    assert any("hparams.yaml cannot be read" in sentence for sentence in found["bad"].lost)
    assert not found["good"].lost


def test_media(tmp_path: Path) -> None:
    """Images, histograms, sound, texts, points, curves, tensors and graphs, each as what it was."""
    numbers = np.random.default_rng(1).normal(size=1000)
    vertices, colours = torch.rand(1, 5, 3), torch.randint(0, 256, (1, 5, 3))
    with SummaryWriter(str(tmp_path / "run")) as writer:
        writer.add_image("image", PIXELS, 1, dataformats="HWC")
        writer.add_histogram("histogram", numbers, 2)
        writer.add_histogram("one number", np.ones(9), 2)
        writer.add_audio("audio", torch.sin(torch.arange(800) / 10), 3, sample_rate=8000)
        writer.add_text("text", "# Title\n\n*ü*", 4)
        writer.add_mesh("mesh", vertices, colors=colours, global_step=5)
        writer.add_pr_curve("curve", np.array([0, 1, 1, 0]), np.array([0.1, 0.9, 0.4, 0.6]), 6, num_thresholds=11)
        writer.add_tensor("vector", torch.tensor([1.0, 2.0]), 7)
        writer.add_tensor("scalar", torch.tensor(3), 7)
        writer.add_graph(torch.nn.Linear(2, 1), torch.zeros(1, 2))
    (run,) = runs(tmp_path).values()
    got = held(run, tmp_path / "scratch")
    points = got.points
    assert {name: some[0][0] for name, some in points.items()} == {
        "image": 1,
        "histogram": 2,
        "one number": 2,
        "audio": 3,
        "text": 4,
        "mesh": 5,
        "curve": 6,
        "vector": 7,
        "scalar": 7,
    }
    values: dict[str, Any] = {name: some[0][1] for name, some in points.items()}
    assert np.array_equal(pixels(values["image"].path), PIXELS)
    assert sum(values["histogram"].counts) == 1000
    assert values["histogram"].info["min"] == numbers.min()
    assert abs(values["histogram"].quantile(0.5) - np.median(numbers)) < 0.1
    assert sum(values["one number"].counts) == 9
    assert isinstance(values["audio"], media.Audio)
    assert values["audio"].samples().shape == (800, 1)
    assert values["text"] == "# Title\n\n*ü*"
    assert np.allclose(values["mesh"].array(), torch.cat([vertices, colours], dim=-1)[0])
    assert values["curve"].columns[-2:] == ["precision", "recall"]
    assert len(values["curve"].rows) == 11
    assert values["vector"].rows == [[1.0], [2.0]]
    assert values["scalar"] == 3
    (graph,) = got.artifacts["graph"]
    assert graph.type == "graph"
    assert Path(graph.path).stat().st_size
    assert not run.lost


def v2(tag: str, plugin: Any, data: Any) -> Any:
    """Return a value as TensorFlow 2 writes it."""
    return Summary.Value(tag=tag, metadata=plugin, tensor=tensor_util.make_tensor_proto(data))


def test_events_of_the_second_version(tmp_path: Path) -> None:
    """Tensors whose plugin is told with the first value alone."""
    png = event_png()
    bins = np.array([[0, 1, 3], [1, 2, 4]], np.float64)
    events = [wire.first_event(1.0)]
    for step in range(2):
        values = [
            v2("loss", scalar_metadata.create_summary_metadata("", ""), np.float32(step)),
            v2("note", text_metadata.create_summary_metadata("", ""), f"text {step}".encode()),
            v2("picture", image_metadata.create_summary_metadata("", ""), [b"6", b"8", png]),
            v2("pictures", image_metadata.create_summary_metadata("", ""), [b"6", b"8", png, png]),
            v2("bins", histogram_metadata.create_summary_metadata("", ""), bins),
        ]
        if step:
            for value in values:
                value.ClearField("metadata")
        events.append(wire.frame(Event(wall_time=2.0, step=step, summary=Summary(value=values)).SerializeToString()))
    (tmp_path / "events.out.tfevents.1.v2").write_bytes(b"".join(events))
    (run,) = runs(tmp_path).values()
    points = held(run, tmp_path / "scratch").points
    assert points["loss"] == [(0, 0.0), (1, 1.0)]
    assert points["note"] == [(0, "text 0"), (1, "text 1")]
    assert all(np.array_equal(pixels(image.path), PIXELS) for _, image in points["picture"])
    assert [len(images) for _, images in points["pictures"]] == [2, 2]
    assert [(one.counts, one.edges) for _, one in points["bins"]] == 2 * [([3, 4], [0, 1, 2])]
    assert not run.lost


def event_png() -> bytes:
    import io

    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, "PNG")
    return stream.getvalue()


def test_several_files_of_a_run_and_a_restart(tmp_path: Path) -> None:
    """Files are read in their order, and what a restart took back is left out, as TensorBoard does it."""
    for begin, purge in ((0, None), (3, 3), (4, 4)):
        with SummaryWriter(str(tmp_path / "run"), purge_step=purge, filename_suffix=f".{begin}") as writer:
            for step in range(begin, 6):
                writer.add_scalar("loss", 10 * begin + step, step)
                if begin == 0:
                    writer.add_scalar("old", step, step)
    files = sorted((tmp_path / "run").iterdir(), key=lambda file: int(file.suffix[1:]))
    for number, file in enumerate(files):  # which may be of one second, and are read in the order of their names
        file.rename(file.with_name(f"events.out.tfevents.{number}.x"))
    (run,) = runs(tmp_path).values()
    points = held(run, tmp_path / "scratch").points
    theirs, _ = shown(tmp_path)
    assert points == theirs
    # TensorBoard takes the first of such events for the beginning of the run.
    assert points["loss"] == [*((step, float(step)) for step in range(4)), *((s, 30.0 + s) for s in range(3, 4))] + [
        (step, 40.0 + step) for step in range(4, 6)
    ]


@pytest.mark.long
def test_a_killed_program(tmp_path: Path) -> None:
    """What it had flushed is there."""
    code = """if True:
        import os, signal, sys
        from torch.utils.tensorboard import SummaryWriter
        writer = SummaryWriter(sys.argv[1])
        for step in range(100):
            writer.add_scalar("loss", step, step)
        writer.flush()
        writer.add_scalar("loss", 100, 100)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], timeout=90, check=False)
    assert done.returncode == -signal.SIGKILL
    (run,) = runs(tmp_path).values()
    assert held(run, tmp_path / "scratch").points["loss"][:100] == [(step, float(step)) for step in range(100)]
    assert run.outcome is None


def numbers_file(folder: Path, count: int = 50) -> Path:
    with SummaryWriter(str(folder)) as writer:
        for step in range(count):
            writer.add_scalar("loss", step, step)
    return event_file(folder)


def test_a_torn_file(tmp_path: Path) -> None:
    """A file that is cut off anywhere gives the events before that, and says so."""
    file = numbers_file(tmp_path / "run")
    whole = file.read_bytes()
    ends = [0]
    for data in frames(file, Counter()):
        ends.append(ends[-1] + len(data) + 16)
    for size in range(1, len(whole), 7):
        file.write_bytes(whole[:size])
        (run,) = runs(tmp_path).values()
        points = held(run, tmp_path / "scratch").points["loss"]
        assert len(points) == max(0, sum(end <= size for end in ends) - 2), size
        assert run.lost == ({} if size in ends else {CUT_OFF: 1})


def test_damage_in_the_middle(tmp_path: Path) -> None:
    """A flipped byte anywhere costs one event or two, and is counted."""
    file = numbers_file(tmp_path / "run")
    whole = file.read_bytes()
    ends = [0]
    for data in frames(file, Counter()):
        ends.append(ends[-1] + len(data) + 16)
    for place in range(ends[10], ends[12], 3):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        (run,) = runs(tmp_path).values()
        points = held(run, tmp_path / "scratch").points["loss"]
        assert len(points) == 49, place
        assert run.lost == {DAMAGED: 1}


@pytest.mark.parametrize("garbage", [b"", b"\x00" * 100, b"garbage " * 1000, struct.pack("<Q", 2**63) + b"\x00" * 30])
def test_garbage(tmp_path: Path, garbage: bytes) -> None:
    """A file of something else is no run's, and beside one it is counted."""
    (tmp_path / "events.out.tfevents.0.x").write_bytes(garbage)
    assert not TensorBoardSource.recognises(str(tmp_path))
    (run,) = runs(tmp_path).values()
    assert not held(run, tmp_path / "scratch").rows
    numbers_file(tmp_path / "good", 3)
    assert TensorBoardSource.recognises(str(tmp_path))
    assert sum(run.lost.values()) == (1 if garbage else 0)


def test_hostile_values(tmp_path: Path) -> None:
    """Impossible tensors, images and steps cost themselves alone, and no memory."""
    image = Summary.Value(tag="image", image=Summary.Image(encoded_image_string=b"no image"))
    huge = v2("huge", scalar_metadata.create_summary_metadata("", ""), np.float32(1))
    for _ in range(4):
        huge.tensor.tensor_shape.dim.add(size=10**6)
    histogram = Summary.Value(tag="histogram")
    histogram.histo.bucket[:] = [1.0]
    audio = Summary.Value(tag="audio", audio=Summary.Audio(encoded_audio_string=b"no sound"))
    good = Summary.Value(tag="loss", simple_value=0.5)
    summary = Summary(value=[image, huge, histogram, audio, good])
    events = [
        Event(wall_time=2.0, step=3, summary=summary).SerializeToString(),
        Event(wall_time=math.nan, step=-3, summary=Summary(value=[good])).SerializeToString(),
        b"\x2a\x05hello",
    ]
    data = [wire.first_event(1.0), *map(wire.frame, events)]
    (tmp_path / "events.out.tfevents.1.x").write_bytes(b"".join(data))
    (run,) = runs(tmp_path).values()
    got = held(run, tmp_path / "scratch")
    assert dict(got.points) == {"loss": [(3, 0.5), (None, 0.5)]}
    assert got.times["loss"] == [2.0, 1.0]
    assert sum(run.lost.values()) == 5


def test_links_out_of_the_folder(tmp_path: Path) -> None:
    """An event file elsewhere is not read, and that is counted."""
    file = numbers_file(tmp_path / "elsewhere", 3)
    numbers_file(tmp_path / "place" / "run", 2)
    (tmp_path / "place" / "run" / "events.out.tfevents.0.link").symlink_to(file)
    (tmp_path / "place" / "linked").symlink_to(tmp_path / "elsewhere")
    (run,) = runs(tmp_path / "place").values()
    assert len(held(run, tmp_path / "scratch").points["loss"]) == 2
    assert sum(run.lost.values()) == 1


def test_recognition(tmp_path: Path) -> None:
    """By content: a folder at any depth, or a file; nothing else, and never an error."""
    assert not TensorBoardSource.recognises(str(tmp_path))
    assert not TensorBoardSource.recognises("http://127.0.0.1:1")
    assert not TensorBoardSource.recognises(str(tmp_path / "missing"))
    file = numbers_file(tmp_path / "a" / "b", 3)
    assert TensorBoardSource.recognises(str(tmp_path))
    assert TensorBoardSource.recognises(str(file))
    (run,) = runs(file).values()
    assert len(held(run, tmp_path / "scratch").rows) == 3
    with pytest.raises(NotReadableError, match=r"tensorboard: there is no .*missing"):
        list(TensorBoardSource(str(tmp_path / "missing")).runs())


def test_session_logs_of_other_kinds_take_nothing_back(tmp_path: Path) -> None:
    """A checkpoint or a stop is none."""
    events = [wire.first_event(1.0), wire.event([wire.number("loss", 1.0)], 5, 2.0)]
    for status in (SessionLog.START, SessionLog.CHECKPOINT, SessionLog.STOP):
        event = Event(wall_time=3.0, step=0, session_log=SessionLog(status=status, msg="x" * 200))
        events.append(wire.frame(event.SerializeToString()))
    (tmp_path / "events.out.tfevents.1.x").write_bytes(b"".join(events))
    (run,) = runs(tmp_path).values()
    assert held(run, tmp_path / "scratch").points["loss"] == [(5, 1.0)]


def test_the_environment_is_no_text_of_the_user(tmp_path: Path) -> None:
    """What our tracker stores of the program is left out; the hyperparameters keep their nesting."""
    from accel_track.trackers.tensorboard.tracker import TensorBoardTracker

    tracker = TensorBoardTracker("run", tmp_path)
    tracker.start()
    tracker.store_init_configuration({"optimizer": {"lr": 0.5}})
    tracker.store_environment({"environment": {"python": "3.11", "cpus": 2}})
    tracker.log({"environment": "a text of the user's", "loss": 1}, step=0)
    tracker.finish()
    run = tracker.read()
    assert dict(held(run, tmp_path / "scratch").points) == {
        "environment": [(0, "a text of the user's")],
        "loss": [(0, 1)],
    }
    assert run.config == {"optimizer": {"lr": 0.5}}
    assert run.outcome == Outcome("finished")
    assert yaml.safe_load((tmp_path / "run" / "hparams.yml").read_text()) == run.config


def test_meshes(tmp_path: Path) -> None:
    """Several in one call have numbers; faces have no place elsewhere; colours without points are none."""
    vertices = torch.rand(2, 4, 3)
    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_mesh("several", vertices, faces=torch.tensor([[[0, 1, 2]], [[0, 1, 2]]]), global_step=1)
        writer.add_mesh("infinite", torch.full((1, 4, 3), math.inf), global_step=2)
        writer.add_scalar("loss", 1, 3)
    (run,) = runs(tmp_path).values()
    points = held(run, tmp_path / "scratch").points
    assert set(points) == {"several/0", "several/1", "loss"}
    assert np.allclose(points["several/1"][0][1].array(), vertices[1])
    assert run.lost == {"the faces of a mesh": 1, "a mesh whose points were not found": 1}


def test_histograms_of_odd_bins(tmp_path: Path) -> None:
    """More bins than other backends take are put together; empty ones are none; those without width go to neighbours."""
    from tensorboard.plugins.histogram.metadata import create_summary_metadata

    with SummaryWriter(str(tmp_path)) as writer:
        edges = np.arange(1, 1301).astype(float)
        writer.add_histogram_raw("wide", 0, 1300, 1300, 9, 9, edges.tolist(), np.ones(1300).tolist(), 1)
        writer.add_histogram_raw("none", 0, 0, 0, 0, 0, [0.0, 1.0], [0.0, 0.0], 1)
        writer.add_histogram_raw("limits", -3, 5, 4, 1, 1, [-1.0, 1.0, 1.7e308, np.finfo(float).max], [1, 2, 1, 0], 1)
        rows = np.array([[0, 0, 2], [0, 1, 3], [1, 1, 4], [1, 2, 5]], float)
        summary = Summary(value=[v2("flat", create_summary_metadata("", ""), rows)])
        summary.value.append(v2("empty", create_summary_metadata("", ""), np.zeros((0, 3))))
        writer._get_file_writer().add_summary(summary, 1)
    (run,) = runs(tmp_path).values()
    points = held(run, tmp_path / "scratch").points
    wide, limits, flat = (points[name][0][1] for name in ("wide", "limits", "flat"))
    assert sum(wide.counts) == 1300
    assert len(wide.counts) <= 512
    assert (wide.edges[0], wide.edges[-1]) == (0, 1300)
    assert (limits.counts, limits.edges) == ([1, 2, 1], [-3, -1, 1, 5])
    assert (sum(flat.counts), flat.edges[-1]) == (14, 2)
    assert set(points) == {"wide", "limits", "flat"}
    assert not run.lost


def test_tensors_of_other_plugins(tmp_path: Path) -> None:
    """Sound with labels, a table of numbers, what has no place elsewhere or no content."""
    from tensorboard.plugins.audio.metadata import create_summary_metadata

    wav = media.Audio(np.zeros(80, np.float32), 8000).content().data
    cube = v2("cube", None, np.zeros((2, 2, 2)))
    words = v2("words", None, [b"a", b"b"])
    values = [
        v2("sound", create_summary_metadata("", "", 11), [[wav, b"label"], [wav, b"label"]]),
        v2("matrix", None, np.arange(6.0).reshape(3, 2)),
        v2("paragraphs", text_metadata.create_summary_metadata("", ""), [[b"one"], [b"two"]]),
        v2("repeated", scalar_metadata.create_summary_metadata("", ""), np.float32(2)),
        cube,
        words,
        Summary.Value(tag="nothing"),
    ]
    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_custom_scalars({"a": {"b": ["Multiline", ["c"]]}})
        writer._get_file_writer().add_summary(Summary(value=values), 1)
    (run,) = runs(tmp_path).values()
    points = held(run, tmp_path / "scratch").points
    assert {name: some[0][0] for name, some in points.items()} == dict.fromkeys(
        ("sound", "matrix", "paragraphs", "repeated"), 1
    )
    assert [type(one) for one in points["sound"][0][1]] == [media.Audio, media.Audio]
    assert points["matrix"][0][1].rows == [[0, 1], [2, 3], [4, 5]]
    assert points["paragraphs"][0][1] == "one\n\ntwo"
    assert run.lost == {
        "a tensor could not be read": 2,
        "a value without content": 1,
        "a layout of TensorBoard's page, which has no place elsewhere": 1,
    }


def test_hyperparameters_of_all_kinds(tmp_path: Path) -> None:
    """Lists and nothing; a link to a file of them that is elsewhere is not followed."""
    data = HParamsPluginData()
    data.session_start_info.hparams["list"].list_value.extend([1, "x"])
    data.session_start_info.hparams["none"].null_value = 0
    data.session_start_info.hparams["number"].number_value = 0.5
    start = Summary.Value(tag="_hparams_/session_start_info")
    start.metadata.plugin_data.plugin_name, start.metadata.plugin_data.content = "hparams", data.SerializeToString()
    damaged = Summary.Value(tag="_hparams_/session_start_info")
    damaged.metadata.plugin_data.content = b"\xff\xff"
    events = [wire.event([wire.value(one.SerializeToString())], None, 2.0) for one in (damaged, start)]
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "events.out.tfevents.1.x").write_bytes(b"".join([wire.first_event(1.0), *events]))
    (tmp_path / "secret.yaml").write_text("secret: 1")
    (tmp_path / "run" / "hparams.yaml").symlink_to(tmp_path / "secret.yaml")
    (run,) = runs(tmp_path / "run").values()
    assert run.config == {"list": [1, "x"], "none": None, "number": 0.5}


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    """A FIFO of that name is counted, and not waited for."""
    import os

    numbers_file(tmp_path, 2)
    os.mkfifo(tmp_path / "events.out.tfevents.0.fifo")
    assert TensorBoardSource.recognises(str(tmp_path))
    (run,) = runs(tmp_path).values()
    assert len(held(run, tmp_path / "scratch").rows) == 2
    assert run.lost == {"an event file cannot be read": 1}
