"""The media of Aim in a local repository, read back with Aim's own reader."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aim
import numpy as np
import pytest
from aim.ext.exception_resistant import disable_safe_mode, enable_safe_mode
from PIL import Image as Pil

from accel_track import media
from accel_track.errors import AccelTrackWarning
from accel_track.media.fallbacks import stored
from accel_track.media.kinds import Figure, Medium
from accel_track.records import Metrics
from accel_track.testing import Bins, Readback
from accel_track.trackers.aim.tracker import AimTracker
from tests.support.readers.aim import NONE, AimContract, artifacts, runs

PIXELS = np.random.default_rng(0).integers(100, 140, (8, 6, 3), np.uint8)
MOMENT = 1.7e9


@pytest.fixture
def tracker(tmp_path: Path) -> Iterator[AimTracker]:
    """Return a tracker that is started, in a repository of its own."""
    tracker = AimContract().make(tmp_path)
    tracker.start()
    yield tracker
    tracker.finish()


def found(tracker: AimTracker, tmp_path: Path) -> Readback:
    """Finish the run, and return what is stored."""
    tracker.finish()
    return AimContract().read(tmp_path)


def record(tmp_path: Path, values: dict[str, Any], step: int | None = 0, number: int = 0) -> Metrics:
    """Return a call with media as trackers are given them."""
    kept = {k: stored(v, tmp_path / "kept") if isinstance(v, Medium) else v for k, v in values.items()}
    return Metrics(number, MOMENT + number, kept, step)


def test_one_type_for_a_name(tracker: AimTracker, tmp_path: Path) -> None:
    """Aim keeps lists and single images apart for good; one and several images and sounds of a name go together."""
    tracker.log_images({"x": PIXELS}, step=0, captions="first")
    tracker.log_images({"x": [PIXELS, PIXELS]}, step=1, captions=["second", "third"])
    sound = np.zeros(100, np.float32)
    tracker.log_audio({"y": sound}, step=0, sample_rate=8000, captions="one")
    tracker.log_audio({"y": [sound, sound]}, step=1, sample_rate=8000)
    assert not tracker.dropped
    stored_media = found(tracker, tmp_path).media
    assert [(one.step, one.caption) for one in stored_media["x"]] == [(0, "first"), (1, "second"), (1, "third")]
    assert [(one.step, one.caption) for one in stored_media["y"]] == [(0, "one"), (1, ""), (1, "")]


def test_media_have_the_time_of_their_call(tracker: AimTracker, tmp_path: Path) -> None:
    """Aim's own call knows no other time than the present."""
    tracker.log_batch([record(tmp_path, {"x": media.Image(PIXELS), "h": media.Histogram(np.arange(9), 3)}, 4)])
    tracker.finish()
    with runs(tmp_path) as (run,):
        for sequence in (run.get_image_sequence("x", NONE), run.get_distribution_sequence("h", NONE)):
            ((step, (_, _, moment)),) = sequence.data.items()
            assert (step, moment) == (4, MOMENT)


@pytest.mark.parametrize("step", [3, None])
def test_a_batch_that_fails_behind_its_media(
    tracker: AimTracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int | None
) -> None:
    """Nothing is stored twice when it comes again, also where Aim counts the steps."""
    values = {"x": media.Image(PIXELS), "page": media.Html("<b>"), "loss": 1.0, "text": media.Text("t")}
    calls = [record(tmp_path, {"loss": 0.5}, 0), *(record(tmp_path, values, step, number) for number in (1, 2))]
    tracker.log_batch(calls[:1])
    for name in ("_track", "_store"):
        with monkeypatch.context() as patch:
            seen = iter(range(100))
            method = getattr(tracker, name)

            def once(*args: Any, method: Any = method, seen: Any = seen) -> None:
                if next(seen) == 1:
                    raise ConnectionError("lost")
                method(*args)

            patch.setattr(tracker, name, once)
            with pytest.raises(ConnectionError):
                tracker.log_batch(calls[1:])
    tracker.log_batch(calls[1:])
    assert not tracker.dropped
    stored_run = found(tracker, tmp_path)
    count = 1 if step is not None else 2
    counts = {name: len(stored_run.media[name]) for name in ("x", "page", "text")}
    assert counts == {"x": count, "page": 2, "text": count}
    assert len(stored_run.metrics["loss"]) == 1 + count


def test_histograms_of_several_widths(tracker: AimTracker, tmp_path: Path) -> None:
    """Aim's bins have one width, so others are a text and not another histogram."""
    tracker.log({"even": stored(media.Histogram(counts=[1, 2], edges=[0, 1, 2]), tmp_path / "kept")}, step=0)
    tracker.log({"odd": stored(media.Histogram(counts=[1, 2], edges=[0, 1, 5]), tmp_path / "kept")}, step=0)
    stored_media = found(tracker, tmp_path).media
    assert stored_media["even"][0].what == Bins([1, 2], [0, 1, 2])
    assert "| 1.0 | 5.0 | 2 |" in stored_media["odd"][0].what


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif"])
def test_image_files_are_not_encoded_with_a_loss(tracker: AimTracker, tmp_path: Path, suffix: str) -> None:
    """Aim makes another JPEG of one; here its pixels stay."""
    path = tmp_path / f"given.{suffix}"
    Pil.fromarray(PIXELS).save(path)
    tracker.log_images({"x": path}, step=0)
    (seen,) = found(tracker, tmp_path).media["x"]
    assert np.array_equal(seen.what, np.asarray(Pil.open(path).convert("RGB")))


def test_sound_of_other_formats_is_an_artifact(tracker: AimTracker, tmp_path: Path) -> None:
    """Aim takes WAV, MP3 and FLAC."""
    for suffix in ("ogg", "mp3"):
        (tmp_path / f"a.{suffix}").write_bytes(suffix.encode())
        tracker.log_audio({suffix: tmp_path / f"a.{suffix}"}, step=2)
    (tmp_path / "a.mp4").write_bytes(b"mp4")
    tracker.log_video({"mp4": tmp_path / "a.mp4"}, step=2)
    stored_media = found(tracker, tmp_path).media
    assert {name: stored_media[name][0].what for name in ("ogg", "mp3", "mp4")} == {
        "ogg": b"ogg", "mp3": b"mp3", "mp4": b"mp4"
    }  # fmt: skip


def test_delivered_again(tracker: AimTracker, tmp_path: Path) -> None:
    """A medium of a step, and an artifact, replace themselves."""
    (tmp_path / "a.txt").write_text("a")
    call = record(tmp_path, {kind: make() for kind, make in AimContract.samples.items()}, 4)
    tracker.log_batch([call])
    tracker.log_artifact(tmp_path / "a.txt", "data", type="dataset", metadata={"rows": 3}, step=2)
    identity = tracker.identity()
    tracker.finish()
    again = AimContract().make(tmp_path, **identity)
    again.start()
    again.log_batch([call])
    again.log_artifact(tmp_path / "a.txt", "data", type="dataset", metadata={"rows": 3}, step=2)
    stored_run = found(again, tmp_path)
    assert {len(some) for some in stored_run.media.values()} == {1}
    with runs(tmp_path) as (run,):
        assert run["artifacts"] == {"data": {"type": "dataset", "step": 2, "rows": 3}}
        assert artifacts(run)["data"] == {"a.txt": b"a"}


def test_odd_names(tracker: AimTracker, tmp_path: Path) -> None:
    """Each file has a place of its own inside of the run's folder."""
    names = ["", ".", "..", "../../up", "/abs", "a//b", "a\0b", "a\\b", "a/b", "x" * 400, "\udce9", "ü" * 300, "a b"]
    (tmp_path / "given.txt").write_text("x")
    before = {one for one in tmp_path.rglob("*") if ".aim" not in one.parts}
    for name in names:
        tracker.log_html({name: f"{name!a}"}, step=0)
        tracker.log_artifact(tmp_path / "given.txt", name)
    assert not tracker.dropped
    folder = tmp_path / "aim_artifacts" / tracker.tracker.hash
    files = [one for one in folder.rglob("*") if one.is_file()]
    assert {one.read_text() for one in files if one.suffix == ".html"} == {f"{name!a}" for name in names}
    assert len([one for one in files if one.suffix == ".txt"]) == len(names)
    after = {one for one in tmp_path.rglob("*") if ".aim" not in one.parts and "aim_artifacts" not in one.parts}
    assert after == before
    tracker.finish()
    with runs(tmp_path) as (run,):
        assert len(run.artifacts) == 2 * len(names)
        assert len(run["artifacts"]) == len(names)


def test_arguments_of_images(tracker: AimTracker, tmp_path: Path) -> None:
    """They reach `aim.Image` from a journal, too; unknown ones are errors, before anything is stored."""
    call = record(tmp_path, {"x": media.Image(PIXELS, "c"), "loss": 1.0})
    more = {"aim": {"aim_image": {"format": "jpeg", "quality": 50}, "context": {"subset": "val"}}}
    tracker.log_batch([Metrics(call.seq, call.time, call.values, 1, more)])
    with pytest.raises(TypeError, match="nonsense"):
        tracker.log_images({"y": PIXELS}, step=1, kwargs={"aim_image": {"nonsense": 1}})
    with pytest.raises(TypeError, match="nonsense"):
        tracker.log_images({"y": PIXELS}, step=1, nonsense=1)
    with pytest.raises(TypeError, match="nonsense"):
        tracker.log_table("y", ["a"], [[1]], nonsense=1)
    tracker.finish()
    with runs(tmp_path) as (run,):
        sequence = run.get_image_sequence("x", aim.storage.context.Context({"subset": "val"}))
        ((image,),) = sequence.values.values_list()
        assert (image.format, image.caption) == ("jpeg", "c")
        assert not run.collect_sequence_info(("images",), skip_last_value=True)["images"][1:]


def test_where_there_is_no_place_for_files(tmp_path: Path) -> None:
    """They are counted, and everything else is stored."""
    tracker = AimContract().make(tmp_path / "run#1")
    tracker.start()
    (tmp_path / "a.txt").write_text("a")
    with pytest.warns(AccelTrackWarning, match="'#'"):
        tracker.log_html({"page": "<b>"}, step=0)
        tracker.log_artifact(tmp_path / "a.txt", "data")
    tracker.log_images({"x": PIXELS}, step=0)
    assert tracker.dropped == {"page": 1, "data": 1}
    assert list(found(tracker, tmp_path / "run#1").media) == ["x"]


def test_aims_safe_mode_hides_no_loss(tracker: AimTracker, tmp_path: Path) -> None:
    """In it, Aim raises nothing; a file that is not there is an error all the same."""
    assert tracker.without_artifacts() == ""
    enable_safe_mode()
    try:
        with pytest.raises(OSError, match="its log says why"):
            tracker.put(tmp_path / "nowhere.txt", "a/nowhere.txt")
    finally:
        disable_safe_mode()


def test_files_are_as_readable_as_others(tracker: AimTracker, tmp_path: Path) -> None:
    """A journal's files are their owner's only."""
    tracker.log_batch([record(tmp_path, {"page": media.Html("<b>")})])
    (tmp_path / "new").touch()
    (file,) = (tmp_path / "aim_artifacts").rglob("*.html")
    assert stat.S_IMODE(file.stat().st_mode) == stat.S_IMODE((tmp_path / "new").stat().st_mode)


def test_a_figure_of_plotlys(tracker: AimTracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a file where plotly is not installed."""
    monkeypatch.setattr("accel_track.trackers.aim.media.find_spec", lambda _: None)
    (tmp_path / "x.plotly.json").write_text('{"data": [], "layout": {}}')
    tracker.log({"fig": Figure.of_stored({}, tmp_path / "x.plotly.json")}, step=5)
    (seen,) = found(tracker, tmp_path).media["fig"]
    assert seen.what == b'{"data": [], "layout": {}}'


def test_a_figure_of_plotlys_where_plotly_is(tracker: AimTracker, tmp_path: Path) -> None:
    """It is Aim's own figure."""
    figure = pytest.importorskip("plotly.graph_objects").Figure({"data": [{"y": [1, 2]}]})
    tracker.log_figure("fig", figure, step=5)
    (seen,) = found(tracker, tmp_path).media["fig"]
    assert json.loads(seen.what)["data"][0]["type"] == "scatter"
