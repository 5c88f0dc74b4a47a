"""Where settings come from: arguments, else the environment, else defaults."""

import pytest

from accel_track.alerts.rules import alert_rules
from accel_track.errors import AccelTrackWarning
from accel_track.options import Settings
from accel_track.rules import Rules

GIVEN = [
    ("delivery", "none", "none", "thread"),
    ("on_error", "raise", "raise", "warn"),
    ("strict", "1", True, False),
    ("start_timeout", "2.5", 2.5, 20.0),
    ("finish_timeout", "0", 0.0, 60.0),
    ("durability", "power", "power", "process"),
    ("redact", "off", False, True),
    ("resume", "must", "must", "auto"),
    ("all_ranks", "1", True, False),
    ("rules", '{"aim": {"every": 2}}', {"aim": Rules(every=2)}, {}),
    ("keep", "12h", "12h", "all"),
    ("mirror", "s3://Bucket/Runs", "s3://Bucket/Runs", None),
    ("mirror_interval", "2.5", 2.5, 10.0),
    ("alerts", "nan, loss > 10 for 5 steps", alert_rules(["nan", "loss > 10 for 5 steps"]), ()),
    ("autopsy", "0", False, True),
    ("stall_after", "2.5", 2.5, 60.0),
]


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch):
    for name, *_ in GIVEN:
        monkeypatch.delenv(f"ACCEL_TRACK_{name.upper()}", raising=False)


def test_there_is_a_case_here_for_each_setting():
    assert [name for name, *_ in GIVEN] == list(Settings.__dataclass_fields__)


@pytest.mark.parametrize(("name", "text", "value", "default"), GIVEN)
def test_an_argument_wins_over_the_environment_and_that_over_the_default(monkeypatch, name, text, value, default):
    assert getattr(Settings.of(), name) == getattr(Settings(), name) == default
    assert getattr(Settings.of(**{name: value}), name) == value
    variable = f"ACCEL_TRACK_{name.upper()}"
    monkeypatch.setenv(variable, f" {text if name in ('rules', 'mirror', 'alerts') else text.upper()} ")
    assert getattr(Settings.of(), name) == value
    assert getattr(Settings.of(**{name: default}), name) == (value if default is None else default)
    for empty in ("", "  "):
        monkeypatch.setenv(variable, empty)
        assert getattr(Settings.of(), name) == default


def test_errors_are_raised_by_default_where_calls_are_direct(monkeypatch):
    assert Settings.of(delivery="inline").on_error == "raise"
    assert Settings.of(delivery="inline", on_error="warn").on_error == "warn"
    monkeypatch.setenv("ACCEL_TRACK_DELIVERY", "inline")
    assert Settings.of().on_error == "raise"
    monkeypatch.setenv("ACCEL_TRACK_ON_ERROR", "warn")
    assert Settings.of().on_error == "warn"


@pytest.mark.parametrize("option", [{"mirror": "file:///m"}, {"alerts": ["nan"]}, {"resume": "must"}])
def test_what_needs_a_journal_does_not_go_with_direct_calls(option):
    with pytest.raises(ValueError, match=f"`{next(iter(option))}.* a run's journal, and delivery='inline' has none"):
        Settings.of(delivery="inline", **option)


@pytest.mark.parametrize("text", ["1", "true", "YES", "On"])
def test_what_switches_on(monkeypatch, text):
    monkeypatch.setenv("ACCEL_TRACK_STRICT", text)
    assert Settings.of().strict is True


@pytest.mark.parametrize("text", ["0", "false", "NO", "Off"])
def test_what_switches_off(monkeypatch, text):
    monkeypatch.setenv("ACCEL_TRACK_REDACT", text)
    assert Settings.of().redact is False


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("delivery", "threads"),
        ("delivery", 1),
        ("on_error", "ignore"),
        ("durability", "disk"),
        ("strict", "maybe"),
        ("redact", 2),
        ("start_timeout", "soon"),
        ("start_timeout", -1),
        ("start_timeout", [1]),
        ("finish_timeout", float("inf")),
        ("finish_timeout", float("nan")),
    ],
)
def test_other_values_are_errors_that_name_where_they_come_from(monkeypatch, name, bad):
    with pytest.raises(ValueError, match=f"`{name}` must be"):
        Settings.of(**{name: bad})
    if isinstance(bad, list):
        return
    monkeypatch.setenv(f"ACCEL_TRACK_{name.upper()}", str(bad))
    with pytest.raises(ValueError, match=f"ACCEL_TRACK_{name.upper()} must be .*; got "):
        Settings.of()


def test_a_misspelt_variable_is_told(monkeypatch):
    monkeypatch.setenv("ACCEL_TRACK_DELIVERRY", "none")
    monkeypatch.setenv("ACCEL_TRACK_API_KEY", "of something else")
    with pytest.warns(AccelTrackWarning) as told:
        assert Settings.of().delivery == "thread"
    (one,) = told
    assert str(one.message) == ("nothing reads the variable ACCEL_TRACK_DELIVERRY; did you mean ACCEL_TRACK_DELIVERY?")
    assert one.filename == __file__


def test_settings_cannot_be_changed():
    with pytest.raises(AttributeError):
        Settings().strict = True
