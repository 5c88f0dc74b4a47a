"""Scalars of a GPU: nobody waits for them, and they are what they were when they were logged."""

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from accel_track.delivery.arriving import Arriving, CudaCopy
from accel_track.delivery.settings import Settings
from accel_track.journal.directory import find_runs
from accel_track.journal.reader import JournalReader
from accel_track.records import Metrics
from accel_track.run import Run


class Slow:
    """A copy that is complete when somebody says so; this machine may have no GPU."""

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        self.kept = torch.stack([tensor.detach().reshape(()) for tensor in tensors])
        self.complete = threading.Event()
        made.append(self)

    def done(self) -> bool:
        return self.complete.is_set()

    def numbers(self) -> list[Any]:
        self.complete.wait(10)
        return list(self.kept.tolist())


made: list[Slow] = []
appended: list[tuple[Any, ...]] = []


@pytest.fixture
def arriving() -> Arriving:
    made.clear()
    appended.clear()
    return Arriving(
        lambda *call: appended.append(call), on_gpu=lambda value: isinstance(value, torch.Tensor), copy=Slow
    )


def test_a_call_is_appended_when_its_numbers_are_here_and_with_its_own_time(arriving: Arriving) -> None:
    before = time.time()
    loss = torch.tensor([0.5], requires_grad=True)
    assert arriving.take({"loss": loss, "lr": 0.1, "count": torch.tensor(3), "acc": torch.tensor(0.25)}, 7, {})
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
    ((values, step, kwargs, moment),) = appended
    assert values == {"loss": 0.5, "lr": 0.1, "count": 3, "acc": 0.25}
    assert list(values) == ["loss", "lr", "count", "acc"]
    assert type(values["count"]) is int
    assert (step, kwargs) == (7, {})
    assert before <= moment <= after


def test_calls_keep_their_order_and_the_next_call_appends_what_is_here(arriving: Arriving) -> None:
    for step in range(3):
        assert arriving.take({"loss": torch.tensor(float(step))}, step, {})
    made[1].complete.set()
    arriving.arrive(wait=False)
    assert appended == []
    made[0].complete.set()
    arriving.take({"loss": torch.tensor(3.0)}, 3, {})
    assert [call[1] for call in appended] == [0, 1]
    for copy in made:
        copy.complete.set()
    arriving.arrive(wait=True)
    assert [call[1] for call in appended] == [0, 1, 2, 3]


def test_other_calls_are_not_taken(arriving: Arriving) -> None:
    assert not arriving.take({"loss": 0.5, "text": "a"}, 0, {})
    assert not Arriving(lambda *_: None).take({"loss": torch.tensor(0.5)}, 0, {})  # not on a GPU


def test_the_end_of_a_run_waits_for_what_is_on_its_way() -> None:
    run = Run([], project="p", directory="logs", settings=Settings.of(delivery="none"))
    made.clear()
    run._delivery._arriving = Arriving(
        run._delivery.journal.metrics,  # type: ignore[union-attr]
        on_gpu=lambda value: isinstance(value, torch.Tensor),
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


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_copy_from_a_gpu_is_what_was_there() -> None:
    tensor = torch.tensor([1.5], device="cuda")
    copy = CudaCopy([tensor, tensor * 2])
    tensor.fill_(9.0)
    assert copy.numbers() == [1.5, 3.0]
    assert copy.done()
