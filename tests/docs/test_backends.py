"""The tables in docs/backends.md say what the trackers' attributes say."""

from pathlib import Path

import pytest
import tomllib

from accel_track.registry import LOGGER_TYPE_TO_CLASS

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "docs" / "backends.md").read_text(encoding="utf-8").splitlines()
NO = "\N{EN DASH}"
BUILT_IN = sorted(name for name, one in LOGGER_TYPE_TO_CLASS.items() if one.in_all)


def table(column: str) -> dict[str, dict[str, str]]:
    """Return the rows of the first table with a column of that name, as columns by name, by the tracker's name."""
    begin = next(number for number, line in enumerate(LINES) if line.startswith("|") and f"| {column} |" in line)
    end = next(number for number, line in enumerate(LINES) if number > begin and not line.startswith("|"))
    columns, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in LINES[begin:end])
    return {row[0].strip("`"): dict(zip(columns, row, strict=True)) for row in rows}


VALUES, DELIVERY = table("Extra"), table("Keeps the time of the call")


def test_each_tracker_has_a_row() -> None:
    """So that the tests below look at all of them."""
    assert sorted(VALUES) == sorted(DELIVERY) == BUILT_IN


@pytest.mark.parametrize("name", BUILT_IN)
def test_values(name: str) -> None:
    """What is taken, and how."""
    tracker, row = LOGGER_TYPE_TO_CLASS[name], VALUES[name]
    takes = (tracker.takes_nan, tracker.takes_inf)
    not_finite = {(True, True): ("✓", "as texts"), (True, False): ("NaN",), (False, False): (NO,)}
    assert row["NaN, ±inf"] in not_finite[takes]
    assert row["Numbers"] == ("✓ (32-bit)" if tracker.precision else "✓")
    assert row["Texts"] == ("✓" if tracker.takes_text else NO)
    assert row["Nested hyperparameters"] == ("kept" if tracker.keeps_nesting else 'joined with "/"')
    assert DELIVERY[name]["Keeps the time of the call"].startswith("✓" if tracker.keeps_time else NO)


@pytest.mark.parametrize("name", BUILT_IN)
def test_extras(name: str) -> None:
    """The extra installs what the tracker asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    places = {f"`{extra}`": required for extra, required in project["optional-dependencies"].items()}
    places["always there"] = project["dependencies"]
    required = [one.partition(";")[0].strip() for one in places[VALUES[name]["Extra"]]]
    assert LOGGER_TYPE_TO_CLASS[name].install in required
