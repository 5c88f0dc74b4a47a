"""The content of a run: whole, read on while the run goes on, without what the run went back over."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import accel_track
from accel_track.journal.directory import RunDirectory
from accel_track.journal.reader import History, JournalReader
from accel_track.media import Text
from accel_track.records import Metrics
from accel_track.run import Run
from accel_track.values.plain import leaves
from accel_track.views.content import Content


@pytest.fixture
def run(tmp_path: Path) -> Any:
    with accel_track.init("p", project_dir=tmp_path, delivery="none", config={"lr": 0.1}) as begun:
        yield begun


def content_of(run: Run, **more: Any) -> Content:
    assert run.run_directory is not None
    content = Content(run.run_directory, **more)
    content.update()
    return content


def test_a_run_is_read_on_as_it_goes_on(run: Run) -> None:
    content = content_of(run)
    before = content.records
    assert not content.update()
    run.log({"loss": 3, "val": {"acc": 0.5}}, step=0)
    assert content.update()
    run.log({"loss": 1.5, "val": {"acc": 0.75}}, step=4)
    run.log({"loss": math.nan, "said": "hello", "page": Text("long")}, step=5)
    assert content.update()
    assert not content.update()
    loss, accuracy = content.metrics["loss"], content.metrics["val/acc"]
    assert (loss.count, loss.minimum, loss.maximum) == (3, (1.5, 4), (3.0, 0))
    assert (loss.not_finite, loss.first_not_finite[1]) == (1, 5)
    assert accuracy.last[:2] == (0.75, 4)
    steps, times, values = loss.points()
    assert steps.tolist() == [0, 4, 5]
    assert values[:2].tolist() == [3.0, 1.5]
    assert math.isnan(values[2])
    assert (np.diff(times) >= 0).all()
    assert content.newest == times[-1]
    assert content.metrics["said"].last.value == "hello"
    assert content.metrics["said"].points().steps.tolist() == []
    assert content.media["page"]["count"] == 1
    assert content.config == {"lr": 0.1}
    assert content.records == before + 3


def test_types_of_last_values_are_kept(run: Run) -> None:
    for step in range(3):
        run.log({"int": step, "bool": step > 1, "float": step / 2}, step=step)
    lasts = [content_of(run).metrics[name].last.value for name in ("int", "bool", "float")]
    assert list(map(repr, lasts)) == ["2", "True", "1.0"]


def test_an_integer_that_no_curve_has_is_a_last_value(run: Run) -> None:
    run.log({"n": 10**400}, step=0)
    metric = content_of(run).metrics["n"]
    assert (metric.last.value, metric.count) == (10**400, 0)


def test_points_of_unwanted_metrics_are_not_kept(run: Run) -> None:
    run.log({"a": 1.0, "b": 2.0})
    content = content_of(run, wanted="a".__eq__)
    assert content.metrics["a"].points().values.tolist() == [1.0]
    assert content.metrics["b"].points().values.tolist() == []
    assert content.metrics["b"].maximum == (2.0, None)


def test_without_steps_records_are_numbered(run: Run) -> None:
    for value in (1.0, 2.0):
        run.log({"a": value})
        run.log({"b": value})
    steps = content_of(run).metrics["a"].points().steps
    assert (np.diff(steps) == 2).all()


@settings(max_examples=30, deadline=None)
@given(
    calls=st.lists(
        st.one_of(
            st.tuples(st.sampled_from(["a", "ab", "nested", "text"]), st.none() | st.integers(0, 20)),
            st.tuples(st.just("back"), st.integers(0, 20)),
            st.tuples(st.just("look"), st.none()),
        ),
        max_size=40,
    )
)
def test_as_record_by_record(calls: list[tuple[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever was logged, and whenever it was looked at, it is what the reader of records finds."""
    run = accel_track.init("p", project_dir=tmp_path_factory.mktemp("run"), delivery="none")
    directory = run.run_directory
    assert directory is not None
    content = Content(directory)
    for number, (kind, step) in enumerate(calls):
        value = number / 2
        match kind:
            case "back":
                run.rewind(step)
            case "look":
                content.update()
            case "a":
                run.log({"a": value}, step=step)
            case "ab":
                run.log({"a": value, "b": number}, step=step)
            case "nested":
                run.log({"in": {"a": value}}, step=step)
            case "text":
                run.log({"a": value, "said": str(number)}, step=step)
    run.finish()
    content.update()
    expected = points(directory)
    found = {name: metric.points() for name, metric in content.metrics.items() if metric.count}
    assert {name: list(zip(*(one.tolist() for one in each), strict=True)) for name, each in found.items()} == expected
    for name, each in expected.items():
        values = [value for *_, value in each]
        metric = content.metrics[name]
        assert (metric.minimum.value, metric.maximum.value, metric.last.value) == (min(values), max(values), values[-1])


def points(directory: RunDirectory) -> dict[str, list[tuple[int, float, float]]]:
    history, found = History(directory.rank()), {}
    for record in filter(history.counts, JournalReader(directory.rank())):
        if isinstance(record, Metrics):
            for name, value in leaves(record.values):
                if not isinstance(value, str):
                    step = record.seq if record.step is None else record.step
                    found.setdefault(name, []).append((step, record.time, float(value)))
    return found


def test_many_records_in_short_between_others(run: Run) -> None:
    for step in range(400):
        run.log({"a": step / 2, **({"said": "hello"} if step == 200 else {})}, step=step)
    content = content_of(run)
    steps, _, values = content.metrics["a"].points()
    assert (steps.tolist(), values.tolist()) == (list(range(400)), [step / 2 for step in range(400)])
    assert (content.metrics["said"].last.step, content.records) == (200, 401)
