"""SwanLab's files of a run: its configuration, and copies of checkpoints."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from accel_track.trackers.files import checkpoint_files

_FOLDER = "checkpoints"


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


def own_copies(run: Any, name: str, path: str, values: Mapping[str, Any]) -> Iterator[str]:
    """Copy a checkpoint into the run's folder in place of an earlier one, and yield each file.

    Args:
        run: The `swanlab.Run`.
        name: Name of the checkpoint.
        path: The file or folder.
        values: What is known about it, for a file `<name>.json`.
    """
    if run.mode == "disabled":  # it has a folder in name only
        return
    files = run.dir / "files" / _FOLDER
    copies = set()
    for file, stored_name in checkpoint_files(name, path):
        target = files / name / stored_name.removeprefix(f"{name}/")
        target.parent.mkdir(parents=True, exist_ok=True)
        # There is a file at any time: SwanLab's thread, which is behind, puts a link to it where it finds none.
        partial = target.with_name(f"{target.name}.part")
        shutil.copyfile(file, partial)
        os.replace(partial, target)
        copies.add(target)
        yield os.fspath(target)
    for old in [one for one in (files / name).rglob("*") if one not in copies and not one.is_dir()]:
        old.unlink()
    known = files / f"{name}.json"
    known.write_text(json.dumps(values), encoding="utf-8")
    yield os.fspath(known)


def delete_copies(run: Any, name: str) -> None:
    """Delete a checkpoint's copies, also those that earlier processes made."""
    for folder in folders(run):
        _delete(folder / "files" / _FOLDER, name)


def _delete(files: Path, name: str) -> None:
    shutil.rmtree(files / name, ignore_errors=True)
    (files / f"{name}.json").unlink(missing_ok=True)
