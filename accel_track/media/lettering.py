"""Lettering: the font in which pictures are labelled."""

from __future__ import annotations

import functools
from typing import Any


@functools.lru_cache(16)
def font(size: int) -> Any:
    """Return a font of PIL's: DejaVu Sans, where the system has it, else Pillow's own, which knows Latin letters only.

    Args:
        size: Its size in pixels.
    """
    from PIL import ImageFont

    try:
        return ImageFont.truetype("DejaVuSans.ttf", size)
    except OSError:
        return ImageFont.load_default(size)
