"""The facade in one process: tracking calls, prepared objects, accumulation, checkpoints."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from accel_track import Accelerator, ProjectConfiguration
from accel_track.accelerator.prepared import PreparedDataLoader, PreparedOptimizer, PreparedScheduler
from accel_track.errors import AccelTrackWarning
from accel_track.testing import FaultyTracker, RecordingTracker
from tests.support import warm


def numbers(count: int = 10, batch_size: int = 2) -> DataLoader[Any]:
    generator = torch.Generator().manual_seed(0)
    data = TensorDataset(torch.randn(count, 3, generator=generator), torch.randn(count, 1, generator=generator))
    return DataLoader(data, batch_size)


# -- tracking ---------------------------------------------------------------------------------------------------------


def test_a_whole_run() -> None:
    tracker = RecordingTracker()
    accelerator = Accelerator(log_with=tracker, cpu=True)
    accelerator.init_trackers("project", config={"lr": 0.1})
    accelerator.log({"loss": torch.tensor(1.5)}, step=0, log_kwargs={"recording": {"walltime": 1}})
    assert accelerator.trackers == [tracker]
    assert accelerator.get_tracker("recording") is tracker
    assert accelerator.get_tracker("recording", unwrap=True) is tracker.calls
    accelerator.end_training()
    assert accelerator.trackers == [tracker]  # for what it counted, and as with Hugging Face Accelerate
    assert accelerator.get_tracker("recording") is tracker
    with pytest.raises(ValueError, match="no tracker 'wandb'"):
        accelerator.get_tracker("wandb")
    assert [call for call in tracker.calls if call[0] != "flush"] == [
        ("start",),
        ("config", {"lr": 0.1}),
        ("log", {"loss": 1.5}, 0, {"walltime": 1}),
        ("finish",),
    ]


def test_ending_twice_or_without_beginning() -> None:
    tracker = RecordingTracker()
    accelerator = Accelerator(log_with=tracker, cpu=True)
    accelerator.end_training()
    assert accelerator.trackers == []
    accelerator.init_trackers("project")
    accelerator.end_training()
    accelerator.end_training()
    assert accelerator.trackers == [tracker]


@pytest.mark.parametrize(
    ("project_dir", "project"), [(None, "accel_track"), ("my/digits", "digits"), ("/", "accel_track")]
)
def test_a_project_without_a_name_is_called_as_its_folder(project_dir: str | None, project: str) -> None:
    accelerator = Accelerator(log_with=RecordingTracker(), project_dir=project_dir, cpu=True, delivery="inline")
    assert accelerator._default_project() == project
    if project_dir != "/":
        accelerator.init_trackers(None, config={"lr": 0.1})
        accelerator.init_trackers(config={"lr": 0.1})  # the same one: nothing ends
        assert accelerator._run is not None
        assert accelerator._run.project == project
        accelerator.end_training()


def test_a_list_of_omegaconf_is_a_list() -> None:
    omegaconf = pytest.importorskip("omegaconf")
    trackers = {"trackers": ["jsonl", "tensorboard"], "kwargs": {"tensorboard": {"flush_secs": 3}}}
    config = omegaconf.OmegaConf.create(trackers)
    accelerator = Accelerator(log_with=config.trackers, project_dir="logs", cpu=True)
    accelerator.init_trackers("p", init_kwargs=config.kwargs)
    assert [tracker.name for tracker in accelerator.trackers] == ["jsonl", "tensorboard"]
    assert accelerator.trackers[1].init_kwargs == {"flush_secs": 3}  # type: ignore[attr-defined]
    accelerator.end_training()


def test_init_trackers_twice_starts_nothing_twice_and_again_after_the_end() -> None:
    tracker = RecordingTracker()
    accelerator = Accelerator(log_with=tracker, cpu=True)
    accelerator.init_trackers("project")
    accelerator.init_trackers("project", config={"lr": 0.1})
    accelerator.end_training()
    accelerator.init_trackers("project")
    accelerator.end_training()
    names = [call[0] for call in tracker.calls if call[0] != "flush"]
    assert names == ["start", "config", "finish", "start", "finish"]


def test_logging_before_init_trackers_warns_once() -> None:
    accelerator = Accelerator(log_with=RecordingTracker(), cpu=True)
    with pytest.warns(AccelTrackWarning, match="call `init_trackers` before `log`") as caught:
        accelerator.log({"loss": 1.0})
        accelerator.log({"loss": 1.0})
    assert len(caught) == 1
    with pytest.raises(ValueError, match="call `init_trackers` first"):
        accelerator.get_tracker("recording")
    Accelerator(cpu=True).log({"loss": 1.0})  # nothing asked for: no warning


def test_a_forgotten_end_happens_at_exit() -> None:
    code = (
        "from accel_track import Accelerator\nfrom accel_track.testing import RecordingTracker\n"
        "class Loud(RecordingTracker):\n"
        "    def finish(self):\n        print('finished', self.calls[-2][1])\n"
        "accelerator = Accelerator(log_with=Loud(), cpu=True)\n"
        "accelerator.init_trackers('p')\naccelerator.log({'loss': 1.0})\n"
    )
    done = warm.run([sys.executable, "-c", code], check=True, timeout=120)
    assert done.stdout == "finished {'loss': 1.0}\n"


def test_off_the_main_process_everything_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = RecordingTracker()
    accelerator = Accelerator(log_with=tracker, cpu=True)
    monkeypatch.setenv("RANK", "1")
    accelerator.init_trackers("project")
    accelerator.log({"loss": 1.0})
    assert accelerator.trackers == []
    for handle in (accelerator.get_tracker("recording"), accelerator.get_tracker("recording", unwrap=True)):
        handle.log_images({"a": 1}, step=1)
        handle.config.update({"a": 1})["b"].c()
        with handle.anything() as inner:
            inner.more = 3
    accelerator.end_training()
    assert tracker.calls == []


def test_on_main_process_as_decorator_and_with_statement(monkeypatch: pytest.MonkeyPatch) -> None:
    accelerator = Accelerator(cpu=True)

    @accelerator.on_main_process
    def answer() -> int:
        return 42

    assert answer() == 42
    with accelerator.on_main_process as is_main:
        assert is_main
    monkeypatch.setenv("RANK", "1")
    assert answer() is None
    with accelerator.on_main_process as is_main:
        assert not is_main


def test_a_failed_start_leaves_the_accelerator_usable() -> None:
    faulty = FaultyTracker("start")
    accelerator = Accelerator(log_with=faulty, cpu=True)
    with pytest.raises(RuntimeError, match="faulty on purpose"):
        accelerator.init_trackers("project")
    assert accelerator.trackers == []
    faulty.fails = ()
    accelerator.init_trackers("project")
    assert accelerator.trackers == [faulty]
    accelerator.end_training()


def test_project_directories(tmp_path: Path) -> None:
    accelerator = Accelerator(project_dir=tmp_path, cpu=True)
    assert (accelerator.project_dir, accelerator.logging_dir) == (tmp_path, tmp_path)
    config = ProjectConfiguration(project_dir=".", logging_dir="another/directory")
    accelerator = Accelerator(log_with="tensorboard", project_config=config, cpu=True)
    accelerator.init_trackers("p")
    accelerator.log({"loss": 1.0}, step=0)
    accelerator.end_training()
    assert list(Path("another/directory/p").glob("*/events.out.tfevents.*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mixed_precision": "fp12"}, "`mixed_precision` must be one of no, fp16, bf16; got 'fp12'"),
        ({"gradient_accumulation_steps": 0}, "`gradient_accumulation_steps` must be 1 or more; got 0"),
        ({"log_with": "nonsense"}, "`log_with` names the unknown tracker 'nonsense'"),
        ({"log_with": "tensorboard"}, "tensorboard stores its data in a folder and none was given"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Accelerator(cpu=True, **arguments)


# -- training ---------------------------------------------------------------------------------------------------------


def test_prepare_keeps_the_order_and_passes_other_things_through() -> None:
    accelerator = Accelerator(cpu=True)
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    loader, prepared_model, prepared_optimizer, prepared_scheduler, other = accelerator.prepare(
        numbers(), model, optimizer, scheduler, "other"
    )
    assert isinstance(loader, PreparedDataLoader)
    assert isinstance(prepared_optimizer, PreparedOptimizer)
    assert isinstance(prepared_optimizer, torch.optim.Optimizer)
    assert isinstance(prepared_scheduler, PreparedScheduler)
    assert other == "other"
    assert accelerator.unwrap_model(prepared_model) is model
    assert accelerator.unwrap_model(model) is model
    again = accelerator.prepare(loader, prepared_model, prepared_optimizer, prepared_scheduler)
    assert again == (loader, prepared_model, prepared_optimizer, prepared_scheduler)
    assert len(loader) == 5
    assert loader.batch_size == 2
    assert prepared_optimizer.param_groups[0]["lr"] == 0.1


def test_accumulation_equals_one_large_batch() -> None:
    def trained(batch_size: int, steps: int) -> tuple[torch.Tensor, list[bool]]:
        torch.manual_seed(0)
        accelerator = Accelerator(cpu=True, gradient_accumulation_steps=steps)
        model = nn.Linear(3, 1)
        model, optimizer, loader = accelerator.prepare(
            model, torch.optim.SGD(model.parameters(), lr=0.1), numbers(12, batch_size)
        )
        synced = []
        for inputs, targets in loader:
            with accelerator.accumulate(model):
                accelerator.backward(nn.functional.mse_loss(model(inputs), targets))
                synced.append(accelerator.sync_gradients)
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(model.parameters(), 10.0)
                optimizer.step()
                optimizer.zero_grad()
        return accelerator.unwrap_model(model).weight.detach(), synced

    accumulated, synced = trained(batch_size=2, steps=3)
    whole, _ = trained(batch_size=6, steps=1)
    assert synced == [False, False, True] * 2
    torch.testing.assert_close(accumulated, whole)


def test_the_last_batch_ends_a_window_and_the_scheduler_follows() -> None:
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=4)
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    model, optimizer, scheduler, loader = accelerator.prepare(model, optimizer, scheduler, numbers(10, 2))
    synced = []
    for _ in range(2):
        for inputs, _targets in loader:
            with accelerator.accumulate(model):
                accelerator.backward(model(inputs).sum())
                optimizer.step()
                scheduler.step()
                optimizer.zero_grad()
            synced.append(accelerator.sync_gradients)
    assert synced == [False, False, False, True, True] * 2
    assert scheduler.get_last_lr() == [1.0 * 0.5**4]


def test_leaving_a_loop_early_and_nested_loops() -> None:
    accelerator = Accelerator(cpu=True)
    outer, inner = accelerator.prepare(numbers(6), numbers(4))
    for _ in outer:
        break
    seen = [(outer.at_last_batch, [inner.at_last_batch for _ in inner]) for _ in outer]
    assert seen == [(False, [False, True]), (False, [False, True]), (True, [False, True])]
    assert list(accelerator.prepare(DataLoader(TensorDataset(torch.zeros(0, 1))))) == []


def test_mixed_precision_on_the_cpu() -> None:
    accelerator = Accelerator(cpu=True, mixed_precision="bf16")
    model = accelerator.prepare(nn.Linear(3, 1))
    assert model(torch.ones(1, 3)).dtype == torch.float32
    with accelerator.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16


def test_collectives_of_one_process_return_the_input() -> None:
    accelerator = Accelerator(cpu=True)
    tensor = torch.arange(3.0)
    assert accelerator.gather(tensor) is tensor
    assert accelerator.gather_for_metrics((tensor, tensor))[1] is tensor
    assert accelerator.reduce(tensor, "mean") is tensor
    with pytest.raises(ValueError, match="`reduction` must be 'sum', 'mean' or 'none'; got 'max'"):
        accelerator.reduce(tensor, "max")
    accelerator.wait_for_everyone()
    assert (accelerator.num_processes, accelerator.process_index, accelerator.local_process_index) == (1, 0, 0)
    assert accelerator.is_main_process
    assert accelerator.is_local_main_process
    assert accelerator.device == torch.device("cpu")


# -- checkpoints ------------------------------------------------------------------------------------------------------


def trainable(accelerator: Accelerator) -> tuple[Any, Any, Any]:
    model = nn.Linear(3, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    return accelerator.prepare(model, optimizer, scheduler)  # type: ignore[no-any-return]


def advance(accelerator: Accelerator, model: Any, optimizer: Any, scheduler: Any) -> list[torch.Tensor]:
    for _ in range(3):
        accelerator.backward(model(torch.randn(4, 3)).square().mean())
        optimizer.step()
        optimizer.zero_grad()
        scheduler.step()
    return [parameter.detach().clone() for parameter in model.parameters()]


class Counter:
    def __init__(self) -> None:
        self.count = 0

    def state_dict(self) -> dict[str, int]:
        return {"count": self.count}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.count = state["count"]


def test_a_restored_state_continues_the_same_numbers(tmp_path: Path) -> None:
    accelerator, counter = Accelerator(cpu=True), Counter()
    objects = trainable(accelerator)
    accelerator.register_for_checkpointing(counter)
    advance(accelerator, *objects)
    counter.count = 7
    folder = accelerator.save_state(tmp_path / "saved")
    expected = advance(accelerator, *objects)

    accelerator, counter = Accelerator(cpu=True), Counter()
    objects = trainable(accelerator)
    accelerator.register_for_checkpointing(counter)
    accelerator.load_state(folder)
    assert counter.count == 7
    torch.testing.assert_close(advance(accelerator, *objects), expected, rtol=0, atol=0)


def test_automatic_checkpoints_are_numbered_and_pruned(tmp_path: Path) -> None:
    config = ProjectConfiguration(tmp_path, automatic_checkpoint_naming=True, total_limit=2)
    accelerator = Accelerator(project_config=config, cpu=True)
    with pytest.raises(FileNotFoundError, match="no checkpoint below"):
        accelerator.load_state()
    model, *_ = trainable(accelerator)
    for value in range(12):
        torch.nn.init.constant_(model.weight, value)
        accelerator.save_state()
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == {"checkpoint_10", "checkpoint_11"}
    torch.nn.init.zeros_(model.weight)
    accelerator.load_state()
    assert model.weight.unique().tolist() == [11]
    config.iteration = 11
    with pytest.raises(FileExistsError, match="set `iteration` in ProjectConfiguration"):
        accelerator.save_state()


def test_checkpoint_arguments(tmp_path: Path) -> None:
    accelerator = Accelerator(cpu=True)
    with pytest.raises(ValueError, match="`output_dir` is missing"):
        accelerator.save_state()
    with pytest.raises(ValueError, match="`input_dir` is missing"):
        accelerator.load_state()
    with pytest.raises(FileNotFoundError, match="no checkpoint in"):
        accelerator.load_state(tmp_path)
    with pytest.raises(TypeError, match="cannot checkpoint a int: it needs `state_dict`"):
        accelerator.register_for_checkpointing(3)
    with pytest.raises(ValueError, match="`total_limit` must be 1 or more"):
        ProjectConfiguration(total_limit=0)
