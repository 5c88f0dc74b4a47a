"""Rules of alerts: what a text stands for, when one is raised, and how often."""

import math
from typing import Any

import pytest

from accel_track.alerts.evaluation import MOST, Evaluation
from accel_track.alerts.limits import Limit
from accel_track.alerts.rules import EXAMPLES, End, Nan, Silence, Threshold, alert_rule, alert_rules
from accel_track.options import Settings
from accel_track.outcome import FINISHED, Outcome
from accel_track.records import Metrics

nan, inf = math.nan, math.inf


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Watched:
    """An evaluation that is given values, each with its step, and tells the alerts as texts."""

    def __init__(self, *rules: str) -> None:
        self.clock, self.seq = Clock(), -1
        self.evaluation = Evaluation(alert_rules(rules), self.clock)

    def log(self, values: dict[str, Any], step: int | None = None) -> list[tuple[str, str]]:
        self.seq += 1
        return self.told(self.evaluation.logged(Metrics(self.seq, self.clock.now, values, step)))

    def told(self, alerts: Any) -> list[tuple[str, str]]:
        return [(one.title, one.text) for one in alerts]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("nan", Nan("nan")),
        ("NaN  in  train/*", Nan("NaN in train/*", "train/*")),
        ("loss > 10", Threshold("loss > 10", "loss", ">", 10)),
        ("loss>=-1.5e3 for 50 steps", Threshold("loss>=-1.5e3 for 50 steps", "loss", ">=", -1500, 50)),
        ("val/acc <= .5 for 1.5 min", Threshold("val/acc <= .5 for 1.5 min", "val/acc", "<=", 0.5, 0, 90)),
        ("my loss == inf", Threshold("my loss == inf", "my loss", "==", inf)),
        ("Größe != 0 for 2 h", Threshold("Größe != 0 for 2 h", "Größe", "!=", 0, 0, 7200)),
        ("no step for 10 min", Silence("no step for 10 min", 600)),
        ("No steps for 0.5s", Silence("No steps for 0.5s", 0.5)),
        ("Finished", End("finished", "finished")),
        ("preempted", End("preempted", "preempted")),
    ],
)
def test_what_a_text_stands_for(text: str, rule: Any) -> None:
    assert alert_rule(text) == rule


@pytest.mark.parametrize(
    "text",
    ["", "loss", "loss > ten", "> 10", "loss > 10 for", "loss > 10 for 5", "no step for 0 s", "no step", "nan in"],
)
def test_what_is_no_rule_is_an_error_that_shows_all_forms(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no rule; rules are such as 'nan', .*'no step for 10 min', 'finished'"):
        alert_rule(text)


def test_a_rule_of_each_form_is_shown() -> None:
    assert len(alert_rules(EXAMPLES)) == len(EXAMPLES)


@pytest.mark.parametrize("text", ["x" * 100_000, "a " * 50_000 + ">", "9" * 100_000, "no step for " + "9" * 100_000])
def test_a_huge_text_is_no_rule_at_once(text: str) -> None:
    with pytest.raises(ValueError, match="is no rule"):
        alert_rule(text)


@pytest.mark.parametrize(
    ("given", "count"), [("nan, loss > 1,", 2), ('["a, b > 1", "nan"]', 2), ([], 0), (("nan", "nan"), 1)]
)
def test_rules_are_given_as_texts(given: Any, count: int) -> None:
    assert len(Settings.of(alerts=given).alerts) == count


@pytest.mark.parametrize(
    ("given", "said"), [(["nan", 3], "a rule is a text; got 3"), (7, "rules are a list"), ("[", "")]
)
def test_other_types_are_an_error_that_names_the_option(given: Any, said: str, monkeypatch: Any) -> None:
    with pytest.raises(ValueError, match=f"`alerts`, .*{said}"):
        Settings.of(alerts=given)
    monkeypatch.setenv("ACCEL_TRACK_ALERTS", "loss above 3")
    with pytest.raises(ValueError, match="ACCEL_TRACK_ALERTS, 'loss above 3' is no rule"):
        Settings.of()


def test_without_a_journal_rules_are_an_error() -> None:
    with pytest.raises(ValueError, match="delivery='inline' has none"):
        Settings.of(alerts=["nan"], delivery="inline")


def test_nan_is_told_once_until_all_metrics_are_numbers_again() -> None:
    run = Watched("nan")
    assert run.log({"train": {"loss": 1.0, "name": "text"}, "flag": True}, 0) == []
    assert run.log({"train": {"loss": nan}, "b": nan, "c": inf, "d": nan, "e": nan, "f": nan}, 7) == [
        ("nan", "train/loss = nan, b = nan, d = nan and 2 more metrics at step 7")
    ]
    assert run.log({"b": nan, "late": nan}, 8) == []
    assert run.log({"train/loss": 1.0, "b": 1.0, "d": 1.0, "e": 1.0, "f": 1.0, "late": 2.0}, 9) == []
    assert run.log({"b": nan}, None) == [("nan", "b = nan")]


def test_a_threshold_for_some_steps_counts_training_steps() -> None:
    run = Watched("loss > 10 for 50 steps")
    found = [run.log({"loss": 11.0}, step) for step in range(100, 150, 10)]
    assert found == [[]] * 5
    assert run.log({"loss": 12.0}, 150) == [("loss > 10 for 50 steps", "loss = 12 at step 150")]
    assert run.log({"loss": 12.0}, 300) == []
    assert run.log({"loss": 10.0}, 301) == []
    assert run.log({"loss": 11.0}, 302) == []
    assert run.log({"loss": 11.0}, 350) == []
    assert len(run.log({"loss": 11.0}, 351)) == 1


def test_a_threshold_counts_records_without_a_step_and_seconds() -> None:
    run = Watched("loss > 1 for 3 steps", "other* < 0 for 10 s")
    assert [len(run.log({"loss": 2.0})) for _ in range(4)] == [0, 0, 1, 0]
    assert run.log({"others": -1}) == []
    run.clock.now = 9.9
    assert run.log({"others": -1}) == []
    run.clock.now = 10.0
    assert len(run.log({"others": -1})) == 1


def test_nan_is_beyond_no_number_and_ends_a_count() -> None:
    run = Watched("loss > 1 for 2 steps", "loss != 5")
    assert [len(run.log({"loss": value})) for value in (2.0, nan, 2.0, 2.0)] == [1, 0, 1, 1]


def test_long_integers_are_compared() -> None:
    assert len(Watched("a > 1").log({"a": 10**400})) == 1
    assert len(Watched("a < 1").log({"a": -(10**400)})) == 1


def test_a_rewind_forgets_what_was_counted() -> None:
    run = Watched("loss > 1 for 3 steps", "nan")
    run.log({"loss": 2.0, "x": nan}, 0)
    run.log({"loss": 2.0}, 1)
    run.evaluation.rewound()
    assert [len(run.log({"loss": 2.0}, step)) for step in (1, 2, 3)] == [0, 0, 1]
    assert run.log({"x": nan}, 4) == [("nan", "x = nan at step 4")]


def test_silence_is_told_once_until_a_step_comes_and_a_measured_machine_is_none() -> None:
    run = Watched("no step for 1 min")
    run.clock.now = 59.0
    assert not run.evaluation.due()
    run.clock.now = 61.0
    assert run.evaluation.due()
    assert "no step was logged yet" in run.told(run.evaluation.silent())[0][1]
    assert not run.evaluation.due()
    run.log({"loss": 1.0})
    run.clock.now = 100.0
    run.log({"system/cpu_percent": 1.0})
    run.clock.now = 122.0
    assert run.told(run.evaluation.silent()) == [
        ("no step for 1 min", "nothing was logged for 61 s; the last record is number 0")
    ]


def test_the_end() -> None:
    run = Watched("finished", "failed")
    assert run.told(run.evaluation.ended(FINISHED, 1)) == [("the run has finished", "")]
    assert run.told(run.evaluation.ended(Outcome("failed", "ValueError: no"), 1)) == [
        ("the run has failed", "ValueError: no")
    ]
    assert run.evaluation.ended(Outcome("preempted", "SIGTERM"), 1) == []


def test_a_flapping_metric_is_told_so_often_in_an_hour_then_summed_up() -> None:
    run = Watched("nan")
    told = [run.log({"x": nan if step % 2 else 1.0}, step) for step in range(100)]
    assert sum(map(len, told)) == MOST
    run.clock.now = 3601.0
    assert run.log({"x": nan}, 101) == []  # it is nan since the last step
    run.log({"x": 1.0}, 102)
    assert run.log({"x": nan}, 103) == [("nan", f"x = nan at step 103 ({50 - MOST} more since the last one)")]
    for step in range(104, 130):
        run.log({"x": nan if step % 2 else 1.0}, step)
    (left,) = run.evaluation.ended(FINISHED, 1)
    assert left.text.startswith("4 more since the last one")


def test_ids_tell_alerts_apart_and_are_the_same_again() -> None:
    def ids() -> list[str]:
        run, found = Watched("nan", "x > 1"), []
        for step, value in enumerate([nan, 2.0, nan, 3.0]):
            found += run.evaluation.logged(Metrics(step, 0.0, {"x": value}, step))
        return [one.id for one in found]

    assert len(set(ids())) == 4
    assert ids() == ids()


def test_ten_thousand_names() -> None:
    run = Watched("nan", "*loss > 1")
    values = {f"layer{one}/loss": nan if one % 2 else 2.0 for one in range(10_000)}
    assert len(run.log(values, 0)) == 2
    assert run.log(values, 1) == []


def test_a_limit_counts_what_it_holds() -> None:
    clock = Clock()
    limit = Limit(2, 10.0, clock)
    assert [limit.passes() for _ in range(5)] == [True, True, False, False, False]
    clock.now = 10.0
    assert limit.passes()
    assert (limit.release(), limit.release()) == (3, 0)
