"""Bundles: the pixels of one call in one file, until each of them is encoded."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pil

from accel_track.delivery.media import KeptMedia
from accel_track.media import bundles, sums
from accel_track.media.bundles import Bundle
from accel_track.media.content import Content
from accel_track.media.folder import MediaFolder, problem
from accel_track.media.kinds import Image
from accel_track.records import Stored
from accel_track.values.capture import captured

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 4, 6, 3), np.uint8)


def kept(rank: Path, count: int = 5) -> tuple[KeptMedia, list[Stored]]:
    """Keep images as one call of `log` does."""
    media = KeptMedia(rank)
    call = captured({"several": [Image(one) for one in PIXELS[:count]]})
    media.keep(call)
    assert call.unread == {}
    return media, call.values["several"]


def raws(rank: Path) -> list[Path]:
    return sorted((rank / "media").glob("*.raw"))


def pixels(media: KeptMedia, stored: Stored) -> np.ndarray:
    path = media.files.file(stored.file)
    assert path is not None
    return np.asarray(Pil.open(path))


def test_a_call_has_one_file_that_goes_with_the_last_of_its_images(tmp_path: Path) -> None:
    media, stored = kept(tmp_path)
    assert len(raws(tmp_path)) == 1
    assert media.files.waiting == PIXELS.nbytes
    for number, one in enumerate(stored):
        assert len(raws(tmp_path)) == 1
        assert np.array_equal(pixels(media, one), PIXELS[number])
    assert raws(tmp_path) == []
    assert media.files.waiting == 0


def test_a_single_image_has_a_file_of_its_own(tmp_path: Path) -> None:
    _, (stored,) = kept(tmp_path, 1)
    assert raws(tmp_path) == [tmp_path / "media" / f"{stored.file}.raw"]


def test_another_process_finds_them_in_any_order(tmp_path: Path) -> None:
    """As `sync` does, after the process that logged them was killed."""
    _, stored = kept(tmp_path)
    other = KeptMedia(tmp_path)
    for number in (3, 0, 4, 1, 2):
        assert np.array_equal(pixels(other, stored[number]), PIXELS[number])
    assert raws(tmp_path) == []


def test_two_processes_encode_the_same_call(tmp_path: Path) -> None:
    media, stored = kept(tmp_path)
    other = KeptMedia(tmp_path)
    for number, one in enumerate(stored):
        first, second = (media, other) if number % 2 else (other, media)
        assert np.array_equal(pixels(first, one), PIXELS[number])
        assert np.array_equal(pixels(second, one), PIXELS[number])
    assert raws(tmp_path) == []


def test_what_waits_is_found_after_a_restart_and_encoded(tmp_path: Path) -> None:
    _, stored = kept(tmp_path)
    later = MediaFolder(tmp_path / "media")
    later.find_waiting()
    assert later.waiting > PIXELS.nbytes
    while later.encode_next():
        pass
    assert raws(tmp_path) == []
    assert sorted(one.name for one in (tmp_path / "media").glob("*.png")) == sorted(one.file for one in stored)


def test_a_bundle_that_is_being_written_is_left_alone(tmp_path: Path) -> None:
    """Also where another process has encoded all that it holds so far."""
    folder, other = MediaFolder(tmp_path), MediaFolder(tmp_path)
    contents = [Content({}, ".png", pixels=one) for one in PIXELS[:3]]
    with folder.together(contents) as bundle:
        names = [folder.keep(one, bundle) for one in contents[:2]]
        assert all(other.file(name) for name in names)
        assert bundle is not None
        assert bundle.path.exists()
        names.append(folder.keep(contents[2], bundle))
    assert other.file(names[2]) is not None
    assert list(tmp_path.glob("*.raw")) == []


def test_the_same_image_twice_is_in_it_once(tmp_path: Path) -> None:
    folder = MediaFolder(tmp_path)
    contents = [Content({}, ".png", pixels=PIXELS[number]) for number in (0, 1, 0)]
    with folder.together(contents) as bundle:
        names = [folder.keep(one, bundle) for one in contents]
    assert names[0] == names[2]
    assert folder.waiting == 2 * PIXELS[0].nbytes
    with folder.together(contents) as bundle:
        assert [folder.keep(one, bundle) for one in contents] == names
    assert len(list(tmp_path.glob("*.raw"))) == 1


@pytest.mark.parametrize("cut", [1, 70, 150, 220])
def test_a_torn_bundle_has_what_is_whole(tmp_path: Path, cut: int) -> None:
    _, stored = kept(tmp_path, 3)
    (path,) = raws(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - cut])
    found = [KeptMedia(tmp_path).files.file(one.file) is not None for one in stored]
    assert found == sorted(found, reverse=True)
    assert found[0]
    assert found[2] == (cut == 1)
    assert path.exists() == (cut > 0)


def test_verify_looks_into_bundles(tmp_path: Path) -> None:
    _, stored = kept(tmp_path)
    folder = tmp_path / "media"
    known = sums.known(folder)
    assert [problem(folder, one.file, known) for one in stored] == [None] * 5
    (path,) = raws(tmp_path)
    data = bytearray(path.read_bytes())
    data[-10] ^= 1
    path.write_bytes(data)
    assert [problem(folder, one.file, known) for one in stored] == [None] * 4 + ["its pixels are not what was logged"]
    path.unlink()
    assert problem(folder, stored[0].file, known) == "it is missing"


def test_a_disk_that_is_full_costs_the_images_that_do_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, left = Bundle.add, [2]

    def add(self: Bundle, name: str, *parts: bytes | memoryview) -> tuple[int, int]:
        if not left[0]:
            raise OSError(28, os.strerror(28))
        left[0] -= 1
        return real(self, name, *parts)

    monkeypatch.setattr(bundles.Bundle, "add", add)
    media = KeptMedia(tmp_path)
    call = captured({f"image {number}": Image(one) for number, one in enumerate(PIXELS)} | {"loss": 0.5})
    media.keep(call)
    assert list(call.unread) == ["image 2", "image 3", "image 4"]
    assert call.values["loss"] == 0.5
    assert np.array_equal(pixels(media, call.values["image 1"]), PIXELS[1])


def test_other_files_with_such_an_ending_are_none(tmp_path: Path) -> None:
    _, stored = kept(tmp_path, 2)
    folder = tmp_path / "media"
    os.mkfifo(folder / ("f" * 16 + ".raw"))
    (folder / "notes.raw").write_text("x")
    (folder / ("0" * 16 + ".raw")).write_bytes(b"../../up 3\nabc")
    assert KeptMedia(tmp_path).files.file(stored[1].file) is not None
    assert (folder / ("0" * 16 + ".raw")).exists()
    shutil.rmtree(folder)
    assert KeptMedia(tmp_path).files.file(stored[1].file) is None
