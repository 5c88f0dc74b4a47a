"""Cells of a notebook that are run again, fail, or are interrupted, in a real IPython shell."""

import builtins
import gc
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from accel_track.endings import after_each_cell, wait_for_collected
from accel_track.errors import AccelTrackWarning
from accel_track.journal.directory import RunDirectory, find_runs
from tests.support.skips import need

BEGIN = """
from accel_track import Accelerator
from accel_track.testing import RecordingTracker
accelerator = Accelerator(log_with=RecordingTracker(), project_dir=".", cpu=True{arguments})
accelerator.init_trackers("p", {{"lr": 0.1}})
for step in range(3):
    accelerator.log({{"loss": 0.5}}, step)
"""


@pytest.fixture
def cell() -> Iterator[Callable[[str], Any]]:
    """Return what runs a cell."""
    need("IPython")
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    yield lambda code: shell.run_cell(code, store_history=True).error_in_exec
    shell.run_cell("accelerator = None")
    shell.reset()
    shell.restore_sys_module_state()  # the shell's own `__main__` has no `__spec__`, which spawning a process needs
    InteractiveShell.clear_instance()
    for module, name in ((builtins, "__IPYTHON__"), (sys, "ps1"), (sys, "ps2"), (sys, "ps3"), (sys, "last_value")):
        vars(module).pop(name, None)  # by which a program is known as interactive
    gc.collect()
    wait_for_collected(10.0)


def runs() -> list[RunDirectory]:
    return sorted(find_runs("."), key=lambda run: run.load().created)


def status(number: int = 0) -> str:
    return runs()[number].load().status


@pytest.mark.parametrize("arguments", ["", ", delivery='inline', on_error='warn'"])
def test_an_interrupted_cell(cell: Callable[[str], Any], arguments: str) -> None:
    begin = BEGIN.format(arguments=arguments)
    assert isinstance(cell(f"{begin}\nraise KeyboardInterrupt"), KeyboardInterrupt)
    cell("print('what happened?')")
    cell("tracker = accelerator.trackers[0]\naccelerator.end_training()\noutcome = tracker.outcome.status")
    assert cell("assert outcome == 'interrupted', outcome") is None


@pytest.mark.first(1)
@pytest.mark.parametrize(
    ("last", "expected"),
    [
        ("raise ValueError('x')", "failed"),
        ("accelerator.log({'loss': 0.25}, 4)", "finished"),  # it went on
        ("accelerator.log({'loss': 0.25}, 4)\nraise KeyboardInterrupt", "interrupted"),
    ],
)
def test_the_last_cell_that_logged_says_how_it_ended(cell: Callable[[str], Any], last: str, expected: str) -> None:
    cell(BEGIN.format(arguments="") + ("" if "ValueError" not in last else last))
    if "ValueError" not in last:
        cell(last)
    assert cell("accelerator.end_training()") is None
    assert status() == expected


def test_a_cell_that_is_run_again_ends_the_run_before(cell: Callable[[str], Any]) -> None:
    assert isinstance(cell(BEGIN.format(arguments="") + "\nraise KeyboardInterrupt"), KeyboardInterrupt)
    assert cell(BEGIN.format(arguments="")) is None
    wait_for_collected(10.0)
    assert [run.load().status for run in runs()] == ["interrupted", "running"]


@pytest.mark.long
@pytest.mark.parametrize("name", ["mlflow", "aim"])
def test_a_cell_that_is_run_again_with_a_store(cell: Callable[[str], Any], name: str) -> None:
    """Each time is a run of its own in the store, with its own values."""
    need(name)
    kwargs = {"aim": {"system_tracking_interval": None}} if name == "aim" else {}
    begin = f"""
from accel_track import Accelerator
accelerator = Accelerator(log_with={name!r}, project_dir=".", cpu=True)
accelerator.init_trackers("p", {{"lr": 0.1}}, init_kwargs={kwargs})
number = globals().get("number", 0) + 1
for step in range(3):
    accelerator.log({{"loss": number + step / 4}}, step)
"""
    for _ in range(2):
        assert cell(begin) is None
    assert cell("accelerator.end_training()") is None
    wait_for_collected(10.0)
    assert [run.load().status for run in runs()] == ["finished"] * 2
    assert sorted(losses(name)) == [[(step, number + step / 4) for step in range(3)] for number in (1, 2)]


def losses(name: str) -> list[list[tuple[int, float]]]:
    """Return what each run of a store in this folder has."""
    if name == "aim":
        from tests.support.readers.aim import NONE
        from tests.support.readers.aim import runs as aim_runs

        with aim_runs(Path.cwd()) as found:
            tables = [run.get_metric("loss", NONE).dataframe() for run in found]
        return [[(int(step), value) for step, value in table[["step", "value"]].to_numpy()] for table in tables]
    from mlflow import MlflowClient

    from tests.support.readers.mlflow import all_runs

    address = f"sqlite:///{Path.cwd()}/mlflow.db"
    histories = [MlflowClient(address).get_metric_history(run.info.run_id, "loss") for run in all_runs(address)]
    return [[(point.step, point.value) for point in history] for history in histories]


def test_another_project_name_or_configuration_is_another_run(cell: Callable[[str], Any]) -> None:
    assert cell(BEGIN.format(arguments="")) is None
    cell("first = accelerator.trackers[0]\naccelerator.init_trackers('p', {'lr': 0.1})\naccelerator.init_trackers('p')")
    assert len(runs()) == 1
    for call, what in (
        ("accelerator.init_trackers('p', {'lr': 0.2})", "configuration"),
        ("accelerator.init_trackers('p', {'lr': 0.2, 'layers': 3})", "configuration"),
        ("accelerator.init_trackers('q', {'lr': 0.2, 'layers': 3})", "project"),
        ("accelerator.init_trackers('q', run_name='again')", "run name"),
    ):
        with pytest.warns(
            AccelTrackWarning, match=f"this is another {what}, so the run '.*' ends, and a new one begins"
        ):
            assert cell(call) is None
    cell("accelerator.init_trackers('q', run_name='again')")
    cell("accelerator.init_trackers('q', {'lr': 0.3})")  # its first
    assert [run.load().status for run in runs()] == ["finished"] * 4 + ["running"]


def test_an_ipython_that_another_thread_is_importing_is_none_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """As ClearML's thread does while a run starts."""
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    after_each_cell(print)
