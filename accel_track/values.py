"""Turn what users log into plain Python values, without changing what they passed in."""

from __future__ import annotations

import dataclasses
import enum
import json
import math
import numbers
import operator
import os
import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping
from typing import Any

from accel_track.texts import storable_text

_LARGEST_ARRAY = 1000
_NO_INT64, _NO_UINT64 = 2**63, 2**64
_DIGITS = 4000
"""Digits of an integer that are spelled out: Python refuses more than 4300, for the time that it takes."""

_LONGEST_NAME = 240
_SHOWN = 80
_BEYOND_FLOATS = 2**1024 - 2**970
PLAIN = frozenset((bool, int, float, str, type(None)))
"""The types of values that are as plain as they can be."""


def plain(value: Any) -> Any:
    """Return `value` with its scalars as Python numbers and its dictionaries and lists copied.

    A scalar is a NumPy scalar or an array or tensor of exactly one element (any dtype, bfloat16 too). Larger arrays,
    images, SDK objects and everything else are returned as they are. Structure is kept: nested stays nested. Texts
    become what UTF-8 can hold.
    """
    kind = type(value)
    if kind is str:
        return storable_text(value)
    if kind in PLAIN:
        return value
    if isinstance(value, Mapping):
        return {storable_text(key) if type(key) is str else key: plain(item) for key, item in value.items()}
    if kind is list or kind is tuple:
        return kind(plain(item) for item in value)
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and math.prod(shape) == 1 and hasattr(value, "item"):
        return value.item()
    return value


def leaves(values: Mapping[str, Any], separator: str = "/", prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield `(name, plain value)` for every leaf; names of nested dictionaries are joined with `separator`.

    An empty dictionary is a leaf, so that nothing disappears.
    """
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from leaves(value, separator, f"{name}{separator}")
        else:
            yield name, plain(value)


def is_number(value: Any) -> bool:
    """Whether `value` is a real number as SDKs take it: a float, a bool, or an int that a float can hold."""
    return isinstance(value, float) or (isinstance(value, int) and abs(value) < _BEYOND_FLOATS)


def finite(value: Any) -> bool:
    """Whether `value` is a number other than NaN and ±inf."""
    return is_number(value) and math.isfinite(value)


def storable(value: Any) -> Any:  # noqa: PLR0911 - one line per kind of value
    """Return `value` as JSON-like data: None, bool, int, float, str, lists and string-keyed dictionaries.

    For hyperparameters. Dataclasses and namespaces become dictionaries, enumerations their values, small arrays lists.
    A function or a class becomes its qualified name, another object its class's: never a text with a memory address,
    which would differ between two runs of the same program.
    """
    value = plain(as_mapping(value))
    if type(value) in PLAIN:
        return value
    if isinstance(value, Mapping):
        return {str(key): storable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [storable(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((storable(item) for item in value), key=repr)
    if isinstance(value, enum.Enum):
        return storable(value.value)
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    if isinstance(value, (str, os.PathLike)):
        return storable_text(str(os.fsdecode(value)))  # a subclass of str would stay one, which YAML refuses
    if hasattr(value, "tolist") and math.prod(getattr(value, "shape", (0,))) <= _LARGEST_ARRAY:
        return storable(value.tolist())
    return stable_name(value)


def flat_config(values: Mapping[str, Any], separator: str = "/") -> dict[str, bool | int | float | str | None]:
    """Return hyperparameters without nesting: dictionaries joined by `separator`, lists as JSON text.

    For backends whose hyperparameters are flat. Integers beyond 64 bits are text.
    """
    return {
        name: value if type(value) in PLAIN else json.dumps(value)
        for name, value in leaves(long_integers_as_text(storable(values)), separator)
    }


def long_integers_as_text(value: Any, *, signed: bool = False) -> Any:
    """Return JSON-like data with text in place of integers beyond 64 bits, for backends that have no such number.

    Args:
        value: As `storable` returns it.
        signed: Whether the backend's integers have a sign, so that half of the greater ones are beyond them, too.
    """
    if type(value) is int:
        return value if -_NO_INT64 <= value < (_NO_INT64 if signed else _NO_UINT64) else digits(value)
    if type(value) is dict:
        return {key: long_integers_as_text(item, signed=signed) for key, item in value.items()}
    if type(value) is list:
        return [long_integers_as_text(item, signed=signed) for item in value]
    return value


def digits(number: int) -> str:
    """Return an integer as text: decimal, or hexadecimal where that would be thousands of digits."""
    return str(number) if number.bit_length() < 3 * _DIGITS else hex(number)


def stable_name(value: Any) -> str:
    """Return a text for an object without a portable form: the same in every run, never one with a memory address."""
    text = "" if callable(value) else str(value)
    if text and " at 0x" not in text:
        return storable_text(text)
    named = value if callable(value) and hasattr(value, "__qualname__") else type(value)
    return f"{named.__module__}.{named.__qualname__}"


def as_mapping(value: Any) -> Any:
    """Return dataclasses, namespaces and OmegaConf nodes as dictionaries or lists, anything else as it is."""
    if isinstance(value, Namespace):
        return vars(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    # Another thread may be importing it at this moment.
    omegaconf = getattr(sys.modules.get("omegaconf"), "OmegaConf", None)
    if omegaconf is not None and omegaconf.is_config(value):
        return omegaconf.to_container(value, resolve=True)
    return value


def check_values(values: Any, argument: str = "values") -> Mapping[str, Any]:
    """Return `values` when it is a dictionary with string keys.

    Raises:
        TypeError: It is not a dictionary, or one of its keys is not a string.
    """
    if not isinstance(values, Mapping):
        message = f"`{argument}` must be a dictionary of names to values, e.g. {{'loss': 0.1}}; got {_shown(values)}."
        raise TypeError(message)
    for key in values:
        if not isinstance(key, str):
            message = f"`{argument}` must have string keys; got the key {_shown(key)}. Write it as {str(key)!r}."
            raise TypeError(message)
    return values


def check_config(config: Any, argument: str = "config") -> dict[str, Any]:
    """Return hyperparameters as a new dictionary, scalars as Python numbers, nesting kept.

    Takes a dictionary, a dataclass instance, an `argparse.Namespace` or an OmegaConf node.

    Raises:
        TypeError: It is none of these, or one of its keys is not a string.
    """
    return plain(check_values(as_mapping(config), argument))  # type: ignore[no-any-return]


def check_step(step: Any) -> int | None:
    """Return `step` as a Python int, or None.

    Raises:
        TypeError: It is not an integer.
        ValueError: It is negative.
    """
    if step is None or (type(step) is int and 0 <= step < _NO_INT64):
        return step
    try:
        if isinstance(step, bool):
            raise TypeError  # noqa: TRY301 - a bool has an index, and is no step
        number = operator.index(step)
    except TypeError:
        message = f"`step` must be an integer of 0 or more, or None; got {_shown(step)}."
        raise TypeError(message) from None
    if not 0 <= number < _NO_INT64:
        limit = "0 or more" if number < 0 else "below 2**63"
        message = f"`step` must be {limit}; got {number}. Count steps from 0, or pass step=None."
        raise ValueError(message)
    return number


def check_log_kwargs(kwargs: Any) -> None:
    """Check more arguments for `log`.

    Raises:
        TypeError: They are not a dictionary of tracker names to dictionaries with string keys.
    """
    if not isinstance(kwargs, Mapping) or not all(isinstance(value, Mapping) for value in kwargs.values()):
        message = f"`log_kwargs` must map tracker names to dictionaries of arguments; got {_shown(kwargs)}."
        raise TypeError(message)
    for value in kwargs.values():
        check_values(value, "log_kwargs")


def check_name(name: Any, argument: str) -> str:
    r"""Return `name` when it can be a project's or run's name and a folder's.

    What is no character, as in the name of a file in another encoding, becomes an escape: "caf\udce9" is "caf%udce9".

    Raises:
        TypeError: It is not a string.
        ValueError: It holds nothing but dots and spaces, or a slash, a backslash, "..", a control character, or over
            240 bytes in UTF-8: a file's name has 255, and a rank or an ending is put behind it.
    """
    if not isinstance(name, str):
        message = f"`{argument}` must be a string; got {_shown(name)}."
        raise TypeError(message)
    bad = [part for part in ("/", "\\", "..", "\0") if part in name]
    bad += [one for one in name if one < " " or "\x7f" <= one < "\xa0"]
    stored = name if (text := storable_text(name)) == name else text.replace("\\", "%")
    what = f"it holds {bad[0]!r}" if bad else "" if name.strip(". ") else "it names no folder"
    if not what and (size := len(stored.encode())) > _LONGEST_NAME:
        what = f"it is {size} bytes long, and {_LONGEST_NAME} are possible"
    if what:
        name = name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…"
        message = f"`{argument}` is used as a folder name and cannot be {name!r}: {what}. Choose a plain name."
        raise ValueError(message)
    return stored


def _shown(value: Any) -> str:
    text = repr(value)
    return f"{text if len(text) <= _SHOWN else text[: _SHOWN - 3] + '...'} ({type(value).__name__})"
