"""What is measured of a training: against Lightning's and torch's own numbers, and under a real Trainer."""

import dataclasses
import importlib
import sys
from collections import UserDict
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule
from lightning.pytorch.callbacks import LearningRateMonitor
from lightning.pytorch.loggers import CSVLogger
from torch.nn.utils.rnn import pack_sequence

from accel_track.monitors.training import Throughput, gradient_norm, learning_rates, summarize
from tests.support import warm
from tests.support.models import BATCHES, Tiny, batches, trainer

SGD, Adam = torch.optim.SGD, torch.optim.Adam
Step, Exponential = torch.optim.lr_scheduler.StepLR, torch.optim.lr_scheduler.ExponentialLR


# -- learning rates ---------------------------------------------------------------------------------------------------


class Rates(Callback):
    """Keeps the learning rates of each step."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        self.seen.append(learning_rates(trainer))


class Optimized(LightningModule):
    """Steps every optimizer and scheduler that a test configures."""

    def __init__(self, configure: Any) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.first, self.second = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
        self.configure = configure

    def configure_optimizers(self) -> Any:
        return self.configure(self.first, self.second)

    def training_step(self, batch: list[torch.Tensor]) -> None:
        loss = (self.first(batch[0]) + self.second(batch[0])).square().mean()
        self.manual_backward(loss)
        optimizers, schedulers = self.optimizers(), self.lr_schedulers()
        for one in optimizers if isinstance(optimizers, list) else [optimizers]:
            one.step()
            one.zero_grad()
        for one in schedulers if isinstance(schedulers, list) else [schedulers] if schedulers else []:
            one.step()


def single(first: Any, _: Any) -> Any:
    return SGD(first.parameters(), lr=0.1)


def groups(first: Any, second: Any) -> Any:
    return SGD([{"params": first.parameters(), "lr": 0.1}, {"params": second.parameters(), "lr": 0.2}])


def named_groups(first: Any, second: Any) -> Any:
    named = [{"params": first.parameters(), "name": "head"}, {"params": second.parameters(), "name": "body"}]
    return Adam(named, lr=0.3)


def one_named_group(first: Any, _: Any) -> Any:
    return Adam([{"params": first.parameters(), "name": "head"}], lr=0.3)


def of_one_class(first: Any, second: Any) -> Any:
    parameters = [first.weight, first.bias, second.weight]
    return [Adam([parameter], lr=lr) for parameter, lr in zip(parameters, (0.1, 0.2, 0.3), strict=True)]


def of_two_classes(first: Any, second: Any) -> Any:
    return [SGD(first.parameters(), lr=0.1), Adam(second.parameters(), lr=0.2)]


def second_is_scheduled(first: Any, second: Any) -> Any:
    optimizers = [SGD(first.parameters(), lr=0.1), SGD(second.parameters(), lr=0.2)]
    return optimizers, [Exponential(optimizers[1], 0.5)]


def named_schedulers(first: Any, second: Any) -> Any:
    optimizers = [SGD(first.parameters(), lr=0.1), SGD(second.parameters(), lr=0.2)]
    configs = [
        {"optimizer": optimizers[0], "lr_scheduler": {"scheduler": Step(optimizers[0], 1, 0.5), "name": "slow"}},
        {"optimizer": optimizers[1], "lr_scheduler": {"scheduler": Exponential(optimizers[1], 0.5)}},
    ]
    return tuple(configs)


@pytest.mark.parametrize(
    "configure",
    [
        single,
        groups,
        named_groups,
        one_named_group,
        of_one_class,
        of_two_classes,
        second_is_scheduled,
        named_schedulers,
    ],
)
def test_learning_rates_are_those_of_lightnings_monitor(configure: Any) -> None:
    rates, monitor = Rates(), LearningRateMonitor("step")
    trainer(CSVLogger("logs"), log_every_n_steps=1, callbacks=[rates, monitor]).fit(Optimized(configure), batches())
    assert {name: [step[name] for step in rates.seen] for name in rates.seen[0]} == monitor.lrs
    assert len(rates.seen) == BATCHES
    assert all(type(rate) is float for step in rates.seen for rate in step.values())


def test_an_optimizer_with_two_schedulers_has_one_learning_rate() -> None:
    def configure(first: Any, _: Any) -> Any:
        optimizer = SGD(first.parameters(), lr=0.1)
        return [optimizer], [Step(optimizer, 1), Exponential(optimizer, 0.5)]

    rates = Rates()
    trainer(False, callbacks=[rates]).fit(Optimized(configure), batches())
    assert set(rates.seen[0]) == {"lr-SGD"}


def test_learning_rates_without_an_optimizer() -> None:
    class Untrained(Tiny):
        def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> None:  # type: ignore[override]
            pass

        def configure_optimizers(self) -> None:  # type: ignore[override]
            return None

    rates = Rates()
    trainer(False, callbacks=[rates]).fit(Untrained(), batches())
    assert rates.seen == [{}] * BATCHES


def test_learning_rates_under_the_older_import_name() -> None:
    old = pytest.importorskip("pytorch_lightning")
    rates: list[Any] = []

    class Module(old.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(1, 1)

        def training_step(self, batch: list[torch.Tensor]) -> Any:
            rates.append(learning_rates(self.trainer))
            return self.layer(batch[0]).sum()

        def configure_optimizers(self) -> Any:
            return SGD(self.parameters(), lr=0.5)

    old.Trainer(
        max_steps=1, accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False
    ).fit(Module(), batches())
    assert rates == [{"lr-SGD": 0.5}]


def optimizing(*optimizers: Any, schedulers: Any = ()) -> Any:
    return SimpleNamespace(optimizers=optimizers, lr_scheduler_configs=schedulers)


def test_a_learning_rate_on_another_device_is_not_waited_for() -> None:
    optimizer = SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    optimizer.param_groups[0]["lr"] = torch.tensor(0.25)
    assert learning_rates(optimizing(optimizer)) == {"lr-SGD": 0.25}
    # A tensor on "meta" has no value: taking its item is an error.
    optimizer.param_groups[0]["lr"] = on_device = torch.tensor(0.25, device="meta")
    (rate,) = learning_rates(optimizing(optimizer)).values()
    assert isinstance(rate, torch.Tensor)
    assert rate.device.type == "meta"
    assert rate is not on_device


def test_unusual_optimizers_and_schedulers() -> None:
    optimizer = SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    wrapped = SimpleNamespace(optimizer=optimizer)
    without_optimizer = SimpleNamespace(scheduler=object(), name=None)
    assert learning_rates(optimizing(wrapped, schedulers=[without_optimizer])) == {"lr-SGD": 0.1}
    optimizer.param_groups[0]["lr"] = None
    assert learning_rates(optimizing(optimizer)) == {}


# -- gradients --------------------------------------------------------------------------------------------------------


@pytest.fixture(params=[True, False], ids=["torch-2.6", "torch-2.5"])
def either_torch(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With torch's own function, and without it, as before torch 2.6."""
    if request.param and not hasattr(torch.nn.utils, "get_total_norm"):
        pytest.skip("this torch has no get_total_norm")
    if not request.param:
        monkeypatch.delattr(torch.nn.utils, "get_total_norm", raising=False)


with_either_torch = pytest.mark.usefixtures("either_torch")


def parameter(*gradient: float, **how: Any) -> torch.nn.Parameter:
    values = torch.tensor(gradient, **how)
    made = torch.nn.Parameter(torch.zeros_like(values))
    made.grad = values
    return made


@with_either_torch
@pytest.mark.parametrize("norm_type", [2, 1, float("inf")])
def test_the_norm_is_that_of_clipping(norm_type: float) -> None:
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    module(torch.randn(5, 3)).square().sum().backward()
    before = [one.grad.clone() for one in module.parameters() if one.grad is not None]
    norm = gradient_norm(module, norm_type)
    assert all(torch.equal(one, two.grad) for one, two in zip(before, module.parameters(), strict=True))  # type: ignore[arg-type]
    assert norm.shape == ()
    torch.testing.assert_close(norm, torch.nn.utils.clip_grad_norm_(module.parameters(), 1e9, norm_type))
    torch.testing.assert_close(norm, gradient_norm(module.parameters(), norm_type))


@with_either_torch
def test_only_parameters_with_gradients_count() -> None:
    without = torch.nn.Parameter(torch.ones(3))
    empty = parameter()
    assert gradient_norm([without, parameter(3.0), empty, parameter(4.0)]) == 5
    assert gradient_norm([parameter(3.0), empty], float("inf")) == 3
    assert gradient_norm([without]) == 0
    assert gradient_norm([]) == 0


@with_either_torch
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_stays(value: float) -> None:
    norm = gradient_norm([parameter(1.0), parameter(value)])
    assert torch.equal(norm.isnan(), torch.tensor(value != value))  # noqa: PLR0124
    assert not norm.isfinite()


@with_either_torch
def test_sparse_gradients_count_as_if_they_were_dense() -> None:
    norms = []
    for sparse in (True, False):
        torch.manual_seed(0)
        module = torch.nn.Sequential(torch.nn.Embedding(5, 3, sparse=sparse), torch.nn.Linear(3, 1))
        module(torch.tensor([1, 1, 2])).sum().backward()  # row 1 has two gradients to be added
        norms.append(gradient_norm(module))
    torch.testing.assert_close(*norms)


@with_either_torch
def test_gradients_of_several_types() -> None:
    norm = gradient_norm([parameter(3.0, dtype=torch.bfloat16), parameter(4.0), parameter(0.0, dtype=torch.float64)])
    assert norm == 5


@with_either_torch
def test_gradients_on_several_devices_are_not_waited_for() -> None:
    norm = gradient_norm([parameter(3.0, device="meta"), parameter(4.0)])  # its item cannot be taken
    assert norm.device.type == "meta"
    assert norm.shape == ()


@with_either_torch
def test_the_norm_is_detached_from_gradients_of_gradients() -> None:
    made = torch.nn.Parameter(torch.ones(2))
    (made.grad,) = torch.autograd.grad((made**3).sum(), made, create_graph=True)
    assert made.grad.requires_grad
    assert not gradient_norm([made]).requires_grad


def test_gradients_spread_over_processes_count_with_their_part_here() -> None:
    # In a process of its own: a process group is for the whole process, and stays.
    code = """
import torch, torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor
from accel_track.monitors.training import gradient_norm, summarize
dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
module = torch.nn.Linear(2, 1, bias=False)
mesh = init_device_mesh("cpu", (1,))
module.weight = torch.nn.Parameter(distribute_tensor(torch.zeros(1, 2), mesh, [Shard(0)]))
module.weight.grad = distribute_tensor(torch.tensor([[3.0, 4.0]]), mesh, [Shard(0)])
norm = gradient_norm(module)
print(type(norm).__name__, norm.item(), summarize(module)["parameters"])
dist.destroy_process_group()
"""
    done = warm.run([sys.executable, "-c", code], timeout=120)
    assert done.stdout.split() == ["Tensor", "5.0", "2"], done.stderr


def test_the_norm_in_lightnings_hook() -> None:
    class Clipped(Tiny):
        norms: list[tuple[float, float]]

        def on_before_optimizer_step(self, optimizer: Any) -> None:
            ours = gradient_norm(self)
            self.norms.append((float(ours), float(torch.nn.utils.clip_grad_norm_(self.parameters(), 1e9))))

    module = Clipped()
    module.norms = []
    trainer(False).fit(module, batches())
    assert len(module.norms) == BATCHES
    assert all(ours == pytest.approx(torchs) for ours, torchs in module.norms)


# -- throughput -------------------------------------------------------------------------------------------------------


class Clock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def step(throughput: Throughput, clock: Clock, batch: Any = None, seconds: float = 1.0) -> None:
    throughput.batch_started()
    clock.now += seconds
    throughput.batch_ended(batch)


def test_steps_and_what_passes_between_them() -> None:
    clock = Clock()
    throughput = Throughput(clock)
    clock.now = 1000  # what is before the first step does not count
    step(throughput, clock, torch.zeros(4, 2))
    clock.now += 2  # waiting for data
    step(throughput, clock, torch.zeros(6, 2))
    assert throughput.values() == {
        "throughput/samples_per_second": 10 / 4,
        "throughput/batches_per_second": 2 / 4,
        "throughput/step_seconds": 1,
    }


def test_values_are_those_since_the_last_values() -> None:
    clock = Clock()
    throughput = Throughput(clock)
    step(throughput, clock, torch.zeros(4, 2), seconds=8)
    throughput.values()
    clock.now += 1  # logging them
    step(throughput, clock, torch.zeros(3, 2), seconds=2)
    assert throughput.values() == {
        "throughput/samples_per_second": 1,
        "throughput/batches_per_second": 1 / 3,
        "throughput/step_seconds": 2,
    }
    assert throughput.values() == {}


def test_a_pause_does_not_count() -> None:
    clock = Clock()
    throughput = Throughput(clock)
    step(throughput, clock)
    throughput.pause()
    clock.now += 1000
    step(throughput, clock)
    assert throughput.values()["throughput/batches_per_second"] == 1


def test_nothing_measured_is_no_value() -> None:
    clock = Clock()
    throughput = Throughput(clock)
    assert throughput.values() == {}
    throughput.batch_ended(torch.zeros(4))  # whose start was missed
    assert throughput.values() == {}
    step(throughput, clock, seconds=0)  # a clock too coarse
    assert throughput.values() == {}
    throughput.pause()
    throughput.batch_ended(torch.zeros(4))
    assert throughput.values() == {}


def test_the_real_clock() -> None:
    throughput = Throughput()
    throughput.batch_started()
    throughput.batch_ended(torch.zeros(4, 2))
    values = throughput.values()
    assert values["throughput/samples_per_second"] == pytest.approx(4 * values["throughput/batches_per_second"])
    assert 0 < values["throughput/step_seconds"] < 10


@dataclasses.dataclass
class Batch:
    image: torch.Tensor
    label: torch.Tensor
    comment: str = ""


class Hostile:
    """A batch that cannot be looked into."""

    @property
    def shape(self) -> Any:
        raise RuntimeError("no shape")


def endless() -> list[Any]:
    batch: list[Any] = []
    batch.append(batch)
    return batch


X, Y = torch.zeros(8, 3), torch.zeros(8)


@pytest.mark.parametrize(
    ("batch", "samples"),
    [
        (X, 8),
        ([X, Y], 8),
        ((X, (Y, [X])), 8),
        ({"image": X, "label": Y, "names": ["a"] * 5}, 8),
        (UserDict(image=X), 8),
        (Batch(X, Y), 8),
        (X.numpy(), 8),
        ([torch.zeros(()), X], 8),
        (["text", 1, 2.5, None, X], 8),
        (torch.zeros(8, device="meta"), 8),
        (pack_sequence([torch.zeros(3), torch.zeros(2)]), 2),
        (torch.zeros(0, 3), 0),
        ([torch.zeros(3, 10, 10), torch.zeros(5, 4)], None),  # images and boxes of one sample, for one
        (["a", "b"], None),
        ("text", None),
        (torch.zeros(()), None),
        ([], None),
        (None, None),
        (object(), None),
        (Hostile(), None),
        (endless(), None),
        (Batch, None),
    ],
)
def test_the_samples_of_a_batch(batch: Any, samples: int | None) -> None:
    clock = Clock()
    throughput = Throughput(clock)
    step(throughput, clock, batch)
    values = throughput.values()
    assert values.get("throughput/samples_per_second") == samples
    assert values["throughput/batches_per_second"] == 1


def test_one_batch_of_unknown_size_makes_the_rate_unknown_until_the_next_values() -> None:
    clock = Clock()
    throughput = Throughput(clock)
    for batch in (X, None, X):
        step(throughput, clock, batch)
    assert "throughput/samples_per_second" not in throughput.values()
    step(throughput, clock, np.zeros((2, 2)))
    assert throughput.values()["throughput/samples_per_second"] == 2


def test_throughput_under_a_trainer_that_validates() -> None:
    clock = Clock()
    measured: list[dict[str, float]] = []

    class Slow(Tiny):
        def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
            clock.now += 1
            return super().training_step(batch, batch_idx)

        def validation_step(self, batch: list[torch.Tensor]) -> None:
            clock.now += 1000

    class Measure(Callback):
        throughput = Throughput(clock)

        def on_train_batch_start(self, *_: Any) -> None:
            self.throughput.batch_started()

        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            self.throughput.batch_ended(batch)

        def on_validation_start(self, *_: Any) -> None:
            self.throughput.pause()

        def on_train_end(self, *_: Any) -> None:
            measured.append(self.throughput.values())

    trainer(False, callbacks=[Measure()], val_check_interval=3, max_epochs=2).fit(Slow(), batches(), batches())
    assert clock.now > 4 * BATCHES * 1000
    assert measured == [
        {
            "throughput/samples_per_second": 1,
            "throughput/batches_per_second": 1,
            "throughput/step_seconds": 1,
        }
    ]


# -- the module -------------------------------------------------------------------------------------------------------


def test_the_summary_of_a_module() -> None:
    class Module(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = torch.nn.Sequential(torch.nn.Linear(100, 20), torch.nn.ReLU())
            self.head = torch.nn.Linear(20, 3, dtype=torch.bfloat16)
            self.scale = torch.nn.Parameter(torch.ones(1))
            self.head.requires_grad_(False)

    found = summarize(Module())
    assert found.pop("class") == f"{__name__}.{Module.__qualname__}"
    assert found.pop("layers").split("\n") == [
        "name      | type       | parameters",
        "-----------------------------------",
        "backbone  | Sequential |      2,020",
        "head      | Linear     |         63",
        "(its own) |            |          1",
    ]
    assert found == {"parameters": 2084, "trainable_parameters": 2021, "size_mb": (2021 * 4 + 63 * 2) / 1e6}


def test_shared_parameters_count_once() -> None:
    module = LightningModule()
    module.first = module.second = torch.nn.Linear(3, 3)
    tied = torch.nn.Linear(3, 3, bias=False)
    tied.weight = module.first.weight
    module.third = tied
    assert summarize(module)["parameters"] == 12


@pytest.mark.parametrize("library", ["lightning.pytorch", "pytorch_lightning"])
def test_the_counts_are_lightnings(library: str) -> None:
    pytest.importorskip(library)
    base = importlib.import_module(library).LightningModule
    lightnings = importlib.import_module(f"{library}.utilities.model_summary").summarize

    class Module(base):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = torch.nn.Sequential(torch.nn.Linear(10, 4), torch.nn.BatchNorm1d(4))
            self.net[0].bias.requires_grad_(False)

    module = Module()
    ours, theirs = summarize(module), lightnings(module, max_depth=1)
    assert ours["parameters"] == theirs.total_parameters
    assert ours["trainable_parameters"] == theirs.trainable_parameters
    assert ours["size_mb"] == pytest.approx(theirs.model_size)


def test_parameters_without_a_shape_yet() -> None:
    module = LightningModule()
    module.ready, module.lazy = torch.nn.Linear(2, 1), torch.nn.LazyLinear(3)
    found = summarize(module)
    assert found["parameters"] == 3
    assert found["size_mb"] == 12 / 1e6
    assert found["layers"].endswith("lazy  | LazyLinear |          ?")
    module.lazy(torch.zeros(1, 4))
    assert summarize(module)["parameters"] == 3 + 15


def test_a_module_without_parameters() -> None:
    found = summarize(LightningModule())
    assert (found["parameters"], found["size_mb"]) == (0, 0)
    assert found["layers"].split("\n")[0] == "name | type | parameters"


def test_a_module_with_an_example_input_is_not_run() -> None:
    class Module(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(1, 1)
            self.example_input_array = torch.zeros(1, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise AssertionError("it was run")

    assert summarize(Module())["parameters"] == 2
