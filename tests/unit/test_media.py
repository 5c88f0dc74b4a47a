"""Images and tables in every form that users have them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from accel_track.media import images, rows
from accel_track.media.tables import distinct

HEIGHT, WIDTH = 8, 6
PIXELS = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH)
COLOUR = np.stack([PIXELS, PIXELS + 50, PIXELS + 100], axis=-1)
ALPHA = np.dstack([COLOUR, PIXELS + 200])


@pytest.mark.parametrize("form", [np.asarray, torch.from_numpy], ids=["array", "tensor"])
@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (PIXELS, [PIXELS[:, :, None]]),
        (PIXELS[:, :, None], [PIXELS[:, :, None]]),
        (PIXELS[None], [PIXELS[:, :, None]]),
        (COLOUR, [COLOUR]),
        (np.moveaxis(COLOUR, -1, 0), [COLOUR]),
        (ALPHA, [ALPHA]),
        (np.moveaxis(ALPHA, -1, 0), [ALPHA]),
        (np.stack([COLOUR, COLOUR + 1]), [COLOUR, COLOUR + 1]),
        (np.stack([PIXELS[None]] * 2), [PIXELS[:, :, None]] * 2),
        (np.zeros((3, 4, 3), np.uint8), [np.zeros((3, 4, 3), np.uint8)]),
        (np.zeros((0, 8, 6, 3), np.uint8), []),
    ],
    ids=["HW", "HW1", "1HW", "HW3", "3HW", "HW4", "4HW", "NHW3", "N1HW", "both ends", "no images"],
)
def test_shapes(array: np.ndarray, expected: list[np.ndarray], form: Any) -> None:
    result = images(form(np.ascontiguousarray(array)))
    assert len(result) == len(expected)
    for one, wanted in zip(result, expected, strict=True):
        assert one.dtype == np.uint8
        assert one.flags.c_contiguous
        np.testing.assert_array_equal(one, wanted)


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (np.array([[0.0, 0.5, 1.0]]), [0, 128, 255]),
        (np.array([[0.0, 0.5, 1.0]], np.float16), [0, 128, 255]),
        (np.array([[0.0, 128.4, 255.0]], np.float32), [0, 128, 255]),
        (np.array([[0.0, 1.5, 300.0]]), [0, 2, 255]),
        (np.array([[-0.1, 0.5, 1.02]]), [0, 128, 255]),
        (np.array([[-0.5, 0.2, 1.0]]), [0, 51, 255]),
        (np.array([[np.nan, 0.2, 1.0]]), [0, 51, 255]),
        (np.array([[np.inf, 0.2, -np.inf]]), [255, 51, 0]),
        (np.array([[np.nan, np.nan]]), [0, 0]),
        (np.array([[-60000.0, 0.2]], np.float16), [0, 51]),
        (np.array([[True, False]]), [255, 0]),
        (np.array([[-5, 10, 256, 70_000]], np.int64), [0, 10, 255, 255]),
        (np.array([[0, 1]], np.uint16), [0, 1]),
    ],
    ids=[
        "unit",
        "half",
        "bytes",
        "over 255",
        "over 1 by interpolation",
        "negative",
        "NaN",
        "inf",
        "all NaN",
        "half overflow",
        "bool",
        "int",
        "uint16",
    ],
)
@pytest.mark.filterwarnings("error")
def test_values(pixels: np.ndarray, expected: list[int]) -> None:
    (image,) = images(pixels)
    assert image[0, :, 0].tolist() == expected


def test_bfloat16_and_gradients() -> None:
    (image,) = images(torch.full((2, 2), 0.5, dtype=torch.bfloat16, requires_grad=True))
    assert image.ravel().tolist() == [128] * 4


def test_a_tensor_that_is_negative_by_a_bit() -> None:
    part = torch.full((2, 2), 0.5 - 1j).conj().imag
    assert part.is_neg()
    (image,) = images(part)
    assert image.ravel().tolist() == [255] * 4


@pytest.mark.parametrize(
    ("mode", "channels"), [("L", 1), ("RGB", 3), ("RGBA", 4), ("1", 1), ("P", 3), ("CMYK", 3), ("LA", 4), ("HSV", 3)]
)
def test_pil_modes(mode: str, channels: int) -> None:
    (image,) = images(Image.new(mode, (WIDTH, HEIGHT)))
    assert image.shape == (HEIGHT, WIDTH, channels)


def test_pil_and_files_keep_their_pixels(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    Image.fromarray(COLOUR).save(path)
    for form in (Image.fromarray(COLOUR), path, str(path)):
        np.testing.assert_array_equal(images(form)[0], COLOUR)
    assert [one.shape for one in images([path, PIXELS, (COLOUR, COLOUR)])] == [
        (8, 6, 3),
        (8, 6, 1),
        (8, 6, 3),
        (8, 6, 3),
    ]


@pytest.mark.parametrize(
    ("value", "shapes"),
    [
        (PIXELS.tolist(), [(8, 6, 1)]),
        (COLOUR.tolist(), [(8, 6, 3)]),
        ([COLOUR.tolist()] * 2, [(8, 6, 3)] * 2),
        ([[0.1, 0.2], [0.3, 0.4]], [(2, 2, 1)]),
        ([PIXELS, torch.from_numpy(COLOUR)], [(8, 6, 1), (8, 6, 3)]),
        ((PIXELS,), [(8, 6, 1)]),
        ([np.stack([COLOUR] * 2), PIXELS], [(8, 6, 3), (8, 6, 3), (8, 6, 1)]),
        ([], []),
    ],
    ids=["pixels", "colours", "batch", "floats", "list", "tuple", "list of batches", "empty"],
)
def test_lists(value: Any, shapes: list[tuple[int, ...]]) -> None:
    assert [image.shape for image in images(value)] == shapes


def test_the_input_stays_as_it_was() -> None:
    pixels = np.array([[0.5, np.nan]])
    images(pixels)
    assert np.isnan(pixels[0, 1])
    (image,) = images(PIXELS)
    image[0, 0] = 99
    assert PIXELS[0, 0] == 0


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (np.zeros(5), ValueError, "an image has 2 or 3 dimensions (4 for a batch); got the shape (5,)."),
        (
            np.zeros((1, 1, 2, 2, 3)),
            ValueError,
            "an image has 2 or 3 dimensions (4 for a batch); got the shape (1, 1, 2, 2, 3).",
        ),
        (np.zeros((8, 6, 2)), ValueError, "an image has 1, 3 or 4 channels, first or last; got the shape (8, 6, 2)."),
        (object(), TypeError, "an image must be a numeric array, a PIL image or a file; got object."),
        (None, TypeError, "an image must be a numeric array, a PIL image or a file; got NoneType."),
        (
            np.zeros((2, 2), complex),
            TypeError,
            "an image must be a numeric array, a PIL image or a file; got ndarray of complex128.",
        ),
    ],
    ids=["1-d", "5-d", "two channels", "object", "None", "complex"],
)
def test_no_images(value: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        images(value)
    assert str(caught.value) == message


def test_a_file_that_is_none_of_an_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.svg").write_text("<svg/>")
    with pytest.raises(OSError, match=r"a\.svg' is no image file"):
        images(tmp_path / "a.svg")


def test_a_missing_file() -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        images("nowhere.png")


@pytest.mark.parametrize(
    ("columns", "data", "expected"),
    [
        (["a", "b"], [[1, "x"], (2, "y")], (["a", "b"], [[1, "x"], [2, "y"]])),
        (None, [[1, 2]], (["0", "1"], [[1, 2]])),
        ((1, 2), [[3, 4]], (["1", "2"], [[3, 4]])),
        (["a"], [], (["a"], [])),
        (None, [], ([], [])),
    ],
    ids=["lists", "no columns", "numbers as columns", "no rows", "nothing"],
)
def test_rows(columns: Any, data: Any, expected: tuple[list[str], list[list[Any]]]) -> None:
    assert rows(columns, data, None) == expected


def test_rows_of_a_data_frame() -> None:
    frame = pd.DataFrame({"a": [1, 2], 3: ["x", "y"]})
    assert rows(None, None, frame) == (["a", "3"], [[1, "x"], [2, "y"]])
    assert rows(None, None, frame.iloc[:0]) == (["a", "3"], [])


@pytest.mark.parametrize(
    ("columns", "data", "dataframe", "message"),
    [
        (None, None, None, "`log_table` takes either `columns` and `data` or `dataframe`."),
        (None, [[1]], pd.DataFrame(), "`log_table` takes either `columns` and `data` or `dataframe`."),
        (["a"], [[1], [1, 2]], None, "`log_table` got 1 columns and a row 1 of 2 values; make them equal."),
    ],
    ids=["neither", "both", "uneven"],
)
def test_no_rows(columns: Any, data: Any, dataframe: Any, message: str) -> None:
    with pytest.raises(ValueError, match="log_table") as caught:
        rows(columns, data, dataframe)
    assert str(caught.value) == message


def test_names_that_differ() -> None:
    """Repeated names get a number, none of which is a name that there is."""
    assert distinct(["a", "b", "a", "a (2)", "a"]) == ["a", "b", "a (2)", "a (2) (2)", "a (3)"]
