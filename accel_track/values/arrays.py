"""Scalars and arrays of any library: as Python numbers, as NumPy arrays of one's own, and as bytes."""

from __future__ import annotations

import math
import re
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PLAIN = frozenset((bool, int, float, str, type(None)))
"""The types of values that are as plain as they can be."""

_DTYPE = re.compile(r"[<>|][biufcSUMm]\d{1,9}(\[[0-9a-zA-Z]{1,20}\])?")
_DIMENSIONS = 32
_LARGEST = 2**30
"""Bytes of an array that is copied: one on disk may have more than there is memory."""

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(tuple[str, tuple[int, ...], bytes]).decode


def scalar(value: Any) -> Any:
    """Return a NumPy scalar, or the one element of an array or tensor, as a Python value; anything else as it is.

    Raises:
        BaseException: The value's own error.
    """
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and math.prod(shape) == 1 and hasattr(value, "item"):
        number = value.item()
        # NumPy gives a `longdouble` itself
        return float(number) if isinstance(number, _class("numpy", "floating")) else number
    return value


@lru_cache(1024)
def number_type(kind: type) -> type | None:
    """Return the Python type of a number's class, for a NumPy scalar that of its `item()`; None for other classes."""
    if kind in (float, int, bool):
        return kind
    for name, python in (("bool_", bool), ("integer", int), ("float16", float), ("float32", float), ("float64", float)):
        if issubclass(kind, _class("numpy", name)) and kind.__module__ == "numpy":
            return python
    return None


def without_tensors(values: dict[str, Any], levels: int = 2) -> dict[str, Any] | None:
    """Return values with torch's tensors of one element on the CPU as Python numbers; None if none is, or another.

    Args:
        values: Names to values.
        levels: In how many dictionaries to look that are in each other, this one included.

    Raises:
        BaseException: A tensor's own error.
    """
    tensor = getattr(sys.modules.get("torch"), "Tensor", None)
    found: dict[str, Any] | None = None
    for name, value in values.items():
        kind = type(value)
        if kind is tensor:
            if not value.is_cpu or value.numel() != 1:
                return None
            read = value.item()
        elif kind is not dict or levels == 1 or (read := without_tensors(value, levels - 1)) is None:
            continue
        if found is None:
            found = values.copy()
        found[name] = read
    return found


def array_of(value: Any) -> NDArray[Any]:
    """Return an array of NumPy's, torch's or another library's as a NumPy array that shares nothing with it.

    bfloat16 and other short floats that NumPy does not have become float32, which holds each of them exactly.

    Raises:
        ValueError: It has more than 1 GiB.
        BaseException: The value's own error.
    """
    import numpy as np

    if getattr(value, "nbytes", 0) > _LARGEST:
        raise ValueError("it is larger than 1 GiB")  # noqa: EM101, TRY003
    if isinstance(value, _class("torch", "Tensor")):
        value = value.detach()
        short = value.is_floating_point() and not hasattr(np, str(value.dtype).removeprefix("torch."))
        return np.array(value.float().numpy(force=True) if short else value.numpy(force=True))
    array = value.copy() if isinstance(value, np.ma.MaskedArray) else np.array(value)
    if array.dtype.kind == "V" and array.dtype.names is None and "float" in array.dtype.name:  # ml_dtypes of JAX
        return array.astype(np.float32)
    return array


def is_array(value: Any) -> bool:
    """Return whether a value is a NumPy array as `array_of` returns it."""
    return issubclass(type(value), _class("numpy", "ndarray"))


def array_bytes(array: NDArray[Any]) -> bytes | None:
    """Return an array's type, shape and elements as MessagePack; None if it holds neither numbers nor texts."""
    if array.dtype.kind not in "biufcSUMm" or type(array) is not _class("numpy", "ndarray"):
        return None
    import numpy as np

    elements = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return _pack((array.dtype.str, array.shape, elements.data))


def array_from(data: bytes | memoryview) -> NDArray[Any]:
    """Return the array of which `array_bytes` made these bytes.

    Raises:
        ValueError: It is none.
    """
    import numpy as np

    kind, shape, elements = _unpack(data)
    if not _DTYPE.fullmatch(kind) or len(shape) > _DIMENSIONS or any(length < 0 for length in shape):
        raise ValueError("no array")  # noqa: EM101, TRY003
    try:
        dtype: np.dtype[Any] = np.dtype(kind)
    except TypeError as error:  # of another machine's
        raise ValueError("no array") from error  # noqa: EM101, TRY003
    if dtype.itemsize * math.prod(shape) != len(elements):
        raise ValueError("no array")  # noqa: EM101, TRY003
    flat = np.frombuffer(bytearray(elements), dtype) if elements else np.empty(0, dtype)
    return flat.reshape(shape)


def _class(module: str, name: str) -> Any:
    """Return a class of a module, or `()`, of which nothing is an instance, if the program has not imported that."""
    return getattr(sys.modules.get(module), name, ())
