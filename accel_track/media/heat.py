"""The drawing of a confusion matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from accel_track.media.lettering import font

_WIDTH, _LARGEST, _LEAST = 420, 64, 2
"""Width of a matrix, and of its largest and smallest cells, in pixels."""

_LABELLED = 12
"""Width of cells from which on rows and columns have labels."""

_LONGEST = 120
"""Width of the longest label; of a longer one, the begin is drawn."""

_GAP, _TITLE = 6, 20
_DARK = (8, 48, 107)


def heat(matrix: Sequence[Sequence[float]], labels: Sequence[str]) -> Any:
    """Return a picture of PIL's: true classes downwards, predicted ones to the right, darker where there are more.

    The shade of a cell is its share of its row.

    Args:
        matrix: How often each class (a row) was taken for each (a column).
        labels: Names of the classes.
    """
    from PIL import Image, ImageDraw

    cell = max(_LEAST, min(_LARGEST, _WIDTH // len(matrix)))
    letters, small = font(max(9, min(18, round(cell * 0.42)))), font(13)
    title = "down: true class, right: predicted"
    longest = max(letters.getlength(label) for label in labels)
    edge = math.ceil(min(longest, _LONGEST)) + 2 * _GAP if cell >= _LABELLED else _GAP
    side, top = cell * len(matrix), edge + _TITLE
    size = (max(edge + side, math.ceil(small.getlength(title))) + _GAP, top + side + _GAP)
    picture = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(picture)
    draw.text((_GAP, 3), title, fill="black", font=small)
    for row, numbers in enumerate(matrix):
        total = sum(number for number in numbers if not math.isnan(number)) or 1
        for column, number in enumerate(numbers):
            share = 0.0 if math.isnan(number) else max(0.0, min(1.0, number / total))
            left, upper = edge + column * cell, top + row * cell
            colour = tuple(round(255 + share * (dark - 255)) for dark in _DARK)
            line = 1 if cell >= _LABELLED else 0
            draw.rectangle((left, upper, left + cell - 1 - line, upper + cell - 1 - line), fill=colour)
            text = f"{number:g}"
            if number and letters.getlength(text) < cell - 2:
                shown = "white" if share > 0.5 else "black"  # noqa: PLR2004 - half-way
                draw.text((left + cell / 2, upper + cell / 2), text, fill=shown, font=letters, anchor="mm")
    if cell >= _LABELLED:
        draw.rectangle((edge - 1, top - 1, edge + side - 1, top + side - 1), outline="#bbbbbb")
        for place, label in enumerate(labels):
            name = _label(label, edge - 2 * _GAP, letters)
            middle = place * cell + cell // 2
            picture.paste(name, (edge - _GAP - name.width, top + middle - name.height // 2))
            upright = name if longest < cell else name.rotate(90, expand=True)
            picture.paste(upright, (edge + middle - upright.width // 2, top - _GAP // 2 - upright.height))
    return picture


def _label(text: str, most: int, letters: Any) -> Any:
    """Return a picture of a label."""
    from PIL import Image, ImageDraw

    width = max(1, min(most, math.ceil(letters.getlength(text))))
    height = letters.getbbox("Äg")[3] + 1
    picture = Image.new("RGB", (width, height), "white")
    ImageDraw.Draw(picture).text((0, 0), text, fill="black", font=letters)
    return picture
