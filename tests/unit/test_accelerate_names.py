"""The names of Hugging Face Accelerate: each does what accelerate's does, or says what to use."""

import functools
import json
import logging
import os
import random
import subprocess
import sys
from datetime import timedelta
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import accel_track
from accel_track import (
    Accelerator,
    AutocastKwargs,
    DataLoaderConfiguration,
    DistributedDataParallelKwargs,
    GradScalerKwargs,
    InitProcessGroupKwargs,
    PartialState,
    ProjectConfiguration,
    absent,
    utils,
)
from accel_track.accelerator import launch
from accel_track.accelerator.handlers import Handlers
from accel_track.accelerator.loaders import divided
from accel_track.errors import NotStartedError
from accel_track.logging import get_logger
from accel_track.processes import DistributedType
from accel_track.state import AcceleratorState
from accel_track.testing import RecordingTracker
from accel_track.utils import GradientAccumulationPlugin, set_seed
from tests.support.skips import need


@pytest.fixture
def theirs() -> Any:
    """Return accelerate's utils; its state is that of one process on the CPU."""
    need("accelerate")
    accelerate = import_module("accelerate")
    accelerate.PartialState(cpu=True)
    return import_module("accelerate.utils")


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Keep seeds and levels of logs to a test."""
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    states, level = (random.getstate(), np.random.get_state(), torch.get_rng_state()), logging.root.level  # noqa: NPY002
    yield
    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002
    torch.set_rng_state(states[2])
    logging.root.setLevel(level)


def linear(accelerator: Accelerator, lr: float = 0.1) -> tuple[Any, Any]:
    model = nn.Linear(3, 1)
    return accelerator.prepare(model, torch.optim.SGD(model.parameters(), lr))  # type: ignore[no-any-return]


# -- the page ---------------------------------------------------------------------------------------------------------


@pytest.mark.extras
@pytest.mark.usefixtures("theirs")
def test_the_page_counts_what_is_there() -> None:
    """Else: python -m tests.support.accelerate_names."""
    from tests.support import accelerate_names

    text = accelerate_names.PAGE.read_text(encoding="utf-8")
    if f"accelerate {version('accelerate')}." in text:  # a newer one has more names
        assert accelerate_names.page(text) == text
    counts = {
        place: sum(name in here for name in names) for place, (names, here, _) in accelerate_names.places().items()
    }
    assert counts["Arguments of `Accelerator`"] >= 12
    assert counts["Attributes of `Accelerator`"] >= 71
    assert counts["`accelerate.utils`"] >= 102
    for place, (names, here, about) in accelerate_names.places().items():
        assert not [name for name in names if name not in here and not about(name)], place


@pytest.mark.extras
def test_a_name_that_is_there_can_be_imported_and_another_one_says_what_to_use(theirs: Any) -> None:
    accelerator = Accelerator(cpu=True)
    for name in (one for one in dir(sys.modules["accelerate"].Accelerator) if not one.startswith("_")):
        if name in absent.ACCELERATOR:
            with pytest.raises(AttributeError) as caught:
                getattr(accelerator, name)
            assert str(caught.value) == f"Accelerator has no {name!r}: {absent.ACCELERATOR[name]}."
        else:
            getattr(accelerator, name)
    for name in (one for one in dir(theirs) if not one.startswith("_")):
        if name in dir(utils):
            getattr(utils, name)
        else:
            with pytest.raises(ImportError, match=f"accel_track.utils has no '{name}': "):
                getattr(utils, name)


def test_what_such_errors_say(monkeypatch: pytest.MonkeyPatch) -> None:
    bridge = "accel_track.bridges.as_accelerate_tracker"
    with pytest.raises(ImportError, match=bridge):
        from accel_track.utils import DummyOptim  # noqa: F401
    with pytest.raises(ImportError, match="start the program with torchrun"):
        from accel_track import notebook_launcher  # noqa: F401
    with pytest.raises(AttributeError, match="has no attribute '_hidden'"):
        _ = utils._hidden
    with pytest.raises(AttributeError, match="'Accelerator' object has no attribute 'nonsense'"):
        _ = Accelerator(cpu=True).nonsense
    for argument in ("deepspeed_plugin", "fsdp_plugin", "megatron_lm_plugin"):
        with pytest.raises(NotImplementedError, match=f"`{argument}`: it belongs to sharded .*{bridge}"):
            Accelerator(cpu=True, **{argument: object()})
    with pytest.raises(TypeError, match=f"'parallelism_config': it belongs to sharded .*{bridge}"):
        Accelerator(cpu=True, parallelism_config=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"'dynamo_backend': it is not here: call torch.compile before `prepare`"):
        Accelerator(cpu=True, dynamo_backend="inductor")  # type: ignore[call-arg]
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(NotImplementedError, match="`ACCELERATE_USE_FSDP=true`: it belongs to sharded"):
        Accelerator(cpu=True)


def test_an_error_of_a_property_is_not_hidden_by_the_names_that_are_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Any) -> Any:
        raise AttributeError("the cause")

    monkeypatch.setattr(Accelerator, "device", property(broken))
    with pytest.raises(AttributeError, match="the cause"):
        _ = Accelerator(cpu=True).device


def test_utils_logging_and_state_import_no_torch() -> None:
    code = (
        "import sys, accel_track.utils, accel_track.logging, accel_track.state\n"
        "from accel_track.utils import LoggerType, DistributedType, is_wandb_available, str_to_bool\n"
        "from accel_track import DistributedType as again, is_rich_available\n"
        "assert again is DistributedType and is_rich_available()\n"
        "print(accel_track.state.is_initialized(), sorted({'torch', 'lightning', 'wandb'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, "False []\n"), done.stderr


# -- what the launcher says, and what is told ----------------------------------------------------------------------------


def test_what_accelerate_launch_was_told_takes_the_place_of_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "3")
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    accelerator = Accelerator()
    assert (accelerator.mixed_precision, accelerator.gradient_accumulation_steps) == ("bf16", 3)
    assert accelerator.device == torch.device("cpu")
    accelerator = Accelerator(mixed_precision="no", gradient_accumulation_steps=2)
    assert (accelerator.mixed_precision, accelerator.gradient_accumulation_steps) == ("no", 2)


def test_str_of_an_accelerator_and_its_state() -> None:
    accelerator = Accelerator(RecordingTracker(), cpu=True, mixed_precision="bf16", gradient_accumulation_steps=4)
    state = "distributed_type=NO, process 0 of 1, 0 on this machine, device cpu, mixed_precision=bf16"
    assert str(accelerator.state) == f"AcceleratorState({state})"
    assert str(accelerator) == f"Accelerator({state}, gradient_accumulation_steps=4; logs with recording)"
    accelerator.init_trackers("p", run_name="first")
    assert str(accelerator).endswith("; logs with recording to the run 'first')")
    accelerator.end_training()
    assert AcceleratorState().mixed_precision == "bf16"  # of the accelerator that was made last
    assert AcceleratorState().deepspeed_plugin is accelerator.deepspeed_plugin is None
    assert str(PartialState(cpu=True)).startswith("PartialState(distributed_type=NO, process 0 of 1")


def test_log_takes_a_float_without_a_fraction_as_step() -> None:
    tracker = RecordingTracker()
    accelerator = Accelerator(tracker, cpu=True)
    accelerator.init_trackers("p")
    accelerator.log({"loss": 1.0}, step=3.0)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"`step` must be an integer of 0 or more, or None; got 3.5 \(float\)"):
        accelerator.log({"loss": 1.0}, step=3.5)  # type: ignore[arg-type]
    accelerator.end_training()
    assert [call[2] for call in tracker.calls if call[0] == "log"] == [3]


# -- seeds ------------------------------------------------------------------------------------------------------------


def drawn() -> list[float]:
    return [random.random(), float(np.random.rand()), float(torch.rand(()))]  # noqa: NPY002


@pytest.mark.extras
def test_set_seed_gives_the_numbers_of_accelerate(theirs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs.set_seed(7)
    expected = drawn()
    set_seed(7)
    assert drawn() == expected
    monkeypatch.setenv("RANK", "2")
    set_seed(5, device_specific=True)
    assert drawn() == expected
    assert os.environ["PL_GLOBAL_SEED"] == "5"  # samplers of all ranks agree
    set_seed(np.int64(7))  # type: ignore[arg-type]
    assert drawn() == expected


@pytest.mark.parametrize(
    ("seed", "error"), [("1", TypeError), (1.5, TypeError), (None, TypeError), (-1, ValueError), (2**32, ValueError)]
)
def test_set_seed_refuses(seed: Any, error: type[Exception]) -> None:
    before = torch.get_rng_state()
    with pytest.raises(error, match="`seed` must be"):
        set_seed(seed)
    assert torch.equal(before, torch.get_rng_state())


def test_set_seed_can_ask_for_deterministic_algorithms() -> None:
    try:
        set_seed(1, deterministic=True)
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
    utils.synchronize_rng_states(["torch", "generator"], torch.Generator())
    with pytest.raises(ValueError, match="`rng_type` must be 'torch', 'cuda' or 'generator'; got 'xla'"):
        utils.synchronize_rng_state("xla")
    with pytest.raises(ValueError, match="needs the argument `generator`"):
        utils.synchronize_rng_state("generator")


# -- logging ----------------------------------------------------------------------------------------------------------


@pytest.mark.extras
@pytest.mark.usefixtures("theirs")
def test_get_logger_writes_what_accelerate_writes(caplog: pytest.LogCaptureFixture) -> None:
    def written(make: Any) -> list[tuple[Any, ...]]:
        caplog.clear()
        logger = make("a.script", log_level="INFO")
        logger.info("plain %d", 3)
        logger.debug("not at this level")
        logger.warning({"an": "object"}, main_process_only=False)
        logger.error("one by one", in_order=True)
        for _ in range(2):
            logger.warning_once("once")
        logger.log(logging.INFO, "extra", extra={"more": 1})
        return [(one.name, one.levelname, one.getMessage(), one.filename, one.funcName) for one in caplog.records]

    ours = written(get_logger)
    assert ours == written(import_module("accelerate.logging").get_logger)
    assert ours[0] == ("a.script", "INFO", "[RANK 0] plain 3", "test_accelerate_names.py", "written")
    assert len(ours) == 5


def test_get_logger_on_another_rank(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("ACCELERATE_LOG_LEVEL", "warning")
    logger = get_logger("another.script")
    assert logger.logger.level == logging.WARNING
    logger.warning("main only")
    logger.warning("all", main_process_only=False)
    logger.warning("in order", in_order=True)
    assert [one.getMessage() for one in caplog.records] == ["[RANK 1] all", "[RANK 1] in order"]
    with pytest.raises(ValueError, match="LOUD"):
        get_logger("x", log_level="loud")


# -- hooks ------------------------------------------------------------------------------------------------------------


def test_hooks_are_called_in_order_and_taken_away(tmp_path: Path) -> None:
    accelerator = Accelerator(cpu=True)
    first, second = nn.Linear(2, 1), nn.Linear(3, 1)
    accelerator.prepare(first, second)
    calls: list[Any] = []

    def save(name: str, models: Any, weights: Any, folder: str) -> None:
        assert models == [first, second]  # without Fabric's wrapper
        assert os.path.isdir(folder)
        calls.append((name, [list(one) for one in weights], os.path.basename(folder)))

    handle = accelerator.register_save_state_pre_hook(functools.partial(save, "a"))
    accelerator.register_save_state_pre_hook(functools.partial(save, "b"))
    accelerator.register_load_state_pre_hook(
        lambda models, folder: calls.append(("load", len(models), Path(folder).name))
    )
    accelerator.save_state(tmp_path / "one", safe_serialization=False)
    accelerator.load_state(tmp_path / "one")
    handle.remove()
    handle.remove()  # twice
    accelerator.save_state(str(tmp_path / "two"))
    names = [["weight", "bias"]] * 2
    assert calls == [("a", names, "one"), ("b", names, "one"), ("load", 2, "one"), ("b", names, "two")]


def test_weights_and_models_that_hooks_take_out_are_theirs(tmp_path: Path) -> None:
    accelerator = Accelerator(cpu=True)
    first, second = nn.Linear(2, 1), nn.Linear(3, 1)
    accelerator.prepare(first, second)
    saving = accelerator.register_save_state_pre_hook(lambda *given: given[1].pop(0))
    loading = accelerator.register_load_state_pre_hook(lambda *given: given[0].pop(0))
    expected = second.weight.clone()
    accelerator.save_state(tmp_path)
    assert list(torch.load(tmp_path / "state.ckpt")) == ["model_0"]
    nn.init.zeros_(first.weight)
    nn.init.zeros_(second.weight)
    accelerator.load_state(tmp_path)
    assert not first.weight.any()
    assert torch.equal(second.weight, expected)
    loading.remove()
    with pytest.raises((KeyError, RuntimeError)):  # a model without its weights is no success
        accelerator.load_state(tmp_path)
    saving.remove()


def test_hooks_that_fail_or_are_no_functions(tmp_path: Path) -> None:
    accelerator = Accelerator(cpu=True)
    linear(accelerator)
    for register in (accelerator.register_save_state_pre_hook, accelerator.register_load_state_pre_hook):
        with pytest.raises(TypeError, match=r"register_(save|load)_state_pre_hook takes a function; got int"):
            register(3)  # type: ignore[arg-type]

    def fails(*_: Any) -> None:
        raise RuntimeError("planned")

    handle = accelerator.register_save_state_pre_hook(fails)
    with pytest.raises(RuntimeError, match="planned"):
        accelerator.save_state(tmp_path / "failed")
    assert not list((tmp_path / "failed").iterdir())  # nothing that looks like a checkpoint
    handle.remove()
    accelerator.save_state(tmp_path)
    accelerator.register_load_state_pre_hook(fails)
    with pytest.raises(RuntimeError, match="planned"):
        accelerator.load_state(tmp_path)
    with pytest.raises(FileNotFoundError, match="no checkpoint in"):  # before any hook
        accelerator.load_state(tmp_path / "elsewhere")


# -- handlers ---------------------------------------------------------------------------------------------------------


def test_a_loss_scaler_is_made_with_its_arguments_and_skips_steps(tmp_path: Path) -> None:
    def fresh() -> Accelerator:
        scaling = GradScalerKwargs(init_scale=1024.0, backoff_factor=0.25, growth_interval=1)
        return Accelerator(cpu=True, mixed_precision="fp16", kwargs_handlers=[scaling])

    accelerator = fresh()
    model, optimizer = linear(accelerator)
    schedule = accelerator.prepare(torch.optim.lr_scheduler.StepLR(optimizer.optimizer.optimizer, 1, gamma=0.5))
    assert accelerator.native_amp
    assert accelerator.scaler.get_scale() == 1024.0
    before = model.weight.clone()
    for value, scale, skipped, lr in ((float("inf"), 256.0, True, 0.1), (1.0, 512.0, False, 0.05)):
        accelerator.backward(model(torch.ones(2, 3)).sum() * value)
        accelerator.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        assert accelerator.scaler.get_scale() == scale
        assert accelerator.optimizer_step_was_skipped is optimizer.step_was_skipped is skipped
        assert torch.equal(model.weight, before) is skipped
        assert schedule.get_last_lr() == [lr]
    accelerator.save_state(tmp_path)
    again = fresh()
    again.prepare(nn.Linear(3, 1))
    again._optimizers, again._schedulers = accelerator._optimizers, accelerator._schedulers
    again.load_state(tmp_path)
    again.scaler.scale(torch.ones(()))  # the scale is a tensor from then on
    assert again.scaler.get_scale() == 512.0
    off = Accelerator(cpu=True, mixed_precision="fp16", kwargs_handlers=[GradScalerKwargs(enabled=False)])
    assert off.scaler.get_scale() == 1.0
    assert Accelerator(cpu=True, kwargs_handlers=[GradScalerKwargs()]).scaler is None


def test_strategies_get_the_handlers_arguments() -> None:
    """What they do in two processes: test_accelerate_scripts.py."""
    group = InitProcessGroupKwargs(backend="gloo", timeout=timedelta(seconds=9))
    both = Handlers.of([DistributedDataParallelKwargs(static_graph=True, bucket_cap_mb=5), group])
    strategy = launch._strategy(both)
    assert strategy._ddp_kwargs == {"static_graph": True, "bucket_cap_mb": 5}
    assert (strategy.process_group_backend, strategy._timeout) == ("gloo", timedelta(seconds=9))
    assert launch._strategy(Handlers()) == "auto"
    assert launch._strategy(Handlers.of([InitProcessGroupKwargs()]))._timeout.total_seconds() >= 600


@pytest.mark.parametrize(
    ("hook", "wrapper", "name"),
    [("fp16", "no", "fp16_compress_hook"), ("power_sgd", "bf16", "bf16_compress_wrapper_hook")],
)
def test_a_communication_hook_is_registered(hook: Any, wrapper: Any, name: str) -> None:
    registered: list[Any] = []
    model: Any = SimpleNamespace(register_comm_hook=lambda *args: registered.append(args))
    handler = DistributedDataParallelKwargs(
        comm_hook=hook, comm_wrapper=wrapper, comm_state_option={"matrix_approximation_rank": 2}
    )
    handler.register_comm_hook(model)
    DistributedDataParallelKwargs().register_comm_hook(model)
    ((state, function),) = registered
    assert function.__name__ == name
    assert (state is None) is (hook == "fp16")
    assert not handler.to_kwargs()
    if state is not None:
        assert state.matrix_approximation_rank == 2


@pytest.mark.parametrize(
    ("handlers", "error", "message"),
    [
        (
            [object()],
            TypeError,
            "takes DistributedDataParallelKwargs, .* imported from accel_track.utils; got a builtins.object",
        ),
        (GradScalerKwargs(), TypeError, "`kwargs_handlers` must be a list; got GradScalerKwargs"),
        ([AutocastKwargs(), AutocastKwargs()], ValueError, "holds two AutocastKwargs"),
    ],
)
def test_handlers_are_refused(handlers: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Accelerator(cpu=True, kwargs_handlers=handlers)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: InitProcessGroupKwargs(init_method="file:///x"), ValueError, "`init_method` must be 'env://' or None"),
        (lambda: InitProcessGroupKwargs(timeout=3), TypeError, "`timeout` must be a datetime.timedelta"),  # type: ignore[arg-type]
        (
            lambda: DataLoaderConfiguration(dispatch_batches=True),
            ValueError,
            "`dispatch_batches=True` is not supported: each",
        ),
        (
            lambda: DataLoaderConfiguration(even_batches=False),
            ValueError,
            "`even_batches=False` is not supported: shares",
        ),
        (lambda: DataLoaderConfiguration(use_seedable_sampler=True), ValueError, "set_seed decides the order"),
        (lambda: DataLoaderConfiguration(use_stateful_dataloader=True), ValueError, "use skip_first_batches"),
        (lambda: Accelerator(cpu=True, dataloader_config={}), TypeError, "takes a DataLoaderConfiguration"),  # type: ignore[arg-type]
        (
            lambda: Accelerator(cpu=True, gradient_accumulation_plugin=2),
            TypeError,
            "takes a GradientAccumulationPlugin",
        ),  # type: ignore[arg-type]
        (
            lambda: Accelerator(
                cpu=True, gradient_accumulation_steps=2, gradient_accumulation_plugin=GradientAccumulationPlugin(2)
            ),
            ValueError,
            "not both",
        ),
        (
            lambda: Accelerator(cpu=True, gradient_accumulation_plugin=GradientAccumulationPlugin(0)),
            ValueError,
            "1 or more; got 0",
        ),
        (lambda: Accelerator(cpu=True, gradient_accumulation_steps="2"), TypeError, "must be an integer; got str"),  # type: ignore[arg-type]
    ],
)
def test_settings_are_refused(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_a_handler_of_accelerates_own_is_refused_with_the_place_of_ours() -> None:
    need("accelerate")
    handler = import_module("accelerate").DistributedDataParallelKwargs()
    with pytest.raises(TypeError, match=r"imported from accel_track.utils; got a accelerate\.utils"):
        Accelerator(cpu=True, kwargs_handlers=[handler])


def test_autocast_and_native_amp() -> None:
    def kind(accelerator: Accelerator, *args: Any) -> torch.dtype:
        with accelerator.autocast(*args):
            return (torch.ones(2, 2) @ torch.ones(2, 2)).dtype

    accelerator = Accelerator(cpu=True, mixed_precision="bf16")
    assert kind(accelerator) == kind(accelerator, AutocastKwargs(cache_enabled=False)) == torch.bfloat16
    assert kind(accelerator, AutocastKwargs(enabled=False)) == torch.float32
    assert (
        kind(Accelerator(cpu=True, mixed_precision="bf16", kwargs_handlers=[AutocastKwargs(enabled=False)]))
        == torch.float32
    )
    seen: list[torch.dtype] = []
    model = accelerator.prepare(nn.Linear(2, 2))
    model.module.register_forward_hook(lambda *call: seen.append(call[-1].dtype))
    model(torch.ones(1, 2))
    accelerator.native_amp = False
    model(torch.ones(1, 2))
    assert seen == [torch.bfloat16, torch.float32]
    assert kind(accelerator) == torch.float32
    plain = Accelerator(cpu=True)
    plain.native_amp = False
    assert not plain.native_amp
    with pytest.raises(ValueError, match="`native_amp` cannot be turned on"):
        plain.native_amp = True


# -- data loaders -----------------------------------------------------------------------------------------------------


class Stream(IterableDataset[int]):
    def __iter__(self) -> Any:
        return iter(range(10))


def loaders() -> list[DataLoader[Any]]:
    data = TensorDataset(torch.arange(10))
    return [
        DataLoader(data, 3),
        DataLoader(data, 3, drop_last=True),
        DataLoader(data, 4, shuffle=True, generator=torch.Generator().manual_seed(3)),
        DataLoader(data, batch_sampler=[[1, 2], [3], [4, 5, 6]]),
        DataLoader(Stream(), 4),
    ]


def read(loader: Any) -> list[Any]:
    return [(batch[0] if isinstance(batch, (list, tuple)) else batch).tolist() for batch in loader]


@pytest.mark.extras
@pytest.mark.usefixtures("theirs")
@pytest.mark.parametrize("index", range(5))
@pytest.mark.parametrize("skipped", [0, 1, 2, 20])
@pytest.mark.parametrize("prepared", [False, True])
def test_skip_first_batches_skips_what_accelerate_skips(index: int, skipped: int, prepared: bool) -> None:
    expected = read(import_module("accelerate").skip_first_batches(loaders()[index], skipped))
    accelerator = Accelerator(cpu=True)
    loader = accelerator.prepare(loaders()[index]) if prepared else loaders()[index]
    rest = accelerator.skip_first_batches(loader, skipped)
    assert read(rest) == expected
    if index != 2:  # whose order is another one each time
        assert read(loader)[skipped:] == expected  # the other one is as it was
        assert read(accel_track.skip_first_batches(rest, 1)) == expected[1:]  # twice
    if index not in (3, 4):
        assert len(rest) == len(expected)


def test_a_rest_ends_windows_as_a_whole_loader_does_and_counts_as_an_epoch() -> None:
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
    loader = accelerator.prepare(loaders()[0])
    ends = []
    for _ in accelerator.skip_first_batches(loader, 1):
        with accelerator.accumulate():
            ends.append((accelerator.sync_gradients, accelerator.gradient_state.end_of_dataloader))
    assert ends == [(False, False), (True, False), (True, True)]
    assert loader._epochs == [1]
    loader.set_epoch(5)
    list(loader)
    assert loader.loader._num_iter_calls == 6
    assert (loader.total_batch_size, loader.total_dataset_length, loader.end_of_dataloader) == (3, 10, True)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([1, 2], 1), TypeError, "takes a data loader; got list"),
        ((loaders()[0], -1), ValueError, "0 or more; got -1"),
        ((loaders()[0], 1.0), TypeError, "must be an integer; got float"),
    ],
)
def test_skip_first_batches_refuses(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Accelerator(cpu=True).skip_first_batches(*arguments)


def test_split_batches_divides_the_batch_size() -> None:
    """What two processes read: test_accelerate_scripts.py."""
    assert divided(DataLoader(TensorDataset(torch.arange(10)), 4, shuffle=True, drop_last=True), 2).batch_size == 2
    assert divided(DataLoader(Stream(), 4), 2).batch_size == 2
    for loader in (loaders()[0], loaders()[3]):
        with pytest.raises(ValueError, match="multiple of the 2 processes; got"):
            divided(loader, 2)
    accelerator = Accelerator(cpu=True, split_batches=True, dataloader_config=DataLoaderConfiguration())
    assert accelerator.split_batches
    assert read(accelerator.prepare(loaders()[0])) == read(loaders()[0])


def test_device_placement() -> None:
    accelerator = Accelerator(cpu=True, device_placement=False)
    with torch.device("meta"):
        model = nn.Linear(2, 1)
    assert next(accelerator.prepare(model).parameters()).device.type == "meta"
    with pytest.raises(ValueError, match="`device_placement` has 1 entries for 2 objects"):
        accelerator.prepare(nn.Linear(1, 1), nn.Linear(1, 1), device_placement=[True])
    frozen = accelerator.prepare(nn.Linear(2, 1).requires_grad_(False), device_placement=[True])
    assert frozen(torch.ones(1, 2)).shape == (1, 1)


# -- steps ------------------------------------------------------------------------------------------------------------


def test_accumulation_by_a_plugin() -> None:
    def ends(plugin: GradientAccumulationPlugin) -> list[bool]:
        accelerator = Accelerator(cpu=True, gradient_accumulation_plugin=plugin)
        found = []
        for _ in accelerator.prepare(loaders()[0]):
            with accelerator.accumulate():
                found.append(accelerator.sync_gradients)
        return found

    assert ends(GradientAccumulationPlugin(3)) == [False, False, True, True]
    assert ends(GradientAccumulationPlugin(3, sync_with_dataloader=False)) == [False, False, True, False]
    accelerator = Accelerator(cpu=True)
    accelerator.gradient_accumulation_steps = 2
    assert accelerator.gradient_state.num_steps == 2
    accelerator.sync_gradients = False
    assert not accelerator.gradient_state.sync_gradients
    with pytest.raises(ValueError, match="1 or more; got 0"):
        accelerator.gradient_accumulation_steps = 0


def test_a_scheduler_of_its_own_time_and_one_with_an_end() -> None:
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2, step_scheduler_with_optimizer=False)
    _, optimizer = linear(accelerator)
    schedule = accelerator.prepare(torch.optim.lr_scheduler.StepLR(optimizer.optimizer.optimizer, 1, gamma=0.5))
    accelerator.sync_gradients = False
    optimizer.optimizer.optimizer.step()
    schedule.step()
    assert schedule.get_last_lr() == [0.05]
    accelerator = Accelerator(cpu=True)
    _, optimizer = linear(accelerator)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer.optimizer.optimizer, max_lr=1.0, total_steps=3)
    schedule = accelerator.prepare(cycle)
    for _ in range(5):  # beyond its end
        optimizer.optimizer.optimizer.step()
        schedule.step()
    assert cycle.last_epoch == 3


def test_clipping_values_and_no_sync() -> None:
    accelerator = Accelerator(cpu=True)
    model, _ = linear(accelerator)
    with accelerator.no_sync(model):
        accelerator.backward(model(torch.full((1, 3), 9.0)).sum())
    accelerator.clip_grad_value_(model.parameters(), 0.5)
    assert model.weight.grad.unique().tolist() == [0.5]
    accelerator.unscale_gradients()
    assert accelerator.check_trigger() is False
    accelerator.set_trigger()
    assert [accelerator.check_trigger(), accelerator.check_trigger()] == [True, False]


def test_forgetting_what_was_prepared(tmp_path: Path) -> None:
    accelerator = Accelerator(cpu=True)
    model, optimizer = linear(accelerator)
    model, optimizer = accelerator.free_memory(model, optimizer)
    assert (model, optimizer) == (None, None)
    linear(accelerator)
    accelerator.save_state(tmp_path)
    assert list(torch.load(tmp_path / "state.ckpt")) == ["model_0", "optimizer_0"]
    assert accelerator.clear() == []


# -- files ------------------------------------------------------------------------------------------------------------


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
        self.two.weight = self.one.weight


@pytest.mark.extras
@pytest.mark.usefixtures("theirs")
@pytest.mark.parametrize("safe", [True, False])
@pytest.mark.parametrize("size", ["10GB", 50])
def test_save_model_writes_the_files_of_accelerate(tmp_path: Path, safe: bool, size: Any) -> None:
    model = nn.Sequential(nn.Linear(4, 2), nn.Linear(2, 2))
    accelerator = Accelerator(cpu=True)
    accelerator.save_model(accelerator.prepare(model), tmp_path / "ours", size, safe)
    sys.modules["accelerate"].Accelerator(cpu=True).save_model(model, tmp_path / "theirs", size, safe)
    names = sorted(one.name for one in (tmp_path / "theirs").iterdir())
    assert sorted(one.name for one in (tmp_path / "ours").iterdir()) == names
    for name in names:
        ours, other = (tmp_path / one / name for one in ("ours", "theirs"))
        if name.endswith(".json"):
            assert json.loads(ours.read_text())["weight_map"] == json.loads(other.read_text())["weight_map"]
        else:
            loaded = [stored(one) for one in (ours, other)]
            assert loaded[0].keys() == loaded[1].keys()
            assert all(torch.equal(loaded[0][key], loaded[1][key]) for key in loaded[0])
    with pytest.raises(NotADirectoryError, match="save_model writes to a folder"):
        accelerator.save_model(model, tmp_path / "ours" / names[0])


def stored(file: Path) -> dict[str, torch.Tensor]:
    return import_module("safetensors.torch").load_file(file) if file.suffix == ".safetensors" else torch.load(file)  # type: ignore[no-any-return]


@pytest.mark.extras
@pytest.mark.usefixtures("theirs")
def test_saving_tensors_that_share_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accelerator, model = Accelerator(cpu=True), Tied()
    state = accelerator.get_state_dict(accelerator.prepare(model)) | {
        "part": model.one.weight[1:],
        "turned": model.one.weight.T,
    }
    accelerator.save(state, tmp_path / "safe", safe_serialization=True)
    found = import_module("safetensors.torch").load_file(tmp_path / "safe")
    assert found.keys() == state.keys()  # nothing is lost
    assert all(torch.equal(found[name], state[name]) for name in state)
    with pytest.raises(TypeError, match="takes a dictionary of tensors; got list"):
        accelerator.save([1], tmp_path / "x", safe_serialization=True)
    accelerator.save([1], tmp_path / "pickled")
    assert utils.load(tmp_path / "pickled") == [1]
    monkeypatch.setenv("RANK", "1")
    accelerator.save([1], tmp_path / "elsewhere")
    accelerator.save_model(model, tmp_path / "elsewhere")
    assert not (tmp_path / "elsewhere").exists()


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    with pytest.raises(ImportError, match="safetensors is not installed and writes this file: pip install safetensors"):
        utils.save({"a": torch.ones(1)}, tmp_path / "x", safe_serialization=True)


def test_unwrapping() -> None:
    accelerator, model = Accelerator(cpu=True), nn.Linear(1, 1)
    prepared = accelerator.prepare(model)
    assert accelerator.unwrap_model(prepared, keep_fp32_wrapper=False) is model
    compiled = torch.compile(model)
    assert accelerator.unwrap_model(compiled) is compiled
    assert utils.is_compiled_module(compiled)
    assert accelerator.unwrap_model(compiled, keep_torch_compile=False) is model
    assert list(accelerator.get_state_dict(compiled)) == ["weight", "bias"]
    assert list(accelerator.get_state_dict(prepared, unwrap=False)) == ["weight", "bias"]
    assert utils.extract_model_from_parallel(nn.DataParallel(model)) is model
    with pytest.raises(ValueError, match="`recursive=True` is not supported"):
        utils.extract_model_from_parallel(model, recursive=True)


# -- functions --------------------------------------------------------------------------------------------------------


@pytest.mark.extras
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("pad_across_processes", ({"a": torch.ones(2, 3), "b": [torch.ones(())]}, 1, 7, True)),
        ("gather", ((torch.ones(2), [torch.zeros(1, 2)]),)),
        ("gather_object", (["a", "b"],)),
        ("broadcast", ({"a": torch.ones(2)},)),
        ("broadcast_object_list", (["a", 3],)),
        ("reduce", ({"a": torch.ones(2)}, "mean")),
        ("reduce", (torch.ones(2), "max")),
        ("concatenate", ([{"a": torch.ones(1, 2)}, {"a": torch.zeros(2, 2)}],)),
        ("concatenate", ([(torch.ones(2, 1), [torch.ones(1, 1)])] * 2, 1)),
        ("find_batch_size", ({"a": [torch.ones(5, 2)]},)),
        ("listify", ({"a": torch.ones(2), "b": (torch.ones(1, dtype=torch.bfloat16),)},)),
        ("send_to_device", ({"a": torch.ones(1), "b": [torch.ones(1)], "c": 3, "d": "x"}, "cpu")),
        ("recursively_apply", (torch.neg, {"a": (torch.ones(1), 2), "b": "x"})),
        ("str_to_bool", ("Yes",)),
        ("str_to_bool", ("off",)),
        ("parse_flag_from_env", ("NOT_SET",)),
        ("parse_choice_from_env", ("NOT_SET", "x")),
        ("get_int_from_env", (["NOT_SET"], 4)),
        ("is_torch_version", (">=", "2.0")),
        ("compare_versions", ("numpy", "<", "1.0")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_functions_return_what_accelerates_return(theirs: Any, name: str, arguments: Any) -> None:
    ours, other = getattr(utils, name)(*arguments), getattr(theirs, name)(*arguments)
    assert type(ours) is type(other)
    assert repr(ours) == repr(other)


@pytest.mark.extras
def test_what_is_available_is_so_for_accelerate(theirs: Any) -> None:
    names = [name for name in dir(theirs) if name.startswith("is_") and name.endswith("_available")]
    assert len(names) > 40
    differing = {name for name in names if getattr(utils, name)() is not bool(getattr(theirs, name)())}
    # accelerate asks a variable whether rich's tracebacks are wanted, and has a use for torch's pipelines.
    assert differing <= {"is_rich_available", "is_pippy_available"}


def test_functions_refuse() -> None:
    for call, error in (
        (lambda: utils.reduce(torch.ones(1), "min"), ValueError),
        (lambda: utils.reduce(torch.ones(1), "sum", 2.0), ValueError),
        (lambda: Accelerator(cpu=True).reduce(torch.ones(1), "sum", 2.0), ValueError),
        (lambda: utils.concatenate(["a"]), TypeError),
        (lambda: utils.find_batch_size("a"), TypeError),
        (lambda: utils.find_batch_size([]), ValueError),
        (lambda: utils.recursively_apply(torch.neg, "x", error_on_other_type=True), TypeError),
        (lambda: utils.str_to_bool("perhaps"), ValueError),
        (lambda: utils.compare_versions("numpy", "~", "1"), ValueError),
        (lambda: Accelerator(cpu=True).gather_for_metrics(3, use_gather_object=True), TypeError),
    ):
        with pytest.raises(error):
            call()  # type: ignore[no-untyped-call]


def test_variables_for_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONE", "1")
    with utils.patch_environment(one=2, other="x"):
        assert (os.environ["ONE"], os.environ["OTHER"]) == ("2", "x")
    assert os.environ["ONE"] == "1"
    assert "OTHER" not in os.environ
    with utils.clear_environment():
        assert not os.environ
    assert utils.get_int_from_env(["NONE", "ONE"], 0) == 1
    assert utils.parse_flag_from_env("ONE")


@pytest.mark.long
def test_the_largest_batch_size_that_fits() -> None:
    sizes: list[int] = []

    def call(batch_size: int, limit: int) -> int:
        sizes.append(batch_size)
        if batch_size > limit:
            raise RuntimeError("MPS backend out of memory")
        return batch_size

    fits = utils.find_executable_batch_size(call, starting_batch_size=5)
    assert (fits(3), sizes) == (3, [5, 4, 3])
    assert fits(3) == 3  # it begins where it ended
    with pytest.raises(RuntimeError, match="memory does not suffice for any batch size"):
        fits(0)

    @utils.find_executable_batch_size(reduce_batch_size_fn=lambda: 1)  # type: ignore[untyped-decorator]
    def other(_: int) -> None:
        raise RuntimeError("another error")

    with pytest.raises(RuntimeError, match="another error"):
        other()


# -- processes --------------------------------------------------------------------------------------------------------


def test_processes_as_the_launcher_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "2", "LOCAL_RANK": "0", "WORLD_SIZE": "3"}.items():
        monkeypatch.setenv(name, value)
    state = PartialState(cpu=True)
    assert (state.use_distributed, state.distributed_type) == (True, DistributedType.MULTI_CPU)
    assert state.is_last_process
    assert [state.on_process(lambda: 1, process_index=one)() for one in (0, 2)] == [None, 1]
    assert [state.on_local_process(local_process_index=one)(lambda: 1)() for one in (0, 1)] == [1, None]
    assert (state.on_last_process(lambda: 1)(), state.on_main_process(lambda: 1)()) == (1, None)
    with pytest.raises(TypeError, match="`process_index` is missing"):
        state.on_process(lambda: 1)
    with pytest.raises(NotStartedError, match="have no group yet"), state.main_process_first():
        pass
    for inputs, padded, share in (
        (["a", "b", "c", "d"], False, ["d"]),
        (["a", "b"], True, ["b"]),
        ([], True, []),
        ((1, 2, 3, 4, 5), False, (5,)),
        ({"x": [1, 2, 3, 4], "y": ["a", "cd"][:0] + list("abcd")}, True, {"x": [4, 4], "y": ["d", "d"]}),
    ):
        with state.split_between_processes(inputs, apply_padding=padded) as mine:
            assert mine == share
    with state.split_between_processes(torch.arange(7)) as mine:
        assert mine.tolist() == [5, 6]
    for wrong, error in (("text", TypeError), (3, TypeError), ({"x": [1], "y": [1, 2]}, ValueError)):
        with pytest.raises(error), state.split_between_processes(wrong):
            pass


def test_who_goes_first_lets_the_others_go_on_after_an_error() -> None:
    waits: list[str] = []
    accelerator = Accelerator(cpu=True)
    accelerator.wait_for_everyone = lambda: waits.append("wait")  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError), accelerator.main_process_first():
        waits.append(f"{1 / 0}")
    assert waits == ["wait"]


def test_automatic_names_and_the_iteration(tmp_path: Path) -> None:
    configuration = ProjectConfiguration(tmp_path, automatic_checkpoint_naming=True)
    accelerator = Accelerator(project_config=configuration, cpu=True)
    accelerator.save_state()
    assert accelerator.save_iteration == 1
