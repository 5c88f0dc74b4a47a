"""Comet's offline experiments, written with Comet itself, as a source of imports."""

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path
from typing import Any

import comet_ml
import numpy as np
import pytest

from accel_track import media
from accel_track.errors import NotReadableError
from accel_track.importers.comet import CometSource
from accel_track.records import Artifact, Metrics
from accel_track.trackers.backend_run import BackendRun
from tests.support.readers.comet import offline
from tests.support.waiting import until

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)


def begun(folder: Path, **options: Any) -> Any:
    """Begin an experiment."""
    folder.mkdir(exist_ok=True)
    more = {name: options.pop(name) for name in ("experiment_key", "mode") if name in options}
    quiet = {"display_summary_level": 0, "auto_metric_logging": False, "parse_args": False}
    config = offline(folder, **quiet, **options)
    return comet_ml.start(online=False, project_name="digits", experiment_config=config, **{"mode": "create", **more})


def runs(place: Path) -> list[BackendRun]:
    """Read the experiments of a place."""
    assert CometSource.recognises(str(place))
    return list(CometSource(str(place)).runs())


def read(run: BackendRun, scratch: Path) -> tuple[list[Metrics], dict[str, Artifact]]:
    """Return an experiment's calls, and its artifacts by name."""
    scratch.mkdir(exist_ok=True)
    found = list(run.records(scratch))
    artifacts = {one.name: one for one in found if isinstance(one, Artifact)}
    return [one for one in found if isinstance(one, Metrics)], artifacts


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an experiment that has everything, and an empty one."""
    folder = tmp_path_factory.mktemp("comet")
    (folder / "deep").mkdir()
    (folder / "deep" / "a.txt").write_text("one")
    sound = folder / "a.wav"
    sound.write_bytes(media.Audio(np.zeros(80), 8000).content().data or b"")
    one = begun(folder / "one", name="first")
    one.log_parameters({"lr": 0.1, "deep": {"layers": 3, "list": [1, 2]}, "text": "x", "none": None, "flag": True})
    one.log_metrics({"loss": 0.5, "acc": 0.25}, step=3)
    one.log_metrics({"nan": float("nan"), "inf": float("inf"), "less": float("-inf")}, step=4)
    one.log_metric("loss", 0.125, step=4)
    one.log_metric("loss", 0.25, step=4)
    one.log_text("a text", step=5)
    one.log_image(str(_png(folder / "a.png")), name="some/image", step=6)
    one.log_histogram_3d(np.array([1.0, 2.0, 2.0, 3.0]), name="histogram", step=6)
    one.log_confusion_matrix(matrix=[[1, 2], [0, 3]], labels=["cat", "dog"], file_name="matrix.json", step=6)
    one.log_audio(str(sound), file_name="tone.wav", step=6)
    one.log_points_3d("points", [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], step=6)
    one.log_curve("curve", [1, 2], [3, 4], step=6)
    one.log_html("<b>ü</b>")
    one.log_table("results.csv", [[1, "a"], [2, "b"]], headers=["n", "text"])
    one.log_asset(str(folder / "deep" / "a.txt"), file_name="notes.txt", metadata={"rows": 3}, step=7)
    one.log_model("net", str(folder / "deep"))
    one.end()
    begun(folder / "two", name="second").end()
    return folder


def _png(path: Path) -> Path:
    from PIL import Image

    Image.fromarray(PIXELS).save(path)
    return path


@pytest.mark.long
def test_several_experiments(place: Path, tmp_path: Path) -> None:
    """Identity, configuration, calls, media and files; of an archive in a folder at any depth, or unpacked."""
    one, two = runs(place)
    assert (one.project, one.name, two.name, two.config) == ("digits", "first", "second", {})
    (archive,) = (place / "one").rglob("*.zip")
    assert archive.name.startswith(one.id)
    assert one.created == pytest.approx(archive.stat().st_mtime, abs=120)
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(tmp_path / "unpacked")
    (unpacked,) = runs(tmp_path / "unpacked")
    for number, run in enumerate((one, unpacked)):
        assert run.id == one.id
        deep = {"layers": 3, "list": [1, 2]}
        assert run.config == {"lr": 0.1, "deep": deep, "text": "x", "none": None, "flag": True}
        found, artifacts = read(run, tmp_path / f"scratch{number}")
        values = {name: value for row in found[4:] for name, value in row.values.items()}
        numbers = [(row.step, str(dict(sorted(row.values.items())))) for row in found[:3]]
        assert numbers[0] == (3, "{'acc': 0.25, 'loss': 0.5}")
        assert numbers[1][0] == 4
        assert "'inf': inf, 'less': -inf, " in numbers[1][1]
        assert "'nan': nan" in numbers[1][1]
        assert [row.values["loss"] for row in found if "loss" in row.values] == [0.5, 0.125, 0.25]
        assert "a text" in [row.values.get("text") for row in found]
        assert {row.step for row in found if "some/image" in row.values} == {6}
        assert (values["some/image"].array() == PIXELS).all()
        histogram = values["histogram"].content().info
        assert sum(histogram["counts"]) == 4
        assert histogram["edges"][0] <= 1.0
        assert histogram["edges"][-1] >= 3.0
        assert values["matrix"].content().info == {"matrix": [[1, 2], [0, 3]], "labels": ["cat", "dog"]}
        assert isinstance(values["tone"], media.Audio)
        places = np.frombuffer(values["points"].content().data[-24:], "<f4").reshape(2, 3)
        assert sorted(places.tolist()) == [[1, 2, 3], [4, 5, 6]]  # Comet stores them in any order
        assert values["curve"].content().info["rows"] == 2
        assert values["html"].content().data == "<b>ü</b>".encode()
        assert json.loads(values["results"].content().data) == {"columns": ["n", "text"], "data": [[1, "a"], [2, "b"]]}
        notes, net = artifacts["notes.txt"], artifacts["net"]
        assert (Path(notes.path).read_text(), notes.values, notes.step) == ("one", {"rows": 3}, 7)
        assert net.type == "model"
        assert [one.read_text() for one in Path(net.path).rglob("*.txt")] == ["one"] or Path(net.path).is_file()
        assert not run.lost


def test_a_continued_experiment_is_one(tmp_path: Path) -> None:
    """The archives of one key are one run, oldest first."""
    key = "a" * 40
    for part in range(2):
        experiment = begun(tmp_path / "w", experiment_key=key, mode="get_or_create")
        experiment.log_metric("loss", float(part), step=part)
        experiment.end()
    (found,) = runs(tmp_path)
    assert found.id == key
    assert [row.values["loss"] for row in read(found, tmp_path / "s")[0]] == [0.0, 1.0]


def test_a_killed_experiment(tmp_path: Path) -> None:
    """What Comet had written into its folder for temporary files is read."""
    code = """
        import comet_ml
        config = comet_ml.ExperimentConfig(auto_metric_logging=False, display_summary_level=0)
        experiment = comet_ml.start(online=False, project_name="digits", experiment_config=config)
        experiment.log_parameter("lr", 0.1)
        for step in range(10_000_000):
            experiment.log_metrics({"loss": step / 7, "acc": 1.0}, step=step)
    """
    environment = {**os.environ, "TMPDIR": str(tmp_path), "COMET_OFFLINE_DIRECTORY": str(tmp_path / "archives")}
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], env=environment, cwd=tmp_path)
    until(lambda: any(path.stat().st_size > 300_000 for path in tmp_path.rglob("messages.json")))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (found,) = runs(tmp_path)
    rows, _ = read(found, tmp_path / "s")
    assert len(rows) > 300
    losses = [row.values["loss"] for row in rows if "loss" in row.values]
    assert losses == [step / 7 for step in range(len(losses))]
    assert (found.config, found.outcome) == ({"lr": 0.1}, None)
    assert sum(found.lost.values()) <= 1


def packed(folder: Path, messages: bytes, **files: bytes) -> BackendRun:
    """Return the experiment of an archive of these messages and files."""
    path = folder / "key-made.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("experiment.json", json.dumps({"offline_id": "key", "project_name": "p"}))
        archive.writestr("messages.json", messages)
        for name, content in files.items():
            archive.writestr(name, content)
    (run,) = runs(path)
    return run


def test_damaged_messages(tmp_path: Path) -> None:
    """Each is counted; the others are read."""
    metric = {"payload": {"local_timestamp": 1000, "metric": {"metricName": "a", "metricValue": 1, "step": 0}}}
    good = json.dumps({**metric, "type": "metric_msg"}).encode()
    upload = {"upload_type": "visualization", "file_path": "x", "additional_params": {"figName": "i"}}
    bad = [b"{", b"[]", b'{"type": "metric_msg", "payload": {}}', b"[" * 100_000, b'{"type": 1, "payload": 2}']
    bad += [json.dumps({"type": "file_upload", "payload": {**upload, "file_path": "none"}}).encode()]
    bad += [json.dumps({"type": "metric_msg", "payload": {"metric": {"metricName": "a", "metricValue": "x"}}}).encode()]
    run = packed(tmp_path, b"\n".join([good, *bad, good, good[:30]]))
    rows, _ = read(run, tmp_path / "s")
    assert [row.values for row in rows] == [{"a": 1}, {"a": 1}]
    assert sum(run.lost.values()) == len(bad) + 1


def test_names_that_lead_out(tmp_path: Path) -> None:
    """No file is written or read outside of the folders."""
    (tmp_path / "secret").write_text("secret")
    names = ["../../evil", "/evil", "a/../../evil", "..", "a\0b"]
    about = {"upload_type": "model-element", "file_path": "x", "metadata": {}}
    lines = [
        json.dumps({"type": "file_upload", "payload": {**about, "additional_params": {"fileName": name}}})
        for name in names
    ]
    run = packed(tmp_path, "\n".join(lines).encode(), x=b"evil")
    scratch = tmp_path / "deep" / "scratch"
    scratch.mkdir(parents=True)
    read(run, scratch)
    assert not [path for path in tmp_path.rglob("*evil*") if scratch not in path.parents]
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "secret")
    uploads = [{**about, "file_path": one, "additional_params": {"fileName": "f"}} for one in ("../secret", "link")]
    uploads += [{**about, "file_path": str(tmp_path / "secret"), "additional_params": {"fileName": "f"}}]
    (folder / "messages.json").write_text(
        "\n".join(json.dumps({"payload": one, "type": "file_upload"}) for one in uploads)
    )
    (run,) = runs(folder)
    assert read(run, tmp_path / "s") == ([], {})
    assert sum(run.lost.values()) == 3


def test_damage_of_an_archive(place: Path, tmp_path: Path) -> None:
    """A torn archive is none; flipped bytes are an error or counted, and nothing else is raised."""
    (archive,) = (place / "one").rglob("*.zip")
    content, random_ = archive.read_bytes(), random.Random(0)
    for share in (0.0, 0.3, 0.9, 0.999):
        (tmp_path / "torn.zip").write_bytes(content[: int(len(content) * share)])
        assert not CometSource.recognises(str(tmp_path / "torn.zip"))
    for number in range(40):
        damaged = bytearray(content)
        for _ in range(3):
            damaged[random_.randrange(len(content))] ^= 0xFF
        (tmp_path / "flipped.zip").write_bytes(damaged)
        try:
            found = list(CometSource(str(tmp_path / "flipped.zip")).runs())
        except NotReadableError:
            continue
        for run in found:
            read(run, tmp_path / f"scratch{number}")


def test_what_is_none_of_comets(tmp_path: Path) -> None:
    """Garbage, other archives and empty folders are not recognised, and are errors that say so."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "garbage.zip").write_bytes(random.Random(0).randbytes(5000))
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("a.txt", "a")
    (tmp_path / "messages.json").write_text("no")
    for one in (tmp_path, tmp_path / "empty", tmp_path / "garbage.zip", tmp_path / "other.zip", Path("a\0b")):
        assert not CometSource.recognises(str(one))
        with pytest.raises(NotReadableError, match="comet_ml"):
            list(CometSource(str(one)).runs())
