"""Tensors of a GPU: nobody waits for them, and they are what they were when they were logged."""

import gc
import threading
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from accel_track.delivery import journaled
from accel_track.delivery.gpu import Arriving
from accel_track.delivery.journaled import JournaledDelivery
from accel_track.delivery.settings import Settings
from accel_track.journal.directory import find_runs
from accel_track.journal.reader import JournalReader
from accel_track.records import Metrics
from accel_track.run import Run
from accel_track.values.capture import captured
from accel_track.values.gpu import CudaCopy


class Slow:
    """A copy that is complete when somebody says so; this machine may have no GPU."""

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        self.kept = [tensor.detach().clone() for tensor in tensors]
        self.complete = threading.Event()
        made.append(self)

    def done(self) -> bool:
        return self.complete.is_set()

    def values(self) -> list[Any]:
        self.complete.wait(10)
        return [one.item() if one.numel() == 1 else one.numpy() for one in self.kept]


made: list[Slow] = []
appended: list[tuple[Any, ...]] = []


@pytest.fixture(autouse=True)
def _every_tensor_is_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    made.clear()
    appended.clear()
    monkeypatch.setattr("accel_track.values.capture._is_on_gpu", lambda _, value: isinstance(value, torch.Tensor))


@pytest.fixture
def arriving() -> Arriving:
    return Arriving(lambda *call: appended.append(call), copy=Slow)


def test_a_call_is_appended_when_its_numbers_are_here_and_with_its_own_time(arriving: Arriving) -> None:
    before = time.time()
    loss = torch.tensor([0.5], requires_grad=True)
    values = {"loss": loss, "lr": 0.1, "count": torch.tensor(3), "acc": torch.tensor(0.25)}
    assert arriving.take(captured(values), 7)
    after = time.time()
    with torch.no_grad():
        loss.fill_(9.0)
    assert appended == []
    assert len(made) == 2  # float32 and int64
    arriving.arrive(wait=False)
    assert appended == []
    for copy in made:
        copy.complete.set()
    arriving.arrive(wait=False)
    ((values, step, kwargs, moment, unread, only),) = appended
    assert values == {"loss": 0.5, "lr": 0.1, "count": 3, "acc": 0.25}
    assert list(values) == ["loss", "lr", "count", "acc"]
    assert only == ""
    assert type(values["count"]) is int
    assert (step, kwargs, unread) == (7, {}, {})
    assert before <= moment <= after


def test_arrays_and_nested_tensors_arrive_at_their_places(arriving: Arriving) -> None:
    weights = torch.arange(3.0)
    nested = {"a": {"b": [1, weights]}, "t": (torch.tensor(2.5), "x")}
    assert arriving.take(captured(nested, {"wandb": {"x": torch.tensor(4)}}), 0)
    weights.fill_(9.0)
    for copy in made:
        copy.complete.set()
    arriving.arrive(wait=False)
    ((values, _, kwargs, *_),) = appended
    assert values["a"]["b"][0] == 1
    assert values["a"]["b"][1].tolist() == [0, 1, 2]
    assert values["t"] == [2.5, "x"]  # what arrives later has to find its place
    assert kwargs == {"wandb": {"x": 4}}


def test_what_the_gpu_cannot_copy_is_left_out_and_named() -> None:
    class Refusing(Slow):
        def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
            if tensors[0].dtype == torch.float64:
                raise RuntimeError("out of memory")
            super().__init__(tensors)

        def done(self) -> bool:
            raise RuntimeError("device-side assert")

        def values(self) -> list[Any]:
            raise RuntimeError("device-side assert")

    arriving = Arriving(lambda *call: appended.append(call), copy=Refusing)
    big, lost = torch.zeros(2, dtype=torch.float64), torch.tensor(1)
    assert arriving.take(captured({"loss": 0.5, "big": big, "deep": {"list": [lost]}}), 3)
    assert [(call[0], call[1], call[4]) for call in appended] == [
        (
            {"loss": 0.5, "deep": {"list": [None]}},
            3,
            {"big": "RuntimeError: out of memory", "deep/list": "RuntimeError: device-side assert"},
        )
    ]


def test_calls_keep_their_order_and_the_next_call_appends_what_is_here(arriving: Arriving) -> None:
    for step in range(3):
        assert arriving.take(captured({"loss": torch.tensor(float(step))}), step)
    made[1].complete.set()
    arriving.arrive(wait=False)
    assert appended == []
    made[0].complete.set()
    arriving.take(captured({"loss": torch.tensor(3.0)}), 3)
    assert [call[1] for call in appended] == [0, 1]
    for copy in made:
        copy.complete.set()
    arriving.arrive(wait=True)
    assert [call[1] for call in appended] == [0, 1, 2, 3]


def test_other_calls_are_not_taken(arriving: Arriving) -> None:
    assert not arriving.take(captured({"loss": 0.5, "text": "a"}), 0)


def test_the_end_of_a_run_waits_for_what_is_on_its_way() -> None:
    run = Run([], project="p", directory="logs", settings=Settings.of(delivery="none"))
    run._delivery._arriving = Arriving(
        run._delivery.journal.metrics,  # type: ignore[union-attr]
        copy=Slow,
    )  # type: ignore[union-attr]
    run.log({"loss": torch.tensor(0.5)}, 0)
    run.log({"loss": 0.25}, 1)
    threading.Timer(0.2, made[0].complete.set).start()
    run.finish()
    (found,) = find_runs(Path("logs"))
    records = [record for record in JournalReader(found.rank()) if isinstance(record, Metrics)]
    assert [(record.step, record.values) for record in records] == [(1, {"loss": 0.25}), (0, {"loss": 0.5})]
    assert records[1].time < records[0].time


def test_a_forked_child_frees_no_copy_of_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    """That would be a call of CUDA, which ends a child that has inherited it."""
    monkeypatch.setattr(journaled, "_left_behind", [])
    run = Run([], project="p", directory="logs", settings=Settings.of(delivery="none"))
    delivery = run._delivery
    assert isinstance(delivery, JournaledDelivery)
    journal, appending = delivery.journal, Arriving(delivery.journal.metrics, copy=Slow)
    delivery._arriving = appending
    run.log({"loss": torch.tensor(0.5)}, 0)
    copy, kept = weakref.ref(made.pop()), weakref.ref(appending)
    del appending
    journaled._after_fork()
    gc.collect()
    assert copy() is not None
    assert kept() is not delivery._arriving
    copy().complete.set()  # type: ignore[union-attr]
    delivery.write_no_more(journal)  # type: ignore[arg-type]
    run.finish()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_copy_from_a_gpu_is_what_was_there() -> None:
    tensor = torch.tensor([1.5], device="cuda")
    copy, alone = CudaCopy([tensor, tensor * 2]), CudaCopy([many := torch.arange(6.0, device="cuda").reshape(2, 3)])
    mixed = CudaCopy([tensor, many])
    tensor.fill_(9.0)
    many.fill_(9.0)
    assert copy.values() == [1.5, 3.0]
    assert alone.values()[0].tolist() == [[0, 1, 2], [3, 4, 5]]
    number, array = mixed.values()
    assert (number, array.tolist()) == (1.5, [[0, 1, 2], [3, 4, 5]])
    assert copy.done()
