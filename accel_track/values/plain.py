"""Plain values: what users log as Python's own types, in copies; the passed objects stay as they are."""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from accel_track.errors import warn
from accel_track.texts import storable_text
from accel_track.values.arrays import PLAIN, scalar
from accel_track.values.structures import Storing, as_mapping, digits, reason

_NUMBERS = frozenset((float, int, bool))
_NO_INT64, _NO_UINT64 = 2**63, 2**64
_LONGEST_NAME = 240
_SHOWN = 80
_BEYOND_FLOATS = 2**1024 - 2**970


def plain(value: Any) -> Any:
    """Return `value` with its scalars as Python numbers and its dictionaries and lists copied.

    A scalar is a NumPy scalar or an array or tensor of exactly one element (any dtype, bfloat16 too). Larger arrays,
    images, SDK objects, scalars that cannot be read and everything else are returned as they are. Structure is kept:
    nested stays nested. Texts become what UTF-8 can hold.
    """
    kind = type(value)
    if kind is str:
        return storable_text(value)
    if kind in PLAIN:
        return value
    try:
        if isinstance(value, Mapping):
            return {storable_text(key) if type(key) is str else key: plain(item) for key, item in value.items()}
        if kind is list or kind is tuple:
            return kind(plain(item) for item in value)
        return scalar(value)
    except Exception:  # noqa: BLE001 - an object's own error
        return value


def leaves(values: Mapping[str, Any], separator: str = "/", prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield `(name, plain value)` for every leaf; names of nested dictionaries are joined with `separator`.

    An empty dictionary is a leaf, so that nothing disappears. Two leaves may have the same name; see `same_names`.
    """
    for key, value in values.items():
        name = f"{prefix}{key}"
        own = value if type(value) in _NUMBERS or type(value) is dict else plain(value)
        if type(own) is dict and own:
            yield from leaves(own, separator, f"{name}{separator}")
        else:
            yield name, own


def same_names(values: Mapping[Any, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield each name that `leaves` gives to more than one leaf, and the places of the first and of another of them."""
    first: dict[str, str] = {}
    for name, place in _places(values, "", ""):
        if (other := first.setdefault(name, place)) != place:
            yield name, other, place


def _places(values: Mapping[Any, Any], prefix: str, place: str) -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        name, here = f"{prefix}{key}", f"{place}[{key!r}]"
        if type(value) is dict and value:
            yield from _places(value, f"{name}/", here)
        else:
            yield name, here


def is_number(value: Any) -> bool:
    """Return whether `value` is a real number as SDKs take it: a float, a bool, or an int that a float can hold."""
    return isinstance(value, float) or (isinstance(value, int) and abs(value) < _BEYOND_FLOATS)


def finite(value: Any) -> bool:
    """Return whether `value` is a number other than NaN and ±inf."""
    return is_number(value) and math.isfinite(value)


def storable(value: Any) -> Any:
    """Return `value` as JSON-like data: None, bool, int, float, str, lists and string-keyed dictionaries.

    For hyperparameters. What holds named values becomes a dictionary: dataclasses, namespaces, named tuples,
    `functools.partial`, pydantic's and attrs' objects, OmegaConf's nodes; enumerations become their values, small
    arrays lists. A function or a class becomes its qualified name, another object a text, or its class's name: never a
    text with a memory address, which would differ between two runs of the same program.
    """
    return Storing().stored(value)


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


def check_values(values: Any, argument: str = "values") -> Mapping[str, Any]:
    """Return `values` when it is a dictionary with string keys.

    Raises:
        TypeError: It is not a dictionary, or one of its keys is not a string.
    """
    try:
        others = [key for key in values if not isinstance(key, str)] if isinstance(values, Mapping) else None
    except Exception as error:
        message = f"`{argument}` must be a dictionary that can be read; got {_shown(values)}: {reason(error)}."
        raise TypeError(message) from error
    if others is None:
        message = f"`{argument}` must be a dictionary of names to values, e.g. {{'loss': 0.1}}; got {_shown(values)}."
        raise TypeError(message)
    if others:
        key = others[0]
        message = f"`{argument}` must have string keys; got the key {_shown(key)}. Write it as {_text(key)!r}."
        raise TypeError(message)
    return values  # type: ignore[no-any-return]


def check_config(config: Any, argument: str = "config") -> dict[str, Any]:
    """Return hyperparameters as JSON-like data, as `storable` does; warn of what cannot be kept as it is.

    Takes a dictionary, or an object that holds named values, such as a dataclass instance, an `argparse.Namespace` or
    an OmegaConf node.

    Raises:
        TypeError: It is none of these, or one of its keys is not a string.
    """
    try:
        mapping = as_mapping(config)
    except Exception:  # noqa: BLE001 - the object's own error; the check says what it is
        mapping = config
    check_values(mapping, argument)
    storing = Storing()
    stored: dict[str, Any] = storing.stored(mapping)
    for place, why in storing.unreadable.items():
        warn(f"{argument}: {place} could not be read ({why}); the name of its class is stored in its place.", 3)
    for sentence in storing.twice:
        warn(f"{argument}: {sentence}, which are the same as text; the last one's value is kept, rename one.", 3)
    for name, one, other in same_names(stored):
        warn(f"{argument}: {one} and {other} {_SAME.format(name)}", 3)
    return stored


_SAME = "have the same name {!r} in backends without nested names, which keep one of them; rename one."


def warn_of_same_names(values: Mapping[Any, Any], told: set[str]) -> None:
    """Warn of two values of one call that have the same name, once a name."""
    for name, one, other in same_names(values):
        if name not in told:
            told.add(name)
            warn(f"log: {one} and {other} {_SAME.format(name)}", 3)


def check_step(step: Any) -> int | None:
    """Return `step` as a Python int, or None.

    Raises:
        TypeError: It is neither an integer nor a float without a fraction, such as `3.0`.
        ValueError: It is negative.
    """
    if step is None or (type(step) is int and 0 <= step < _NO_INT64):
        return step
    try:
        if isinstance(step, bool):
            raise TypeError  # noqa: TRY301 - a bool has an index, and is no step
        is_integer = getattr(step, "is_integer", None)  # of floats
        number = int(step) if is_integer is not None and is_integer() else operator.index(step)
    except Exception:  # noqa: BLE001 - also an object's own error
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


def _text(value: Any, form: Callable[[Any], str] = str) -> str:
    try:
        return form(value)
    except Exception as error:  # noqa: BLE001 - the object's own error
        return f"an object without a text ({reason(error)})"


def _shown(value: Any) -> str:
    text = _text(value, repr)
    return f"{text if len(text) <= _SHOWN else text[: _SHOWN - 3] + '...'} ({type(value).__name__})"
