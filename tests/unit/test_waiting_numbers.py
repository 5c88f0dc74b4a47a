"""Histograms of many numbers: written in the call, counted after it, in files that are used again."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from accel_track import init
from accel_track.delivery.media import KeptMedia
from accel_track.errors import AccelTrackWarning
from accel_track.journal.directory import find_runs
from accel_track.media import Histogram, folder, sums, waiting
from accel_track.media.folder import problem
from accel_track.media.histograms import MANY, histogram
from accel_track.records import Stored, WithoutForm
from accel_track.testing import RecordingTracker
from accel_track.values.capture import captured

NUMBERS = np.random.default_rng(0).normal(size=MANY).astype(np.float32)


def kept(rank: Path, numbers: Any, media: KeptMedia | None = None) -> tuple[KeptMedia, Stored]:
    media = media or KeptMedia(rank)
    call = captured({"h": Histogram(numbers, 10)})
    media.keep(call)
    assert call.unread == {}
    return media, call.values["h"]


def info(media: KeptMedia, stored: Stored) -> Any:
    found = media.medium(stored)
    assert isinstance(found, Histogram), found
    return found.info


@pytest.mark.parametrize(
    "numbers",
    [
        NUMBERS,
        NUMBERS.astype(np.float64).reshape(256, -1),
        NUMBERS.astype(np.float16),
        np.arange(2 * MANY)[::2],
        NUMBERS.reshape(256, -1).T,
        torch.from_numpy(NUMBERS),
        torch.from_numpy(NUMBERS).bfloat16(),
        np.where(NUMBERS > 2, np.nan, NUMBERS),
        np.where(NUMBERS[0] == NUMBERS, -np.inf, NUMBERS),
        NUMBERS * np.float32(5e37),
    ],
    ids=[
        "float32",
        "float64",
        "float16",
        "strided integers",
        "transposed",
        "tensor",
        "bfloat16",
        "NaN",
        "first infinite",
        "huge",
    ],
)
def test_they_are_counted_after_the_call_as_in_it(tmp_path: Path, numbers: Any) -> None:
    media, stored = kept(tmp_path, numbers)
    assert stored.info == {"bins": 10}
    assert media.files.waiting > 0
    wanted = histogram(numbers, 10)
    found = info(KeptMedia(tmp_path), stored)  # also by another process
    assert found["sum"] == pytest.approx(wanted.pop("sum"), abs=1e-6)
    assert {key: found[key] for key in wanted} == wanted
    assert info(media, stored) == found


@pytest.mark.parametrize(
    "numbers",
    [NUMBERS[:-1], NUMBERS > 0],
    ids=["fewer", "truth values"],
)
def test_others_are_counted_in_the_call(tmp_path: Path, numbers: Any) -> None:
    media, stored = kept(tmp_path, numbers)
    assert stored.file == ""
    assert info(media, stored) == histogram(numbers, 10)


def test_the_call_refuses_numbers_of_which_none_is_finite(tmp_path: Path) -> None:
    call = captured({"h": Histogram(np.full(MANY, np.nan)), "loss": 0.5})
    KeptMedia(tmp_path).keep(call)
    assert call.unread == {"h": "ValueError: a histogram needs a finite number."}
    assert call.values == {"loss": 0.5}


def test_what_changes_after_the_call_changes_nothing(tmp_path: Path) -> None:
    numbers = NUMBERS.copy()
    media, stored = kept(tmp_path, numbers)
    numbers.fill(7)
    assert info(media, stored)["counts"] == histogram(NUMBERS, 10)["counts"]


def test_a_file_is_used_again_for_more_and_for_fewer_numbers(tmp_path: Path) -> None:
    media, first = kept(tmp_path, np.arange(2 * MANY))
    raw = tmp_path / "media" / f"{first.file}.raw"
    place = raw.stat().st_ino
    info(media, first)
    assert not raw.exists()
    for size in (MANY, 3 * MANY, MANY + 5):
        _, stored = kept(tmp_path, np.arange(size), media)
        assert (tmp_path / "media" / f"{stored.file}.raw").stat().st_ino == place
        assert sum(info(media, stored)["counts"]) == size
    assert len(list((tmp_path / "media").glob(".*.spare"))) == 1
    media.files.forget_spares()
    assert not list((tmp_path / "media").glob(".*.spare"))


def test_spares_of_a_killed_process_go_with_the_next(tmp_path: Path) -> None:
    media, stored = kept(tmp_path, NUMBERS)
    info(media, stored)
    assert list((tmp_path / "media").glob(".*.spare"))
    KeptMedia(tmp_path).files.find_waiting()
    assert not list((tmp_path / "media").glob(".*.spare"))
    assert info(*kept(tmp_path, NUMBERS, media))["counts"]  # the spare is gone: a new file


@pytest.mark.parametrize(
    "data", [b"", b"x", b"|O8 1 64\n12345678", b"<f4 9 64\n1234", b"<f4 1 0\n1234", b"<f4 x 1\n1234"]
)
def test_a_damaged_file_is_said_to_be_so(tmp_path: Path, data: bytes) -> None:
    _, stored = kept(tmp_path, NUMBERS)
    media_folder = tmp_path / "media"
    assert problem(media_folder, stored.file, sums.known(media_folder)) is None
    (media_folder / f"{stored.file}.raw").write_bytes(data)
    assert "numbers" in (problem(media_folder, stored.file, {}) or "")
    found = KeptMedia(tmp_path).medium(stored)
    assert isinstance(found, WithoutForm)
    assert "damaged" in found.what


def test_numbers_that_cannot_be_counted_are_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever NumPy says to them: an error of another kind would stop the thread that encodes, and all trackers."""
    media, stored = kept(tmp_path, NUMBERS)

    def failing(*_: Any) -> Any:
        message = "index out of bounds"
        raise IndexError(message)

    monkeypatch.setattr(waiting, "histogram", failing)
    assert media.files.encode_next()
    found = media.medium(stored)
    assert isinstance(found, WithoutForm)
    assert "cannot be counted (IndexError" in found.what


@pytest.mark.parametrize("name", ["0" * 64 + waiting.NUMBERS, "0" * 64 + waiting.CELLS])
def test_too_little_memory_is_no_damage(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(waiting, "histogram", none_left)
    monkeypatch.setattr(waiting.hashlib, "sha256", none_left)
    with pytest.raises(OSError, match="memory"):
        waiting.encoded(name, b"<f4 1 1\n1234")


def test_a_counted_file_is_verified_by_its_checksum(tmp_path: Path) -> None:
    media, stored = kept(tmp_path, NUMBERS)
    info(media, stored)
    media_folder = tmp_path / "media"
    assert problem(media_folder, stored.file, sums.known(media_folder)) is None
    (media_folder / stored.file).write_text("{")
    assert problem(media_folder, stored.file, sums.known(media_folder)) == "its bytes are not what was stored"
    assert isinstance(media.medium(stored), WithoutForm)


def test_a_call_that_finds_too_much_waiting_counts_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "MOST_WAITING", 1)
    media, _ = kept(tmp_path, NUMBERS)
    with pytest.warns(AccelTrackWarning, match="of media wait to be encoded"):
        _, stored = kept(tmp_path, NUMBERS[::-1], media)
    assert (tmp_path / "media" / stored.file).exists()
    assert media.files.encoded_in_calls == 1


def test_a_disk_that_is_full_leaves_nothing_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    media, first = kept(tmp_path, NUMBERS)
    info(media, first)

    def write(_: int, __: Any) -> int:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "write", write)
    for _ in range(2):  # into a spare file, and into a new one
        call = captured({"h": Histogram(NUMBERS), "loss": 0.5})
        media.keep(call)
        assert list(call.unread) == ["h"]
        assert call.values == {"loss": 0.5}
    monkeypatch.undo()
    assert sorted(one.name for one in (tmp_path / "media").iterdir()) == sorted([first.file, sums.SUMS])


@pytest.mark.parametrize("delivery", ["thread", "inline"])
def test_a_tracker_gets_it_counted_and_the_end_keeps_no_spares(delivery: Any) -> None:
    tracker = RecordingTracker()
    with init("p", log_with=tracker, project_dir="runs", delivery=delivery) as run:
        for step in range(3):
            run.log_histogram({"h": NUMBERS}, step, bins=10)
    found = [call[1]["h"] for call in tracker.calls if call[0] == "log"]
    assert [one.counts for one in found] == 3 * [histogram(NUMBERS, 10)["counts"]]
    for one in find_runs("runs"):
        names = [path.name for path in (one.rank(0) / "media").iterdir()]
        assert len(names) == 4
        assert all(name.endswith(waiting.NUMBERS) or name == sums.SUMS for name in names)


def test_a_file_that_is_used_again_while_it_is_read_gives_no_other_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a companion reads what the training has counted meanwhile."""
    media, stored = kept(tmp_path, NUMBERS)
    opened = waiting.open_regular

    def meanwhile(path: Any) -> int:
        file = opened(path)
        monkeypatch.setattr(waiting, "open_regular", opened)
        assert info(media, stored)["counts"]
        kept(tmp_path, NUMBERS * 3 + 1, media)
        return file

    monkeypatch.setattr(waiting, "open_regular", meanwhile)
    assert info(KeptMedia(tmp_path), stored) == histogram(NUMBERS, 10)
