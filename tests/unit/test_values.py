"""Normalising what users log, and the checks of arguments."""

import argparse
import copy
import dataclasses
import enum
import functools
import json
import math
import re
from collections import OrderedDict, defaultdict, namedtuple
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from omegaconf import OmegaConf

from accel_track.values import (
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
    "named tuple": (Pair(1, np.int8(2)), [1, 2]),
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
    "partial": (functools.partial(print, end=""), "functools.partial"),
    "module": (torch.nn.ReLU(), "torch.nn.modules.activation.ReLU"),
    "described": (Described(), "described"),
    "holder of an address": (Holder(), f"{__name__}.Holder"),
    "generator": ((_ for _ in ()), "builtins.generator"),
}


@pytest.mark.parametrize("case", STORABLE)
def test_storable(case: str) -> None:
    value, expected = STORABLE[case]
    result = storable(value)
    assert result == expected
    assert yaml.safe_load(yaml.safe_dump(result)) == result


def test_storable_knows_no_addresses() -> None:
    """Nothing in the text differs between two runs of a program."""
    values = {case: value for case, (value, _) in STORABLE.items()}
    assert not re.search(r"0x[0-9a-f]{6}", str(storable(values)))


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


@pytest.mark.parametrize(
    ("step", "expected"),
    [(None, None), (0, 0), (7, 7), (np.int64(3), 3), (torch.tensor(4), 4), (Level.LOW, 1)],
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
        (1.0, TypeError, "`step` must be an integer of 0 or more, or None; got 1.0 (float)."),
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
