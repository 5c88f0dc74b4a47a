"""Rank and world size, from the environment, from Lightning and from real process groups."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed
import torch.multiprocessing
from lightning_utilities.core.rank_zero import rank_zero_only

from accel_track.state import PartialState, process_index
from accel_track.trackers.base import GeneralTracker, on_main_process

VARIABLES = [
    "RANK",
    "LOCAL_RANK",
    "WORLD_SIZE",
    "SLURM_PROCID",
    "SLURM_LOCALID",
    "SLURM_NTASKS",
    "JSM_NAMESPACE_RANK",
    "JSM_NAMESPACE_LOCAL_RANK",
    "JSM_NAMESPACE_SIZE",
]


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this process look like one that nobody launched as a rank."""
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(rank_zero_only, "rank", 0, raising=False)


def seen() -> tuple[int, int, int]:
    """Return rank, local rank and world size."""
    state = PartialState()
    return state.process_index, state.local_process_index, state.num_processes


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, (0, 0, 1)),
        ({"RANK": "5", "LOCAL_RANK": "1", "WORLD_SIZE": "8"}, (5, 1, 8)),
        ({"RANK": "0", "LOCAL_RANK": "1"}, (0, 1, 1)),
        ({"LOCAL_RANK": "3"}, (3, 3, 1)),
        ({"SLURM_PROCID": "6", "SLURM_LOCALID": "2", "SLURM_NTASKS": "8"}, (6, 2, 8)),
        ({"SLURM_PROCID": "6", "LOCAL_RANK": "0"}, (0, 0, 1)),
        ({"JSM_NAMESPACE_RANK": "4", "JSM_NAMESPACE_LOCAL_RANK": "1", "JSM_NAMESPACE_SIZE": "6"}, (4, 1, 6)),
        ({"RANK": "", "SLURM_PROCID": "2"}, (2, 0, 1)),
        ({"RANK": "none", "WORLD_SIZE": "-1"}, (0, 0, 1)),
    ],
    ids=lambda value: " ".join(f"{key}={text}" for key, text in value.items()) if isinstance(value, dict) else "",
)
def test_environment(
    environment: dict[str, str], expected: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    state = PartialState()  # made before the variables are there
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    assert seen() == expected
    assert state.process_index == expected[0]
    assert state.is_main_process is (expected[0] == 0)
    assert state.is_local_main_process is (expected[1] == 0)
    assert state.is_last_process is (expected[0] == expected[2] - 1)


def test_lightning(monkeypatch: pytest.MonkeyPatch) -> None:
    """A positive rank of Lightning counts before the environment; its 0, which may mean "unknown", does not."""
    monkeypatch.setenv("RANK", "1")
    assert process_index() == 1
    monkeypatch.setattr(rank_zero_only, "rank", 3)
    assert process_index() == 3
    monkeypatch.delattr(rank_zero_only, "rank")
    assert process_index() == 1


def test_a_group_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An initialised group counts before everything else."""
    monkeypatch.setenv("RANK", "7")
    monkeypatch.setenv("WORLD_SIZE", "9")
    monkeypatch.setattr(rank_zero_only, "rank", 3)
    state = PartialState()
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'group'}", rank=0, world_size=1)
    try:
        assert (state.process_index, state.num_processes, state.is_last_process) == (0, 1, True)
        state.wait_for_everyone()
    finally:
        torch.distributed.destroy_process_group()
    assert (state.process_index, state.num_processes) == (3, 9)


def _rank_of_two(rank: int, folder: str) -> None:
    state = PartialState()
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/group", rank=rank, world_size=2)
    assert seen() == (rank, 0, 2)
    assert (state.is_main_process, state.is_last_process) == (rank == 0, rank == 1)
    written = state.on_main_process(Path(folder, "main").write_text)(str(rank))
    assert (written is None) is (rank == 1)
    with state.on_main_process as main:
        assert main is (rank == 0)
    state.wait_for_everyone()
    assert Path(folder, "main").read_text() == "0"
    Path(folder, f"done{rank}").touch()
    torch.distributed.destroy_process_group()


def test_a_group_of_two(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(_rank_of_two, args=(str(tmp_path),), nprocs=2)
    assert sorted(path.name for path in tmp_path.glob("done*")) == ["done0", "done1"]


def test_waiting_alone_returns_at_once() -> None:
    assert PartialState().wait_for_everyone() is None


def test_main_process_as_a_decorator(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rank is read at each call; name and arguments are kept."""

    @PartialState().on_main_process
    def double(number: int, *, plus: int = 0) -> int:
        """Double a number."""
        return 2 * number + plus

    assert (double.__name__, double.__doc__) == ("double", "Double a number.")
    assert double(2, plus=1) == 5
    monkeypatch.setenv("RANK", "1")
    assert double(2) is None
    monkeypatch.setenv("RANK", "0")
    assert double(2) == 4


def test_main_process_as_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """The body runs everywhere, the bound value tells where, and exceptions pass."""
    with PartialState().on_main_process as main:
        assert main is True
    monkeypatch.setenv("RANK", "1")
    with PartialState().on_main_process as main:
        assert main is False
    with pytest.raises(KeyError), PartialState().on_main_process:
        raise KeyError


def test_trackers_gate_by_their_attribute(monkeypatch: pytest.MonkeyPatch) -> None:
    """`on_main_process` on a method follows the class's `main_process_only`, at each call."""

    class Tracker(GeneralTracker):
        name = "mine"
        requires_logging_directory = False
        tracker: Any = None

        @on_main_process
        def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> Any:
            return values, step, kwargs

    tracker = Tracker()
    assert tracker.log({"a": 1}, step=2, more=3) == ({"a": 1}, 2, {"more": 3})
    monkeypatch.setenv("RANK", "1")
    assert tracker.log({"a": 1}) is None
    tracker.main_process_only = False
    assert tracker.log({"a": 1}) == ({"a": 1}, None, {})


def test_print(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Once per machine."""
    PartialState().print("one", 2, sep="-")
    monkeypatch.setenv("LOCAL_RANK", "1")
    PartialState().print("never")
    assert capsys.readouterr().out == "one-2\n"


def test_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """The local rank picks the CUDA device, in turn when there are fewer; without CUDA it is MPS or the CPU."""
    expected = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert PartialState().device.type == expected
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert PartialState().device == torch.device("cuda", 1)


def test_nothing_is_imported_or_started() -> None:
    """State and decorators need no torch, and construction looks at nothing."""
    code = """
        import sys
        from accel_track.state import PartialState
        state = PartialState()
        assert vars(state) == {'_cpu': False}
        assert (state.process_index, state.num_processes, state.is_main_process) == (0, 1, True)
        state.wait_for_everyone()
        PartialState().on_main_process(print)("ran")
        assert not {"torch", "lightning", "numpy"} & set(sys.modules)
    """
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    result = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60, env=environment)
    assert result.stdout == "ran\n"
