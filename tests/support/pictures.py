"""Pictures as backends store them, read by Pillow."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageSequence


def pixels(source: bytes | str | Path) -> Any:
    """Return an image's pixels, or with one dimension more a moving one's frames, as uint8."""
    with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
        if getattr(image, "n_frames", 1) > 1:
            return np.stack([np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)])
        array = np.asarray(image.convert("RGB") if image.mode == "P" else image)
        return array[:, :, None] if array.ndim == 2 else array
