"""The folders that processes have made for a SwanLab run, and the configuration in them."""

from __future__ import annotations

import contextlib
import glob
from pathlib import Path
from typing import Any

import yaml


def folders(run: Any) -> list[Path]:
    """Return the folders that processes have made for a run, oldest first."""
    return sorted({run.dir, *run.dir.parent.glob(f"run-*-{glob.escape(run.id)}")})


def earlier_configuration(run: Any) -> dict[str, Any]:
    """Return the hyperparameters in the folders that earlier processes have made for a run."""
    config: dict[str, Any] = {}
    for folder in folders(run):
        if folder == run.dir:
            continue
        with contextlib.suppress(OSError, yaml.YAMLError):  # a process may have been killed while it wrote
            entries = yaml.safe_load((folder / "files" / "config.yaml").read_text(encoding="utf-8")) or {}
            config |= {key: entry["value"] for key, entry in entries.items()}
    return config
