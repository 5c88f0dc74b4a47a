"""What a journal holds: frozen record types, their MessagePack form, and values that have none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

import msgspec

from accel_track.errors import JournalError
from accel_track.texts import storable_text
from accel_track.values import PLAIN, plain, stable_name

_WITHOUT_FORM, _LONG_INTEGER = 1, 2  # types of MessagePack extensions, see docs/journal-format.md
_INT64, _UINT64 = -(2**63), 2**64
_NUMBERS = frozenset((bool, int, float))
# Past a subclass's own conversions.
_EXACT: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
)


class Record(msgspec.Struct, frozen=True, array_like=True, tag_field="kind"):
    """One logged item.

    Attributes:
        seq: Number of the record in its rank's journal, from 0, without gaps unless records were lost.
        time: Wall-clock time of the call, in seconds since 1970-01-01 UTC.
        values: What was logged.
    """

    seq: int
    time: float
    values: dict[str, Any]


class Config(Record, frozen=True, array_like=True, tag="config"):
    """Hyperparameters, or where the program runs; later ones add to earlier ones.

    Attributes:
        environment: Whether they were found by accel_track about the program, and not given by it.
    """

    environment: bool = False


class Metrics(Record, frozen=True, array_like=True, tag="metrics", gc=False):
    """The values of one call of `log`. Python's garbage collector does not look at it, since no cycle goes through one.

    Attributes:
        step: Training step, 0 or more, or None.
        kwargs: More keyword arguments for `log`, by tracker name.
    """

    step: int | None = None
    kwargs: dict[str, dict[str, Any]] = {}


class Rewind(Record, frozen=True, array_like=True, tag="rewind"):
    """The run goes on from an earlier step: what was logged before with this step or a later one no longer counts.

    Attributes:
        step: The next step to be logged.
    """

    step: int = 0


class Checkpoint(Record, frozen=True, array_like=True, tag="checkpoint"):
    """A saved checkpoint, or the end of one. `values` holds what is known about it, such as its score.

    Attributes:
        name: Name of the checkpoint in the run.
        path: The file or folder, relative to the rank's folder; empty where the checkpoint of that name is to go.
        step: Training step, or None.
    """

    name: str = ""
    path: str = ""
    step: int | None = None


AnyRecord = Config | Metrics | Rewind | Checkpoint


class WithoutForm(msgspec.Struct, frozen=True):
    """Stands in the journal for an object that has no portable form, such as an SDK's own image.

    Attributes:
        what: The object's type, or its qualified name if it is a function or a class.
    """

    what: str


def _extension(code: int, data: memoryview) -> Any:
    if code == _WITHOUT_FORM:
        return WithoutForm(bytes(data).decode(errors="replace"))
    if code == _LONG_INTEGER:
        return int.from_bytes(data, "big", signed=True)
    return msgspec.msgpack.Ext(code, bytes(data))


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(AnyRecord, ext_hook=_extension)


def encode(record: AnyRecord) -> tuple[bytes, bool]:
    """Return a record as MessagePack, and whether every value in it has a portable form."""
    if type(record) is Metrics and not record.kwargs and PLAIN.issuperset(map(type, record.values.values())):
        try:
            return _encoder.encode(record), True
        except (OverflowError, TypeError, UnicodeEncodeError):  # a long integer, no dict, half a surrogate pair
            pass
    stand_ins: list[msgspec.msgpack.Ext] = []
    values = _portable_values(record.values, stand_ins)
    if type(record) is Metrics:
        kwargs = {_portable_key(name): _portable_values(more, stand_ins) for name, more in record.kwargs.items()}
        form: AnyRecord = Metrics(record.seq, record.time, values, record.step, kwargs)
    else:
        form = msgspec.structs.replace(record, values=values)
    return _encoder.encode(form), not stand_ins


def numbers(record: Metrics) -> dict[str, Any] | None:
    """Return a record's values as Python numbers, or None if one has another form, or there is more to the record."""
    if record.kwargs:
        return None
    values = {}
    try:
        for key, value in record.values.items():
            number = value if type(value) in _NUMBERS else _exact(plain(value))
            if type(number) not in _NUMBERS:
                return None
            values[key] = number
    except Exception:  # noqa: BLE001 - an object's own error
        return None
    return values


def decode(payload: bytes | memoryview) -> AnyRecord:
    """Return the record in a frame's payload; builds nothing but records and plain values.

    Raises:
        JournalError: The bytes are no record.
    """
    try:
        return _decoder.decode(payload)  # type: ignore[no-any-return]
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
        message = f"not a record: {error}"
        raise JournalError(message) from error


def replayable(record: AnyRecord) -> AnyRecord | None:
    """Return the record itself, or without the objects that have no portable form; None if nothing is left of it."""
    kwargs = record.kwargs if type(record) is Metrics else {}
    if not kwargs and PLAIN.issuperset(map(type, record.values.values())):
        return record
    try:
        whole = not (_holds_stand_in(record.values) or (kwargs and _holds_stand_in(kwargs)))
    except RecursionError:  # a dictionary that holds itself, which no file does
        whole = True
    if whole:
        return record
    values = _without_stand_ins(record.values)
    if type(record) is Metrics:
        return Metrics(record.seq, record.time, values, record.step, _without_stand_ins(kwargs)) if values else None
    return msgspec.structs.replace(record, values=values)


def own_copy(record: AnyRecord) -> AnyRecord:
    """Return the record with scalars as Python numbers, in dictionaries and lists of its own."""
    return msgspec.structs.replace(record, values={key: _own(value) for key, value in record.values.items()})


def _holds_stand_in(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_holds_stand_in(item) for item in value.values())
    if isinstance(value, list):
        return any(_holds_stand_in(item) for item in value)
    return type(value) is WithoutForm


def _own(value: Any) -> Any:
    try:
        return plain(value)
    except Exception:  # noqa: BLE001 - a dictionary that holds itself, an object's own error
        return value


def _portable_values(values: Mapping[str, Any], stand_ins: list[msgspec.msgpack.Ext]) -> dict[str, Any]:
    form: dict[str, Any] = {}
    for key, value in values.items():
        try:
            form[_portable_key(key)] = _portable(value, stand_ins)
        except Exception:  # noqa: BLE001, PERF203 - a dictionary that holds itself, an object's own error
            form[_portable_key(key)] = _stand_in(value, stand_ins)
    return form


def _portable(value: Any, stand_ins: list[msgspec.msgpack.Ext]) -> Any:
    value = _exact(plain(value))
    kind = type(value)
    if kind is str:
        return storable_text(value)
    if kind is int and not _INT64 <= value < _UINT64:
        data = value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)
        return msgspec.msgpack.Ext(_LONG_INTEGER, data)
    if kind in PLAIN or kind is bytes:
        return value
    if isinstance(value, Mapping):
        return {_portable_key(key): _portable(item, stand_ins) for key, item in value.items()}
    if isinstance(value, (list, tuple)) and kind.__module__ == "builtins":
        return [_portable(item, stand_ins) for item in value]
    return _stand_in(value, stand_ins)


def _exact(value: Any) -> Any:
    """Return an instance of a subclass of str, int or float as one of these."""
    if type(value) in PLAIN:
        return value
    return next((exact(value) for base, exact in _EXACT if isinstance(value, base)), value)


def _stand_in(value: Any, stand_ins: list[msgspec.msgpack.Ext]) -> msgspec.msgpack.Ext:
    named = value if isinstance(value, (type, FunctionType)) else type(value)
    stand_ins.append(msgspec.msgpack.Ext(_WITHOUT_FORM, f"{named.__module__}.{named.__qualname__}".encode()))
    return stand_ins[-1]


def _portable_key(key: Any) -> Any:
    if type(key) is int and _INT64 <= key < _UINT64:
        return key
    return storable_text(_exact(key) if isinstance(key, str) else stable_name(key))


def _without_stand_ins(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_stand_ins(item) for key, item in value.items() if type(item) is not WithoutForm}
    if isinstance(value, list):
        return [_without_stand_ins(item) for item in value if type(item) is not WithoutForm]
    return value
