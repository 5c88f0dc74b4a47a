"""The value at the call: nothing that changes later changes it, and nothing that cannot be read costs more than itself."""
# ruff: noqa: PD011 - records have values, too

import asyncio
import copy
import gc
import math
import sys
import weakref
from array import array
from collections import OrderedDict, UserDict, UserList, deque
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import flask
import numpy as np
import pandas as pd
import pyecharts.charts
import pytest
import torch
import trackio
import wandb
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

from accel_track import media
from accel_track.delivery.media import KeptMedia
from accel_track.delivery.settings import Settings
from accel_track.errors import AccelTrackWarning
from accel_track.journal.directory import find_runs
from accel_track.journal.reader import JournalReader
from accel_track.records import Metrics, Stored
from accel_track.registry import select
from accel_track.run import Run
from accel_track.testing import RecordingTracker
from accel_track.values.capture import captured

# -- what changes afterwards ------------------------------------------------------------------------------------------


def _figure() -> Figure:
    figure = Figure()
    figure.add_subplot().plot([1, 2], color="red")
    return figure


def _colour(figure: Figure) -> str:
    return figure.axes[0].lines[0].get_color()


def _add(value: Any) -> None:
    value += 100


class Kept(UserList):
    """A list of a class of its own."""


PIXELS, NUMBERS = np.zeros((4, 4), np.uint8), np.linspace(-1, 1, 12)

CHANGES: dict[str, tuple[Any, Callable[[Any], object], Callable[[Any], Any]]] = {
    "tensor": (torch.zeros(3), lambda t: t.fill_(3), np.ndarray.tolist),
    "0-d tensor": (torch.tensor(0.5), lambda t: t.fill_(3), float),
    "parameter": (torch.nn.Parameter(torch.zeros(3)), lambda p: p.data.fill_(3), np.ndarray.tolist),
    "bfloat16": (torch.zeros(3, dtype=torch.bfloat16), lambda t: t.fill_(3), np.ndarray.tolist),
    "view of a tensor": (torch.zeros(4, 4)[1:, 2], lambda t: t.fill_(3), np.ndarray.tolist),
    "array": (np.zeros(3), _add, np.ndarray.tolist),
    "0-d array": (np.array(1.5), lambda a: a.fill(3), float),
    "view of an array": (np.zeros((4, 4))[::2, 1], _add, np.ndarray.tolist),
    "array over a tensor": (torch.zeros(3).numpy(), _add, np.ndarray.tolist),
    "masked array": (np.ma.masked_array([1, 2], [True, False]), _add, lambda a: a.tolist()),
    "objects in an array": (np.array([[1], None], object), lambda a: a[0].append(2), list),
    "array.array": (array("d", [1, 2]), lambda a: a.append(3), np.ndarray.tolist),
    "list": ([1, [2, "a"]], lambda a: a[1].append(3), list),
    "list with an array": ([np.zeros(2)], lambda a: _add(a[0]), lambda a: a[0].tolist()),
    "tuple with a list": (([1], 2), lambda a: a[0].append(3), tuple),
    "dictionary": ({"a": {"b": 1}}, lambda a: a["a"].update(b=2), dict),
    "ordered": (OrderedDict(a=[1]), lambda a: a["a"].append(2), dict),
    "user's dictionary": (UserDict(a=1), lambda a: a.update(a=2), dict),
    "user's list": (Kept([1]), lambda a: a.append(2), list),
    "deque": (deque([1]), lambda a: a.append(2), list),
    "set": ({1}, lambda a: a.add(2), set),
    "bytearray": (bytearray(b"ab"), lambda a: a.extend(b"c"), bytes),
    "memoryview": (memoryview(bytearray(b"ab")), lambda a: a.obj.__setitem__(0, 0), bytes),
    "series": (pd.Series([1.0, 2.0]), lambda s: s.__setitem__(0, 9.0), lambda s: s.tolist()),
    "wandb table": (
        wandb.Table(columns=["a"], data=[[1]]),
        lambda t: t.add_data(2),
        lambda t: (list(t.columns), [list(row) for row in t.data]),
    ),
    "trackio image": (
        trackio.Image(np.zeros((2, 2, 3), np.uint8)),
        lambda i: _add(i._value),
        lambda i: i._value.tolist(),
    ),
    "pyecharts chart": (
        pyecharts.charts.Bar().add_xaxis(["a"]).add_yaxis("y", [1]),
        lambda c: c.add_yaxis("z", [2]),
        lambda c: len(c.options["series"]),
    ),
}


@pytest.mark.parametrize("case", CHANGES)
def test_what_changes_after_the_call_was_captured_before(case: str) -> None:
    """Alone, deep in a dictionary and in a list."""
    value, change, seen = CHANGES[case]
    call = captured({"alone": value, "deep": {"in": {"a": value}}, "list": [value]}, {"t": {"x": value}})
    assert (call.unread, call.changing) == ({}, {})
    places = [call.values["alone"], call.values["deep"]["in"]["a"], call.values["list"][0], call.kwargs["t"]["x"]]
    before = copy.deepcopy([seen(one) for one in places])
    change(value)
    assert [seen(one) for one in places] == before
    assert seen(captured({"a": value}).values["a"]) != before[0]


MEDIA: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    "frame": (pd.DataFrame({"a": [1, 2]}), lambda f: f.__setitem__("a", 9)),
    "PIL image": (Image.new("RGB", (2, 2)), lambda i: i.paste((255, 0, 0), (0, 0, 2, 2))),
    "figure": (_figure(), lambda f: f.axes[0].lines[0].set_color("blue")),
    "axes": (_figure().axes[0], lambda a: a.lines[0].set_color("blue")),
    "image": (media.Image(PIXELS), lambda _: PIXELS.fill(1)),
    "histogram": (media.Histogram(NUMBERS), lambda _: NUMBERS.fill(1)),
    "sound": (media.Audio(NUMBERS, 8000), lambda _: NUMBERS.fill(0.5)),
    "points": (media.Points3D(NUMBERS.reshape(-1, 3)), lambda _: NUMBERS.fill(0.25)),
}


@pytest.mark.parametrize("case", MEDIA)
def test_a_medium_is_what_it_was_in_the_call(case: str, tmp_path: Path) -> None:
    """Alone, deep in a dictionary and in a list: kept in the call, and another one after it has changed."""
    value, change = MEDIA[case]

    def kept() -> list[Any]:
        call = captured({"alone": value, "deep": {"in": value}, "list": [value, 1]})
        KeptMedia(tmp_path).keep(call)
        assert call.unread == {}
        return [call.values["alone"], call.values["deep"]["in"], call.values["list"][0]]

    before = kept()
    assert all(type(one) is Stored and one == before[0] for one in before)
    change(value)
    assert kept()[0] != before[0]


def test_pyplot_is_its_figure_and_no_further_figure_is_open() -> None:
    """`log({"chart": plt})`, as wandb takes it, and a figure of pyplot's."""
    figure = plt.figure()
    plt.plot([1, 2], color="red")
    call = captured({"chart": plt, "figure": figure}, {"wandb": {"chart": plt}})
    assert plt.get_fignums() == [figure.number]
    plt.close("all")
    for one in call.media:
        assert one.kind is media.Figure
        assert (one.content.pixels[..., :3] == (255, 0, 0)).all(axis=-1).any()
    own = call.kwargs["wandb"]["chart"]
    assert isinstance(own, Figure)
    assert _colour(own) == "red"


def test_a_figure_that_cannot_be_copied_is_a_figure_with_its_picture() -> None:
    figure = _figure()
    axes = figure.axes[0]
    axes.xaxis.set_major_formatter(lambda value, _: f"{value}!")
    axes.set_axis_off()
    axes.fill_between([0, 1], [2, 2], [1, 1], color=(1, 0, 0))
    canvas = figure.canvas
    own = captured({}, {"t": {"a": figure}}).kwargs["t"]["a"]
    assert figure.canvas is canvas
    (image,) = own.axes[0].images
    pixels = image.get_array()
    assert pixels.shape == (480, 640, 4)
    assert (pixels.reshape(-1, 4) == (255, 0, 0, 255)).all(axis=1).sum() > 1000


class Changing:
    """An object with attributes."""

    def __init__(self) -> None:
        self.state = 1


def test_what_may_change_and_cannot_be_copied_is_named() -> None:
    table = wandb.Table(columns=["a"], log_mode="INCREMENTAL")
    thing = Changing()
    values = {
        "a": thing,
        "b": Changing(),
        "table": table,
        "colours": plt.get_cmap(),
        "none": [object(), len, Path()],
    }
    call = captured(values)
    assert call.values["a"] is thing
    assert list(call.changing.values()) == ["a", "table", "colours"]
    assert captured(values, copies=False).changing == {}
    table.add_data(1)
    assert call.values["table"].data == [[1]]


def test_what_is_delivered_at_once_is_not_copied() -> None:
    figure, image = _figure(), Image.new("L", (1, 1))
    values = captured({}, {"t": {"f": figure, "i": image}}, copies=False).kwargs["t"]
    assert values == {"f": figure, "i": image}
    assert values["f"] is figure


# -- what cannot be read ----------------------------------------------------------------------------------------------


class Hostile:
    """Raises wherever one looks."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __getattr__(self, name: str) -> Any:
        raise self.error


def raising(name: str, error: type[BaseException] = RuntimeError, *bases: type) -> Any:
    """Return an object of a class with one method or property that raises."""

    def fail(*_: Any) -> Any:
        raise error(f"no {name}")

    dunder = name.startswith("__") and name != "__class__"
    return type("Raising", bases, {name: fail if dunder else property(fail)})()


class _Dead:
    """To be gone."""


def dead_proxy() -> Any:
    one = _Dead()
    proxy = weakref.proxy(one)
    del one
    gc.collect()
    return proxy


def deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def wide() -> list[Any]:
    value: list[Any] = [1]
    for _ in range(60):
        value = [value, value]
    return value


def cycle() -> dict[str, Any]:
    value: dict[str, Any] = {"fine": 1}
    value["again"] = value
    return value


class Liar:
    """Says that it is of no class."""

    __class__ = 3  # type: ignore[assignment]


UNREADABLE: dict[str, tuple[Callable[[], Any], str]] = {
    "meta tensor": (lambda: torch.empty((), device="meta"), "m"),
    "large meta tensor": (lambda: torch.empty(5, device="meta"), "m"),
    "sparse tensor": (lambda: torch.eye(3).to_sparse(), "m"),
    "dead proxy": (dead_proxy, "m"),
    "application": (lambda: flask.current_app, "m"),
    "class": (lambda: raising("__class__"), "m"),
    "class of no class": (Liar, "m"),
    "class and cancellation": (lambda: raising("__class__", asyncio.CancelledError), "m"),
    "shape": (lambda: raising("shape"), "m"),
    "shape and exit of a generator": (lambda: raising("shape", GeneratorExit), "m"),
    "any attribute": (lambda: Hostile(ValueError("no")), "m"),
    "error without text": (lambda: Hostile(raising("__str__", RuntimeError, Exception)), "m"),
    "iteration of a list": (lambda: raising("__iter__", RuntimeError, list), "m"),
    "iteration of a dictionary": (lambda: raising("__iter__", RuntimeError, dict), "m"),
    "length of a list": (lambda: raising("__len__", RuntimeError, UserList), "m"),
    "key without text": (lambda: {raising("__str__"): 1}, ""),
    "holds itself": (cycle, "m/again"),
    "very deep": (lambda: deep(2000), "m"),
    "very deep dictionary": (lambda: {"a": deep(100_000)}, "m/a"),
    "on disk": (lambda: np.broadcast_to(np.zeros(1), (2**30,)), "m"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_cannot_be_read_costs_itself(case: str) -> None:
    """Alone and deep; the rest of the call is there, also what is beside it in its dictionary."""
    make, name = UNREADABLE[case]
    call = captured({"loss": 1.0, "m": make(), "info": {"m": make(), "fine": 2}, "list": [make(), 3], "last": 0.5})
    assert (call.values["loss"], call.values["last"], call.values["info"]["fine"]) == (1.0, 0.5, 2)
    assert call.values["list"][-1] == 3
    if name:
        assert name in call.unread
        assert f"info/{name}" in call.unread
        assert all(reason and len(reason) < 300 for reason in call.unread.values())
    Metrics(0, 0.0, call.values)


def test_what_holds_too_much_is_left_out_as_a_whole() -> None:
    """A list that holds another one twice, which does so too, sixty times over."""
    call = captured({"loss": 1.0, "m": wide(), "info": {"m": wide(), "fine": 2}, "list": [1, [2]]})
    assert call.values == {"loss": 1.0, "list": [1, [2]]}
    assert list(call.unread) == ["m", "info"]


@pytest.mark.parametrize(
    "name", ["__str__", "__repr__", "__len__", "__bool__", "__iter__", "is_cuda", "item", "__eq__"]
)
def test_what_nobody_needs_to_read_is_not_read(name: str) -> None:
    call = captured({"m": raising(name), "loss": 1.0})
    assert call.unread == {}
    assert call.values["loss"] == 1.0


def test_proxies_are_what_they_stand_for_or_nothing() -> None:
    """A live proxy may be dead when it is delivered."""
    held = UserDict(a=1), _Dead()
    call = captured({"mapping": weakref.proxy(held[0]), "other": weakref.proxy(held[1]), "mock": MagicMock()})
    assert call.values["mapping"] == {"a": 1}
    assert call.unread == {"other": "it stands for another object, which may be gone"}


@pytest.mark.parametrize(
    ("value", "number"), [(Decimal("0.1"), 0.1), (Fraction(1, 4), 0.25), (Fraction(3), 3.0), (Decimal("NaN"), math.nan)]
)
def test_numbers_of_other_classes_are_pythons(value: Any, number: float) -> None:
    found = captured({"loss": value}).values["loss"]
    assert type(found) is float
    assert found == pytest.approx(number, rel=0, nan_ok=True)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_is_none_of_the_values(error: type[BaseException]) -> None:
    with pytest.raises(error):
        captured({"m": raising("shape", error)})


def test_keys_that_are_the_same_as_text() -> None:
    call = captured({"m": {None: 1, "None": 2, 1: 3, "1": 4}})
    assert call.values == {"m": {"None": 1, 1: 3, "1": 4}}
    assert list(call.unread) == ["m/None"]


@pytest.mark.parametrize("case", ["number", "list", "key", "iteration", "class"])
def test_values_that_are_no_dictionary_are_a_type_error(case: str) -> None:
    values = {
        "number": lambda: 3,
        "list": lambda: [("a", 1)],
        "key": lambda: {1: 2},
        "iteration": lambda: raising("__iter__", RuntimeError, dict),
        "class": lambda: raising("__class__"),
    }
    with pytest.raises(TypeError, match="`values` must"):
        captured(values[case]())


# -- through a run ----------------------------------------------------------------------------------------------------


def logged(delivery: str, tracker: RecordingTracker) -> list[tuple[Any, Any]]:
    """Log the issue's inputs, changing them after each call, and return what the tracker has got."""
    run = Run(select([tracker]), project="p", directory="logs", settings=Settings.of(delivery=delivery))
    weights, numbers, nested = torch.zeros(200), np.zeros(3), {"a": {"b": [0]}}
    for step in range(4):
        weights.fill_(step)
        nested["a"]["b"][0] = step
        run.log({"w": weights, "n": numbers, "deep": nested, "bad": torch.empty((), device="meta"), "x": 1.0}, step)
        numbers += 100
    run.log({"bad": torch.empty((), device="meta")}, 4)
    weights.fill_(9)
    nested["a"].clear()
    run.finish()
    return [(call[2], call[1]) for call in tracker.calls if call[0] == "log"]


@pytest.mark.parametrize("delivery", ["thread", "inline"])
@pytest.mark.filterwarnings("always::accel_track.errors.AccelTrackWarning")
def test_trackers_get_what_was_logged(delivery: str, recwarn: pytest.WarningsRecorder) -> None:
    """And count what could not be read, once warned about; a call of which nothing is left is not given to them."""
    tracker = RecordingTracker()
    got = logged(delivery, tracker)
    assert [step for step, _ in got] == [0, 1, 2, 3]
    for step, values in got:
        assert values["w"].tolist() == 200 * [step]
        assert values["n"].tolist() == 3 * [100 * step]
        assert values["deep"] == {"a": {"b": [step]}}
        assert values["x"] == 1.0
        assert "bad" not in values
        assert values["n"].flags.writeable
    assert tracker.dropped == {"bad": 5}
    (warning,) = [one for one in recwarn if one.category is AccelTrackWarning]
    assert "dropped 'bad': it could not be read when it was logged" in str(warning.message)


def test_the_journal_has_what_was_logged_and_what_was_not() -> None:
    run = Run([], project="p", directory="logs", settings=Settings.of(delivery="none"))
    array_ = np.arange(3.0)
    run.log({"a": array_, "m": dead_proxy(), "big": np.zeros(200_000)}, 0)
    array_ += 1
    run.finish()
    (found,) = find_runs(Path("logs"))
    (record,) = JournalReader(found.rank())
    assert isinstance(record, Metrics)
    assert record.values["a"].tolist() == [0, 1, 2]
    assert record.values["big"].what == "numpy.ndarray"
    assert "ReferenceError" in record.unread["m"]


def test_an_object_that_may_change_is_warned_about_once(recwarn: pytest.WarningsRecorder) -> None:
    tracker = RecordingTracker()
    run = Run(select([tracker]), project="p", directory="logs", settings=Settings.of(delivery="thread"))
    with pytest.warns(AccelTrackWarning, match=r"log: 'thing' holds a .*Changing, of which no copy can be made"):
        run.log({"thing": Changing()}, 0)
    run.log({"other": Changing()}, 1)
    run.finish()
    assert not recwarn.list


@pytest.mark.parametrize(
    ("values", "places"),
    [
        ({"opt": {"lr": 1}, "opt/lr": 2}, "['opt']['lr'] and ['opt/lr']"),
        ({"a": {1: 1.0, "1": 2.0}}, "['a'][1] and ['a']['1']"),
    ],
)
def test_two_values_of_one_name_are_said_once(values: dict[str, Any], places: str) -> None:
    tracker = RecordingTracker()
    run = Run(select([tracker]), project="p", directory="logs", settings=Settings.of(delivery="thread"))
    with pytest.warns(AccelTrackWarning) as caught:
        run.log(values, 0)
        run.log(values, 1)
    run.finish()
    (warning,) = caught
    assert f"log: {places} have the same name" in str(warning.message)
    assert [call[1] for call in tracker.calls if call[0] == "log"] == [values, values]


def test_no_recursion_limit_is_reached_by_users_who_are_deep_themselves() -> None:
    def nested(levels: int) -> Any:
        return nested(levels - 1) if levels else captured({"m": deep(50), "loss": 1.0})

    call = nested(sys.getrecursionlimit() - 250)
    assert call.values["loss"] == 1.0
