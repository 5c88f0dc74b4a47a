"""Values and hyperparameters in the form in which Aim can hold them."""

from __future__ import annotations

import importlib
import os
from typing import Any

from accel_track.trackers.names import hashed_name
from accel_track.values.structures import digits

# Aim encodes integers in 64 bits, and reads an empty name back as a number, which makes the run unreadable.
INT64 = 2**63
EMPTY = hashed_name("_", "", 64)


def is_native(value: Any) -> bool:
    """Whether `value` is one of Aim's objects or a list of them."""
    aim: Any = importlib.import_module("aim")
    kinds = (aim.Audio, aim.Distribution, aim.Figure, aim.Image, aim.Text)
    several = value if isinstance(value, (list, tuple)) else [value]
    return bool(several) and all(isinstance(one, kinds) for one in several)


def has_caption(value: Any) -> bool:
    """Whether `value` is an image, or images, with a caption."""
    match value:
        case (image, str()):
            return not isinstance(image, (str, os.PathLike))
        case _:
            return False


def encodable(value: Any) -> Any:
    """Return hyperparameters as Aim can hold them."""
    if isinstance(value, dict):
        return {key or EMPTY: encodable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [encodable(item) for item in value]
    return digits(value) if isinstance(value, int) and not -INT64 <= value < INT64 else value
