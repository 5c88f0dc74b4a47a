"""Normalising what users log, and the checks of arguments."""

import argparse
import contextlib
import copy
import dataclasses
import datetime as dt
import enum
import functools
import json
import math
import re
import types
import uuid
import weakref
from array import array
from collections import ChainMap, Counter, OrderedDict, UserList, defaultdict, deque, namedtuple
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any

import attrs
import msgspec
import numpy as np
import pydantic
import pytest
import torch
import yaml
from omegaconf import OmegaConf

from accel_track.errors import AccelTrackWarning
from accel_track.values import structures
from accel_track.values.plain import (
    check_config,
    check_name,
    check_step,
    check_values,
    finite,
    flat_config,
    is_number,
    leaves,
    long_integers_as_text,
    plain,
    storable,
)

Pair = namedtuple("Pair", "left right")


class Colour(enum.Enum):
    RED = "red"
    BOTH = ("red", Path("blue"))


class Level(enum.IntEnum):
    LOW = 1


class Text(str):
    """A string by inheritance."""


class Anything:
    """An object with the default `repr`."""

    def method(self) -> None:
        """Do nothing."""


class Described:
    def __str__(self) -> str:
        return "described"


class Holder:
    """An object whose `repr` shows another one's address."""

    def __repr__(self) -> str:
        return f"Holder({object()!r})"


@dataclasses.dataclass
class Model:
    size: int
    paths: tuple[Path, ...] = ()
    inner: Any = None


class Settings(pydantic.BaseModel, extra="allow"):
    rate: float
    inner: "Settings | None" = None
    secret: pydantic.SecretStr = pydantic.SecretStr("s3cret")


SETTINGS = {
    "rate": 0.5,
    "inner": {"rate": 1.0, "inner": None, "secret": "**********"},
    "secret": "**********",
    "more": "x",
}


@attrs.define
class Attributes:
    a: int
    b: list[Any] = attrs.Factory(list)


class Fields(msgspec.Struct):
    a: int
    b: Path


class Convertible:
    """As the configurations of transformers' models."""

    def to_dict(self) -> dict[str, Any]:
        return {"a": (1,)}


class Inconvertible:
    def to_dict(self, orient: str) -> dict[str, Any]:
        return {orient: 1}


@dataclasses.dataclass
class Half:
    a: int = 1
    b: int = dataclasses.field(init=False)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.str_("text"), "text"),
        (np.array(1.5), 1.5),
        (np.array([[2]]), 2),
        (torch.tensor(2.5, requires_grad=True), 2.5),
        (torch.tensor([4]), 4),
        (torch.tensor(0.75, dtype=torch.bfloat16), 0.75),
        (torch.tensor(True), True),
        (True, True),
        (None, None),
        ("text", "text"),
    ],
    ids=repr,
)
def test_scalars_become_python_values(value: Any, expected: Any) -> None:
    result = plain(value)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    "value",
    [np.arange(3), torch.zeros(2), np.zeros((0,)), Anything(), b"bytes", {1, 2}, Pair(1, 2), Colour.RED],
    ids=lambda value: type(value).__name__,
)
def test_other_values_stay_what_they_are(value: Any) -> None:
    assert plain(value) is value


def test_structure_is_copied_and_kept() -> None:
    inner = {"b": np.float32(2)}
    values = OrderedDict(a=[np.int64(1), inner], c=(np.array(3),), d=defaultdict(dict, e={}))
    result = plain(values)
    assert result == {"a": [1, {"b": 2.0}], "c": (3,), "d": {"e": {}}}
    assert [type(result), type(result["d"]), type(result["c"])] == [dict, dict, tuple]
    result["a"][1]["b"] = "changed"
    assert inner == {"b": np.float32(2)}
    assert isinstance(inner["b"], np.float32)


def test_leaves() -> None:
    values = {
        "a": 1,
        "b": {"c": np.float32(0.5), "d": {"e": "text"}},
        "empty": {},
        "list": [{"x": np.int64(1)}],
        "k": {0: 2},
    }
    expected = {"a": 1, "b/c": 0.5, "b/d/e": "text", "empty": {}, "list": [{"x": 1}], "k/0": 2}
    assert dict(leaves(values)) == expected
    assert list(dict(leaves(values, "."))) == [name.replace("/", ".") for name in expected]
    assert list(leaves({})) == []


@pytest.mark.parametrize(
    ("value", "number", "is_finite"),
    [
        (1, True, True),
        (True, True, True),
        (0.5, True, True),
        (math.nan, True, False),
        (-math.inf, True, False),
        (2**1000, True, True),
        (2**2000, False, False),
        ("1", False, False),
        (None, False, False),
        (1j, False, False),
    ],
    ids=lambda value: str(value)[:10],
)
def test_numbers(value: Any, number: bool, is_finite: bool) -> None:
    assert is_number(value) is number
    assert finite(value) is is_finite


STORABLE = {
    "dataclass": (
        Model(3, (Path("a"),), Model(1)),
        {"size": 3, "paths": ["a"], "inner": {"size": 1, "paths": [], "inner": None}},
    ),
    "namespace": (
        argparse.Namespace(lr=np.float32(0.5), nested=argparse.Namespace(a=1)),
        {"lr": 0.5, "nested": {"a": 1}},
    ),
    "omegaconf": (OmegaConf.create({"a": {"b": [1, "${c}"]}, "c": 2}), {"a": {"b": [1, 2]}, "c": 2}),
    "omegaconf list": ({"x": OmegaConf.create([1, {"a": 2}])}, {"x": [1, {"a": 2}]}),
    "enum": (Colour.RED, "red"),
    "enum of a tuple": (Colour.BOTH, ["red", "blue"]),
    "integer enum": (Level.LOW, 1),
    "path": (PurePosixPath("data/train"), "data/train"),
    "text": (Text("text"), "text"),
    "set": ({"b", "a", "c"}, ["a", "b", "c"]),
    "mixed set": (frozenset({1, "a"}), ["a", 1]),
    "tuple": ((1, (2, 3)), [1, [2, 3]]),
    "named tuple": (Pair(1, np.int8(2)), {"left": 1, "right": 2}),
    "keys": ({1: "a", None: "b", (1, 2): "c"}, {"1": "a", "None": "b", "(1, 2)": "c"}),
    "array": (np.arange(4).reshape(2, 2), [[0, 1], [2, 3]]),
    "tensor": (torch.tensor([0.5, 1.0]), [0.5, 1.0]),
    "empty array": (np.zeros((0, 3)), []),
    "bytes": (b"ab", "b'ab'"),
    "complex": (1 + 2j, "(1+2j)"),
    "dtype": (torch.float32, "torch.float32"),
    "function": (test_leaves, f"{__name__}.test_leaves"),
    "lambda": (lambda: None, f"{__name__}.<lambda>"),
    "built-in": (len, "builtins.len"),
    "class": (Anything, f"{__name__}.Anything"),
    "object": (Anything(), f"{__name__}.Anything"),
    "method": (Anything().method, f"{__name__}.Anything.method"),
    "partial": (
        functools.partial(torch.optim.AdamW, [1], lr=3e-4, betas=(0.9, Level.LOW)),
        {
            "_target_": "torch.optim.adamw.AdamW",
            "_partial_": True,
            "_args_": [[1]],
            "lr": 3e-4,
            "betas": [0.9, 1],
        },
    ),
    "partial of a partial": (
        functools.partial(functools.partial(print, end=""), sep=","),
        {"_target_": "builtins.print", "_partial_": True, "end": "", "sep": ","},
    ),
    "simple namespace": (types.SimpleNamespace(a=1, b=types.SimpleNamespace(c=(2,))), {"a": 1, "b": {"c": [2]}}),
    "deque": (deque([1, Colour.RED], maxlen=5), [1, "red"]),
    "user's list": (UserList([np.int64(1)]), [1]),
    "keys and values": ([{"a": 1}.keys(), {"a": 1}.values()], [["a"], [1]]),
    "counter": (Counter("aab"), {"a": 2, "b": 1}),
    "chain": (ChainMap({"a": 1}, {"a": 2, "b": 3}), {"b": 3, "a": 1}),
    "proxy": (types.MappingProxyType({"a": Path("b")}), {"a": "b"}),
    "pydantic": (Settings(rate=0.5, inner={"rate": 1}, more=Path("x")), SETTINGS),
    "attrs": (Attributes(1, [Attributes(2)]), {"a": 1, "b": [{"a": 2, "b": []}]}),
    "msgspec": (Fields(1, Path("a")), {"a": 1, "b": "a"}),
    "to_dict": (Convertible(), {"a": [1]}),
    "to_dict of another kind": (Inconvertible(), f"{__name__}.Inconvertible"),
    "half a dataclass": (Half(), {"a": 1}),
    "pattern": (re.compile("a" * 300), f"re.compile({'a' * 300!r})"),
    "pattern with flags": (re.compile("a", re.IGNORECASE), "re.compile('a', re.IGNORECASE)"),
    "pattern of bytes": (re.compile(b"a"), "re.compile(b'a')"),
    "range": (range(0, 10, 2), "range(0, 10, 2)"),
    "slice": (slice(np.int64(1), None, Colour.RED), "slice(1, None, 'red')"),
    "date": (dt.date(2024, 1, 2), "2024-01-02"),
    "time": (dt.datetime(2024, 1, 2, 3, 4, tzinfo=dt.timezone.utc), "2024-01-02T03:04:00+00:00"),
    "duration": (dt.timedelta(days=1, seconds=2), "1 day, 0:00:02"),
    "NumPy's time": (np.datetime64("2024-01-02"), "2024-01-02"),
    "decimal": (Decimal("0.10"), "0.10"),
    "fraction": (Fraction(1, 3), "1/3"),
    "identifier": (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    "device": (torch.device("cuda", 1), "cuda:1"),
    "size": (torch.Size([2, 3]), [2, 3]),
    "NumPy's dtype": (np.dtype("float32"), "float32"),
    "NumPy's class": (np.float32, "numpy.float32"),
    "NumPy's function": (np.exp, "numpy.exp"),
    "torch's function": (torch.relu, "torch._VariableFunctionsClass.relu"),
    "annotation": ([list[int], int | None, Any], ["list[int]", "int | None", "typing.Any"]),
    "bytearray": (bytearray(b"ab"), "b'ab'"),
    "memory": (memoryview(b"ab"), "b'ab'"),
    "array.array": (array("d", [1, 2]), [1.0, 2.0]),
    "NaN": (np.array([0.5, 1e300], np.longdouble), [0.5, 1e300]),
    "keys with addresses": ({Anything(): 1, Anything: 2, (1, "a"): 3}, None),
    "very long integer": (16**10_000, "0x1" + 10_000 * "0"),
    "module": (torch.nn.ReLU(), "torch.nn.modules.activation.ReLU"),
    "described": (Described(), "described"),
    "holder of an address": (Holder(), f"{__name__}.Holder"),
    "generator": ((_ for _ in ()), "builtins.generator"),
}


@pytest.mark.parametrize("case", STORABLE)
def test_storable(case: str) -> None:
    value, expected = STORABLE[case]
    result = storable(value)
    if case == "keys with addresses":
        expected = {f"{__name__}.Anything": 2, "(1, 'a')": 3}
    assert result == expected
    assert yaml.safe_load(yaml.safe_dump(result)) == result


def test_storable_knows_no_addresses() -> None:
    """Nothing in the text differs between two runs of a program."""
    values = {case: value for case, (value, _) in STORABLE.items()}
    assert not re.search(r"0x(?!10{9})[0-9a-f]{6}", str(storable(values)))


def test_a_large_array_is_not_spelled_out() -> None:
    result = storable(np.zeros(10_000))
    assert isinstance(result, str)
    assert len(result) < 200


def test_storable_changes_nothing() -> None:
    values = {"list": [1, {"a": np.float32(1)}], "set": {1, 2}, "model": Model(1)}
    before = copy.deepcopy(values)
    result = storable(values)
    result["list"][1]["a"] = "changed"
    result["model"]["size"] = "changed"
    assert values == before


def test_flat_config() -> None:
    values = argparse.Namespace(lr=0.1, opt={"kind": "adam", "betas": (0.9, 0.99)}, none=None, empty={}, names=["ü"])
    expected = {
        "lr": 0.1,
        "opt/kind": "adam",
        "opt/betas": "[0.9, 0.99]",
        "none": None,
        "empty": "{}",
        "names": '["\\u00fc"]',
    }
    assert flat_config(vars(values)) == expected
    assert list(flat_config({"a": {"b": 1}}, ".")) == ["a.b"]


@pytest.mark.parametrize(
    ("number", "text", "signed_text"),
    [
        (2**63 - 1, None, None),
        (-(2**63), None, None),
        (2**63, None, str(2**63)),
        (2**64 - 1, None, str(2**64 - 1)),
        (2**64, str(2**64), str(2**64)),
        (-(2**63) - 1, str(-(2**63) - 1), str(-(2**63) - 1)),
        (10**400, "1" + 400 * "0", "1" + 400 * "0"),
        (16**10_000, "0x1" + 10_000 * "0", "0x1" + 10_000 * "0"),  # Python spells out no more than 4300 digits
        (-(16**10_000), "-0x1" + 10_000 * "0", "-0x1" + 10_000 * "0"),
    ],
    ids=range(9),
)
def test_integers_beyond_64_bits_are_text(number: int, text: str | None, signed_text: str | None) -> None:
    expected = number if text is None else text
    config = {"seed": number, "deep": {"list": [1, number, True]}}
    assert long_integers_as_text(config) == {"seed": expected, "deep": {"list": [1, expected, True]}}
    assert long_integers_as_text(number, signed=True) == (number if signed_text is None else signed_text)
    assert flat_config(config) == {"seed": expected, "deep/list": json.dumps([1, expected, True])}


def test_check_values() -> None:
    values = {"a": {1: "inner keys are free"}}
    assert check_values(values) is values


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (3, "`values` must be a dictionary of names to values, e.g. {'loss': 0.1}; got 3 (int)."),
        ([("a", 1)], "`values` must be a dictionary of names to values, e.g. {'loss': 0.1}; got [('a', 1)] (list)."),
        (
            "x" * 90,
            f"`values` must be a dictionary of names to values, e.g. {{'loss': 0.1}}; got '{'x' * 76}... (str).",
        ),
        ({"a": 1, 5: 2}, "`values` must have string keys; got the key 5 (int). Write it as '5'."),
        ({None: 2}, "`values` must have string keys; got the key None (NoneType). Write it as 'None'."),
    ],
    ids=["number", "list", "long text", "integer key", "None key"],
)
def test_check_values_refuses(values: Any, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        check_values(values)
    assert str(caught.value) == message


def test_checks_name_the_argument() -> None:
    with pytest.raises(TypeError, match=r"^`config` must be a dictionary"):
        check_config([1])
    with pytest.raises(TypeError, match=r"^`metrics` must have string keys"):
        check_values({1: 1}, "metrics")


@pytest.mark.parametrize(
    "config",
    [
        {"lr": np.float32(0.5), "model": {"size": 3}},
        argparse.Namespace(lr=torch.tensor(0.5), model={"size": 3}),
        OmegaConf.create({"lr": 0.5, "model": {"size": 3}}),
        dataclasses.make_dataclass("Config", ["lr", "model"])(0.5, {"size": np.int64(3)}),
    ],
    ids=["dictionary", "namespace", "omegaconf", "dataclass"],
)
def test_check_config(config: Any) -> None:
    before = copy.deepcopy(config)
    result = check_config(config)
    assert result == {"lr": 0.5, "model": {"size": 3}}
    assert type(result) is dict
    result["model"]["size"] = 0
    assert config == before


class Rude:
    """An object that says nothing of itself."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class Listless:
    @property
    def shape(self) -> Any:
        raise RuntimeError("no shape")


class Endless(dict[str, Any]):
    def __iter__(self) -> Any:
        raise RuntimeError("no keys")


def _cycle() -> dict[str, Any]:
    value: dict[str, Any] = {"fine": 1}
    value["again"] = argparse.Namespace(back=value)
    return value


def _deep() -> Any:
    value: Any = 1
    for _ in range(2000):
        value = {"a": value}
    return value


def _wide() -> Any:
    value: Any = [1]
    for _ in range(60):
        value = [value, value]
    return value


def _dead() -> Any:
    return weakref.proxy(Anything())


def _classless() -> Any:
    class Classless:
        @property
        def __class__(self) -> Any:
            raise RuntimeError("no class")

    return Classless()


class NoName(type):
    @property
    def __module__(cls) -> str:
        raise RuntimeError("no module")


BAD = {
    "text": (Rude, f"{__name__}.Rude", "['m'] could not be read (RuntimeError: no text)"),
    "key": (lambda: {Rude(): 1}, {f"{__name__}.Rude": 1}, None),
    "in a set": (lambda: {Rude()}, [f"{__name__}.Rude"], "['m'][0] could not be read"),
    "keys": (Endless, f"{__name__}.Endless", "['m'] could not be read (RuntimeError: no keys)"),
    "cycle": (
        _cycle,
        {"fine": 1, "again": {"back": "builtins.dict"}},
        "['m']['again']['back'] could not be read (it holds",
    ),
    "wide": (_wide, "builtins.list", "['m'] could not be read (it holds more than 1000 dictionaries and lists)"),
    "dead": (_dead, "weakref.ProxyType", "['m'] could not be read (ReferenceError"),
    "class": (
        _classless,
        f"{__name__}._classless.<locals>.Classless",
        "['m'] could not be read (RuntimeError: no class)",
    ),
    "metaclass": (NoName("Nameless", (Rude,), {}), "object", "['m'] could not be read"),
    "meta tensor": (lambda: torch.empty((), device="meta"), "torch.Tensor", "['m'] could not be read (RuntimeError"),
    "twice": (lambda: {1: "a", "1": "b"}, {"1": "b"}, "['m'] has the keys 1 and '1', which are the same as text"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_hyperparameter_costs_itself_and_is_named(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(structures, "MOST", 1000)
    make, expected, message = BAD[case]
    with contextlib.nullcontext() if message is None else pytest.warns(AccelTrackWarning) as caught:
        assert check_config({"m": make(), "lr": 0.1}) == {"m": expected, "lr": 0.1}
    if caught is not None:
        (warning,) = caught
        assert str(warning.message).startswith(f"config: {message}")


def test_a_configuration_of_two_thousand_levels() -> None:
    with pytest.warns(AccelTrackWarning, match="it is nested deeper than 100 levels"):
        stored = check_config({"m": _deep(), "lr": 0.1})
    assert stored["lr"] == 0.1
    assert str(stored).count("{") == 100


def test_names_that_are_the_same_without_nesting_are_said() -> None:
    with pytest.warns(AccelTrackWarning) as caught:
        assert check_config({"opt": {"lr": 1}, "opt/lr": 2}) == {"opt": {"lr": 1}, "opt/lr": 2}
    (warning,) = caught
    assert "config: ['opt']['lr'] and ['opt/lr'] have the same name 'opt/lr'" in str(warning.message)


def test_what_cannot_be_read_in_a_call_of_a_tracker_is_left_as_it_is() -> None:
    meta = torch.empty((), device="meta")
    found = list(leaves({"a": meta, "b": {"c": meta}, "d": (listless := Listless()), "e": 1.0}))
    assert [name for name, _ in found] == ["a", "b/c", "d", "e"]
    assert all(one is other for (_, one), other in zip(found, [meta, meta, listless, 1.0], strict=True))


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_is_none_of_the_configuration(error: type[BaseException]) -> None:
    class Interrupting:
        @property
        def shape(self) -> Any:
            raise error

    with pytest.raises(error):
        storable({"a": Interrupting()})


def test_configurations_of_omegaconf_that_cannot_be_resolved_keep_their_text() -> None:
    """Wherever they are, alone: the others are resolved."""

    def fail(_: str) -> str:
        raise RuntimeError("no answer")

    OmegaConf.register_new_resolver("accel_track_fails", fail, replace=True)
    OmegaConf.register_new_resolver("accel_track_adds", lambda a, b: a + b, replace=True)
    node = {
        "data": "${oc.env:ACCEL_TRACK_NO_SUCH_VARIABLE}",
        "home": "${oc.env:ACCEL_TRACK_NO_SUCH_VARIABLE,here}",
        "lr": "???",
        "own": "${accel_track_fails:x}",
        "sum": "${accel_track_adds:1,${size}}",
        "size": 3,
        "list": ["${size}", "${gone}", {"a": "${.b}", "b": 1}],
        "whole": "${inner}",
        "inner": {"x": "${nowhere.at.all}", "y": "${..size}", "none": None},
        "round": "${round}",
    }
    inner = {"x": "${nowhere.at.all}", "y": 3, "none": None}
    expected = {
        **node,
        "home": "here",
        "sum": 4,
        "list": [3, "${gone}", {"a": 1, "b": 1}],
        "whole": inner,
        "inner": inner,
    }
    assert check_config(OmegaConf.create(node)) == expected
    assert check_config({"a": [OmegaConf.create(node)], "b": 1}) == {"a": [expected], "b": 1}


def test_a_config_that_says_nothing_of_itself_is_a_type_error() -> None:
    for config in (Rude(), _classless(), 3):
        with pytest.raises(TypeError, match="`config` must be a dictionary"):
            check_config(config)
    with pytest.raises(TypeError, match="`step` must be an integer"):
        check_step(Rude())


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (None, None),
        (0, 0),
        (7, 7),
        (np.int64(3), 3),
        (torch.tensor(4), 4),
        (Level.LOW, 1),
        (3.0, 3),
        (np.float32(2), 2),
    ],
    ids=repr,
)
def test_check_step(step: Any, expected: int | None) -> None:
    result = check_step(step)
    assert result == expected
    assert type(result) in (int, type(None))


@pytest.mark.parametrize(
    ("step", "error", "message"),
    [
        (-1, ValueError, "`step` must be 0 or more; got -1. Count steps from 0, or pass step=None."),
        (np.int32(-5), ValueError, "`step` must be 0 or more; got -5. Count steps from 0, or pass step=None."),
        (1.5, TypeError, "`step` must be an integer of 0 or more, or None; got 1.5 (float)."),
        (float("nan"), TypeError, "`step` must be an integer of 0 or more, or None; got nan (float)."),
        (float("inf"), TypeError, "`step` must be an integer of 0 or more, or None; got inf (float)."),
        (-1.0, ValueError, "`step` must be 0 or more; got -1. Count steps from 0, or pass step=None."),
        ("3", TypeError, "`step` must be an integer of 0 or more, or None; got '3' (str)."),
        (True, TypeError, "`step` must be an integer of 0 or more, or None; got True (bool)."),
    ],
    ids=repr,
)
def test_check_step_refuses(step: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        check_step(step)
    assert str(caught.value) == message


@pytest.mark.parametrize("name", ["digits", "größe 1", ".hidden", "a.b", "-"])
def test_check_name(name: str) -> None:
    assert check_name(name, "project_name") == name


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("a/b", "it holds '/'"),
        ("a\\b", "it holds '\\\\'"),
        ("..", "it holds '..'"),
        ("a\0", "it holds '\\x00'"),
        ("", "it names no folder"),
        ("  ", "it names no folder"),
        (".", "it names no folder"),
    ],
    ids=repr,
)
def test_check_name_refuses(name: str, what: str) -> None:
    with pytest.raises(ValueError, match="project_name") as caught:
        check_name(name, "project_name")
    expected = f"`project_name` is used as a folder name and cannot be {name!r}: {what}. Choose a plain name."
    assert str(caught.value) == expected


def test_a_name_is_a_string() -> None:
    with pytest.raises(TypeError, match=r"^`name` must be a string; got 3 \(int\)\.$"):
        check_name(3, "name")
