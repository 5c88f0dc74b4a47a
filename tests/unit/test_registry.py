"""Names, instances, "all", plugins: from what a user passes as `log_with` to trackers."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from accel_track import Accelerator, AccelTrackLogger
from accel_track.errors import AccelTrackWarning, MissingPackageError, NotConfiguredError
from accel_track.journal.directory import find_runs
from accel_track.registry import (
    LOGGER_TYPE_TO_CLASS,
    LoggerType,
    Selected,
    build,
    check_init_kwargs,
    filter_trackers,
    get_available_trackers,
    register_tracker_class,
    select,
    tracker_class,
)
from accel_track.testing import RecordingTracker
from accel_track.trackers.base import GeneralTracker
from accel_track.trackers.sdk import SDKTracker

NINE = {"aim", "comet_ml", "mlflow", "tensorboard", "wandb", "clearml", "dvclive", "swanlab", "trackio"}


@pytest.fixture(autouse=True)
def _restored_registry() -> Iterator[None]:
    before = dict(LOGGER_TYPE_TO_CLASS)
    yield
    LOGGER_TYPE_TO_CLASS.clear()
    LOGGER_TYPE_TO_CLASS.update(before)


class AbsentTracker(SDKTracker):
    name = "absent"
    requires_logging_directory = False
    sdk = "no_such_sdk"
    install = "no-such-sdk>=1"


class UnconfiguredTracker(RecordingTracker):
    name = "unconfigured"

    @classmethod
    def not_configured(cls, init_kwargs: Any) -> str | None:
        return None if "key" in init_kwargs else "no credentials; set KEY, or MODE=offline."


def test_the_built_in_ones_are_known_and_named_as_their_classes() -> None:
    assert set(LOGGER_TYPE_TO_CLASS) == NINE | {"jsonl", "console"}
    assert {one.value for one in LoggerType} == NINE | {"jsonl", "console", "all"}
    assert not {"jsonl", "console"} & {one.name for one in select("all", "x")}
    assert all(cls.name == name for name, cls in LOGGER_TYPE_TO_CLASS.items())
    assert str(LoggerType.WANDB) == LoggerType.WANDB == "wandb"


@pytest.mark.extras
def test_what_log_with_takes(tmp_path: Path) -> None:
    instance = RecordingTracker()
    assert filter_trackers(None) == []
    assert filter_trackers([]) == []
    assert filter_trackers("tensorboard", tmp_path) == ["tensorboard"]
    assert filter_trackers(LoggerType.MLFLOW) == ["mlflow"]
    assert filter_trackers(instance) == [instance]
    mixed = filter_trackers(("mlflow", LoggerType.MLFLOW, instance, "tensorboard", instance), tmp_path)
    assert mixed == ["mlflow", instance, "tensorboard"]


def test_all_is_every_installed_backend_and_the_instances(tmp_path: Path) -> None:
    instance = RecordingTracker()
    LOGGER_TYPE_TO_CLASS["absent"] = AbsentTracker
    found = filter_trackers(["all", instance], tmp_path)
    assert set(found) == {*get_available_trackers(), instance}
    assert "absent" not in found
    assert filter_trackers([LoggerType.ALL, "tensorboard"], tmp_path).count("tensorboard") == 1


def test_an_instance_takes_the_place_of_its_name(tmp_path: Path) -> None:
    class Mine(RecordingTracker):
        name = "wandb"

    mine = Mine()
    assert filter_trackers(["wandb", mine, "all"], tmp_path).count("wandb") == 0
    assert mine in filter_trackers([mine, "all"], tmp_path)


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown tracker 'tensorbord'.*known are aim, clearml.*'all'"):
        select("tensorbord")


@pytest.mark.parametrize("entry", [3, RecordingTracker, {"a": 1}, ["mlflow", None]])
def test_other_types_are_refused(entry: Any) -> None:
    with pytest.raises(TypeError, match="`log_with` takes names, LoggerType members and instances"):
        select(entry)


@pytest.mark.parametrize("name", ["tensorboard", "aim"])
def test_a_missing_directory_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"stores its data in a folder and none was given; pass `project_dir`"):
        select(name, None)


@pytest.mark.extras
def test_all_without_a_directory_leaves_out_what_needs_one() -> None:
    with pytest.warns(AccelTrackWarning, match="skipped by log_with='all': it stores its data in a folder") as caught:
        found = filter_trackers("all")
    assert {"tensorboard", "aim"} == NINE - set(found)
    assert len(caught) == 2


def test_an_uninstalled_backend_is_skipped_with_the_command() -> None:
    LOGGER_TYPE_TO_CLASS["absent"] = AbsentTracker
    instance = RecordingTracker()
    with pytest.warns(AccelTrackWarning, match=r'absent: skipped.*-m pip install "no-such-sdk>=1"'):
        assert filter_trackers(["absent", instance]) == [instance]


@pytest.mark.parametrize("delivery", ["thread", "process", "inline"])
def test_the_front_doors_raise_for_all_that_is_missing_before_anything_is_touched(delivery: str) -> None:
    LOGGER_TYPE_TO_CLASS["absent"] = AbsentTracker
    LOGGER_TYPE_TO_CLASS["gone"] = type("Gone", (AbsentTracker,), {"name": "gone", "install": None})
    for door in (partial(Accelerator, project_dir="x", cpu=True), partial(AccelTrackLogger, save_dir="x")):
        with pytest.raises(MissingPackageError) as raised:
            door(["tensorboard", "absent", "gone"], delivery=delivery)
        lines = str(raised.value).splitlines()
        assert re.match(r"absent: the package 'no_such_sdk' is not .*-m pip install \"no-such-sdk>=1\"$", lines[0])
        assert lines[1:] == ["gone: the package 'no_such_sdk' is not installed; install its package"]
        assert not os.path.exists("x")
        door("all", delivery=delivery)  # skips it


def test_journal_only_needs_no_package() -> None:
    LOGGER_TYPE_TO_CLASS["absent"] = AbsentTracker
    accelerator = Accelerator("absent", project_dir=".", cpu=True, delivery="none")
    accelerator.init_trackers("p")
    accelerator.log({"loss": 1.0}, step=0)
    accelerator.end_training()
    (run,) = find_runs(".")
    assert list(run.load().trackers) == ["absent"]


def test_registering_as_function_decorator_and_by_another_name() -> None:
    @register_tracker_class
    class One(RecordingTracker):
        name = "one"

    @register_tracker_class(name="two")
    class Two(RecordingTracker):
        name = "other"

    assert register_tracker_class(One) is One  # again: no warning
    assert (tracker_class("one"), tracker_class("two")) == (One, Two)
    assert filter_trackers(["one", "two"]) == ["one", "two"]
    assert "one" in get_available_trackers()


def test_overriding_warns() -> None:
    class Mine(RecordingTracker):
        name = "mlflow"

    with pytest.warns(AccelTrackWarning, match=r"tracker 'mlflow': .*Mine takes the place of MLflowTracker"):
        register_tracker_class(Mine)
    assert tracker_class("mlflow") is Mine


def test_registering_nonsense() -> None:
    class Nameless(GeneralTracker):
        requires_logging_directory = False

    with pytest.raises(ValueError, match="takes a subclass of GeneralTracker; got 3"):
        register_tracker_class(3)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="Nameless cannot be registered as None"):
        register_tracker_class(Nameless)
    with pytest.raises(ValueError, match="cannot be registered as 'all'"):
        register_tracker_class(Nameless, name="all")


def test_an_unconfigured_backend_is_refused_by_name_and_skipped_by_all() -> None:
    LOGGER_TYPE_TO_CLASS["unconfigured"] = UnconfiguredTracker
    with pytest.raises(NotConfiguredError, match="unconfigured: no credentials; set KEY, or MODE=offline"):
        build(select("unconfigured"), "p", None, None, {})
    with pytest.warns(AccelTrackWarning, match="unconfigured: skipped by log_with='all': no credentials; set KEY"):
        assert build([Selected("unconfigured", explicit=False)], "p", None, None, {}) == []
    (tracker,) = build(select("unconfigured"), "p", None, None, {"unconfigured": {"key": "k"}})
    assert isinstance(tracker, UnconfiguredTracker)
    assert tracker.init_kwargs == {"key": "k"}


def test_init_kwargs_are_checked() -> None:
    instance = RecordingTracker()
    for names in ({"wandb": {}}, {"wanbd": {}}):
        with pytest.raises(ValueError, match=r"`init_kwargs` names 'wan.*', no tracker of this run: it has recording"):
            check_init_kwargs({**names, "recording": {}}, select(instance))
    with pytest.raises(ValueError, match=r"names 'wanbd', no tracker of this run: known are .*wandb"):
        check_init_kwargs({"wanbd": {}}, [])
    for selected in ([], [Selected("recording", explicit=False)]):  # of none, and of what "all" left out
        assert check_init_kwargs({"wandb": {}}, selected) == {"wandb": {}}
    with pytest.raises(TypeError, match="`init_kwargs` must map tracker names to dictionaries"):
        check_init_kwargs({"wandb": 3}, select(instance))
    with pytest.warns(AccelTrackWarning, match=r"`init_kwargs\['recording'\]` is ignored"):
        build(select(instance), "p", None, None, {"recording": {"a": 1}})
    assert build(select(instance), "p", None, None, {"wandb": {"entity": "me"}}) == [instance]


def test_plugins_are_found_without_importing_them(tmp_path: Path) -> None:
    """A real installed distribution with an entry point, in a process of its own."""
    site = tmp_path / "site"
    info = site / "accel_track_plugin-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: accel-track-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[accel_track.trackers]\nmine = mine_plugin:MineTracker\nbroken = mine_plugin:nothing_like_it\n"
        "tensorboard = mine_plugin:MineTracker\n"
    )
    (site / "mine_plugin.py").write_text(
        "from accel_track.testing import RecordingTracker\n"
        "class MineTracker(RecordingTracker):\n    name = 'mine'\n"
        "nothing_like_it = 3\n"
    )
    code = """
import sys, warnings
from accel_track.registry import (
    Selected, build, get_available_trackers, known_names, filter_trackers, tracker_class)
from accel_track.trackers.tensorboard.tracker import TensorBoardTracker
assert 'mine' in known_names() and 'mine' in get_available_trackers()
assert filter_trackers('all', '.').count('mine') == 1
assert 'mine_plugin' not in sys.modules, 'imported too early'
assert tracker_class('tensorboard') is TensorBoardTracker  # a plugin cannot silently replace a built-in tracker
assert filter_trackers('mine') == ['mine']
assert tracker_class('mine').__name__ == 'MineTracker'
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter('always')
    built = build([Selected('mine', explicit=False), Selected('broken', explicit=False)], 'p', None, None, {})
assert [tracker.name for tracker in built] == ['mine']
assert "broken: skipped by log_with='all': its plugin cannot be imported" in str(caught[0].message)
try:
    tracker_class('broken')
except TypeError as error:
    assert 'mine_plugin:nothing_like_it' in str(error)
else:
    raise AssertionError
"""
    subprocess.run(
        [sys.executable, "-c", code], check=True, timeout=120, env={**os.environ, "PYTHONPATH": str(site)}, cwd=tmp_path
    )


def test_importing_the_registry_imports_no_sdk_and_no_torch() -> None:
    code = (
        "import sys, accel_track.registry, accel_track.tracking, accel_track.utils, accel_track.state\n"
        "heavy = {'torch', 'lightning', 'numpy', 'wandb', 'mlflow', 'aim', 'comet_ml', 'clearml', 'dvclive', 'swanlab',"
        " 'trackio', 'tensorboard'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
