"""Records and their MessagePack form."""

import enum
import functools
import math
import struct
from array import array
from collections import OrderedDict, UserDict, UserList, deque, namedtuple
from pathlib import PurePosixPath
from types import MappingProxyType

import msgspec
import numpy as np
import pytest
import torch

from accel_track.errors import JournalError
from accel_track.records import (
    LARGEST_ARRAY,
    Config,
    Metrics,
    WithoutForm,
    decode,
    encode,
    own_copy,
    replayable,
    size_in_memory,
)
from accel_track.values.capture import captured

Pair = namedtuple("Pair", "left right")


class Text(str):
    def __str__(self):
        return "another text"


class Mode(str, enum.Enum):
    TRAIN = "train"


class Level(enum.IntEnum):
    HIGH = 3


class Colour(enum.Enum):
    RED = "red"


class Opaque:
    pass


class Rude:
    def __str__(self):
        raise RuntimeError("no text")

    def __eq__(self, other):
        raise RuntimeError("no answer")

    __hash__ = None


def through(value):
    call = captured({"value": value}, copies=False)
    assert not call.unread
    payload, portable = encode(Metrics(7, 1.5, call.values, 3))
    record = decode(payload)
    assert (type(record), record.seq, record.time, record.step, record.kwargs) == (Metrics, 7, 1.5, 3, {})
    return record.values["value"], portable


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        0,
        -1,
        2**63,
        2**64 - 1,
        -(2**63),
        2**64,
        -(2**63) - 1,
        10**400,
        -(10**400),
        0.1,
        -0.0,
        math.inf,
        -math.inf,
        5e-324,
        "",
        "text",
        "ünïcödé \N{SNOWMAN} \0",
        b"\x00\xff",
        [],
        {},
        [1, [2.5, {"a": None}]],
        {"a": {"b": {"c": [True]}}},
        {1: "whole numbers as keys", -5: 0},
    ],
)
def test_plain_values_come_back_as_they_were(value):
    back, portable = through(value)
    assert portable
    assert back == value
    assert type(back) is type(value)
    assert math.copysign(1, back) == math.copysign(1, value) if type(value) is float else True


@pytest.mark.parametrize("bits", [0x7FF8000000000000, 0xFFF8000000000000, 0x7FF8000000000ABC, 0x7FF0000000000000])
def test_nan_and_infinity_come_back_bit_for_bit(bits):
    (value,) = struct.unpack("<d", struct.pack("<Q", bits))
    for given in (value, [value]):
        back, portable = through(given)
        assert portable
        back = back if given is value else back[0]
        assert struct.unpack("<Q", struct.pack("<d", back)) == (bits,)


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (Text("a text"), "a text"),
        (Mode.TRAIN, "train"),
        (Level.HIGH, 3),
        (np.float64(0.25), 0.25),
        (np.float16(0.5), 0.5),
        (np.int64(-4), -4),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.bool_(True), True),
        (np.str_("text"), "text"),
        (np.array([[2.5]]), 2.5),
        (torch.tensor(1.5), 1.5),
        (torch.tensor([[3]]), 3),
        (torch.tensor(0.5, dtype=torch.bfloat16), 0.5),
        (torch.tensor(2.0, requires_grad=True), 2.0),
        ((1, (2, 3)), [1, [2, 3]]),
        (Pair(1, np.int64(2)), [1, 2]),
        (torch.Size([2, 3]), [2, 3]),
        (deque([1, np.float32(2)]), [1, 2.0]),
        (UserList([1]), [1]),
        ({"a": 1}.keys(), ["a"]),
        (np.array([None, 2], object), [None, 2]),
        (bytearray(b"ab"), b"ab"),
        (memoryview(b"abcd")[::2], b"ac"),
        (np.bytes_(b"ab"), b"ab"),
        (np.longdouble(0.5), 0.5),
        (OrderedDict(a=1), {"a": 1}),
        (UserDict(a=np.float32(1)), {"a": 1.0}),
        (
            {None: 1, 2.5: 2, True: 3, (1, 2): 4, Mode.TRAIN: 5},
            {"None": 1, "2.5": 2, "True": 3, "(1, 2)": 4, "train": 5},
        ),
        ({2**70: 1}, {str(2**70): 1}),
        ("half a pair: \ud83d", "half a pair: \\ud83d"),
        ({"\udcff": "\udcff"}, {"\\udcff": "\\udcff"}),
    ],
)
def test_what_has_a_plain_form_is_stored_in_it(value, stored):
    back, portable = through(value)
    assert portable
    assert back == stored
    assert type(back) is type(stored)


def test_scalars_of_every_numpy_dtype_are_numbers():
    for code in np.typecodes["AllInteger"] + "efd?":
        back, portable = through(np.ones((), dtype=code)[()])
        assert portable
        assert back == 1


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Opaque(), "Opaque"),
        (Rude(), "Rude"),
        (Opaque, "Opaque"),
        (through, "through"),
        (lambda: None, "<lambda>"),
        (functools.partial(through), "functools.partial"),
        (Colour.RED, "Colour"),
        ({1, 2}, "builtins.set"),
        (1j, "builtins.complex"),
        (np.zeros(LARGEST_ARRAY // 8 + 1), "numpy.ndarray"),
        (torch.zeros(LARGEST_ARRAY // 4 + 1), "numpy.ndarray"),
        (np.ma.masked_array([1, 2], [True, False]), "MaskedArray"),
        (np.zeros(2, [("a", "i4")]), "numpy.ndarray"),
        (PurePosixPath("a"), "PurePosixPath"),
    ],
)
def test_an_object_without_portable_form_leaves_a_stand_in_with_a_stable_name(value, name):
    back, portable = through(value)
    assert not portable
    assert type(back) is WithoutForm
    assert name in back.what
    assert "0x" not in back.what
    assert through({"nested": [value]})[0] == {"nested": [back]}


ARRAYS = {
    "float32": np.arange(6, dtype=np.float32).reshape(2, 3),
    "big-endian": np.arange(6, dtype=">i2").reshape(3, 2)[::2],
    "bool": np.array([True, False]),
    "complex": np.array([1 + 2j, 3]),
    "float16": np.ones(3, np.float16),
    "empty": np.zeros((0, 3)),
    "nan": np.array([np.nan, np.inf, -0.0]),
    "texts": np.array(["a", "größe"]),
    "bytes": np.array([b"a", b"bc"]),
    "times": np.array(["2024-01-01", "NaT"], "datetime64[ns]"),
    "durations": np.array([1, 2], "timedelta64[s]"),
    "column-major": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "largest": np.zeros(LARGEST_ARRAY, np.int8),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_arrays_come_back_as_they_were_and_belong_to_nobody_else(case):
    back, portable = through(ARRAYS[case])
    assert portable
    assert back.dtype == ARRAYS[case].dtype
    np.testing.assert_array_equal(back, ARRAYS[case])
    assert back.shape == ARRAYS[case].shape
    assert back.flags.writeable
    if back.size:
        back.flat[0] = back.flat[-1]


@pytest.mark.parametrize(
    ("tensor", "expected"),
    [
        (torch.arange(6).reshape(2, 3), np.arange(6).reshape(2, 3)),
        (torch.arange(6.0).reshape(2, 3).t(), np.arange(6, dtype=np.float32).reshape(2, 3).T),
        (torch.nn.Parameter(torch.ones(3)), np.ones(3, np.float32)),
        (torch.tensor([0.5, 3.0], dtype=torch.bfloat16), np.array([0.5, 3.0], np.float32)),
        (torch.tensor([0.5, 2.0]).to(torch.float8_e4m3fn), np.array([0.5, 2.0], np.float32)),
        (torch.tensor([1 + 2j, 3]).conj(), np.array([1 - 2j, 3], np.complex64)),
        (torch.tensor([True, False]), np.array([True, False])),
        (array("d", [1, 2]), np.array([1.0, 2.0])),
    ],
    ids=range(8),
)
def test_tensors_become_arrays(tensor, expected):
    back, portable = through(tensor)
    assert portable
    assert back.dtype == expected.dtype
    np.testing.assert_array_equal(back, expected)


def test_arrays_nested_in_a_value_have_a_form_too():
    back, portable = through({"a": [np.arange(3), {"b": (torch.ones(2), 1)}]})
    assert portable
    np.testing.assert_array_equal(back["a"][0], np.arange(3))
    np.testing.assert_array_equal(back["a"][1]["b"][0], np.ones(2))
    assert back["a"][1]["b"][1] == 1


def test_a_record_with_many_arrays_fits_into_a_frame():
    values = {f"w{i}": np.zeros(LARGEST_ARRAY, np.uint8) for i in range(20)}
    payload, portable = encode(Metrics(0, 0.0, values))
    assert not portable
    assert len(payload) < 16 * 2**20
    kinds = [type(value) for value in decode(payload).values.values()]
    assert kinds == 8 * [np.ndarray] + 12 * [WithoutForm]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no array",
        ("<f8", (2,), bytes(15)),
        ("<f8", (2**62, 4), b""),
        ("<f8", (-1,), bytes(8)),
        ("<f8", (1,) * 33, bytes(8)),
        ("|O8", (1,), bytes(8)),
        ("<f99", (1,), bytes(99)),
        ("<f8,<f8", (1,), bytes(16)),
        ("<M8[nothing]", (1,), bytes(8)),
        ("<U999999999", (0,), b"x"),
        ("<f8", "shape", bytes(8)),
        ("<f8", (2**63,), bytes(8)),
    ],
    ids=range(13),
)
def test_bytes_that_are_no_array_are_no_record(content):
    data = content if isinstance(content, bytes) else msgspec.msgpack.encode(content)
    payload = msgspec.msgpack.encode(["metrics", 0, 0.0, {"a": msgspec.msgpack.Ext(3, data)}])
    with pytest.raises(JournalError, match="not a record"):
        decode(payload)


def test_the_stand_in_of_a_large_object_is_small():
    assert len(encode(Metrics(0, 0.0, {"x": np.arange(10**6)}))[0]) < 100


def test_what_arrays_take_in_memory():
    assert size_in_memory({"a": 1.0, "b": [np.zeros(3), {"c": (np.zeros(2, np.int8),)}], "d": object()}) == 26


def test_what_could_not_be_read_is_noted():
    record = Metrics(1, 2.0, {"a": 1.0}, 3, {}, {"m/\ud83d": "RuntimeError: no"})
    assert decode(encode(record)[0]).unread == {"m/\\ud83d": "RuntimeError: no"}
    assert replayable(Metrics(0, 0.0, {"b": WithoutForm("x")}, 2, {}, {"m": "gone"})).unread == {"m": "gone"}
    assert decode(msgspec.msgpack.encode(["metrics", 0, 0.0, {}, 1, {}])).unread == {}


@pytest.mark.parametrize(
    "values", [MappingProxyType({"a": 1.0}), UserDict(a=1.0), OrderedDict(a=1.0), {Text("a"): 1.0}]
)
def test_any_mapping_of_names_is_a_record(values):
    payload, portable = encode(Metrics(0, 0.0, captured(values).values))
    assert portable
    assert decode(payload) == Metrics(0, 0.0, {"a": 1.0})


def test_keyword_arguments_and_configurations_come_back():
    kwargs = captured({}, {"wandb": {"commit": False, "n": np.int64(2)}}).kwargs
    assert decode(encode(Metrics(1, 2.0, {"a": 1}, None, kwargs))[0]).kwargs == {"wandb": {"commit": False, "n": 2}}
    payload, portable = encode(Metrics(1, 2.0, {"a": 1}, None, {"wandb": {"x": Opaque()}}))
    assert not portable
    assert type(decode(payload).kwargs["wandb"]["x"]) is WithoutForm
    config = Config(4, 5.0, {"optimizer": {"lr": 0.1}})
    assert decode(encode(config)[0]) == config


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc1",
        b"\x00",
        b"\x90",
        msgspec.msgpack.encode({"kind": "metrics"}),
        msgspec.msgpack.encode(["unknown kind", 0, 0.0, {}]),
        msgspec.msgpack.encode(["metrics"]),
        msgspec.msgpack.encode(["metrics", "0", 0.0, {}]),
        msgspec.msgpack.encode(["metrics", 0, 0.0, {1: 2}]),
        msgspec.msgpack.encode(["metrics", 0, 0.0, {}, "step"]),
        msgspec.msgpack.encode(["metrics", 0, 0.0, {}, None, {"wandb": 1}]),
        msgspec.msgpack.encode(["metrics", 0, 0.0, {"a": 1}]) + b"\x00",
        b"\x94\xa7metrics\x00\xcb" + bytes(8) + b"\x81\x80\x01",  # a map as a key
        b"\x94\xa7metrics\x00\xcb" + bytes(8) + b"\x81\xa1a\xa1\xff",  # no UTF-8
        b"\x94\xa7metrics\x00\xcb" + bytes(8) + b"\x81\xa1a\xdd\xff\xff\xff\xff",  # 2**32 - 1 items
        b"\x94\xa7metrics\x00\xcb" + bytes(8) + b"\x81\xa1a" + b"\x91" * 100_000,
        b"\x94\xa7metrics\x00\xcb" + bytes(8) + b"\x81\xa1a" + b"\x81\xa1a" * 100_000,
    ],
)
def test_bytes_that_are_no_record_raise_journal_errors(payload):
    with pytest.raises(JournalError, match="not a record"):
        decode(payload)


def test_decoding_builds_nothing_but_records_and_plain_values():
    extensions = {"what": 1, "long": 2, "unknown": 99}
    values = {name: msgspec.msgpack.Ext(code, b"\xff\xfeposix.system") for name, code in extensions.items()}
    record = decode(msgspec.msgpack.encode(["metrics", 0, 0.0, {**values, "__class__": "os.system"}]))
    assert {name: type(value) for name, value in record.values.items()} == {
        "what": WithoutForm,
        "long": int,
        "unknown": msgspec.msgpack.Ext,
        "__class__": str,
    }


def test_more_items_at_the_end_of_a_record_are_ignored():
    for more in ([], [False], [False, "", "later", "version"]):
        assert decode(msgspec.msgpack.encode(["config", 0, 0.0, {"a": 1}, *more])) == Config(0, 0.0, {"a": 1})


def test_replayable_is_what_is_left_without_the_stand_ins():
    gone = WithoutForm("x.Image")
    whole = Metrics(0, 0.0, {"a": 1.0, "b": {"c": [2]}})
    assert replayable(whole) is whole
    assert replayable(Metrics(0, 0.0, {"a": 1.0, "b": gone}, 2)) == Metrics(0, 0.0, {"a": 1.0}, 2)
    assert replayable(Metrics(0, 0.0, {"b": [1, gone], "c": {"d": gone}})) == Metrics(0, 0.0, {"b": [1], "c": {}})
    assert replayable(Metrics(0, 0.0, {"b": gone})) is None
    assert replayable(Metrics(0, 0.0, {"a": 1}, None, {"t": {"x": gone}})) == Metrics(0, 0.0, {"a": 1}, None, {"t": {}})
    assert replayable(Config(0, 0.0, {"b": gone})) == Config(0, 0.0, {})


def test_a_copy_does_not_change_when_the_original_does():
    original = {"a": {"b": [1.0]}, "t": (1,), "image": (image := Opaque()), "w": np.zeros(2)}
    copy = own_copy(Metrics(0, 0.0, original))
    original["a"]["b"].append(2)
    original["c"] = 3
    original["w"] += 1
    assert copy.values.pop("w").tolist() == [0, 0]
    assert copy.values == {"a": {"b": [1.0]}, "t": (1,), "image": image}


def test_records_cannot_be_changed():
    with pytest.raises(AttributeError):
        Metrics(0, 0.0, {}).seq = 1
