"""Keep every SDK in its local mode, in folders of the test run, before any of them is imported."""

import contextlib
import functools
import importlib.util
import logging
import os
import re
import sys
import tempfile
import threading
import warnings
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import warm

_TESTS = Path(__file__).parent
pytest.register_assert_rewrite("tests.support.readers", "tests.support.waiting")
_HOME = Path(tempfile.mkdtemp(prefix="accel_track-tests-"))

# Sources: each SDK's own documentation of its variables; all of them are read at import or at start.
os.environ.update(
    {
        "HOME": str(_HOME),
        "WANDB_MODE": "offline",
        "WANDB_ERROR_REPORTING": "false",
        "WANDB_SILENT": "true",
        "HF_HUB_OFFLINE": "1",
        "TRACKIO_DIR": str(_HOME / "trackio"),
        "COMET_START_ONLINE": "0",
        "COMET_AUTO_LOG_ENV_DETAILS": "false",
        "COMET_ERROR_TRACKING_ENABLE": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # eight processes more for each server
        "CLEARML_OFFLINE_MODE": "1",
        "CLEARML_CACHE_DIR": str(_HOME / "clearml"),
        "CLEARML_VCS_REPO_URL": "https://example.invalid/repository",  # else each task parses all of this repository
        "CLEARML_VCS_ROOT": str(_HOME),
        "SWANLAB_MODE": "offline",
        "SWANLAB_SAVE_DIR": str(_HOME / "swanlab"),
        "AIM_UI_TELEMETRY_ENABLED": "0",
        "DVC_NO_ANALYTICS": "true",
        "MPLBACKEND": "agg",
        "ACCEL_TRACK_START_TIMEOUT": "120",  # a busy machine takes its time to import an SDK
        "TOKENIZERS_PARALLELISM": "false",
    }
)
for _variable in (
    "RANK",
    "LOCAL_RANK",
    "WORLD_SIZE",
    "SLURM_PROCID",
    "MLFLOW_TRACKING_URI",
    "WANDB_API_KEY",
    "ACCEL_TRACK_DIR",
):
    os.environ.pop(_variable, None)


_HEAVY = (
    *("torch", "lightning.pytorch", "transformers", "accelerate", "mlflow", "wandb", "comet_ml", "clearml"),
    *("swanlab", "trackio", "dvclive", "aim", "pandas", "matplotlib.pyplot", "moto.server", "hydra", "optuna"),
)
"""Packages that a run of all tests imports in each of its processes."""


def pytest_collection(session: pytest.Session) -> None:
    """Where coverage is measured and all tests run, import heavy packages first, without it: it doubles their time."""
    measuring = sys.modules.get("coverage") and sys.modules["coverage"].Coverage.current()
    if not measuring or session.config.args != session.config.getini("testpaths"):
        return
    measuring.stop()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in _HEAVY:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
    measuring.start()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the cases of a test `long` behind those that its mark `first` counts."""
    cases = defaultdict[str, list[pytest.Function]](list)
    for item in items:
        if isinstance(item, pytest.Function) and item.get_closest_marker("first"):
            cases[item.nodeid.partition("[")[0]].append(item)
    for tests in cases.values():
        tests.sort(key=lambda item: tuple(item.callspec.indices.values()))  # in random order before
        for item in tests[tests[0].get_closest_marker("first").args[0] :]:
            item.add_marker("long")


_IMPORT = re.compile(r"^(?:from|import) (\w+(?:\.\w+)*)", re.MULTILINE)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out files that import a package that is not installed, or a file that does; never where `CI` is set."""
    if os.environ.get("CI") or collection_path.suffix != ".py" or collection_path.name == "conftest.py":
        return None
    return True if _missing(collection_path) else None


@functools.cache
def _missing(path: Path) -> bool:
    for name in _IMPORT.findall(path.read_text()):
        module = _TESTS.parent.joinpath(*name.split(".")).with_suffix(".py")
        if name.startswith("tests."):
            if module.exists() and _missing(module):
                return True
        elif importlib.util.find_spec(name.partition(".")[0]) is None:
            return True
    return False


@pytest.fixture(scope="session", autouse=True)
def _coverage_of_warm_programs() -> None:
    """Start other programs without it: it doubles the price of what they import, and tells little that is new."""
    warm.keep_coverage()


@pytest.fixture(autouse=True)
def _log_as_usual() -> None:
    """Take back the level that a library or a test before has given to all loggers: what they log is in reports."""
    logging.root.setLevel(logging.WARNING)


@pytest.fixture(autouse=True)
def _own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each test in a folder of its own, so that what an SDK leaves in the working directory is in it."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)


@pytest.fixture(autouse=True)
def _no_observers_left() -> Iterator[None]:
    """Stop the threads with an inotify instance that Aim's reader leaves; Linux gives a user 128 of these."""
    yield
    for thread in threading.enumerate():
        if type(thread).__module__.startswith("watchdog."):
            thread.stop()  # type: ignore[attr-defined]
