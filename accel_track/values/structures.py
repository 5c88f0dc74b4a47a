"""Structures: the content of objects as JSON-like data, for hyperparameters."""

from __future__ import annotations

import array
import dataclasses
import datetime as dt
import enum
import functools
import math
import numbers
import os
import re
import sys
import types
from argparse import Namespace
from collections.abc import Iterable, Iterator, KeysView, Mapping, MutableSequence, ValuesView
from collections.abc import Set as AbstractSet
from fractions import Fraction
from typing import Any

from accel_track.texts import clean, storable_text
from accel_track.values.arrays import PLAIN, scalar

DEEPEST = 100
"""The number of dictionaries and lists that may be in each other."""

MOST = 100_000
"""The number of dictionaries and lists that a value may hold."""

_LARGEST_ARRAY = 1000
_MOST_BITS = 12_000  # Python spells out no more than 4300 digits, for the time that it takes
_LONGEST_REASON = 160
_BYTES = (bytes, bytearray, memoryview)
_ELEMENTARY = (*_BYTES, array.array)
_PLAIN_CONTAINERS = (dict, list, tuple)
_SEQUENCES = (tuple, MutableSequence, KeysView, ValuesView)


class UnreadableError(Exception):
    """A value holds itself, or too much."""


class TooMuchError(UnreadableError):
    """A value holds too many others, so that it is left out as a whole."""


class Nesting:
    """The dictionaries and lists around a part of a value: how many there are, and none of them twice."""

    __slots__ = ("_count", "_inside")

    def __init__(self) -> None:
        """Begin outside of all."""
        self._inside: set[int] = set()
        self._count = 0

    @property
    def depth(self) -> int:
        """The number of dictionaries and lists around the part."""
        return len(self._inside)

    def enter(self, container: Any) -> None:
        """Go into one.

        Raises:
            UnreadableError: It holds itself, or is one too many.
        """
        self._count = self._count + 1 if len(self._inside) > 1 else 1
        if id(container) in self._inside:
            raise UnreadableError("it holds itself")  # noqa: EM101, TRY003
        if len(self._inside) >= DEEPEST:
            raise UnreadableError(f"it is nested deeper than {DEEPEST} levels")  # noqa: EM102, TRY003
        if self._count > MOST:
            raise TooMuchError(f"it holds more than {MOST} dictionaries and lists")  # noqa: EM102, TRY003
        self._inside.add(id(container))

    def leave(self, container: Any) -> None:
        """Leave the dictionary or list that was entered last."""
        self._inside.discard(id(container))


def reason(error: BaseException) -> str:
    """Return why a value could not be read, as one line; an object's error may be as bad as the object."""
    if isinstance(error, UnreadableError):
        return str(error)
    try:
        text = clean(error)[:_LONGEST_REASON]
    except Exception:  # noqa: BLE001 - an error without a text
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def class_name(value: Any) -> str:
    """Return the qualified name of an object's class; asks only the class, which may be as bad as the object."""
    try:
        return f"{type(value).__module__}.{type(value).__qualname__}"
    except Exception:  # noqa: BLE001 - a metaclass's own error
        return "object"


def digits(number: int) -> str:
    """Return an integer as text: decimal, or hexadecimal where that would be thousands of digits."""
    return str(number) if number.bit_length() < _MOST_BITS else hex(number)


def stable_name(value: Any) -> str:
    """Return a text for an object without a portable form: the same in every run, never one with a memory address."""
    text = "" if callable(value) and not _is_annotation(value) else str(value)
    if text and " at 0x" not in text:
        return storable_text(text)
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None) if callable(value) else None
    if not isinstance(name, str):
        return class_name(value)
    module = getattr(value, "__module__", None)
    return f"{module}.{name}" if module else name


def _is_annotation(value: Any) -> bool:
    return isinstance(value, (types.GenericAlias, types.UnionType)) or type(value).__module__ == "typing"


def as_mapping(value: Any) -> Any:  # noqa: C901, PLR0911 - one line per kind of object
    """Return an object that holds named or numbered values as a dictionary or a list of them, anything else as it is.

    A `functools.partial` becomes a dictionary with Hydra's `_target_`, `_partial_` and `_args_` beside its keywords.
    """
    kind = type(value)
    if kind in _PLAIN_CONTAINERS:
        return value
    if isinstance(value, Mapping):
        return dict(_items(value)) if _is_omegaconf(value) else value
    if isinstance(value, type):
        return value
    if isinstance(value, (Namespace, types.SimpleNamespace)):
        return vars(value)
    if isinstance(value, functools.partial):
        more = {"_args_": list(value.args)} if value.args else {}
        return {"_target_": value.func, "_partial_": True, **more, **value.keywords}
    if dataclasses.is_dataclass(value):
        return _attributes(value, (field.name for field in dataclasses.fields(value)))
    if isinstance(value, tuple) and (names := getattr(kind, "_fields", None)):
        return dict(zip(names, value))  # noqa: B905
    if isinstance(names := getattr(kind, "__pydantic_fields__", None), dict):
        return _attributes(value, [*names, *(getattr(value, "__pydantic_extra__", None) or ())])
    if names := getattr(kind, "__attrs_attrs__", None):
        return _attributes(value, (field.name for field in names))
    if names := getattr(kind, "__struct_fields__", None):  # msgspec
        return _attributes(value, names)
    if isinstance(value, _SEQUENCES) and not isinstance(value, _ELEMENTARY):
        return list(_elements(value)) if _is_omegaconf(value) else list(value)
    if not hasattr(value, "shape") and isinstance(content := _call(value, "to_dict"), Mapping):
        return content  # configurations of transformers and ml_collections
    return value


def _call(value: Any, name: str) -> Any:
    method = getattr(value, name, None)
    try:
        return method() if isinstance(method, types.MethodType) else None
    except Exception:  # noqa: BLE001 - another method of that name, which wants more, for example
        return None


def _attributes(value: Any, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(value, name) for name in names if hasattr(value, name)}


def without_omegaconf(value: Any) -> Any:
    """Return a value with OmegaConf's nodes in it, however deep, as dictionaries and lists."""
    if _is_omegaconf(value):
        value = as_mapping(value)
    if type(value) is dict:
        return {key: without_omegaconf(item) for key, item in value.items()}
    return [without_omegaconf(item) for item in value] if type(value) is list else value


def _is_omegaconf(value: Any) -> bool:
    # Another thread may be importing it at this moment.
    omegaconf = getattr(sys.modules.get("omegaconf"), "OmegaConf", None)
    return omegaconf is not None and omegaconf.is_config(value)


def _items(node: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the items of an OmegaConf dictionary; of one that cannot be resolved, the text that stands there."""
    for key in node.keys():  # noqa: SIM118 - the items would be resolved
        yield key, _resolved(node, key)


def _elements(node: Any) -> Iterator[Any]:
    for index in range(len(node)):
        yield _resolved(node, index)


def _resolved(node: Any, key: Any) -> Any:
    try:
        return node[key]
    except Exception:  # noqa: BLE001 - "???", an interpolation that leads nowhere, a resolver's own error
        return node._get_node(key)._value()  # noqa: SLF001 - `to_container(resolve=False)` would copy all of it


class Storing:
    """Hyperparameters as JSON-like data: None, bool, int, float, str, lists and string-keyed dictionaries.

    A function or a class becomes its qualified name, another object a text without a memory address, which would
    differ between two runs of the same program. What cannot be read becomes the qualified name of its class.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self.unreadable: dict[str, str] = {}
        """Why, by where it is: `['a']['b']`."""
        self.twice: list[str] = []
        """The places where two keys of a dictionary are the same as text; the last one counts."""
        self._nesting = Nesting()

    def stored(self, value: Any, place: str = "") -> Any:
        """Return a value as JSON-like data."""
        if type(value) is str:
            return storable_text(value)
        if type(value) in PLAIN:
            return digits(value) if type(value) is int and value.bit_length() >= _MOST_BITS else value
        try:
            return self._stored(value, place)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # an object's own error
            if isinstance(error, TooMuchError) and self._nesting.depth > 1:
                raise
            self.unreadable[place] = reason(error)
            return class_name(value)

    def _stored(self, given: Any, place: str) -> Any:  # noqa: PLR0911 - one line per kind of value
        value = as_mapping(given if isinstance(given, (str, Mapping)) else scalar(given))
        if isinstance(value, Mapping):
            return self._dictionary(given, value, place)
        if isinstance(value, (list, tuple)):
            return self._list(given, value, place)
        if isinstance(value, AbstractSet):
            return sorted(self._list(given, value, place), key=repr)
        if isinstance(value, slice):
            return f"slice({', '.join(map(repr, self._list(given, (value.start, value.stop, value.step), place)))})"
        if isinstance(value, enum.Enum):
            return self.stored(value.value, place)
        if (
            not isinstance(value, (type, *_BYTES))
            and hasattr(value, "tolist")
            and math.prod(getattr(value, "shape", (0,))) <= _LARGEST_ARRAY
        ):
            return self.stored(value.tolist(), place)
        return self.stored(value if type(value) in PLAIN else _as_plain(value))

    def _dictionary(self, given: Any, value: Mapping[Any, Any], place: str) -> dict[str, Any]:
        items = [(key, value[key]) for key in value]
        result: dict[str, Any] = {}
        first: dict[str, Any] = {}
        self._nesting.enter(given)
        try:
            for key, item in items:
                text = text_of_key(key)
                if text in result:
                    self.twice.append(f"{place or 'it'} has the keys {_shown_key(first[text])} and {_shown_key(key)}")
                first[text] = key
                result[text] = self.stored(item, f"{place}[{text!r}]")
        finally:
            self._nesting.leave(given)
        return result

    def _list(self, given: Any, value: Iterable[Any], place: str) -> list[Any]:
        items = list(value)
        self._nesting.enter(given)
        try:
            return [self.stored(item, f"{place}[{index}]") for index, item in enumerate(items)]
        finally:
            self._nesting.leave(given)


def _as_plain(value: Any) -> Any:  # noqa: PLR0911 - one line per kind of value
    """Return an object that holds no others as a number or a text."""
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real) and not isinstance(value, Fraction):
        return float(value)
    if isinstance(value, str):
        return str.__str__(value)  # a subclass of str would stay one, which YAML refuses
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, (bytearray, memoryview)):
        return str(bytes(value))
    if isinstance(value, re.Pattern):  # its own text is cut after 200 characters
        flags = re.RegexFlag(value.flags & ~re.UNICODE)
        return f"re.compile({value.pattern!r}{f', {flags!r}' if flags else ''})"
    return stable_name(value)


def _shown_key(key: Any) -> str:
    return repr(key) if type(key) in PLAIN else f"{text_of_key(key)} ({type(key).__name__})"


def text_of_key(key: Any) -> str:
    """Return a dictionary's key as text, without a memory address."""
    try:
        return storable_text(str.__str__(key)) if isinstance(key, str) else stable_name(key)
    except Exception:  # noqa: BLE001 - the key's own error
        return class_name(key)
