"""`accel-track move`: import and delivery in one, and the table of what arrived."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.runs import only_run, scalars

Invoke = Callable[..., Any]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Return a table of one run."""
    path = tmp_path / "table.csv"
    path.write_text("it,time,loss\n" + "".join(f"{n},{1.7e9 + n},{n / 2}\n" for n in range(300)))
    return path


def test_to_two_backends(invoke: Invoke, table: Path, lines: Path, written: Callable[[], list[Any]]) -> None:
    arguments = ("move", table, "--into", "runs", "--set", "step=it", "--to", "tensorboard", "--to", "lines")
    text = invoke(*arguments, "--set", f"lines.path={lines}").stdout
    assert "300 values, imported" in text
    assert "what arrived" in text
    assert scalars(Path("runs")) == [(n, n / 2) for n in range(300)]
    assert [call for call in written() if call[0] == "log"] == [["log", n, {"loss": n / 2}] for n in range(300)]
    before = written()
    again = invoke(*arguments, "--set", f"lines.path={lines}").stdout
    assert "there already" in again
    assert written() == before


def test_json(invoke: Invoke, table: Path) -> None:
    (one,) = json.loads(invoke("move", table, "--set", "step=it", "--to", "jsonl", "--json").stdout)
    assert one["state"] == "imported"
    assert one["path"] == str(only_run(Path()).path.absolute())
    (tracker,) = one["trackers"]
    assert (tracker["name"], tracker["delivered"], tracker["pending"], tracker["complete"]) == ("jsonl", 300, 0, True)


def test_a_backend_that_is_down_keeps_the_import(invoke: Invoke, table: Path, lines: Path) -> None:
    arguments = ("move", table, "--to", "lines", "--set", f"lines.path={lines}", "--set", "lines.error=start")
    text = invoke(*arguments, "--timeout", "0.1", code=1).stdout
    assert "no server" in text
    assert len(only_run(Path()).ranks()) == 1
    invoke("move", table, "--to", "lines", "--set", f"lines.path={lines}", "--set", "lines.error=")


def test_a_value_that_is_refused_is_counted(invoke: Invoke, tmp_path: Path, lines: Path) -> None:
    (tmp_path / "t.csv").write_text("step,loss,refused\n0,1,\n1,2,3\n2,3,\n")
    (one,) = json.loads(
        invoke("move", tmp_path / "t.csv", "--to", "lines", "--set", f"lines.path={lines}", "--json", code=1).stdout
    )
    assert (one["trackers"][0]["delivered"], one["trackers"][0]["quarantined"]) == (2, 1)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(("--to", "nothing"), "unknown tracker 'nothing'"), (("--to", "jsonl", "--set", "mlflow.x=1"), "add --to mlflow")],
)
def test_wrong_arguments_are_found_before_the_import(
    invoke: Invoke, table: Path, arguments: tuple[str, ...], says: str
) -> None:
    assert says in invoke("move", table, *arguments, code=2).stderr
    assert not Path(".accel_track").exists()
