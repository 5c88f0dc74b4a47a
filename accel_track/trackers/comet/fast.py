"""Comet's private parts: settings, also those of its files, the running experiment, a report of a crash."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from typing import Any

from accel_track.trackers.fast import FastPath, Gate
from accel_track.trackers.sdk import setting

_FALSE = {"0", "f", "false", "n", "no", "off"}
_TRUE = {"1", "t", "true", "y", "yes", "on"}

# Where the SDK looks for settings besides the environment.
_FILES = (".env", ".comet.config", "~/.comet.config", "/content/drive/MyDrive/.comet.config")
_FILE_VARIABLES = ("COMET_CONFIG", "COMET_INI")


class CometParts(FastPath):
    """The parts of Comet that its public names do not offer.

    Args:
        native: The module `comet_ml`.
    """

    distribution = "comet-ml"
    tested = ">=3.58"  # small enough a part of the SDK for later versions to be tried, too
    of_module = True
    parts = ("comet_ml:CometExperiment._report_experiment_error",)
    attributes = ("config.get_config", "config.set_global_experiment", "config.get_backend_address")

    def suffices(self, online: bool | None) -> bool:
        """Return whether the environment and Comet's files hold an API key, or say that the experiment is offline.

        Args:
            online: The user's argument of that name, which goes before them.
        """
        settings = self.native.config.get_config()
        return bool(settings["comet.api_key"]) or not settings.get_bool(online, "comet.start.online", default=True)

    def turned_on(self) -> dict[str, Any]:
        """Return as options of an experiment what is off unless the environment or Comet's files turn it on."""
        settings = self.native.config.get_config()
        return {
            "auto_metric_logging": settings.get_bool(None, "comet.auto_log.metrics", default=False),
            "display_summary_level": settings.get_int(None, "comet.display_summary_level", default=0),
        }

    def forget_running(self) -> None:
        """Let `comet_ml.start` neither return nor end the experiment that it knows as running."""
        self.native.config.set_global_experiment(None)

    def address(self) -> str:
        """Return the server's address."""
        return str(self.native.config.get_backend_address())

    def report_crash(self, experiment: Any, message: str) -> None:
        """Mark an experiment as crashed, which the SDK offers to its own hook for exceptions only."""
        experiment._report_experiment_error(message, has_crashed=True)  # noqa: SLF001


def is_configured(tracker: str, init_kwargs: Mapping[str, Any]) -> bool:
    """Return whether Comet would start without a question; imports it only where one of its files has to be read.

    Args:
        tracker: Name of the tracker, for warnings.
        init_kwargs: The keyword arguments of `comet_ml.start`.
    """
    config = init_kwargs.get("experiment_config")
    if (
        init_kwargs.get("api_key")
        or os.environ.get("COMET_API_KEY")
        or setting(init_kwargs, "online", "COMET_START_ONLINE") in _FALSE
        or (config.disabled if config else setting({}, "", "COMET_AUTO_LOG_DISABLE") in _TRUE)
    ):
        return True
    files = (*_FILES, *(os.environ[variable] for variable in _FILE_VARIABLES if os.environ.get(variable)))
    if "comet_ml" not in sys.modules and not any(os.path.exists(os.path.expanduser(file)) for file in files):
        return False
    parts = Gate(tracker, CometParts)
    parts.open(importlib.import_module("comet_ml"))
    found = parts.use(lambda comet: comet.suffices(init_kwargs.get("online")))
    return found is not False  # where its files cannot be read, Comet itself will say what it lacks
