"""What is measured of a training: against Lightning's and torch's own numbers, and under a real Trainer."""

import dataclasses
import importlib
import subprocess
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

from accel_track.lightning.monitors import Throughput, gradient_norm, learning_rates, summarize
from tests.lightning.models import BATCHES, Tiny, batches, trainer

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


def one(first: Any, _: Any) -> Any:
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
        one,
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


@pytest.fixture(params=["torch 2.6", "torch 2.5"], autouse=True)
def _either_torch(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "torch 2.5":
        monkeypatch.delattr(torch.nn.utils, "get_total_norm", raising=False)


def parameter(*gradient: float, **how: Any) -> torch.nn.Parameter:
    values = torch.tensor(gradient, **how)
    made = torch.nn.Parameter(torch.zeros_like(values))
    made.grad = values
    return made
