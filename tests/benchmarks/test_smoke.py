"""The benchmarks' short form: everything that was logged is counted, and a wrong count is no number."""

import importlib.util
import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks import _counts, _raw, _runner, _settings
from benchmarks.__main__ import main, selected
from benchmarks._case import ROOT, SCRIPTS, Case, Gap, Measured, cases, script
from benchmarks._chart import CHARTS
from benchmarks._clients import open_client
from benchmarks._goals import GOALS
from benchmarks._measure import POOL
from benchmarks._report import REASONS, from_json, page


def run_short(only: str, folder: Path) -> dict[str, Any]:
    """Run the short form of one script, or of some of its cases, and return what the JSON file has of it."""
    command = [sys.executable, "-m", "benchmarks", "--short", "--only", only, "--output", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr
    data = json.loads((folder / "performance.json").read_text())
    assert data["machine"]["python"]
    assert data["versions"]["torch"]
    assert "**error**" not in (folder / "performance.md").read_text()
    assert all(chart.read_text().endswith("</svg>\n") for chart in folder.glob("performance-*.svg"))
    return data


def check(name: str, rows: dict[str, Any]) -> None:
    """Check that each case that was measured has its values, and that all it has logged was counted."""
    columns = set(script(name).COLUMNS)
    for row in rows.values():
        assert row["error"] is row["skipped"] is None
        assert row["counted"] == row["expected"]
        (values,) = row["rounds"]
        assert set(values) <= columns
        assert values
        assert all(math.isfinite(value) for value in values.values())


@pytest.mark.long
@pytest.mark.parametrize(
    "name", [name if name == "call_cost" else pytest.param(name, marks=pytest.mark.long) for name in SCRIPTS]
)
def test_each_script_counts_what_it_logs(name: str, tmp_path: Path) -> None:
    data = run_short(name, tmp_path)
    rows = data["results"][name]
    assert list(rows) == [case.name for case in selected([name], short=True)]
    peers = [row for row in rows if row.startswith("HF ")]
    if importlib.util.find_spec("accelerate") is None:
        assert all("accelerate is not installed" in rows.pop(row)["skipped"] for row in peers)
    check(name, rows)
    assert name == "startup" or any(row["counted"] for row in rows.values())
    assert [goal["key"] for goal in data["goals"]] == [goal.key for goal in GOALS if goal.value[0] == name]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, tuple[int, int]]], None]:
    """Replace the processes by ones that find 1000 calls/s and 200 values, or what is given by the case's name."""

    def replace(found: dict[str, tuple[int, int]]) -> None:
        def run_case(case: Case, *_: Any, **__: Any) -> Measured:
            return Measured({"rate": 1000.0}, 200, *found.get(case.name, (200, 0)))

        monkeypatch.setattr(_runner, "run_case", run_case)

    return replace


@pytest.mark.parametrize(
    ("found", "message"),
    [((190, 0), "190 of 200 values were stored"), ((0, 0), "0 of 200"), ((200, 7), "7 values were stored twice")],
)
def test_a_wrong_count_is_an_error_and_no_ratio(
    found: tuple[int, int],
    message: str,
    counted: Callable[[dict[str, tuple[int, int]]], None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    counted({"raw tensorboard": found})
    assert main(["--only", "throughput:tensorboard", "--rounds", "2", "--output", str(tmp_path)]) == 1
    shown = capsys.readouterr().out
    lines = {line.split("|")[1].strip(): line for line in shown.splitlines() if line.startswith("| ")}
    assert f"**error**: payload: {message}" in lines["raw tensorboard"]
    assert "1,000" not in lines["raw tensorboard"]
    assert "none (raw tensorboard has no value)" in lines["facade tensorboard"]
    goals = {goal["key"]: goal for goal in json.loads((tmp_path / "performance.json").read_text())["goals"]}
    assert goals["rate-tensorboard-raw"]["measured"] is None
    assert goals["rate-tensorboard-raw"]["met"] is None
    assert goals["rate-tensorboard-PL"]["measured"] == 1.0


def test_right_counts_give_ratios_and_reasons_for_missed_goals(
    counted: Callable[[dict[str, tuple[int, int]]], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    counted({})
    assert main(["--only", "throughput:tensorboard", "--output", str(tmp_path)]) == 0
    assert "1.00 x raw tensorboard" in capsys.readouterr().out
    page = (tmp_path / "performance.md").read_text()
    assert (tmp_path / "performance-throughput.svg").read_text().endswith("</svg>\n")
    assert "](performance-throughput.svg)" in page
    assert "| facade tensorboard / PL tensorboard | ≥ 25 x | 1.00 x | 1.00 to 1.00 | **no** |" in page
    assert "* *facade tensorboard / PL tensorboard*" in page
    (tmp_path / "performance.md").unlink()
    assert main(["--page", "--output", str(tmp_path)]) == 0
    assert (tmp_path / "performance.md").read_text() == page


def test_what_is_stored_is_counted_and_not_what_was_logged(tmp_path: Path) -> None:
    for folder in ("one", "two"):  # the same values twice
        log, finish = _raw.tensorboard(tmp_path / folder)
        for step in range(3):
            log(POOL[step], step)
        finish()
    assert _counts.count("tensorboard", tmp_path / "one") == (30, 0)
    assert _counts.count("tensorboard", tmp_path) == (30, 30)
    (file,) = (tmp_path / "one").iterdir()
    with file.open("rb+") as stream:
        stream.truncate(file.stat().st_size - 5)
    assert _counts.count("tensorboard", tmp_path / "one") == (29, 0)


def test_a_process_that_fails_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)exit status 1: .*not enough values"):
        _runner.run_case(Case("throughput", "no such case"), tmp_path / "case", {}, short=True)
    assert not (tmp_path / "case").exists()


def test_goals_and_reasons_name_what_there_is() -> None:
    names = {(name, case.name, column) for name in SCRIPTS for case in cases(name) for column in script(name).COLUMNS}
    assert {place for goal in GOALS for place in (goal.value, goal.per) if place is not None} <= names
    assert len({goal.key for goal in GOALS}) == len(GOALS)
    assert set(yaml.safe_load(REASONS.read_text())) <= {goal.key for goal in GOALS}
    for name in SCRIPTS:
        known = [case.name for case in cases(name)]
        assert len(set(known)) == len(known)
        assert {case.against for case in cases(name)} - {""} <= set(known)


def test_a_missing_peer_is_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_settings, "installed", lambda package: package != "accelerate")
    with pytest.raises(Gap, match="accelerate is not installed"):
        open_client(Case("call_cost", "HF tensorboard", "HF", "tensorboard"), tmp_path)


def test_what_is_left_out_is_said_and_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_runner, "run_case", lambda *_, **__: "accelerate is not installed")
    assert main(["--only", "call_cost:HF tensorboard"]) == 0
    assert "| HF tensorboard | left out: accelerate is not installed |" in capsys.readouterr().out


def test_a_way_to_deliver_that_is_not_there_is_left_out(tmp_path: Path) -> None:
    with pytest.raises(Gap, match="no delivery"):
        open_client(Case("step_tax", "pigeon", "logger", "tensorboard", "pigeon"), tmp_path)


def test_the_page_is_what_the_results_and_the_reasons_give() -> None:
    charts = {title: f"../benchmarks/performance-{name}.svg" for name, _, title, *_ in CHARTS}
    data, results = from_json(ROOT / "benchmarks" / "performance.json")
    assert page(data, results, charts) == (ROOT / "docs" / "performance.md").read_text()
