"""The capture of a call: the values that `log` was given, as they were then; nothing else touches users' objects."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, KeysView, Mapping, MutableSequence, ValuesView
from collections.abc import Set as AbstractSet
from decimal import Decimal
from numbers import Integral, Real
from types import ModuleType
from typing import Any, NamedTuple

from accel_track.media.content import Content
from accel_track.media.kinds import Medium, medium_of
from accel_track.texts import storable_text
from accel_track.values.arrays import PLAIN, array_of, scalar
from accel_track.values.copies import ChangingError, copied
from accel_track.values.plain import check_log_kwargs, check_values
from accel_track.values.structures import Nesting, TooMuchError, UnreadableError, class_name, reason, text_of_key

_NUMBERS = frozenset((float, int, bool))
_TEXT = frozenset((str,))
_INT64, _UINT64 = -(2**63), 2**64
_PACKAGES = frozenset(("PIL", "matplotlib", "plotly", "pandas", "polars", "pyarrow"))
"""Packages whose objects may be media."""


class OnGpu(NamedTuple):
    """A tensor of a GPU, and where its numbers go: `place[key]`."""

    name: str
    place: Any
    key: Any
    tensor: Any


class Found(NamedTuple):
    """A medium among the values, and where what is stored of it goes: `place[key]`."""

    name: str
    place: Any
    key: Any
    kind: type[Medium]
    content: Content


class Captured(NamedTuple):
    """Values that no longer change, in dictionaries and lists of their own.

    There are Python's own numbers, texts, bytes, dictionaries, lists and tuples among them, NumPy arrays that share
    nothing with others, and objects of other classes.
    """

    values: dict[str, Any]
    kwargs: dict[str, dict[str, Any]]
    """More arguments, by tracker name."""

    unread: dict[str, str]
    """Why a value could not be read, by its name; it is left out."""

    on_gpu: list[OnGpu]
    """The tensors that are still on a GPU; None is in the place of each."""

    changing: dict[str, str]
    """The classes of objects that may change before they are delivered, by the name of the first of each."""

    nested: bool
    """Whether there are dictionaries in `values`."""

    media: list[Found]
    """The media; None is in the place of each."""

    only: str = ""
    """Name of the one tracker that the call is for; empty: all."""


def captured(values: Any, kwargs: Any = None, *, copies: bool = True, waits_for_gpu: bool = False) -> Captured:
    """Return the values and arguments of a call as they are now.

    Args:
        values: Names to values, possibly nested.
        kwargs: More arguments, by tracker name.
        copies: Whether figures, tables and other objects are copied, rather than delivered at once as they are.
        waits_for_gpu: Whether tensors of a GPU are read at once.

    Raises:
        TypeError: `values` is not a dictionary with string keys, or `kwargs` of another form.
    """
    capture = _Capture(copies, waits_for_gpu)
    plain = type(values) is dict and _is_ascii(values)
    own = capture.dictionary(values if plain else check_values(values), "")
    more: dict[str, dict[str, Any]] = {}
    if kwargs:
        check_log_kwargs(kwargs)
        capture.takes_media = False  # what is for one SDK stays as it is
        for name, arguments in kwargs.items():
            more[_key(name)] = capture.dictionary(arguments, f"{name}: ")
    return Captured(own, more, capture.unread, capture.on_gpu, capture.changing, capture.nested, capture.media)


class _Capture:
    """The capture of one call's values."""

    __slots__ = ("_copies", "_nesting", "_waits", "changing", "media", "nested", "on_gpu", "takes_media", "unread")

    def __init__(self, copies: bool, waits: bool) -> None:
        self._copies, self._waits = copies, waits
        self._nesting = Nesting()
        self.nested, self.takes_media = False, True
        self.unread: dict[str, str] = {}
        self.on_gpu: list[OnGpu] = []
        self.media: list[Found] = []
        self.changing: dict[str, str] = {}

    def dictionary(self, value: Any, prefix: str) -> dict[Any, Any]:
        own = self._with_own_keys(value, prefix)
        # Not `in _NUMBERS`, which hashes the class: that of a user's object may refuse.
        others = [
            key
            for key, item in own.items()
            if (kind := type(item)) is not float and kind is not int and kind is not bool
        ]
        if others:
            self._nesting.enter(value)
            try:
                for key in others:
                    if not self._put(own, key, own[key], f"{prefix}{key}"):
                        del own[key]
            finally:
                self._nesting.leave(value)
        return own

    def _with_own_keys(self, value: Any, prefix: str) -> dict[Any, Any]:
        """Return a copy, made in one step, also while another thread adds to it, with keys for a journal."""
        given = dict(value) if type(value) is dict else {key: value[key] for key in value}
        if _is_ascii(given):
            return given
        own: dict[Any, Any] = {}
        for key, item in given.items():
            text = _key(key)
            if text in own:
                self.unread[f"{prefix}{text}"] = "another key of its dictionary is the same as text"
            else:
                own[text] = item
        return own

    def sequence(self, value: Any, name: str) -> list[Any]:
        items = list(value)
        if _NUMBERS.issuperset(map(type, items)):
            return items
        own: list[Any] = []
        self._nesting.enter(value)
        try:
            for item in items:
                own.append(None)
                if not self._put(own, len(own) - 1, item, name):
                    own.pop()
        finally:
            self._nesting.leave(value)
        if not own:
            raise UnreadableError(self.unread[name])
        return own

    def _put(self, place: Any, key: Any, value: Any, name: str) -> bool:
        """Put a value, as it is captured, into a dictionary or list; say whether the value could be read."""
        kind = type(value)
        try:
            if kind in PLAIN:
                place[key] = storable_text(value) if kind is str else value
            elif not self._waits and _is_on_gpu(kind, value):
                place[key] = None
                self.on_gpu.append(OnGpu(name, place, key, value))
            elif self.takes_media and (medium := _medium_of(kind, value)) is not None:
                place[key] = None
                self.media.append(Found(name, place, key, type(medium), medium.kept()))
            else:
                place[key] = _how(kind)(self, value, name)  # type: ignore[arg-type] # a class is hashable
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # an object's own error, of any kind
            if isinstance(error, TooMuchError) and self._nesting.depth > 1:
                raise
            self.unread[name] = reason(error)
            return False
        return True

    # -- one way for each kind of value ------------------------------------------------------------------------------

    def _mapping(self, value: Any, name: str) -> Any:
        self.nested = True
        return self.dictionary(value, f"{name}/")

    def _tuple(self, value: Any, name: str) -> Any:
        before = len(self.on_gpu) + len(self.media)
        own = self.sequence(value, name)
        # What arrives later has to find its place.
        return tuple(own) if len(self.on_gpu) + len(self.media) == before else own

    def _scalar_or_array(self, value: Any, name: str) -> Any:
        number = scalar(value)
        if number is value:
            array = array_of(value)
            return self.sequence(array.tolist(), name) if array.dtype.hasobject else array
        return number if type(number) in _NUMBERS else _how(type(number))(self, number, name)  # type: ignore[arg-type]

    def _object(self, value: Any, name: str) -> Any:
        kind = value.__class__
        if issubclass(kind, Mapping):
            return self._mapping(value, name)
        number = scalar(value)
        if number is not value:
            return number if type(number) in _NUMBERS else _how(type(number))(self, number, name)  # type: ignore[arg-type]
        if isinstance(getattr(value, "shape", None), tuple) and _is_numeric(value):
            return array_of(value)
        if kind is not type(value):
            raise UnreadableError("it stands for another object, which may be gone")  # noqa: EM101, TRY003
        if not self._copies:
            return value
        try:
            return copied(value)
        except ChangingError:
            self.changing.setdefault(class_name(value), name)
            return value


def _medium_of(kind: type, value: Any) -> Medium | None:
    """Return the medium that a value is without doubt, or None."""
    if isinstance(value, Medium):
        return None if value.is_native else value
    return medium_of(value) if _may_be_medium(kind) else None


@functools.lru_cache(1024)
def _may_be_medium(kind: type) -> bool:
    """Return whether objects of a class may be images, figures or tables, by the packages of it and its bases."""
    return not _PACKAGES.isdisjoint(cls.__module__.partition(".")[0] for cls in kind.__mro__) or kind is ModuleType


def _is_on_gpu(kind: type, value: Any) -> bool:
    return kind.__name__ in ("Tensor", "Parameter") and _is_tensor(kind) and value.is_cuda


@functools.lru_cache(1024)
def _is_tensor(kind: type) -> bool:
    return issubclass(kind, getattr(sys.modules.get("torch"), "Tensor", ()))


def _is_numeric(value: Any) -> bool:
    """Return whether an array of another library is one of numbers that NumPy takes, and no table with names."""
    return hasattr(value, "dtype") and hasattr(value, "__array__") and not hasattr(value, "index")


@functools.lru_cache(1024)
def _how(kind: type) -> Callable[[_Capture, Any, str], Any]:  # noqa: PLR0911 - one line per kind of value
    """Return the way to capture objects of a class. Only the class is asked: an object can claim another one."""
    for base, exact in _EXACT:
        if issubclass(kind, base) and not issubclass(kind, getattr(sys.modules.get("numpy"), "generic", ())):
            return lambda _, value, __: exact(value)
    numpy = sys.modules.get("numpy")
    if _is_tensor(kind) or issubclass(kind, (getattr(numpy, "generic", ()), getattr(numpy, "ndarray", ()))):
        return _Capture._scalar_or_array  # noqa: SLF001
    if issubclass(kind, Mapping):
        return _Capture._mapping  # noqa: SLF001
    if issubclass(kind, tuple):
        return _Capture._tuple  # noqa: SLF001
    if issubclass(kind, (bytes, bytearray, memoryview)):
        return lambda _, value, __: bytes(value)
    if kind.__module__ == "array":
        return lambda _, value, __: array_of(value)
    if issubclass(kind, (MutableSequence, KeysView, ValuesView)):
        return _Capture.sequence
    if issubclass(kind, AbstractSet):
        return lambda _, value, __: set(value)
    return _Capture._object  # noqa: SLF001


# Past a subclass's own conversions.
_EXACT: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (str, lambda text: storable_text(str.__str__(text))),
    (int, int.__int__),
    (float, float.__float__),
    (Integral, int),
    (Real, float),
    (Decimal, float),
)


def _is_ascii(names: dict[Any, Any]) -> bool:
    return _TEXT.issuperset(map(type, names)) and "".join(names).isascii()


def _key(key: Any) -> Any:
    """Return a dictionary's key as a journal can hold it: a text, or an integer of 64 bits."""
    return key if type(key) is int and _INT64 <= key < _UINT64 else text_of_key(key)
