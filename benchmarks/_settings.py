"""The same settings for ours, the peers and the raw SDKs: no network, and what each SDK documents as its cheap way."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks._case import BACKENDS, ROOT, Gap

SERVER = "ACCEL_TRACK_BENCHMARK_SERVER"
TEMPLATES = "ACCEL_TRACK_BENCHMARK_TEMPLATES"
PACKAGES = {"aim": "aim", "clearml": "clearml", "comet_ml": "comet_ml", "dvclive": "dvclive", "mlflow": "mlflow"}
PACKAGES |= {"mlflow-http": "mlflow", "swanlab": "swanlab", "tensorboard": "tensorboard", "trackio": "trackio"}
PACKAGES |= {"wandb": "wandb"}

# ClearML's default reporter, a process, makes single calls wait for seconds; this is its documented alternative.
_CLEARML = "sdk { development { report_use_subprocess: false } }\n"


def environment(home: Path, more: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which no backend asks for a network or writes outside of `home`."""
    (home / "clearml.conf").write_text(_CLEARML)
    modes = {
        "AIM_UI_TELEMETRY_ENABLED": "0",
        "CLEARML_CACHE_DIR": str(home / "clearml"),
        "CLEARML_CONFIG_FILE": str(home / "clearml.conf"),
        "CLEARML_OFFLINE_MODE": "1",
        "COMET_AUTO_LOG_ENV_DETAILS": "false",
        "COMET_AUTO_LOG_METRICS": "false",
        "COMET_DISPLAY_SUMMARY_LEVEL": "0",
        "COMET_ERROR_TRACKING_ENABLE": "false",
        "COMET_START_ONLINE": "0",
        "DVC_NO_ANALYTICS": "true",
        "HF_HUB_OFFLINE": "1",
        "HOME": str(home),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MPLBACKEND": "agg",
        "OMP_NUM_THREADS": "1",  # the step is one thread's work, so the other core is free for what logging does
        "SWANLAB_MODE": "offline",
        "SWANLAB_SAVE_DIR": str(home / "swanlab"),
        "TRACKIO_DIR": str(home / "trackio"),
        "WANDB_CONSOLE": "off",
        "WANDB_ERROR_REPORTING": "false",
        "WANDB_MODE": "offline",
        "WANDB_SILENT": "true",
    }
    ranks = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "SLURM_PROCID", "MLFLOW_TRACKING_URI", "WANDB_API_KEY")
    kept = {name: value for name, value in os.environ.items() if name not in ranks}
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {**kept, **modes, "PYTHONPATH": path, **more}


def installed(package: str) -> bool:
    """Whether a package can be imported."""
    return importlib.util.find_spec(package) is not None


def need(package: str) -> None:
    """Leave a case out that needs a missing package.

    Raises:
        Gap: It is not installed.
    """
    if not installed(package):
        message = f"{package} is not installed"
        raise Gap(message)


def named(backend: str) -> list[str]:
    """Return the backends that a case's `backend` stands for; of several, those whose SDK is installed."""
    names = BACKENDS if backend == "nine" else tuple(backend.split("+"))
    return [name for name in names if len(names) == 1 or installed(PACKAGES[name])]


def prepare(backend: str, folder: Path) -> None:
    """Put an empty store where a new one would take seconds, and tell MLflow where its own is.

    Raises:
        Gap: There is no server.
    """
    templates = os.environ.get(TEMPLATES, "")
    if backend == "mlflow-http":
        if not os.environ.get(SERVER):
            message = "there is no MLflow server"
            raise Gap(message)
        os.environ["MLFLOW_TRACKING_URI"] = os.environ[SERVER]
    if "mlflow" in named(backend):
        if (database := Path(templates, "mlflow.db")).exists():
            shutil.copy(database, folder)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"


def arguments(backend: str, folder: Path, *, plain: bool = False) -> dict[str, Any]:
    """Return what a backend's constructor is given, by ours, by Hugging Face's tracker and raw.

    Args:
        backend: Its name.
        folder: Where it stores what it has.
        plain: Only what JSON can hold.
    """
    if backend == "wandb":
        return {"dir": str(folder)}
    if backend == "comet_ml" and not plain:
        import comet_ml

        options = {"auto_metric_logging": False, "display_summary_level": 0, "offline_directory": str(folder)}
        return {"online": False, "experiment_config": comet_ml.ExperimentConfig(**options)}
    if backend == "swanlab":
        where = {"log_dir": str(folder)}
        return where if plain else {**where, "settings": _swanlab()}
    return {
        "aim": {"system_tracking_interval": None, "capture_terminal_logs": False},
        "clearml": {
            "auto_connect_frameworks": False,
            "auto_connect_arg_parser": False,
            "reuse_last_task_id": False,
        },
        "dvclive": {
            "dir": str(folder / "dvclive"),
            "save_dvc_exp": False,
            "report": None,
            "monitor_system": False,
        },
        "trackio": {"auto_log_cpu": False, "embed": False},
    }.get(backend, {})


def _swanlab() -> Any:
    import swanlab

    probes = dict.fromkeys(("hardware", "requirements", "conda", "git", "runtime", "monitor"), False)
    return swanlab.Settings(probe=swanlab.Settings.Probe(**probes))
