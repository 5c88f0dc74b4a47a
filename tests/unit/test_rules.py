"""Rules: what of a run a tracker gets, as functions on records, in every mode of delivery, and in a run that goes on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel_track import media
from accel_track.errors import AccelTrackWarning
from accel_track.journal import cursor as cursors
from accel_track.journal.directory import find_runs
from accel_track.options import Settings
from accel_track.outcome import Outcome
from accel_track.records import Artifact, Checkpoint, Config, Metrics, Rewind
from accel_track.registry import select
from accel_track.rules import Reshaper, Rules
from accel_track.run import Run
from accel_track.testing import RecordingTracker


def shaped(rules: dict[str, Any], *calls: tuple[dict[str, Any], int | None]) -> list[tuple[dict[str, Any], int | None]]:
    reshape = Reshaper(Rules.of(rules), "t")
    records = [reshape(Metrics(seq, 0.0, values, step)) for seq, (values, step) in enumerate(calls)]
    return [(one.values, one.step) for one in records if isinstance(one, Metrics)]


@pytest.mark.parametrize(
    ("rules", "names"),
    [
        ({"only": "val/*"}, {"val/acc", "val/a/b"}),
        ({"only": ["loss", "*acc"]}, {"loss", "val/acc"}),
        ({"drop": "val*"}, {"loss", "LOSS", "l[o]ss", ""}),
        ({"only": "*", "drop": ["loss", "val/?cc"]}, {"LOSS", "val/a/b", "l[o]ss", ""}),
        ({"drop": "l[o]ss"}, {"loss", "LOSS", "val/acc", "val/a/b", ""}),
        ({"map": {"val/*": "eval/*"}}, {"loss", "LOSS", "eval/acc", "eval/a/b", "l[o]ss", ""}),
        ({"map": {"*/a/*": "*.*", "val/*": "x"}}, {"loss", "LOSS", "x", "val.b", "l[o]ss", ""}),
        ({"map": {"?oss": "?"}}, {"l", "LOSS", "val/acc", "val/a/b", "l[o]ss", ""}),
        ({"map": {"loss": "\\1"}}, {"\\1", "LOSS", "val/acc", "val/a/b", "l[o]ss", ""}),
        ({"only": "val/*", "map": {"val/*": "*"}}, {"acc", "a/b"}),
        ({}, {"loss", "LOSS", "val/acc", "val/a/b", "l[o]ss", ""}),
    ],
)
def test_names(rules: dict[str, Any], names: set[str]) -> None:
    values = {"loss": 1.0, "LOSS": 2.0, "val": {"acc": 3.0, "a": {"b": 4.0}}, "l[o]ss": 5.0, "": 6.0}
    ((found, _),) = shaped(rules, (values, 0))
    assert set(found) == names
    assert values["val"] == {"acc": 3.0, "a": {"b": 4.0}}  # the record is another tracker's, too


def test_nothing_is_left_of_a_call() -> None:
    assert shaped({"only": "x"}, ({"loss": 1.0}, 0)) == []
    assert shaped({"only": "x"}, ({}, 0)) == [({}, 0)]  # as it was logged


def test_every_so_many_steps() -> None:
    calls = [({"loss": float(step)}, step) for step in range(25)]
    assert [step for _, step in shaped({"every": 10}, *calls)] == [0, 10, 20]
    late = [({"loss": float(step)}, step) for step in range(49, 500, 50)]
    assert len(shaped({"every": 10}, *late)) == 10  # what is logged seldom goes whole
    mixed = [({"loss": 1.0, **({"val": 2.0} if step == 7 else {})}, step) for step in range(10)]
    assert shaped({"every": 10}, *mixed) == [({"loss": 1.0}, 0), ({"val": 2.0}, 7)]
    without = [({"loss": float(count)}, None) for count in range(7)]
    assert [values["loss"] for values, _ in shaped({"every": 3}, *without)] == [0, 3, 6]
    back = [({"loss": 1.0}, step) for step in (10, 19, 5, 11)]
    assert [step for _, step in shaped({"every": 10}, *back)] == [10, 5, 11]


def test_two_values_of_one_name_are_both_delivered() -> None:
    with pytest.warns(AccelTrackWarning, match="call two values of a call 'x'; the second is called 'x_2'"):
        found = shaped({"map": {"a*": "x"}}, ({"a1": 1.0, "a2": 2.0, "x": 3.0}, 0), ({"a1": 4.0, "a2": 5.0}, 1))
    assert found == [({"x": 1.0, "x_2": 2.0, "x_3": 3.0}, 0), ({"x": 4.0, "x_2": 5.0}, 1)]


def test_other_records() -> None:
    reshape = Reshaper(Rules.of({"only": "data*", "every": 100}), "t")
    config, rewind = Config(0, 0.0, {"lr": 1}), Rewind(1, 0.0, {}, 3)
    checkpoint = Checkpoint(2, 0.0, {}, "last", "checkpoints/last", 4)
    artifacts = [Artifact(3, 0.0, {}, "data"), Artifact(4, 0.0, {}, "", "/a/data.csv"), Artifact(5, 0.0, {}, "x")]
    assert [reshape(one) for one in (config, rewind, checkpoint, *artifacts)] == [
        *(config, rewind, checkpoint, *artifacts[:2], None)
    ]
    unread = Metrics(6, 0.0, {}, 1, {}, {"data/x": "why", "loss": "why"})
    assert reshape(unread) == msgspec.structs.replace(unread, unread={"data/x": "why"})


@given(st.lists(st.tuples(st.sampled_from("abc"), st.none() | st.integers(0, 40)), max_size=60), st.integers(2, 7))
def test_every_name_has_its_first_value_of_each_span(calls: list[tuple[str, int | None]], every: int) -> None:
    found = shaped({"every": every}, *[({name: float(place)}, step) for place, (name, step) in enumerate(calls)])
    assert found == [one for one in found if one[0]]
    for name in "abc":
        steps = [step for one, step in calls if one == name]
        kept = [step for values, step in found if name in values]
        spans = [step // every for step in steps if step is not None]
        changes = [span for place, span in enumerate(spans) if place == 0 or spans[place - 1] != span]
        assert [step // every for step in kept if step is not None] == changes
        assert kept.count(None) == -(-steps.count(None) // every)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"evry": 2}, "there is no rule 'evry'; there are map, only, drop, every"),
        ({"every": 0}, "`every` must be 1 or more; got 0"),
        ({"every": "10"}, "rules are such as"),
        ({"every": 2.5}, "rules are such as"),
        ({"only": 3}, "rules are such as"),
        ({"only": [3]}, "rules are such as"),
        ({"drop": ""}, "a pattern or a new name is empty"),
        ({"map": {"a": ""}}, "a pattern or a new name is empty"),
        ({"map": {"a*": "*b*"}}, "has more wildcards than 'a*'"),
        ({"map": "a=b"}, "rules are such as"),
        (10, "rules are a dictionary such as"),
        (None, "rules are a dictionary such as"),
    ],
)
def test_what_rules_cannot_be(rules: Any, message: str) -> None:
    with pytest.raises(ValueError, match="`rules`, of 'jsonl': ") as raised:
        Settings.of(rules={"jsonl": rules})
    assert message in str(raised.value)


def test_rules_of_no_tracker(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="`rules` names 'tensorbord', no tracker"):
        Run(select(RecordingTracker()), project="p", directory=tmp_path, settings=Settings.of(rules={"tensorbord": {}}))
    assert not list(find_runs(tmp_path))


def test_how_rules_are_told() -> None:
    rules = Rules.of({"every": 10, "only": ["a", "b"], "drop": "c*", "map": {"a": "x"}})
    assert str(rules) == "every 10 steps, only a, b, without c*, a as x"
    assert str(Rules()) == "none"
    assert not Rules()


class Keeping(RecordingTracker):
    """A tracker that keeps artifacts."""

    name = "keeping"

    def log_artifact(self, path: Any, name: str | None = None, **more: Any) -> None:
        self.calls.append(("artifact", name))


class Flapping(Keeping):
    """A tracker whose backend is not there for its first batches."""

    name = "flapping"
    batch_size = 8

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.failures = failures

    def log_batch(self, records: Sequence[Metrics]) -> None:
        if self.failures:
            self.failures -= 1
            raise ConnectionError
        super().log_batch(records)


def run_of(tracker: Any, folder: Path, rules: Any, delivery: str = "thread", **more: Any) -> Run:
    settings = Settings.of(rules={tracker if isinstance(tracker, str) else tracker.name: rules}, delivery=delivery)
    return Run(select(tracker, folder), project="p", directory=folder, settings=settings, **more)


def logged(tracker: RecordingTracker) -> list[Any]:
    return [call[1:3] for call in tracker.calls if call[0] == "log"]


@pytest.mark.parametrize("delivery", ["thread", "inline"])
def test_each_tracker_gets_what_its_rules_say(tmp_path: Path, delivery: str) -> None:
    some, others = Keeping(), Flapping(0)
    settings = Settings.of(rules={some.name: {"every": 5, "drop": "debug/*", "map": {"l*": "L*"}}}, delivery=delivery)
    with Run(select([some, others]), project="p", directory=tmp_path, settings=settings) as run:
        for step in range(10):
            run.log({"loss": step / 2, "debug": {"x": 1}}, step)
        run.log({"image": media.Image(np.zeros((2, 2, 3), np.uint8)), "debug/y": media.Text("no")}, 10)
        run.log_artifact(__file__, "debug/file")
        run.log_artifact(__file__, "file")
    assert [(list(values), step) for values, step in logged(some)] == [(["Loss"], 0), (["Loss"], 5), (["image"], 10)]
    assert isinstance(logged(some)[-1][0]["image"], media.Image)
    assert [call[1] for call in some.calls if call[0] == "artifact"] == ["file"]
    assert [call[1] for call in others.calls if call[0] == "artifact"] == ["debug/file", "file"]
    assert len(logged(others)) == 11
    names = [name for values, _ in logged(others) for name in values]
    assert names.count("debug") == 10
    assert "debug/y" in names


def test_a_cursor_moves_over_what_is_left_out(tmp_path: Path) -> None:
    tracker = RecordingTracker()
    with run_of(tracker, tmp_path, {"only": "none"}) as run:
        for step in range(100):
            run.log({"loss": 1.0}, step)
        run.flush()
        (found,) = find_runs(tmp_path)
    cursor = cursors.load(found.cursor(tracker.name))
    assert (cursor.seq, cursor.delivered, cursor.rules) == (100, 0, Rules(only=("none",)))


def steps_in(file: Path) -> list[int]:
    lines = [msgspec.json.decode(line) for line in file.read_bytes().splitlines()]
    return [line["step"] for line in lines if "loss" in line.get("values", line)]


def lines_of(folder: Path) -> list[int]:
    (file,) = folder.rglob("*.jsonl")
    return steps_in(file)


def test_a_run_that_goes_on_keeps_its_rules(tmp_path: Path) -> None:
    with run_of("jsonl", tmp_path, {"every": 10}, name="r") as run:
        for step in range(15):
            run.log({"loss": 1.0}, step)
        run.conclude(Outcome("preempted"))
    (found,) = find_runs(tmp_path)
    with pytest.warns(
        AccelTrackWarning, match=r"goes on with the rules with which its delivery began \(every 10 steps"
    ):
        run = run_of("jsonl", tmp_path, {"every": 3}, resumed=found)
    with run:
        for step in range(15, 25):
            run.log({"loss": 1.0}, step)
    # The first of 10 to 19 was delivered by the process before.
    assert lines_of(tmp_path) == [0, 10, 20]


@pytest.mark.parametrize("delivery", ["process", "none"])
def test_other_processes_find_them_in_the_cursor(tmp_path: Path, delivery: str) -> None:
    from accel_track.delivery.sync import Sync

    with run_of("jsonl", tmp_path, {"every": 10}, delivery) as run:
        for step in range(25):
            run.log({"loss": 1.0}, step)
    (found,) = find_runs(tmp_path)
    (status,) = Sync(found).deliver(follow=False, timeout=30)
    assert (status.delivered, status.pending) == (3, 0)
    assert lines_of(tmp_path) == [0, 10, 20]


@pytest.mark.parametrize(("back", "again"), [(10, [10, 20]), (15, [20]), (0, [0, 10, 20]), (21, [])])
def test_a_run_that_goes_back_delivers_what_it_would_have_from_there(
    tmp_path: Path, back: int, again: list[int]
) -> None:
    tracker = RecordingTracker()
    with run_of(tracker, tmp_path, {"every": 10}) as run:
        for step in range(25):
            run.log({"loss": 1.0}, step)
        run.flush()
        run.rewind(back)
        for step in range(back, 25):
            run.log({"loss": 2.0}, step)
    assert [step for _, step in logged(tracker)] == [0, 10, 20, *again]


def test_batches_that_fail_half_way_are_sent_by_the_same_rules(tmp_path: Path) -> None:
    tracker = Flapping(3)
    with run_of(tracker, tmp_path, {"every": 4}) as run:
        for step in range(40):
            run.log({"loss": 1.0}, step)
    assert [call[2] for call in tracker.calls if call[0] == "log"] == list(range(0, 40, 4))


def test_a_variable_gives_rules_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCEL_TRACK_RULES", '{"wandb": {"every": 10, "only": ["Loss/*"]}}')
    assert Settings.of().rules == {"wandb": Rules(only=("Loss/*",), every=10)}
    for wrong in ("10", "[]", "{"):
        monkeypatch.setenv("ACCEL_TRACK_RULES", wrong)
        with pytest.raises(ValueError, match="ACCEL_TRACK_RULES must be a dictionary of rules by tracker name"):
            Settings.of()
