"""Receipts of media and artifacts: the same content counts, in whatever form and under whatever name a backend keeps it."""

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accel_track import media
from accel_track.delivery.comparing.likeness import Look, look, look_of_all, same
from accel_track.delivery.receipt import compare
from accel_track.delivery.settings import Settings
from accel_track.delivery.sync import Sync
from accel_track.errors import AccelTrackWarning
from accel_track.journal import cursor as cursors
from accel_track.media.fallbacks import converted, stored
from accel_track.media.pages import plotly_page
from accel_track.media.ways import by, none
from accel_track.registry import select
from accel_track.run import Run
from tests.support.keeping import KeepingTracker, begin, deliver, lines, receipt, registered, rewrite
from tests.support.runs import only_run


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    with registered():
        yield


PIXELS = np.random.default_rng(0).integers(0, 256, (8, 6, 3), np.uint8)


def media_run() -> Any:
    files = Path("given")
    (files / "deep").mkdir(parents=True)
    (files / "a.txt").write_bytes(b"one")
    (files / "deep/b.bin").write_bytes(bytes(range(256)))
    run = begin()
    run.log({"image": media.Image(PIXELS, caption="noise"), "loss": 1.0}, 1)
    run.log({"several": [media.Image(PIXELS), media.Image(PIXELS[::-1])]}, 1)
    run.log(
        {
            "bins": media.Histogram(np.linspace(-1, 2, 101), 10),
            "words": media.Text("# A"),
            "t": media.Table([[1, "x"]]),
        },
        2,
    )
    run.log_artifact(files / "a.txt", "file")
    run.log_artifact(files, "folder")
    run.finish()
    return deliver()


def test_media_and_artifacts_are_compared_by_their_content() -> None:
    directory = media_run()
    found = receipt(directory)
    assert str(found).splitlines()[:3] == ["keeping: 1 of 1 values", "  6 of 6 media", "  2 of 2 artifacts"]
    assert found.whole
    assert found.uncompared == {"captions": 1}


def test_a_missing_and_a_changed_medium() -> None:
    directory = media_run()
    changed = [line for line in lines() if line["name" if "name" in line else "artifact"] != "several/1"]
    image = next(line for line in changed if line.get("name") == "image")
    stored(media.Image(PIXELS + 1), Path("kept"))  # another file
    other = next(path for path in Path("kept").glob("*.png") if path.name[1] != "-")
    image["file"] = other.name
    rewrite(changed)
    found = receipt(directory)
    assert found.media.missing.first == [("several", 1)]
    assert found.media.differing.first == [("image", 1)]
    assert found.media.there == 4


def test_pixels_in_another_file_are_the_same_image() -> None:
    from PIL import Image as Pil

    directory = media_run()
    changed = lines()
    image = next(line for line in changed if line.get("name") == "image")
    Pil.fromarray(PIXELS).convert("RGBA").save("kept/again.png", compress_level=1)
    image["file"] = "again.png"
    rewrite(changed)
    assert receipt(directory).whole


def test_a_medium_there_twice_is_extra() -> None:
    directory = media_run()
    rewrite([*lines(), next(line for line in lines() if line.get("name") == "image")])
    assert receipt(directory).media.extra.first == [("image", 1)]
    assert receipt(directory).whole


def test_a_changed_artifact() -> None:
    directory = media_run()
    file = next(line["file"] for line in lines() if line.get("artifact") == "file")
    Path("kept", file).write_bytes(b"two")
    found = receipt(directory)
    assert (found.artifacts.differing.first, found.artifacts.there) == ([("file", None)], 1)
    rewrite([line for line in lines() if line.get("artifact") != "folder"])
    assert receipt(directory).artifacts.missing.first == [("folder", None)]


def test_an_artifact_whose_files_are_gone_is_not_compared() -> None:
    directory = media_run()
    for path in (directory.rank() / "media").rglob("a.txt"):
        path.unlink()
    found = receipt(directory)
    assert found.uncompared["artifacts whose files are gone or have changed"] == 2
    assert found.artifacts.sent == 0


def test_kinds_that_the_backend_keeps_otherwise_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    directory = media_run()
    ways = {**KeepingTracker.media, "image": none("no images"), "t": by("text", "Markdown"), "table": by("text", "")}
    monkeypatch.setattr(KeepingTracker, "media", ways)
    changed = [line for line in lines() if line.get("kind") != "image"]
    table = next(line for line in changed if line.get("kind") == "table")
    rewrite(
        [line for line in changed if line is not table]
        + [{"name": "t", "step": 2, "value": media.Table([[1, "x"]]).markdown(), "time": 0}]
    )
    found = receipt(directory)
    assert found.whole, str(found)
    assert found.by_design == {"images that it does not take": 3}
    assert found.media.there == 3


def test_artifacts_that_the_backend_keeps_once_or_in_one_folder() -> None:
    run = begin()
    for name in ("one", "two"):
        Path(name).write_text(name)
    for name, file in (("a/b", "one"), ("a/c", "two"), ("d", "one"), ("d", "two"), ("d", "two")):
        run.log_artifact(file, name)
    run.finish()
    directory = deliver()
    assert receipt(directory).artifacts.there == 5
    first, second, third, fourth, _ = lines()
    folder = Path("kept/folder")
    folder.mkdir()
    for line, name in ((first, "b"), (second, "c")):
        Path("kept", line["file"]).rename(folder / name)
    rewrite([{**first, "artifact": "a", "file": "folder"}, fourth])
    found = receipt(directory)
    assert found.whole, str(found)
    assert (found.artifacts.sent, found.artifacts.there) == (3, 3)
    assert found.uncompared == {"earlier versions of artifacts, which a backend need not keep": 2}
    (folder / "c").unlink()
    assert receipt(directory).artifacts.missing.first == [("a/c", None)]
    rewrite([{**first, "artifact": "a", "file": "folder"}, third])
    assert receipt(directory).artifacts.missing.first == [("a/c", None), ("d", None)]


def test_earlier_versions_of_an_artifact_need_not_be_there() -> None:
    run = begin()
    for text in ("one", "two"):
        Path("a.txt").write_text(text)
        run.log_artifact("a.txt", "file")
    run.finish()
    directory = deliver()
    assert receipt(directory).artifacts.there == 2
    rewrite(lines()[1:])
    found = receipt(directory)
    assert found.whole
    assert found.uncompared == {"earlier versions of artifacts, which a backend need not keep": 1}
    rewrite(lines()[:0])
    assert receipt(directory).artifacts.missing.count == 1


@pytest.mark.parametrize("which", ["first", "last"])
def test_one_medium_of_a_step(which: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KeepingTracker, "keeps_of_a_step", which)
    run = begin()
    for shift in range(2):
        run.log({"image": media.Image(PIXELS + np.uint8(shift))}, 1)
    run.finish()
    directory = deliver()
    whole = lines()
    rewrite(whole[:1] if which == "first" else whole[1:])
    assert receipt(directory).whole
    rewrite(whole[1:] if which == "first" else whole[:1])
    assert receipt(directory).media.differing.count == 1


def test_media_without_a_step_are_found_wherever_the_backend_put_them() -> None:
    run = begin()
    for shift in range(3):
        run.log({"image": media.Image(PIXELS + np.uint8(shift))})
    run.finish()
    directory = deliver()
    rewrite([{**line, "step": number} for number, line in enumerate(reversed(lines()))])
    assert receipt(directory).media.there == 3


def test_media_whose_files_are_gone_or_damaged_are_not_compared() -> None:
    directory = media_run()
    images = sorted((directory.rank() / "media").glob("*.png"))
    images[0].unlink()
    found = receipt(directory)
    assert sum(found.uncompared.values()) > 1
    assert "media whose files are gone" in found.uncompared
    assert found.media.sent < 6
    for image in images:
        image.unlink(missing_ok=True)
    found = receipt(directory)
    assert not found.media.extra.count, str(found)  # those of lists have names of their own in the backend


def test_a_damaged_file_in_the_backend_differs() -> None:
    directory = media_run()
    table = next(line for line in lines() if line.get("kind") == "table")
    Path("kept", table["file"]).write_bytes(b"no table")
    found = receipt(directory)
    assert found.media.differing.first == [("t", 2)]
    assert any("a table that is damaged" in what for what in found.unread)


def test_damage_ends_no_comparison() -> None:
    """Pillow raises an IndexError for some GIFs, and what should be a figure may be any JSON."""
    Path("figure.plotly.json").write_text('{"data": []}')
    frames = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    run = begin()
    run.log({"figure": media.Figure.of_stored({}, Path("figure.plotly.json").absolute()), "clip": media.Video(frames)})
    run.finish()
    directory = deliver()
    figure, clip = (Path("kept", line["file"]) for line in lines())
    figure.write_text("[]")
    data = clip.read_bytes()
    for size in range(1100, 1140):  # in the second frame
        clip.write_bytes(data[:size])
        assert not same(Look(paths=(clip,)), look(media.Video(frames), Path()))
    assert {name for name, _ in receipt(directory).media.differing.first} == {"figure", "clip"}


def test_arrays_are_histograms_in_backends_of_sdks() -> None:
    run = Run(
        select("tensorboard", "runs"), project="p", name="r", directory="runs", settings=Settings.of(delivery="thread")
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AccelTrackWarning)
        run.log({"weights": np.linspace(0, 1, 50), "nothing": [1, 2], "none": None, "long": 2**70}, 1)
        run.finish()
    found = compare(only_run(Path("runs")), "tensorboard")
    assert found.whole, str(found)
    assert found.media.there == 1
    assert found.by_design["objects of other kinds that it does not take"] == 2


HISTOGRAM = media.Histogram(np.linspace(-1, 2, 101), 10)


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        (media.Html("<b>a</b>"), media.Html("<b>a</b>"), True),
        (media.Html("<b>a</b>"), "<b>a</b>", True),
        (media.Text("a"), "b", False),
        (media.Table([[1, 0.5, None]], ["a", "b", "c"]), media.Table([["1", "0.5", ""]], ["a", "b", "c"]), True),
        (media.Table([[1]], ["a"]), media.Table([[1]], ["b"]), False),
        (media.Table([[1, 2]], ["a", "a"]), media.Table([[1, 2]], ["a", "a (2)"]), True),
        (media.Table([[np.nan]], ["a"]), media.Table([[None]], ["a"]), True),
        (media.Table([], ["a"]), media.Table([], []), True),
        (media.Table([[1]], ["a"]), media.Table([[2]], ["a"]), False),
        (HISTOGRAM, media.Histogram(counts=[10] * 9 + [11], edges=np.linspace(-1, 2, 11).astype(np.float32)), True),
        (HISTOGRAM, media.Histogram(counts=[10] * 9 + [12], edges=np.linspace(-1, 2, 11)), False),
        (HISTOGRAM, media.Histogram(counts=[11, 10], edges=[-1, 0, 2]), False),
        (media.Points3D([[0, 1, 2], [3, 4, 5]]), media.Points3D([[3, 4, 5], [0, 1, 2]]), True),
        (media.Points3D([[0, 1, 2], [3, 4, 5]]), media.Points3D([[3, 4, 5], [0, 1, 3]]), False),
        (media.ConfusionMatrix(matrix=[[1, 2], [3, 4]]), media.ConfusionMatrix(matrix=[[1.0, 2.0], [3, 4]]), True),
        (media.ConfusionMatrix(matrix=[[1, 2], [3, 4]]), media.ConfusionMatrix(matrix=[[1, 2], [4, 3]]), False),
        (
            media.ConfusionMatrix([0, 1], [1, 1], labels=["a", "a"]),
            media.ConfusionMatrix([0, 1], [1, 1], labels=["a", "a (2)"]),
            True,
        ),
        (media.Audio(np.zeros(100), 8000), media.Audio(np.zeros(100), 8000), True),
        (media.Audio(np.zeros(100), 8000), media.Audio(np.zeros(100), 4000), False),
        (media.Video(np.zeros((2, 8, 8, 3), np.uint8)), media.Video(np.zeros((3, 8, 8, 3), np.uint8)), False),
        (media.Image(PIXELS), media.Image(PIXELS[:4]), False),
        (media.Image(PIXELS), media.Audio(np.zeros(100), 8000), False),
    ],
)
def test_likeness(one: Any, other: Any, is_same: bool, tmp_path: Path) -> None:
    assert same(look(one, tmp_path), look(other, tmp_path)) is is_same
    assert same(look(other, tmp_path), look(one, tmp_path)) is is_same


def test_a_figure_of_plotly_as_a_page_and_with_another_title(tmp_path: Path) -> None:
    def of(**figure: Any) -> media.Figure:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.plotly.json"
        path.write_text(json.dumps(figure))
        return media.Figure.of_stored({}, path)

    one = of(data=[{"y": [1, 2]}], layout={"title": "a"})
    assert same(look(one, tmp_path), look(of(layout={}, data=[{"y": [1, 2]}]), tmp_path))
    assert same(look(one, tmp_path), look(media.Html(plotly_page(one.plotly())), tmp_path))
    assert not same(look(one, tmp_path), look(of(data=[{"y": [1, 3]}]), tmp_path))


def test_sound_and_points_in_another_file(tmp_path: Path) -> None:
    sound = stored(media.Audio(np.zeros(100), 8000), tmp_path)
    assert sound.path is not None
    longer = tmp_path / "longer.wav"
    data = sound.data()
    size = (len(data) - 8 + 12).to_bytes(4, "little")
    chunk = b"LIST\x04\x00\x00\x00abcd"  # says nothing
    longer.write_bytes(data[:4] + size + data[8:36] + chunk + data[36:])
    assert same(look(sound, tmp_path), Look(paths=(longer,)))
    assert not same(look(sound, tmp_path), Look(paths=(sound.path.with_name("gone.wav"),)))


@pytest.mark.parametrize("kind", ["image", "table", "file"])
def test_another_form_is_the_same_medium(kind: str, tmp_path: Path) -> None:
    given = stored(HISTOGRAM, tmp_path)
    form = converted(given, kind, tmp_path)
    assert same(look_of_all([given, *([] if kind == "file" else [form])], tmp_path), look(form, tmp_path))


def test_nothing_is_like_nothing() -> None:
    assert not same(Look(), Look())


@pytest.mark.parametrize("text", ["nan", "NaN", "-Infinity", "0.5", "42", "1e-07", "word"])
def test_a_text_that_says_a_number_is_a_medium_all_the_same(text: str) -> None:
    run = begin()
    run.log({"answer": media.Text(text), "answers": [media.Text(text), media.Text("no")]}, 1)
    run.finish()
    directory = deliver()
    assert str(receipt(directory)).splitlines()[:2] == ["keeping: 0 of 0 values", "  3 of 3 media"]
    kept = lines()
    name = kept[0]["name"]
    value = float(text) if text != "word" else text
    rewrite([{"name": name, "step": 1, "value": value, "time": 0.0}, *kept[1:]])  # as DVCLive's tables have it
    assert str(receipt(directory)).splitlines()[:2] == ["keeping: 0 of 0 values", "  3 of 3 media"]


def test_lists_that_no_backend_takes_are_no_missing_media() -> None:
    run = Run(select("tensorboard", "runs"), project="proj", directory="runs", settings=Settings.of(delivery="thread"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AccelTrackWarning)
        run.log({"of two kinds": [media.Image(PIXELS), media.Text("a")], "beside": [media.Image(PIXELS), 1.0]}, 1)
        run.log({"images": [media.Image(PIXELS), media.Image(PIXELS[::-1])]}, 1)
        run.finish()
    found = compare(only_run(Path("runs")), "tensorboard")
    assert found.whole, str(found)
    assert found.media.there == 2
    assert found.by_design["lists of media of several kinds, or with other values that it does not take"] == 2
    assert not found.dropped.count


def test_the_rest_of_a_list_of_which_a_file_is_gone() -> None:
    run = Run(select("tensorboard", "runs"), project="proj", directory="runs", settings=Settings.of(delivery="none"))
    images = [np.full((2, 2), shade, np.uint8) for shade in (0, 100, 200)]
    run.log({"val": {"images": [*map(media.Image, images), media.Image(images[1])], "loss": 0.5}}, 1)
    run.finish()
    directory = only_run(Path("runs"))
    (gone,) = (one for one in (directory.rank() / "media").glob("*.png") if media.Image(one).array()[0, 0, 0] == 100)
    gone.unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AccelTrackWarning)
        Sync(directory).deliver(follow=False, timeout=10)
    found = compare(directory, "tensorboard")
    assert found.whole, str(found)
    assert (found.values.there, found.media.there, found.media.extra.count) == (1, 2, 0)
    assert found.uncompared == {"media whose files are gone": 2}
    assert cursors.load(directory.cursor("tensorboard")).dropped == {"val/images": 2}


def test_as_many_media_as_were_dropped_are_not_missing() -> None:
    directory = media_run()
    rewrite([line for line in lines() if line.get("kind") != "image"])
    cursor = cursors.load(directory.cursor("keeping"))
    cursor.dropped = {"several": 1}
    cursors.save(directory.cursor("keeping"), cursor)
    found = receipt(directory)
    assert (found.media.sent, found.media.there) == (5, 3)
    assert (found.dropped.count, found.media.missing.count) == (1, 2)


def test_numbers_that_stand_for_a_histogram_are_not_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    directory = media_run()
    rewrite([*lines(), {"name": "bins/p50", "step": 2, "value": 0.5, "time": 0}])
    assert receipt(directory).by_design == {"numbers that stand for histograms": 1}
    monkeypatch.setattr(KeepingTracker, "media", {**KeepingTracker.media, "histogram": by("quantiles", "numbers")})
    rewrite([line for line in lines() if line.get("kind") != "histogram"])
    found = receipt(directory)
    assert found.whole
    assert found.uncompared["histograms, which are kept as a few numbers"] == 1


def test_artifacts_that_the_backend_does_not_take(monkeypatch: pytest.MonkeyPatch) -> None:
    directory = media_run()
    monkeypatch.setattr(KeepingTracker, "media", {**KeepingTracker.media, "artifact": none("no files")})
    found = receipt(directory)
    assert (found.artifacts.sent, found.by_design) == (0, {"artifacts that it does not take": 2})


def test_what_is_damaged_in_the_backend_is_said_and_not_there() -> None:
    directory = media_run()
    changed = lines()
    words = next(line for line in changed if line.get("kind") == "text")
    Path("kept/words.md").write_bytes(b"\xff")
    words.update(file="words.md", info={})
    artifact = next(line for line in changed if line.get("artifact") == "file")
    artifact["file"] = "nowhere"
    rewrite(changed)
    found = receipt(directory)
    assert found.media.differing.first == [("words", 2)]
    assert found.artifacts.missing.first == [("file", None)]
    assert len(found.unread) == 2


def test_an_array_without_numbers() -> None:
    run = Run(
        select("tensorboard", "runs"), project="p", name="r", directory="runs", settings=Settings.of(delivery="thread")
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AccelTrackWarning)
        run.log({"loss": 1.0, "odd": np.full(50, np.nan)}, 1)
        run.finish()
    found = compare(only_run(Path("runs")), "tensorboard")
    assert found.whole
    assert found.by_design["arrays without numbers that it does not take"] == 1
