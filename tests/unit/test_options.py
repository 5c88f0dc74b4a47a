"""The options of all front doors: what each shows of them, and names that are no argument."""

import inspect
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_type_hints

import pytest

import accel_track
from accel_track.options import Options, Settings
from accel_track.rules import Rules

DOORS = [accel_track.Accelerator, accel_track.AccelTrackLogger, accel_track.AccelTrackCallback, accel_track.init]
OPTIONS = get_type_hints(Options)
TABLE = Path(__file__).parents[2] / "docs" / "delivery.md"


def texts(about: Any) -> dict[str, str]:
    """Return the entries of a docstring's arguments or attributes."""
    found = re.findall(r"^    (\w+): (.+(?:\n {8}.+)*)", inspect.getdoc(about) or "", re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


def test_options_and_settings_have_the_same_names_and_types() -> None:
    kinds = {name: kind | None for name, kind in get_type_hints(Settings).items()}
    kinds["rules"] = Mapping[str, Rules | Mapping[str, Any]] | None  # given as dictionaries
    kinds["alerts"] = Sequence[str] | str | None  # given as texts
    assert kinds == OPTIONS
    assert list(kinds) == list(OPTIONS)


@pytest.mark.parametrize("name", OPTIONS)
def test_the_text_of_an_option_tells_its_default(name: str) -> None:
    default = getattr(Settings(), name)
    shown = default if isinstance(default, bool) or default is None else json.dumps(default).removesuffix(".0")
    assert re.search(rf"Default: {shown}[.,]", texts(Options)[name])


@pytest.mark.parametrize("name", OPTIONS)
def test_the_table_of_options_has_it(name: str) -> None:
    default = getattr(Settings(), name)
    shown = f"`{int(default)}`" if isinstance(default, bool) else f"`{re.escape(str(default))}`"
    cell = rf"(?:{shown}|{default:g})" if isinstance(default, float) else shown
    row = rf"^\| `{name}` \| [^|]+ \| {cell}[^|]* \| `ACCEL_TRACK_{name.upper()}` \|$"
    assert re.search(row, TABLE.read_text(), re.MULTILINE)


@pytest.mark.parametrize("door", DOORS)
def test_a_front_door_shows_each_option(door: Callable[..., Any]) -> None:
    parameters = inspect.signature(door).parameters
    assert list(parameters)[-len(OPTIONS) :] == list(OPTIONS)
    for name, kind in OPTIONS.items():
        one = parameters[name]
        assert (one.kind, one.default, one.annotation) == (inspect.Parameter.KEYWORD_ONLY, None, kind)
    assert "options" not in parameters
    assert set(texts(door)) >= set(parameters)
    assert texts(Options).items() <= texts(door).items()


@pytest.mark.parametrize("door", [*DOORS, Settings.of])
@pytest.mark.parametrize(
    ("name", "near"), [("delivry", "did you mean 'delivery'?"), ("colour", "there is no argument 'colour'.")]
)
def test_an_unknown_name_is_told_with_near_ones(door: Callable[..., Any], name: str, near: str) -> None:
    with pytest.raises(TypeError, match=re.escape(f"{door.__qualname__}: there is no argument {name!r}")) as caught:
        door(**{name: "none"})
    assert near in str(caught.value)


def test_near_names_are_also_those_of_the_front_doors_own_arguments() -> None:
    with pytest.raises(TypeError, match="did you mean 'save_dir'"):
        accel_track.AccelTrackLogger(savedir="logs")  # type: ignore[call-arg]
