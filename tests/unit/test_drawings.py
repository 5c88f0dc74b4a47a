"""Drawings of confusion matrices: size, labels, shades; and the font."""

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFont

from accel_track.media.heat import heat
from accel_track.media.lettering import font


@pytest.mark.parametrize("count", [1, 2, 10, 30, 60, pytest.param(1000, marks=pytest.mark.long)])
def test_a_matrix_of_any_size_fits_a_page(count: int) -> None:
    matrix = np.eye(count, dtype=int) * 25
    picture = heat(matrix.tolist(), [f"class {place}" for place in range(count)])
    assert picture.mode == "RGB"
    assert 60 < picture.width <= max(600, 2 * count + 20)
    assert picture.height <= max(640, 2 * count + 60)


def test_shades_are_shares_of_rows_and_long_labels_are_cut() -> None:
    names = ["a" * 300, "Größe", "猫"]
    picture = heat([[9, 0, 0], [5, 5, 0], [0, 0, 0]], names)
    pixels = np.asarray(picture).reshape(-1, 3).tolist()
    assert [8, 48, 107] in pixels  # all of a row
    assert [132, 152, 181] in pixels  # a half
    assert picture.width < 400


def test_a_share_that_is_no_number_has_no_shade() -> None:
    """A row of a matrix of shares whose class does not occur."""
    picture = heat([[float("nan"), float("nan")], [0.0, 1.0]], ["a", "b"])
    (edge,) = (place for place in range(60) if picture.getpixel((place, 60)) == (187, 187, 187))
    assert picture.getpixel((edge + 5, picture.height // 3)) == (255, 255, 255)
    assert picture.getpixel((edge + 64 + 5, picture.height - 12)) == (8, 48, 107)


def test_a_font_is_found_on_every_system(monkeypatch: pytest.MonkeyPatch) -> None:
    real = ImageFont.truetype

    def only_files(name: Any, *arguments: Any, **more: Any) -> Any:
        if isinstance(name, str):
            raise OSError("no such font")
        return real(name, *arguments, **more)

    monkeypatch.setattr(ImageFont, "truetype", only_files)
    font.cache_clear()
    try:
        heat([[1, 2], [3, 4]], ["a", "b"])
        assert font(13).getlength("abc") > 5
    finally:
        font.cache_clear()
    assert isinstance(heat([[1]], ["a"]), Image.Image)
