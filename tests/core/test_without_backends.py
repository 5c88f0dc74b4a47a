"""What a user sees who installed no backend: run by `tox -e minimum`, in an environment that has none."""

import importlib.util
import json
import warnings
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from accel_track import Accelerator, AccelTrackLogger
from accel_track.cli import app
from accel_track.errors import AccelTrackWarning, MissingPackageError
from accel_track.registry import LOGGER_TYPE_TO_CLASS, filter_trackers, get_available_trackers
from accel_track.trackers.installing import install_command

BACKENDS = sorted(set(LOGGER_TYPE_TO_CLASS) - {"tensorboard", "jsonl", "console"})


def test_this_environment_has_no_backend() -> None:
    installed = [name for name in BACKENDS if importlib.util.find_spec(LOGGER_TYPE_TO_CLASS[name].sdk or name)]
    assert not installed, f"these tests are for an environment without {installed}"
    assert get_available_trackers() == ["tensorboard"]


@pytest.mark.parametrize("name", BACKENDS)
def test_a_missing_backend_is_told_with_its_command(name: str, tmp_path: Path) -> None:
    command = install_command(LOGGER_TYPE_TO_CLASS[name].install or "")
    for door in (partial(Accelerator, project_dir=tmp_path, cpu=True), partial(AccelTrackLogger, save_dir=tmp_path)):
        with pytest.raises(MissingPackageError) as raised:
            door(log_with=[name, "tensorboard"])
        assert str(raised.value).endswith(command)
    assert [path.name for path in tmp_path.rglob("*")] == ["cwd"]  # the working directory
    with pytest.warns(AccelTrackWarning, match=f"{name}: skipped") as caught:
        assert filter_trackers([name, "tensorboard"], tmp_path) == ["tensorboard"]
    assert str(caught[0].message).endswith(command)


@pytest.mark.parametrize("name", BACKENDS)
def test_a_journal_needs_no_backend(name: str, tmp_path: Path) -> None:
    accelerator = Accelerator(log_with=name, project_dir=tmp_path, cpu=True, delivery="none")
    accelerator.init_trackers("digits")
    accelerator.log({"loss": 1.0}, step=0)
    accelerator.end_training()
    (told,) = json.loads(CliRunner().invoke(app, ["ls", str(tmp_path), "--json"]).stdout)
    assert told["trackers"][name]["pending"] == 1


@pytest.mark.parametrize("name", BACKENDS)
def test_starting_a_tracker_whose_sdk_is_missing_says_how_to_install_it(name: str, tmp_path: Path) -> None:
    cls = LOGGER_TYPE_TO_CLASS[name]
    tracker = cls.for_run("digits", "first", tmp_path, {})
    with pytest.raises(MissingPackageError, match=f"{name}: the package .* is missing; ") as raised:
        tracker.start()
    assert str(raised.value).endswith(install_command(cls.install or ""))
    assert not tracker.started


def test_all_is_tensorboard(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", AccelTrackWarning)
        logger = AccelTrackLogger("all", save_dir=tmp_path)
    assert [tracker.name for tracker in logger.trackers] == ["tensorboard"]
    logger.finish()


def test_the_demo_says_what_it_needs() -> None:
    result = CliRunner().invoke(app, ["demo"])
    assert result.exit_code == 2
    assert "demo: missing sklearn, mlflow, plotext" in result.output
    assert 'pip install "accel-track[demo]"' in result.output
