"""Records: the frozen types that a journal holds, their MessagePack form, and values that have none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FunctionType
from typing import Any

import msgspec

from accel_track.errors import JournalError
from accel_track.texts import storable_text
from accel_track.values.arrays import PLAIN, array_bytes, array_from, is_array
from accel_track.values.structures import class_name

Name = str | tuple[str, ...]
"""Name of a number; for a number in a nested dictionary, the tuple of names that leads to it."""

ALERT = "alert"
"""Name of an alert among the values of its record."""

LARGEST_ARRAY = 1024 * 1024
"""Bytes of an array that has a portable form."""

_ALL_ARRAYS = 8 * LARGEST_ARRAY  # of one record, which a frame has to hold
_WITHOUT_FORM, _LONG_INTEGER, _ARRAY, _MEDIUM = (
    1,
    2,
    3,
    4,
)  # types of MessagePack extensions, see docs/journal-format.md
_INT64, _UINT64 = -(2**63), 2**64
_NUMBERS = frozenset((bool, int, float))


class Record(msgspec.Struct, frozen=True, array_like=True, tag_field="kind"):
    """One logged item: the base class of all kinds of records.

    Attributes:
        seq: Number of the record in its rank's journal, from 0, without gaps unless records were lost; -1 for a call of
            a tracker's own `log`, which is in no journal.
        time: Time of the call, in seconds since 1970-01-01 UTC.
        values: The logged values by name.
    """

    seq: int
    time: float
    values: dict[str, Any]


class Config(Record, frozen=True, array_like=True, tag="config"):
    """Hyperparameters, or a description of the program's environment. A later record adds to earlier ones.

    Attributes:
        environment: Whether the values are the description that accel_track made, and no hyperparameters.
        only: Name of the one tracker that gets the record; "" for all.
    """

    environment: bool = False
    only: str = ""


class Alert(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The content of an alert.

    Attributes:
        title: The event in one line.
        text: Details in Markdown, or "".
        level: "info", "warning" or "error".
        rule: The rule that raised the alert; "" for an alert of the program itself.
        id: Id of a rule's alert, unique in the run; "" for an alert of the program itself.
    """

    title: str
    text: str = ""
    level: str = "info"
    rule: str = ""
    id: str = ""

    @property
    def values(self) -> dict[str, Any]:
        """The values for trackers without alerts: one text in Markdown, by the name `ALERT`."""
        text = f"**{self.level}: {self.title}**" + (f"\n\n{self.text}" if self.text else "")
        return {ALERT: Stored("text", "", {"text": text})}


class Metrics(Record, frozen=True, array_like=True, tag="metrics", gc=False):
    """The values of one call of `log`. Python's garbage collector skips these objects, which are in no cycle.

    Attributes:
        step: Training step, 0 or more, or None.
        kwargs: Keyword arguments for the trackers' own `log`, by tracker name.
        unread: Reasons by name for values that could not be read in the call, and are not in `values`.
        only: Name of the one tracker that gets the record; "" for all.
        alert: The alert, if the record is one; `values` has its text then.
    """

    step: int | None = None
    kwargs: dict[str, dict[str, Any]] = {}
    unread: dict[str, str] = {}
    only: str = ""
    alert: Alert | None = None


class Rewind(Record, frozen=True, array_like=True, tag="rewind"):
    """A return to an earlier step: values that were logged before with this step or a later one no longer count.

    Attributes:
        step: The next step to be logged.
    """

    step: int = 0


class Checkpoint(Record, frozen=True, array_like=True, tag="checkpoint"):
    """A saved checkpoint, new facts about a checkpoint, or the deletion of one.

    `values` has the facts, such as the score. A record without a path and without values is a deletion.

    Attributes:
        name: Name of the checkpoint in the run.
        path: The file or folder, relative to the rank's folder; "" for new facts and for a deletion.
        step: Training step, or None.
    """

    name: str = ""
    path: str = ""
    step: int | None = None


class Artifact(Record, frozen=True, array_like=True, tag="artifact"):
    """A file, or a folder with its files. `values` has the user's metadata.

    Attributes:
        name: Name of the artifact.
        path: The file or folder; relative to the rank's folder if it is kept there, else absolute.
        type: Kind of the artifact, such as "dataset".
        step: Training step, or None.
        files: Size in bytes, and time of the last change in nanoseconds, of each file by its path in the folder; a
            single file has the path "".
        only: Name of the one tracker that gets the record; "" for all.
    """

    name: str = ""
    path: str = ""
    type: str = "artifact"
    step: int | None = None
    files: dict[str, tuple[int, int]] = {}
    only: str = ""


AnyRecord = Config | Metrics | Rewind | Checkpoint | Artifact


def is_call(record: AnyRecord) -> bool:
    """Return whether a record is a call of `log`, of which a tracker may get several at once."""
    return type(record) is Metrics and record.alert is None


def is_for(record: AnyRecord, *names: str) -> bool:
    """Return whether a record is for the tracker that has one of these names."""
    return getattr(record, "only", "") in ("", *names)


class Stored(msgspec.Struct, frozen=True, array_like=True):
    """A stored medium among the values of a record.

    Attributes:
        kind: Kind of the medium, such as "image".
        file: Name of the medium's file in the rank's folder of media; "" for a medium without a file.
        info: Facts beside the file, as JSON values by name.
    """

    kind: str
    file: str
    info: Mapping[str, Any]


class WithoutForm(msgspec.Struct, frozen=True):
    """A note in the journal of an object that has no portable form, such as an SDK's own image.

    Attributes:
        what: Type of the object; the qualified name of a function or a class.
    """

    what: str


def _extension(code: int, data: memoryview) -> Any:
    if code == _WITHOUT_FORM:
        return WithoutForm(bytes(data).decode(errors="replace"))
    if code == _LONG_INTEGER:
        return int.from_bytes(data, "big", signed=True)
    if code == _ARRAY:
        return array_from(data)
    if code == _MEDIUM:
        return _stored(data)
    return msgspec.msgpack.Ext(code, bytes(data))


_encoder = msgspec.msgpack.Encoder()
_stored = msgspec.msgpack.Decoder(Stored).decode
_decoder = msgspec.msgpack.Decoder(AnyRecord, ext_hook=_extension)


def encode(record: AnyRecord) -> tuple[bytes, bool]:
    """Return a record of captured values as MessagePack, and whether every value in it has a portable form."""
    if type(record) is Metrics and not record.kwargs and PLAIN.issuperset(map(type, record.values.values())):
        try:
            return _encoder.encode(record), True
        except (OverflowError, TypeError, UnicodeEncodeError):  # a long integer, no dict, half a surrogate pair
            pass
    form = _Form()
    whole = msgspec.structs.replace(record, values=form.dictionary(record.values))
    if type(whole) is Metrics:
        whole = msgspec.structs.replace(
            whole, kwargs=form.dictionary(whole.kwargs), unread=form.dictionary(whole.unread)
        )
    return _encoder.encode(whole), form.portable


def numbers(record: Metrics) -> Mapping[Name, Any] | None:
    """Return a record's values if all of them are numbers; None if not, or if the record has more than values.

    The name of a number in a nested dictionary is the tuple of names that leads to it.
    """
    if record.kwargs or record.unread or record.only or record.alert is not None:
        return None
    if _NUMBERS.issuperset(map(type, record.values.values())):
        return record.values  # type: ignore[return-value] # Mapping is invariant in its keys
    flat: dict[Name, Any] = {}
    return flat if _flatten(record.values, (), flat) else None


def _flatten(values: dict[str, Any], way: tuple[str, ...], flat: dict[Name, Any]) -> bool:
    for name, value in values.items():
        kind = type(value)
        if kind in _NUMBERS:
            flat[(*way, name) if way else name] = value
        elif kind is not dict or not value or not _flatten(value, (*way, name), flat):
            return False
    return True


def nested(names: Iterable[Name], values: Iterable[Any]) -> dict[str, Any]:
    """Return values as the nested dictionary from which `numbers` made their names.

    Raises:
        TypeError: A name leads through a number.
        IndexError: A name is empty.
    """
    whole: dict[str, Any] = {}
    for name, value in zip(names, values):  # noqa: B905 - the last fields of a frame are left over
        place = whole
        if type(name) is not str:
            for part in name[:-1]:
                place = place.setdefault(part, {})
            name = name[-1]  # noqa: PLW2901
        place[name] = value
    return whole


def decode(payload: bytes | memoryview) -> AnyRecord:
    """Return the record in a frame's payload, made of nothing but records and plain values.

    Raises:
        JournalError: The bytes are no record.
    """
    try:
        return _decoder.decode(payload)  # type: ignore[no-any-return]
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
        message = f"not a record: {error}"
        raise JournalError(message) from error


def replayable(record: AnyRecord) -> AnyRecord | None:
    """Return a record without objects that have no portable form; None if nothing is left of the record."""
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
        left = msgspec.structs.replace(record, values=values, kwargs=_without_stand_ins(kwargs))
        return left if values or record.unread else None
    return msgspec.structs.replace(record, values=values)


def restored(record: AnyRecord, restore: Callable[[Stored], Any]) -> AnyRecord:
    """Return a record with restored media in place of `Stored` ones; the record itself if there are none."""
    if type(record) is not Metrics or PLAIN.issuperset(map(type, record.values.values())):
        return record
    values = _restored(record.values, restore)
    return record if values is record.values else msgspec.structs.replace(record, values=values)


def _restored(value: Any, restore: Callable[[Stored], Any]) -> Any:
    """Return a value with its media restored; the value itself if there are none."""
    kind = type(value)
    if kind is Stored:
        return restore(value)
    if kind is dict:
        new = {key: _restored(item, restore) for key, item in value.items()}
        return new if any(new[key] is not item for key, item in value.items()) else value
    if kind is list or kind is tuple:
        items = [_restored(item, restore) for item in value]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    return value


def media_in(value: Any) -> Iterable[Stored]:
    """Yield the stored media in a record's values."""
    kind = type(value)
    if kind is Stored:
        yield value
    elif kind is dict:
        for item in value.values():
            yield from media_in(item)
    elif kind is list or kind is tuple:
        for item in value:
            yield from media_in(item)


def names_without_form(record: AnyRecord) -> list[str]:
    """Return the name of each object without a portable form in a record's values, nested ones joined with "/"."""
    return [name for name, _ in stand_ins(record.values)]


def own_copy(record: AnyRecord) -> AnyRecord:
    """Return the record with dictionaries, lists and arrays of its own."""
    return msgspec.structs.replace(record, values=own_values(record.values))


def own_values(value: Any) -> Any:
    """Return captured values in dictionaries, lists and arrays of their own."""
    kind = type(value)
    if kind in PLAIN:
        return value
    if kind is dict:
        return {key: own_values(item) for key, item in value.items()}
    if kind is list or kind is tuple:
        return kind(map(own_values, value))
    return value.copy() if is_array(value) else value


def size_in_memory(value: Any) -> int:
    """Return the size of the arrays in captured values, in bytes."""
    if type(value) is dict:
        return sum(map(size_in_memory, value.values()))
    if type(value) is list or type(value) is tuple:
        return sum(map(size_in_memory, value))
    return int(value.nbytes) if is_array(value) else 0


def stand_ins(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield name and type of each object without a portable form in a value; those in a list have the list's name.

    Args:
        value: A record's values.
        name: Name of the value.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            yield from stand_ins(item, f"{name}/{key}" if name else str(key))
    elif isinstance(value, list):
        for item in value:
            for _, what in stand_ins(item):
                yield name, what
    elif type(value) is WithoutForm:
        yield name, value.what


def _holds_stand_in(value: Any) -> bool:
    return next(stand_ins(value), None) is not None


class _Form:
    """The conversion of captured values to MessagePack. Objects of other classes are not touched."""

    def __init__(self) -> None:
        self.portable = True
        self._left = _ALL_ARRAYS

    def dictionary(self, values: dict[Any, Any]) -> dict[Any, Any]:
        return {storable_text(key) if type(key) is str else key: self._of(value) for key, value in values.items()}

    def _of(self, value: Any) -> Any:
        kind = type(value)
        if kind is str:
            return storable_text(value)
        if kind is int and not _INT64 <= value < _UINT64:
            data = value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)
            return msgspec.msgpack.Ext(_LONG_INTEGER, data)
        if kind in PLAIN or kind is bytes:
            return value
        if kind is dict:
            return self.dictionary(value)
        if kind is list or kind is tuple:
            return list(map(self._of, value))
        return self._medium(value) or self._array(value) or self._stand_in(value)

    def _medium(self, value: Any) -> msgspec.msgpack.Ext | None:
        if type(value) is not Stored:
            return None
        info = self.dictionary(dict(value.info))
        return msgspec.msgpack.Ext(_MEDIUM, _encoder.encode(Stored(value.kind, value.file, info)))

    def _array(self, value: Any) -> msgspec.msgpack.Ext | None:
        if not is_array(value) or value.nbytes > min(LARGEST_ARRAY, self._left):
            return None
        self._left -= value.nbytes
        data = array_bytes(value)
        return None if data is None else msgspec.msgpack.Ext(_ARRAY, data)

    def _stand_in(self, value: Any) -> msgspec.msgpack.Ext:
        self.portable = False
        named = issubclass(type(value), (type, FunctionType))
        name = f"{value.__module__}.{value.__qualname__}" if named else class_name(value)
        return msgspec.msgpack.Ext(_WITHOUT_FORM, name.encode(errors="replace"))


def _without_stand_ins(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_stand_ins(item) for key, item in value.items() if type(item) is not WithoutForm}
    if isinstance(value, list):
        return [_without_stand_ins(item) for item in value if type(item) is not WithoutForm]
    return value
