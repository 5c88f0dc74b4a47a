"""Values and hyperparameters in the form in which Aim can hold them."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from typing import Any

from accel_track.trackers.names import hashed_name
from accel_track.values.plain import long_integers_as_text, storable

# Aim encodes integers in 64 bits, and reads an empty name back as a number, which makes the run unreadable.
_INT64 = 2**63
EMPTY = hashed_name("_", "", 64)

IMAGE_ARGUMENTS = "aim_image"
"""Among further arguments of a call, those of `aim.Image`; all others are `Run.track`'s."""


def for_track(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the further arguments of a call that are `Run.track`'s."""
    return {name: value for name, value in kwargs.items() if name != IMAGE_ARGUMENTS}


def trackable(value: Any) -> Any:
    """Return a number, a text or an object of Aim's as `Run.track` takes it."""
    if isinstance(value, str):
        return _aim().Text(value)
    return float(value) if isinstance(value, int) and not -_INT64 <= value < _INT64 else value


def is_native(value: Any) -> bool:
    """Return whether `value` is one of Aim's objects or a list of them."""
    aim = _aim()
    kinds = (aim.Audio, aim.Distribution, aim.Figure, aim.Image, aim.Text)
    several = value if isinstance(value, (list, tuple)) else [value]
    return bool(several) and all(isinstance(one, kinds) for one in several)


def has_caption(value: Any) -> bool:
    """Return whether `value` is an image, or images, with a caption."""
    match value:
        case (image, str()):
            return not isinstance(image, (str, os.PathLike))
        case _:
            return False


def encodable(values: Any) -> dict[str, Any]:
    """Return hyperparameters as Aim can hold them: long integers are texts, and no name is empty."""
    named: dict[str, Any] = _named(long_integers_as_text(storable(values), signed=True))
    return named


def _named(value: Any) -> Any:
    if isinstance(value, dict):
        return {key or EMPTY: _named(item) for key, item in value.items()}
    return [_named(item) for item in value] if isinstance(value, list) else value


def _aim() -> Any:
    return importlib.import_module("aim")
