"""A receipt of each backend: a run that was delivered is whole, one that lacks something is not, until it is repaired."""

import contextlib
import json
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accel_track import media
from accel_track.delivery.receipt import Receipt, compare
from accel_track.delivery.repair import repair
from accel_track.delivery.settings import Settings
from accel_track.delivery.sync import Sync
from accel_track.errors import AccelTrackWarning
from accel_track.journal import cursor as cursors
from accel_track.journal.directory import RunDirectory
from accel_track.journal.reader import last_seq
from accel_track.media.ways import KINDS
from accel_track.registry import LOGGER_TYPE_TO_CLASS, select, tracker_class
from accel_track.run import Run
from accel_track.values.plain import leaves
from tests.support.contracts import contract
from tests.support.runs import only_run
from tests.support.skips import need

NAMES = sorted(name for name, cls in LOGGER_TYPE_TO_CLASS.items() if name != "console")

CALLS: list[tuple[dict[str, Any], int | None]] = [
    *(({"train": {"loss": 1 / (step + 1), "acc@1": step / 3}, "epoch": step // 2}, step) for step in range(20)),
    ({"val/loss": 0.25, "odd name #1": 2.5}, 19),
    ({"val/loss": 1e-30, "count": 7}, 3),
    ({"nan": float("nan"), "inf": float("inf"), "less": float("-inf"), "note": "a text"}, 20),
    ({"loose": 0.5}, None),
    ({"loose": 0.25}, None),
]
CONFIG = {"lr": 0.1, "layers": 3, "deep": {"name": "adam", "on": True, "betas": [0.9, 0.999]}, "none": None}


@pytest.fixture(params=NAMES)
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    need(tracker_class(name).sdk or "torch")
    return name


def arguments(name: str) -> dict[str, Any]:
    """Return the arguments of the local mode, of which not all are stored with a run."""
    return contract(name).init_kwargs(Path.cwd())


def start(name: str, resumed: RunDirectory | None = None, delivery: str = "thread") -> Run:
    given = {name: arguments(name)}
    settings = Settings.of(delivery=delivery)
    more: dict[str, Any] = {"config": CONFIG} if resumed is None else {"resumed": resumed}
    return Run(
        select(name, "runs"), project="proj", name="one", directory="runs", init_kwargs=given, settings=settings, **more
    )


def ended(run: Run) -> RunDirectory:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AccelTrackWarning)
        run.finish()
    return only_run(Path("runs"))


@contextlib.contextmanager
def lost(directory: RunDirectory, name: str) -> Iterator[Run]:
    """Have what is logged count as delivered, though the backend has none of it."""
    run = start(name, directory, "none")
    run.go_on()
    yield run
    run.finish()
    cursor = cursors.load(directory.cursor(name))
    cursor.seq = last_seq(directory.rank()) + 1
    cursors.save(directory.cursor(name), cursor)


def exact(found: Receipt) -> None:
    """Make sure that nothing is missing, other than sent, or too much."""
    assert found.whole, str(found)
    assert not any(tally.extra.count for tally in found.tallies), str(found)
    assert not found.unread, str(found)
    assert not found.dropped.count, str(found)


@pytest.mark.extras
def test_numbers_texts_and_hyperparameters(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = start(backend)
    for values, step in CALLS:
        run.log(values, step)
    directory = ended(run)
    found = compare(directory, backend, arguments(backend))
    exact(found)
    assert found.values.sent >= 66
    assert found.settings.sent == 6
    yesterday = time.time() - 86400
    with lost(directory, backend) as run, monkeypatch.context() as clock:
        clock.setattr(time, "time", lambda: yesterday)
        run.log({"train": {"loss": 99.5, "acc@1": 98.5}}, 21)
        run.log({"loose": 0.125}, 1000 if tracker_class(backend).keeps_of_a_step == "first" else None)
    lacking = compare(directory, backend, arguments(backend))
    assert not lacking.whole
    assert (lacking.values.missing.count, lacking.values.differing.count, lacking.values.extra.count) == (3, 0, 0)
    assert {name for name, _ in lacking.values.missing.first} == {"train/loss", "train/acc@1", "loose"}
    done = repair(directory, backend, arguments(backend))
    assert (done.delivered, done.error) == (2, None)
    exact(done.after)
    assert done.after.values.sent == found.values.sent + 3
    if tracker_class(backend).keeps_time:
        tracker = Sync(directory, arguments={backend: arguments(backend)}).build(backend, 0)
        Path("scratch").mkdir()
        times = [
            one.time for one in tracker.read().records(Path("scratch")) if 99.5 in dict(leaves(one.values)).values()
        ]
        assert times == [pytest.approx(yesterday, abs=1)]
    assert repair(directory, backend, arguments(backend)).delivered == 0


@pytest.mark.first(4)
@pytest.mark.extras
def test_values_that_are_easily_taken_for_others(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal values of a step and a moment, texts that say numbers, and names and steps that backends keep for own use."""
    now = time.time()
    run = start(backend)
    with monkeypatch.context() as clock:
        clock.setattr(time, "time", lambda: now)
        for _ in range(3):
            run.log({"reward": 1.0}, 5)
        run.log({"reward": 2.0}, 5)
    run.log({"answer": media.Text("42"), "nothing": media.Text("nan"), "word": "0.5", "trainer/global_step": 7}, 6)
    run.log({"_timestamp": 1.0, "_step": 2.0}, 6)
    exact(compare(ended(run), backend, arguments(backend)))


@pytest.mark.first(4)
@pytest.mark.extras
def test_a_run_that_went_back(backend: str) -> None:
    run = start(backend)
    for step in range(10):
        run.log({"loss": float(step)}, step)
    run = start(backend, ended(run))
    run.rewind(5)
    for step in range(5, 12):
        run.log({"loss": 100.0 + step}, step)
    found = compare(ended(run), backend, arguments(backend))
    assert found.whole, str(found)
    assert not found.values.extra.count, str(found)


@pytest.mark.extras
def test_media_and_artifacts(backend: str) -> None:
    from accel_track.testing._media import SAMPLES  # pytest has to know of it first

    Path("given").mkdir()
    Path("given/a.txt").write_text("one")
    run = start(backend)
    for kind, make in SAMPLES.items():
        run.log({f"some/{kind}": make(), "loss": 1.0}, KINDS.index(kind))
    several = np.random.default_rng(7).integers(0, 256, (2, 8, 6, 3), np.uint8)
    run.log({"several": [media.Image(pixels) for pixels in several]}, 1)
    run.log_artifact("given/a.txt", "an-artifact", type="dataset")
    directory = ended(run)
    found = compare(directory, backend, arguments(backend))
    assert found.whole, str(found)
    assert not any(tally.extra.count for tally in found.tallies), str(found)
    kept = sum(tracker_class(backend).media[kind].how != "none" for kind in SAMPLES) + 2
    assert found.media.sent == found.media.there == kept, str(found)
    with lost(directory, backend) as run:
        for kind, make in SAMPLES.items():
            run.log({f"some/{kind}": make()}, 100 + KINDS.index(kind))
        run.log({"several": [media.Image(pixels) for pixels in several[::-1]]}, 100)
        Path("given/b.txt").write_text("two")
        run.log_artifact("given/b.txt", "another-artifact")
    lacking = compare(directory, backend, arguments(backend))
    assert (lacking.media.missing.count, lacking.media.differing.count) == (kept, 0), str(lacking)
    keeps_files = tracker_class(backend).media["artifact"].how != "none"
    assert lacking.artifacts.missing.count == keeps_files
    done = repair(directory, backend, arguments(backend))
    assert done.after.whole, str(done.after)
    assert not any(tally.extra.count for tally in done.after.tallies), str(done.after)
    assert done.after.media.there == 2 * kept
    assert repair(directory, backend, arguments(backend)).delivered == 0


@pytest.mark.extras
@pytest.mark.parametrize("name", ["mlflow", "jsonl"])
def test_equal_values_of_a_step_and_a_millisecond(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training often logs its epoch with each of several calls at one step; MLflow keeps one of them."""
    need(tracker_class(name).sdk or "torch")
    with monkeypatch.context() as clock:
        clock.setattr(time, "time", lambda: 1.7e9)
        run = start(name)
        for values in ({"epoch": 0, "train/loss": 0.5}, {"epoch": 0, "val/loss": 0.25}):
            run.log(values, 1)
    found = compare(ended(run), name, arguments(name))
    exact(found)
    assert found.values.there == (3 if name == "mlflow" else 4)


@pytest.mark.extras
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of SDKs, about numbers as large as these
def test_odd_media(backend: str) -> None:
    """What backends store in a form of their own, or not at all, is neither missing nor other than sent."""
    figure = media.Figure.of_stored({}, Path("figure.plotly.json").absolute())
    Path("figure.plotly.json").write_text(json.dumps({"data": [{"y": [1, 2], "type": "scatter"}], "layout": {}}))
    image = media.Image(np.zeros((4, 4, 3), np.uint8))
    odd: dict[str, Any] = {
        "table/twice": media.Table([[1, 2]], ["a", "a"]),
        "table/nan": media.Table([[float("nan"), float("inf"), None, "a"]], ["a", "b", "c", "d"]),
        "table/rows": media.Table([], ["a"]),
        "table/empty": media.Table([], []),
        "table/half": media.Table([["\ud800", "\x00"]], ["a", "b"]),
        "histogram/constant": media.Histogram(np.zeros(5)),
        "histogram/near": media.Histogram(np.float32([1, 1 + 2**-20]), 4),
        "histogram/huge": media.Histogram(np.float32([-1e38, 1e38, 3e38])),
        "matrix/nan": media.ConfusionMatrix(matrix=[[1.5, float("nan")], [0.0, 1.0]]),
        "matrix/twice": media.ConfusionMatrix([0, 1], [1, 1], labels=["a", "a"]),
        "text/lines": media.Text("a\r\nb\n"),
        "text/long": media.Text("x" * 200_000),
        "page": media.Html("<p>a</p>\r\n"),
        "figure": figure,
        "of two kinds": [image, media.Text("a")],
        "bad": [image, media.Image(None)],
        "worse": media.Image(None),
    }
    run = start(backend)
    for step, (name, medium) in enumerate(odd.items()):
        run.log({name: medium}, step)
    found = compare(ended(run), backend, arguments(backend))
    exact(found)
    left_out = 2 * (backend == "tensorboard")  # the page, and the figure of Plotly's
    assert found.media.sent == len(odd) - 2 - left_out, str(found)


@pytest.mark.first(4)
@pytest.mark.extras
def test_odd_artifacts(backend: str) -> None:
    """Names that are paths or none, and equal files, are not missing where a backend keeps them in one folder or once."""
    Path("given").mkdir()
    for name in ("one", "two"):
        Path("given", name).write_text(name)
    run = start(backend)
    for name in ("data/train", "data/val", "n\0ul", "..", ".", "../up", "x" * 300, "half \udce9", "a\nb"):
        run.log_artifact("given/one", name)
    for name in ("one", "two", "one", "one"):
        run.log_artifact(f"given/{name}", "same")
    run.log_artifact("given")
    found = compare(ended(run), backend, arguments(backend))
    assert found.whole, str(found)
    assert not any(tally.extra.count for tally in found.tallies), str(found)
    assert not found.unread, str(found)
    assert found.artifacts.sent >= (0 if tracker_class(backend).media["artifact"].how == "none" else 11), str(found)


@pytest.mark.extras
def test_a_wandb_folder_that_another_of_its_second_made_longer_is_found() -> None:
    """wandb adds "-1" where the folder of the run's time and id is there, as where a run goes on at once."""
    need("wandb")
    run = start("wandb")
    run.log({"loss": 0.5}, 0)
    directory = ended(run)
    assert compare(directory, "wandb", arguments("wandb")).whole
    (folder,) = Path("runs/wandb").glob("offline-run-*")
    folder.rename(f"{folder}-1")
    exact(compare(directory, "wandb", arguments("wandb")))


@pytest.mark.parametrize("gone", [1, 3])
@pytest.mark.parametrize("content", [None, b"other"])
def test_files_beside_json_lines_are_put_back_and_no_line_is_doubled(gone: int, content: bytes | None) -> None:
    """Of a list, the media whose files are there are there, and with its file a line is whole again."""
    Path("given").write_text("x")
    run = start("jsonl")
    pixels = np.random.default_rng(7).integers(0, 256, (3, 8, 6, 3), np.uint8)
    run.log({"several": [media.Image(one) for one in pixels]}, 1)
    run.log({"one": media.Image(pixels[0])}, 2)
    run.log_artifact("given", "an-artifact")
    directory = ended(run)
    folder = Path("runs/proj/one")
    (line, _) = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    before = (folder / "metrics.jsonl").read_bytes()
    files = [folder / entry["file"] for entry in line["several"][:gone]]
    for file in (*files, folder / "artifacts" / "an-artifact" / "given"):
        file.unlink()  # it may be a link to the journal's
        if content is not None:
            file.write_bytes(content)
    lacking = compare(directory, "jsonl")
    assert (lacking.media.missing.count, lacking.media.there) == (gone + 1, 3 - gone), str(lacking)
    assert lacking.artifacts.there == 0
    exact(repair(directory, "jsonl").after)
    assert (folder / "metrics.jsonl").read_bytes() == before


@pytest.mark.parametrize("name", ["config.json", "artifacts.json"])
def test_a_damaged_file_beside_json_lines_is_put_aside(name: str) -> None:
    Path("given").write_text("x")
    run = start("jsonl")
    run.log({"loss": 0.5}, 1)
    run.log_artifact("given", "an-artifact")
    directory = ended(run)
    damaged = Path("runs/proj/one", name)
    damaged.write_bytes(damaged.read_bytes()[:20])
    assert not compare(directory, "jsonl").whole
    with pytest.warns(AccelTrackWarning, match=f"{name} cannot be read"):
        exact(repair(directory, "jsonl").after)
    assert damaged.with_name(f"{name}.unreadable").stat().st_size == 20
