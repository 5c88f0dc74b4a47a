"""The watch of a module: which passes are looked at, what is counted, what it leaves behind."""

import gc
import threading
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from accel_track import Accelerator, init
from accel_track.errors import AccelTrackWarning
from accel_track.journal.directory import find_runs
from accel_track.journal.reader import JournalReader
from accel_track.media import Histogram
from accel_track.monitors.counting import BINS, Uncounted, counted, histogram_of
from accel_track.monitors.watch import Watch
from accel_track.records import Metrics
from accel_track.testing import RecordingTracker


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


def passes(model: nn.Module, count: int = 1, size: int = 4) -> None:
    for _ in range(count):
        model.zero_grad()
        model(torch.ones(3, size)).square().sum().backward()


def taken(watch: Watch, step: int | None = 0) -> list[tuple[int | None, dict[str, Histogram]]]:
    watch.stamp(step)
    return list(watch.histograms(wait=True))


def bells(model: nn.Module) -> int:
    return sum(len(one._post_accumulate_grad_hooks or ()) for one in model.parameters())


# -- counting ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int8, torch.bool])
def test_counts_are_those_of_numpy(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    values = (torch.randn(3, 1000) * 10).to(dtype)
    numbers = values.double().numpy()
    info = histogram_of(counted(values).numpy()).info
    counts, edges = np.histogram(numbers, BINS)
    assert info["edges"] == pytest.approx(edges.tolist())
    assert np.abs(np.array(info["counts"]) - counts).sum() <= 4  # a number on an edge
    assert sum(info["counts"]) == numbers.size
    assert (info["min"], info["max"], info["not_finite"]) == (numbers.min(), numbers.max(), 0)
    assert (info["sum"], info["sum_squares"]) == pytest.approx((numbers.sum(), (numbers**2).sum()))


def test_what_is_not_finite_is_counted_apart() -> None:
    info = histogram_of(counted(torch.tensor([1.0, float("nan"), 3.0, float("inf"), -float("inf")])).numpy()).info
    assert (info["min"], info["max"], info["sum"], info["not_finite"]) == (1, 3, 4, 3)
    assert sum(info["counts"]) == 2
    nothing = histogram_of(counted(torch.full((3,), float("nan"))).numpy())
    assert isinstance(nothing, Uncounted)
    with pytest.raises(ValueError, match="none of its 3 numbers is finite"):
        nothing.content()


@pytest.mark.parametrize("number", [0.0, 2.5, 3e38, -1e-40])
def test_one_number_alone_has_bins_around_it(number: float) -> None:
    info = histogram_of(counted(torch.full((5,), number)).numpy()).info
    assert sum(info["counts"]) == 5
    assert info["min"] == info["max"] == torch.tensor(number).item()


def test_widest_range_of_floats_and_several_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accel_track.monitors.counting._AT_ONCE", 7)
    values = torch.linspace(-1, 1, 100) * 3.4e38
    info = histogram_of(counted(values).numpy()).info
    assert sum(info["counts"]) == 100
    assert max(info["counts"]) == 2


def test_a_deterministic_training_stays_so() -> None:
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        counted(torch.ones(3))
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


# -- which passes -----------------------------------------------------------------------------------------------------


def test_the_first_pass_and_every_so_many_th() -> None:
    model, steps = net(), iter(range(100))
    watch = Watch(model, "all", 3, step=lambda: next(steps))
    found = []
    for number in range(8):
        passes(model)
        found += [(number, step, sorted(values)) for step, values in watch.histograms()]
    names = [f"{kind}/{name}" for kind in ("gradients", "parameters") for name, _ in sorted(model.named_parameters())]
    assert found == [(0, 0, names), (3, 1, names), (6, 2, names)]


def test_values_are_those_at_the_end_of_the_pass() -> None:
    model = net()
    watch = Watch(model, "all", 1)
    passes(model)
    ((step, values),) = taken(watch, 7)
    assert step == 7
    for name, parameter in model.named_parameters():
        for kind, tensor in (("gradients", parameter.grad), ("parameters", parameter.detach())):
            info = values[f"{kind}/{name}"].info
            assert (info["min"], info["max"]) == (tensor.min().item(), tensor.max().item())
            assert sum(info["counts"]) == tensor.numel()


def test_without_a_step_no_other_pass_is_looked_at_until_something_is_logged() -> None:
    model = net()
    watch = Watch(model, "parameters", 1)
    passes(model, 3)
    assert list(watch.histograms()) == []
    assert [step for step, _ in taken(watch, 5)] == [5]
    passes(model, 3)
    assert [step for step, _ in taken(watch, 8)] == [8]


def test_accumulation_is_looked_at_where_a_window_ends() -> None:
    model, batch = net(), iter(range(1, 100))
    watch = Watch(model, "gradients", 4, step=lambda: now, whole=lambda: now % 3 == 0)
    found = []
    for now in batch:
        model(torch.ones(3, 4)).sum().backward()
        found += [step for step, _ in watch.histograms()]
        if now == 12:
            break
    assert found == [3, 9]


def test_frozen_unused_and_empty_parameters() -> None:
    model = net()
    model[0].weight.requires_grad_(False)
    model.unused, model.empty = nn.Linear(2, 2), nn.Parameter(torch.empty(0))
    model.lazy = nn.LazyLinear(2)
    forward = nn.Sequential(*list(model)[:3])
    watch = Watch(model, "all", 1)
    forward(torch.ones(3, 4)).sum().backward()
    ((_, values),) = taken(watch)
    assert {name for name in values if name.startswith("gradients")} == {
        "gradients/0.bias",
        "gradients/2.weight",
        "gradients/2.bias",
    }
    assert {"parameters/0.weight", "parameters/unused.weight"} <= set(values)
    assert not {name for name in values if "empty" in name or "lazy" in name}


def test_modules_that_are_trained_in_turn_are_all_seen() -> None:
    both = nn.ModuleDict({"one": net(), "two": net()})
    watch = Watch(both, "gradients", 4)
    seen = []
    for step in range(4):
        for part in both.values():
            both.zero_grad()
            passes(part)
        seen.append({name.split("/")[1].split(".")[0] for _, values in taken(watch, step) for name in values})
    assert seen == [{"one", "two"}, set(), {"one", "two"}, set()]


def test_after_the_first_pass_two_parameters_are_listened_to() -> None:
    model = nn.Sequential(*(nn.Linear(4, 4) for _ in range(10)))
    watch = Watch(model, "gradients", 2)
    assert bells(model) == 20
    passes(model)
    assert bells(model) == 2
    passes(model, 3)
    assert len(taken(watch)) == 1
    watch.end()
    assert bells(model) == 0


def test_a_pass_that_fails_does_not_end_the_watch() -> None:
    model = net()
    watch = Watch(model, "gradients", 1)
    broken = model[0].bias.register_hook(lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        passes(model)
    broken.remove()
    passes(model)
    ((_, values),) = taken(watch)
    assert len(values) == 4


def test_neither_module_nor_watch_is_kept_alive() -> None:
    model = net()
    watch = Watch(model, "all", 1)
    passes(model)
    alive = weakref.ref(watch)
    del watch
    assert alive() is None
    assert bells(model) == 0
    passes(model)
    watch = Watch(model, "all", 1)
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
    assert watch.model is None


@pytest.mark.filterwarnings("ignore:Guards may run slower on Python 3.13.0:RuntimeWarning")
def test_names_are_those_of_the_module_as_it_was_written() -> None:
    model = net()
    compiled = torch.compile(model, backend="eager")
    watch = Watch(compiled, "gradients", 1)
    passes(compiled)
    ((_, values),) = taken(watch)
    assert sorted(values) == [f"gradients/{name}" for name, _ in sorted(model.named_parameters())]
    del compiled
    gc.collect()
    assert watch.model is model


def test_what_cannot_be_counted_is_said_by_its_name() -> None:
    model = nn.Linear(2, 2)
    model.odd = nn.Parameter(torch.ones(2, dtype=torch.complex64))
    watch = Watch(model, "parameters", 1)
    model(torch.ones(1, 2)).sum().backward()
    ((_, values),) = taken(watch)
    assert isinstance(values["parameters/odd"], Uncounted)
    assert sum(values["parameters/weight"].info["counts"]) == 4


@pytest.mark.parametrize(
    ("arguments", "error"),
    [(("net", "all", 1), TypeError), ((net(), "graph", 1), ValueError), ((net(), "all", 0), ValueError)],
)
def test_other_arguments_are_refused(arguments: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        Watch(*arguments)


# -- a GPU's ----------------------------------------------------------------------------------------------------------


class Slow:
    """A copy that is complete when somebody says so; this machine may have no GPU."""

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        self.kept = [tensor.clone() for tensor in tensors]
        self.complete = threading.Event()
        made.append(self)

    def done(self) -> bool:
        return self.complete.is_set()

    def values(self) -> list[Any]:
        return [one.numpy() for one in self.kept]


made: list[Slow] = []


def test_a_gpu_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accel_track.monitors.watch._is_counted_there", lambda _: True)
    model = net()
    watch = Watch(model, "gradients", 1, copy=Slow)
    passes(model)
    watch.stamp(3)
    assert list(watch.histograms()) == []
    made[-1].complete.set()
    ((step, values),) = watch.histograms()
    assert (step, len(values)) == (3, 4)
    passes(model)
    watch.stamp(4)
    assert [step for step, _ in watch.histograms(wait=True)] == [4]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_on_a_gpu() -> None:
    model = net().cuda()
    watch = Watch(model, "all", 1)
    torch.cuda.set_sync_debug_mode("error")
    try:
        model(torch.ones(3, 4).cuda()).square().sum().backward()
        watch.stamp(0)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    ((_, values),) = watch.histograms(wait=True)
    assert len(values) == 8
    for name, parameter in model.named_parameters():
        assert values[f"parameters/{name}"].info["max"] == parameter.max().item()


# -- front doors ------------------------------------------------------------------------------------------------------


def logged(tracker: RecordingTracker) -> list[tuple[int | None, list[str]]]:
    return [(call[2], sorted(call[1])) for call in tracker.calls if call[0] == "log"]


@pytest.mark.parametrize("delivery", ["thread", "inline"])
def test_a_run_logs_them_with_the_step_of_its_next_call(delivery: Any) -> None:
    model, tracker = nn.Linear(4, 2), RecordingTracker()
    with init("p", log_with=tracker, delivery=delivery) as run:
        run.watch(model, "all", log_freq=2)
        for step in range(4):
            passes(model)
            run.log({"loss": 0.5}, step=step)
        passes(model)
    names = ["gradients/bias", "gradients/weight", "parameters/bias", "parameters/weight"]
    loss = ["loss"]
    assert logged(tracker) == [(0, names), (0, loss), (1, loss), (2, names), (2, loss), (3, loss), (3, names)]
    (first, *_) = (call[1] for call in tracker.calls if call[0] == "log")
    assert all(isinstance(one, Histogram) for one in first.values())
    assert sum(first["gradients/weight"].counts) == 8
    assert bells(model) == 0


def test_a_module_is_watched_once_and_may_be_let_go() -> None:
    model, tracker = nn.Linear(4, 2), RecordingTracker()
    with init("p", log_with=tracker) as run:
        run.watch(model, "parameters", 1)
        run.watch(model, "gradients", 1)
        run.watch(model, None)
        passes(model)
        run.log({"loss": 1.0}, step=0)
        run.unwatch(model)
        passes(model)
        run.log({"loss": 1.0}, step=1)
    assert logged(tracker) == [(0, ["gradients/bias", "gradients/weight"]), (0, ["loss"]), (1, ["loss"])]


def test_the_end_of_one_watch_leaves_others_as_they_are() -> None:
    first, second, tracker = nn.Linear(4, 2), nn.Linear(4, 2), RecordingTracker()
    with init("p", log_with=tracker) as run:
        for model in (first, second):
            run.watch(model, "parameters")
        run.log({"loss": 1.0}, step=4)
        passes(first)
        passes(second)
        run.unwatch(first)
        run.log({"loss": 1.0}, step=5)
        assert (bells(first), bells(second)) == (0, 2)
    names = ["parameters/bias", "parameters/weight"]
    assert logged(tracker) == [(4, ["loss"]), (4, names), (5, names), (5, ["loss"])]


def test_gradients_that_are_all_nan_are_counted_as_dropped() -> None:
    model, tracker = nn.Linear(4, 2), RecordingTracker()
    with pytest.warns(AccelTrackWarning) as caught:  # noqa: SIM117
        with init("p", log_with=tracker) as run:
            run.watch(model)
            (model(torch.ones(1, 4)) * float("nan")).sum().backward()
            run.log({"loss": 1.0}, step=0)
    assert tracker.dropped["gradients/weight"] == 1
    assert any("needs a finite number" in str(one.message) for one in caught)


def test_what_was_delivered_can_be_logged_again() -> None:
    given = Histogram([1.0, 2.0]).content().info
    first, second = RecordingTracker(), RecordingTracker()
    for tracker, value in ((first, Histogram.of_stored(given, None)), (second, Histogram([1.0, 2.0]))):
        with init("p", log_with=tracker) as run:
            run.log({"numbers": value}, step=0)
    stored = [one.calls[1][1]["numbers"] for one in (first, second)]
    assert stored[0].info == stored[1].info == given


def test_a_module_of_which_nothing_is_trained_is_said() -> None:
    model = net().requires_grad_(False)
    with pytest.warns(AccelTrackWarning, match="nothing to look at"):
        Watch(model, "all", 1)


def test_an_accelerator_watches_a_prepared_module() -> None:
    tracker = RecordingTracker()
    accelerator = Accelerator(log_with=tracker, cpu=True, gradient_accumulation_steps=2)
    model = accelerator.prepare(nn.Linear(4, 2))
    with pytest.warns(AccelTrackWarning, match="call `init_trackers` before `watch`"):
        accelerator.watch(model)
    accelerator.init_trackers("p")
    accelerator.watch(model, every=2)
    for step in range(5):
        with accelerator.accumulate(model):
            accelerator.backward(model(torch.ones(3, 4)).sum())
        accelerator.log({"loss": 1.0}, step=step)
    accelerator.unwatch()
    assert bells(model) == 0
    accelerator.end_training()
    assert [call for call in logged(tracker) if call[1] != ["loss"]] == [
        (1, ["gradients/bias", "gradients/weight"]),
        (3, ["gradients/bias", "gradients/weight"]),
    ]


# -- a tracker's own --------------------------------------------------------------------------------------------------


def test_a_tracker_logs_its_own_with_the_number_of_the_pass() -> None:
    tracker, other, model = RecordingTracker(), RecordingTracker(), net()
    with init("p", log_with=[tracker, other], project_dir="runs", delivery="inline"):
        tracker.watch(model, "all", 2)
        passes(model, 4)
        tracker.watch(model, log_freq=1)  # in place of the earlier one
        passes(model)
        tracker.unwatch(model)
        passes(model)
    found = [call for call in tracker.calls if call[0] == "log"]
    assert [step for _, _, step, *_ in found] == [1, 3, 1]
    assert all(type(value) is Histogram for _, values, *_ in found for value in values.values())
    assert {name.split("/")[0] for name in found[0][1]} == {"gradients", "parameters"}
    assert {name.split("/")[0] for name in found[2][1]} == {"gradients"}
    assert not [call for call in other.calls if call[0] == "log"]
    assert bells(model) == 0


def test_a_tracker_that_is_finished_or_fails_watches_no_longer() -> None:
    class Failing(RecordingTracker):
        name = "failing"

        def log(self, values: Any, step: Any = None, **kwargs: Any) -> None:
            raise OSError("no room")

    tracker, failing, model = RecordingTracker(), Failing(), net()
    with init("p", log_with=[tracker, failing], project_dir="runs", delivery="inline"):
        tracker.watch(model, every=1)
        failing.watch(model, every=1)
        with pytest.warns(AccelTrackWarning, match="failing: watch: could not log a histogram .OSError: no room., and"):
            passes(model)
    passes(model, 2)
    assert [call[2] for call in tracker.calls if call[0] == "log"] == [1]
    assert bells(model) == 0


def test_a_stand_in_watches_through_the_journal() -> None:
    model = net()
    with Accelerator("tensorboard", project_dir="runs", delivery="none", cpu=True) as accelerator:
        accelerator.init_trackers("p")
        accelerator.get_tracker("tensorboard").watch(model, every=1)
        passes(model)
        (run,) = find_runs("runs")
    (record,) = [one for one in JournalReader(run.rank(0)) if isinstance(one, Metrics)]
    assert record.only == "tensorboard"
    assert sorted(record.values) == sorted(f"gradients/{name}" for name, _ in model.named_parameters())
