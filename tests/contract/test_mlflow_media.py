"""The media of MLflow, in its SQLite store and its artifacts, read back with a client of its own."""

import hashlib
import json
import re
import shutil
import stat
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from matplotlib.figure import Figure as MatplotlibFigure
from mlflow import MlflowClient
from PIL import Image as Pil

import accel_track
from accel_track import media
from accel_track.delivery.base import hand_over
from accel_track.delivery.sync import Sync
from accel_track.errors import AccelTrackWarning
from accel_track.journal.directory import find_runs
from accel_track.media.fallbacks import stored
from accel_track.media.kinds import Figure
from accel_track.records import Artifact, Metrics
from accel_track.trackers.mlflow.images import ImagesPath
from accel_track.trackers.mlflow.tables import with_table
from accel_track.trackers.mlflow.tracker import MLflowTracker
from tests.support.readers.mlflow import MLflowContract, all_runs, artifacts

PIXELS = np.random.default_rng(0).integers(100, 140, (8, 6, 3), np.uint8)
MOMENT = 1.7e9


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database after MLflow's migrations, which take seconds."""
    folder = tmp_path_factory.mktemp("mlflow")
    MlflowClient(f"sqlite:///{folder}/mlflow.db").search_experiments()
    return folder / "mlflow.db"


@pytest.fixture
def tracker(tmp_path: Path, empty_database: Path) -> Iterator[MLflowTracker]:
    """Return a tracker that is started, in a database of its own."""
    shutil.copy(empty_database, tmp_path)
    tracker = MLflowContract().make(tmp_path)
    tracker.start()
    mlflow.set_tracking_uri(tracker.client.tracking_uri)  # MLflow's reader looks for models of an artifact's name there
    yield tracker
    tracker.finish()
    mlflow.set_tracking_uri(None)


def found(tracker: MLflowTracker) -> dict[str, bytes]:
    """Return the content of each artifact of the tracker's run."""
    assert tracker.run_id is not None
    return dict(artifacts(MlflowClient(tracker.client.tracking_uri), tracker.run_id))


def records(tmp_path: Path, *values: dict[str, Any], step: int | None = 0) -> list[Metrics]:
    """Return calls with media as trackers are given them."""
    return [
        Metrics(
            number,
            MOMENT + number,
            {k: stored(v, tmp_path / "kept") if isinstance(v, media.Medium) else v for k, v in one.items()},
            step,
        )
        for number, one in enumerate(values)
    ]


@pytest.mark.long
def test_a_table_of_each_of_150_steps(tracker: MLflowTracker) -> None:
    """All arrive, the newest are in MLflow's list of tables, and MLflow's own call goes on working."""
    for step in range(150):
        tracker.log_table("validation/predictions", ["n", "text"], [[step, "ü"], [step + 1, "x"]], step=step)
    client, run_id = MlflowClient(tracker.client.tracking_uri), tracker.tracker.info.run_id
    files = found(tracker)
    steps = {int(path.split("/step-")[1].split("-")[0]): json.loads(content) for path, content in files.items()}
    assert {step: one["data"][0][0] for step, one in steps.items()} == {step: step for step in range(150)}
    run = client.get_run(run_id)
    listed = [one["path"] for one in json.loads(run.data.tags["mlflow.loggedArtifacts"])]
    assert 60 < len(listed) < 150
    assert "step-149-" in listed[-1]
    assert set(listed) <= files.keys()
    frame = client.load_table(run.info.experiment_id, listed[-1], run_ids=[run_id])
    assert frame.to_numpy().tolist() == [[149, "ü"], [150, "x"]]
    client.log_table(run_id, {"a": [1]}, "mine.json")
    tracker.log_table("validation/predictions", ["n"], [[1]], step=150)
    listed = [one["path"] for one in json.loads(client.get_run(run_id).data.tags["mlflow.loggedArtifacts"])]
    assert listed[-2] == "mine.json", "what somebody else has listed stays"


def test_a_list_of_tables_that_was_cut() -> None:
    """It is begun anew; where others' tables fill it, it stays as it is."""
    for odd in ('[{"path": "a', "7", "[7]"):
        assert json.loads(with_table(odd, "media/b.json", "media/")) == [{"path": "media/b.json", "type": "table"}]
    full = json.dumps([{"path": f"{number:040}.json", "type": "table"} for number in range(110)])
    assert with_table(full, "media/b.json", "media/") == full


def test_a_table_without_json_numbers(tracker: MLflowTracker) -> None:
    """NaN is null, as MLflow's own tables have it, and infinities are texts: browsers read no others."""
    tracker.log_table("odd", ["x"], [[float("nan")], [float("inf")], [-float("inf")], [0.5]], step=1)
    ((_, content),) = found(tracker).items()
    assert json.loads(content, parse_constant=pytest.fail)["data"] == [[None], ["Infinity"], ["-Infinity"], [0.5]]


def test_images_are_named_as_mlflows_own(tracker: MLflowTracker) -> None:
    """The page's rules for names are those of `log_image`, of which the small image is like."""
    run_id = tracker.tracker.info.run_id
    tracker.log_images({"val/sample": PIXELS}, step=3)
    own = MlflowClient(tracker.client.tracking_uri)
    theirs = tracker.client.create_run(tracker.tracker.info.experiment_id)
    own.log_image(theirs.info.run_id, PIXELS, key="val/sample", step=3)

    def shape(run: str) -> tuple[list[str], dict[str, str]]:
        names = [re.sub(r"timestamp\+\d{13}\+[0-9a-f-]{36}", "T", path) for path, _ in artifacts(own, run)]
        return sorted(names), {k: v for k, v in own.get_run(run).data.tags.items() if k.startswith("mlflow.logged")}

    assert shape(run_id) == shape(theirs.info.run_id)
    small = [content for path, content in artifacts(own, theirs.info.run_id) if path.endswith(".webp")]
    assert small == [content for path, content in found(tracker).items() if path.endswith(".webp")]


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif"])
def test_image_files(tracker: MLflowTracker, tmp_path: Path, suffix: str) -> None:
    """A PNG keeps its bytes, a JPEG its pixels, and a GIF, which may move, is a file."""
    picture = Pil.fromarray(PIXELS)
    picture.save(tmp_path / f"given.{suffix}", **({"compress_level": 0} if suffix == "png" else {}))
    given = (tmp_path / f"given.{suffix}").read_bytes()
    tracker.log_images({"one": tmp_path / f"given.{suffix}"}, step=3)
    files = found(tracker)
    if suffix == "jpg":
        (path,) = (tmp_path / "mlartifacts").rglob("*.png")
        assert np.array_equal(np.asarray(Pil.open(path)), np.asarray(Pil.open(tmp_path / "given.jpg")))
    else:
        assert given in files.values()
    assert any(path.startswith("media/one/step-3-") for path in files) is (suffix == "gif")


def test_narrow_images_and_columns_of_one_pixel(tracker: MLflowTracker) -> None:
    """`MlflowClient.log_image` raises for them."""
    shapes = {"high": (1000, 1), "wide": (1, 1000), "dot": (1, 1)}
    tracker.log_images({name: np.full(shape, 7, np.uint8) for name, shape in shapes.items()}, step=0)
    assert len(found(tracker)) == 6
    assert not tracker.dropped


@pytest.mark.long
def test_delivered_again_by_another_process(tracker: MLflowTracker, tmp_path: Path) -> None:
    """A medium replaces itself, of every kind; an artifact and a model are there once, too."""
    calls = records(tmp_path, {kind: make() for kind, make in MLflowContract.samples.items()}, step=4)
    file = tmp_path / "weights.bin"
    file.write_bytes(b"weights")
    before = {}
    for number in range(2):
        again = tracker if not number else MLflowTracker(**tracker.identity())
        again.start()
        again.log_batch(calls)
        again.record_time = MOMENT
        again.log_artifact(file, "data", type="dataset", metadata={"rows": 3}, step=2)
        again.log_artifact(file, "net", type="model", metadata={"rows": 3}, step=2)
        again.record_time = None
        if number:
            assert found(tracker) == before
            again.finish()
        before = found(tracker)
    assert json.loads(before["data.accel_track.json"]) == {"type": "dataset", "step": 2, "metadata": {"rows": 3}}
    run = tracker.client.get_run(tracker.run_id)
    (model,) = tracker.client.search_logged_models([run.info.experiment_id])
    assert [(one.model_id, one.step) for one in run.outputs.model_outputs] == [(model.model_id, 2)]
    assert (model.name, model.source_run_id, model.status) == ("net", run.info.run_id, "READY")
    place = Path(model.artifact_location.removeprefix("file://"))
    assert (place / "weights.bin").read_bytes() == b"weights"
    assert json.loads((place / "accel_track.json").read_text()) == {"rows": 3}


def test_a_model_whose_upload_failed(tracker: MLflowTracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next try goes on with the same model."""
    (tmp_path / "net.pt").write_bytes(b"weights")
    tracker.record_time = MOMENT
    with monkeypatch.context() as patch:
        patch.setattr(tracker, "_store_files", lambda *_: (_ for _ in ()).throw(ConnectionError("lost")))
        with pytest.raises(ConnectionError):
            tracker.log_artifact(tmp_path / "net.pt", "net", type="model")
    tracker.log_artifact(tmp_path / "net.pt", "net", type="model")
    (model,) = tracker.client.search_logged_models([tracker.tracker.info.experiment_id])
    assert model.status == "READY"


@pytest.mark.parametrize("known", [True, False])
def test_a_batch_that_fails_behind_its_media(
    tracker: MLflowTracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    """Nothing is stored twice when it comes again, also where `log_image` makes up the names."""
    if not known:
        tracker.fast(ImagesPath).close()
    image, histogram = media.Image(PIXELS), media.Histogram(np.arange(10), 5)
    calls = records(tmp_path, {"a": image, "h": histogram, "loss": 1.0}, {"a": image, "loss": 2.0}, step=3)
    with monkeypatch.context() as patch:
        patch.setattr(tracker, "write", lambda _: (_ for _ in ()).throw(ConnectionError("lost")))
        with pytest.raises(ConnectionError):
            tracker.log_batch(calls)
    tracker.log_batch(calls)
    assert len([path for path in found(tracker) if path.endswith(".png")]) == 2
    history = tracker.client.get_metric_history(tracker.run_id, "loss")
    assert [one.value for one in history] == [1.0, 2.0]
    assert len(tracker.client.get_metric_history(tracker.run_id, "h/p50")) == 1
    assert not tracker.dropped


def test_histograms(tracker: MLflowTracker) -> None:
    """Quantiles are metrics at the step, and the counts a file."""
    for step in range(3):
        tracker.log_histogram({"weights/layer": np.linspace(0, 100, 1001) + step}, step=step, bins=10)
    run = tracker.client.get_run(tracker.run_id)
    shown = {key.rpartition("/")[2]: value for key, value in run.data.metrics.items()}
    expected = {"min": 2, "p05": 7, "p25": 27, "p50": 52, "p75": 77, "p95": 97, "max": 102}
    assert shown == pytest.approx(expected, abs=1)
    history = tracker.client.get_metric_history(tracker.run_id, "weights/layer/min")
    assert [(one.step, one.value) for one in history] == [(0, 0.0), (1, 1.0), (2, 2.0)]
    assert sorted(sum(json.loads(content)["counts"]) for content in found(tracker).values()) == [1001] * 3


@pytest.mark.long
def test_odd_names(tracker: MLflowTracker, tmp_path: Path) -> None:
    """Each has a place of its own inside of the run, of whatever kind the medium is."""
    names = ["", ".", "..", "../../up", "/abs", "a//b", "a\0b", "a\\b", "a%2e", "a?b", "a#b", "a~b", "a/b", "x" * 400]
    names += ["\udce9", "ü", "ü" * 300, "acc@1", "acc#1", "C:/x", "file://x", " ", "step-0"]
    (tmp_path / "given.txt").write_text("x")
    before = {one for one in tmp_path.rglob("*") if "mlartifacts" not in one.parts}
    for name in names:
        tracker.log({name: stored(media.Image(PIXELS), tmp_path / "kept")}, step=0)
        tracker.log_text({name: f"text of {name!a}"}, step=0)
        tracker.log_artifact(tmp_path / "given.txt", name, metadata={"name": f"{name!a}"})
        tracker.log_model(tmp_path / "given.txt", name)
    files = found(tracker)
    texts = {content.decode() for path, content in files.items() if path.endswith(".md")}
    assert texts == {f"text of {storable!a}" for storable in names}
    assert len([path for path in files if path.endswith(".png")]) == len(names)
    assert len([path for path in files if path.endswith("given.txt")]) == len(names)
    models = tracker.client.search_logged_models([tracker.tracker.info.experiment_id])
    assert len({one.name for one in models}) == len(names)
    after = {one for one in tmp_path.rglob("*") if "mlartifacts" not in one.parts and "kept" not in one.parts}
    assert after == before
    root = tmp_path / "mlartifacts"
    run_id = tracker.tracker.info.run_id
    assert {one.name for one in root.iterdir()} == {run_id, "models"}
    assert not tracker.dropped


def test_the_older_forms(tracker: MLflowTracker, tmp_path: Path) -> None:
    """Artifacts and figures by the arguments that MLflow has for them."""
    (tmp_path / "data" / "in").mkdir(parents=True)
    (tmp_path / "data" / "in" / "a.txt").write_text("a")
    figure = MatplotlibFigure(figsize=(1, 1), dpi=50)
    tracker.log_artifact(local_path=tmp_path / "data" / "in" / "a.txt", artifact_path="notes")
    tracker.log_artifact(tmp_path / "data" / "in" / "a.txt")
    tracker.log_artifact(tmp_path / "data")
    tracker.log_artifacts(local_dir=tmp_path / "data", artifact_path="folder")
    tracker.log_artifacts(tmp_path / "data")
    tracker.log_figure(figure=figure, artifact_file="plots/one.png", dpi=100)
    tracker.log_figure(figure, "plots/two.svg")
    tracker.log_figure("three", figure, step=7)
    files = found(tracker)
    figures = {path for path in files if path.startswith("plots/")}
    others = {path for path in files if not path.startswith(("plots/", "images/"))}
    assert figures == {"plots/one.png", "plots/two.svg"}
    assert others == {"notes/a.txt", "a.txt", "data/in/a.txt", "folder/in/a.txt", "in/a.txt"}
    assert any(path.startswith("images/three+step+7+") for path in files)
    with pytest.raises(NotADirectoryError):
        tracker.log_artifacts(tmp_path / "data" / "in" / "a.txt")
    with pytest.raises(TypeError, match="path"):
        tracker.log_artifact()


def test_other_arguments(tracker: MLflowTracker) -> None:
    """Those of `log_image` reach it, and others raise what they did."""
    tracker.log_images({"one": PIXELS}, step=3, timestamp=1234567890123)
    tracker.log_images({"one": PIXELS}, step=3, synchronous=False)
    assert any("+step+3+timestamp+1234567890123+" in path for path in found(tracker))
    assert len([path for path in found(tracker) if path.endswith(".png")]) == 2
    for call in (tracker.log_images, tracker.log_html, tracker.log_histogram):
        with pytest.raises(TypeError, match="nonsense"):
            call({"one": PIXELS if call != tracker.log_html else "<b>"}, step=0, nonsense=1)
    with pytest.raises(TypeError, match="nonsense"):
        tracker.log_table("one", ["a"], [[1]], nonsense=1)


def test_a_figure_of_plotlys(tracker: MLflowTracker, tmp_path: Path) -> None:
    """It is a page that draws it, whatever its texts hold."""
    figure = {"data": [{"y": [1, 2]}], "layout": {"title": {"text": "</script><b> ü {x}"}}}
    (tmp_path / "x.plotly.json").write_text(json.dumps(figure))
    tracker.log({"fig": Figure.of_stored({}, tmp_path / "x.plotly.json")}, step=5)
    ((path, content),) = found(tracker).items()
    assert re.fullmatch(r"media/fig/step-5-\d+-[0-9a-f]{8}\.html", path)
    page = content.decode()
    assert page.count("</script>") == 2
    assert json.loads(page.split("const figure = ")[1].split(";\nPlotly")[0]) == figure


def test_files_are_as_readable_as_others(tracker: MLflowTracker, tmp_path: Path) -> None:
    """A journal's files are their owner's only; MLflow's server may be another user."""
    tracker.log_batch(records(tmp_path, {kind: make() for kind, make in MLflowContract.samples.items()}))
    (tmp_path / "new").touch()
    wanted = stat.S_IMODE((tmp_path / "new").stat().st_mode)
    files = [one for one in (tmp_path / "mlartifacts").rglob("*") if one.is_file()]
    assert {stat.S_IMODE(one.stat().st_mode) for one in files} == {wanted}


def test_sync_of_a_journal_gives_the_same_bytes(tmp_path: Path, empty_database: Path) -> None:
    """Every file of the journal is among the artifacts that a client downloads, whole."""
    (tmp_path / "store").mkdir()
    shutil.copy(empty_database, tmp_path / "store")
    address = f"sqlite:///{tmp_path}/store/mlflow.db"
    (tmp_path / "noise.bin").write_bytes(bytes(range(256)) * 100)
    Pil.fromarray(PIXELS).save(tmp_path / "given.png", compress_level=0)
    with accel_track.init("p", "tensorboard", project_dir=tmp_path / "runs", delivery="none") as run:
        samples = {kind: make() for kind, make in MLflowContract.samples.items()}
        run.log({**samples, "file": media.Image(tmp_path / "given.png")}, step=3)
        run.log_artifact(tmp_path / "noise.bin", "noise", metadata={"a": 1})
        run.log_model(tmp_path / "noise.bin")
    (left,) = find_runs(tmp_path / "runs")
    sums = {
        hashlib.sha256(one.read_bytes()).hexdigest()
        for one in left.path.rglob("media/*.*")
        if one.is_file() and not one.name.endswith(".raw")
    }
    arguments = {"mlflow": {"tracking_uri": address, "logging_dir": str(tmp_path / "store" / "mlartifacts")}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AccelTrackWarning)
        (result,) = Sync(left, to=["mlflow"], arguments=arguments).deliver(follow=False, timeout=120)
    assert (result.error, result.obstacle, result.pending) == (None, None, 0)
    (stored_run,) = all_runs(address)
    client = MlflowClient(address)
    there = {path: hashlib.sha256(content).hexdigest() for path, content in artifacts(client, stored_run.info.run_id)}
    assert len(sums) >= 8
    assert sums <= set(there.values())
    assert there["noise/noise.bin"] == hashlib.sha256((tmp_path / "noise.bin").read_bytes()).hexdigest()
    (model,) = client.search_logged_models([stored_run.info.experiment_id])
    assert (Path(model.artifact_location.removeprefix("file://")) / "noise.bin").stat().st_size == 25600


def test_artifacts_of_a_journal_are_delivered_once(tracker: MLflowTracker, tmp_path: Path) -> None:
    """The time of the call, which a delivery repeats, tells a model from another of its name."""
    (tmp_path / "net.pt").write_bytes(b"weights")
    for moment in (MOMENT, MOMENT, MOMENT + 1):
        hand_over(tracker, [Artifact(0, moment, {}, "net", str(tmp_path / "net.pt"), "model", 1)], tmp_path)
    assert len(tracker.client.search_logged_models([tracker.tracker.info.experiment_id])) == 2
