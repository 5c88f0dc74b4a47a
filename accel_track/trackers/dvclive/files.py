"""The files of a DVCLive run that goes on: its tables, `metrics.json` and the checkpoints in DVC."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import yaml

from accel_track.trackers.set_up import alone_at


def dvc_alone() -> AbstractContextManager[None]:
    """Return the lock under which DVC is set up in a Git repository and experiments are saved; none outside of one."""
    for folder in (here := Path.cwd(), *here.parents):
        git = folder / ".git"
        if git.is_file() and (text := git.read_text()).startswith("gitdir:"):  # a worktree or a submodule
            git = folder / text.removeprefix("gitdir:").strip()
        if git.is_dir():
            return alone_at(folder / ".dvc", git)
    return nullcontext()


def mend_summary(folder: Path) -> None:
    """Write `metrics.json` again from the tables, if the process ended before or while DVCLive was writing it."""
    file = folder / "metrics.json"
    try:
        json.loads(file.read_bytes())
    except (FileNotFoundError, ValueError):
        partial = file.with_suffix(".part")
        if found := summary(folder):
            partial.write_text(json.dumps(found, indent=4), encoding="utf-8")
            partial.replace(file)


def summary(folder: Path) -> dict[str, Any]:
    """Return what belongs into `metrics.json`: each metric's last value, and the last step."""
    found: dict[str, Any] = {}
    last = -1
    for path, _, rows in _tables(folder):
        *parents, name = path.relative_to(folder / "plots" / "metrics").with_suffix("").parts
        place = found
        for parent in parents:
            place = place.setdefault(parent, {})
        if rows:
            place[name] = _value(rows[-1][name])
            last = max(last, int(rows[-1]["step"]))
    return {**found, "step": last} if last >= 0 else found


def cut_tables(folder: Path, step: int) -> None:
    """Remove the rows of a step and later ones from all tables; a table without rows goes."""
    for path, columns, rows in _tables(folder):
        kept = [row for row in rows if int(row["step"]) < step]
        if not kept:
            path.unlink()
        elif len(kept) < len(rows):
            partial = path.with_suffix(".part")
            with partial.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, columns, delimiter="\t", lineterminator=os.linesep)
                writer.writeheader()
                writer.writerows(kept)
            partial.replace(path)


def store_artifact(live: Any, name: str, path: Path, metadata: dict[str, Any]) -> str | None:
    """Copy a file or a folder into `artifacts`, and add it to DVC as a model; return None, or what prevents that."""
    repository = live._dvc_repo  # noqa: SLF001
    root = None if repository is None else Path(repository.root_dir).resolve()
    if root is None or not Path(live.dir).resolve().is_relative_to(root):
        return "DVCLive keeps checkpoints in a DVC repository only; run `git init` and `dvc init` above its folder"
    delete_artifact(live, name)
    target = Path(live.artifacts_dir).absolute() / f"{name}{path.suffix if path.is_file() else ''}"
    _delete(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    (shutil.copytree if path.is_dir() else shutil.copy2)(path, target)
    live.log_artifact(str(target), type="model", name=name, meta=metadata)
    # DVCLive catches DVC's errors, and in a pipeline leaves to DVC what is the output of a stage.
    if not _pointer(target).exists() and not live._inside_dvc_pipeline:  # noqa: SLF001
        delete_artifact(live, name)
        return "DVC did not take it; see DVCLive's own message"
    return None


def delete_artifact(live: Any, name: str) -> None:
    """Delete an artifact, if there is one of that name: the copy, DVC's file beside it, the entry in `dvc.yaml`."""
    entry = live._artifacts.pop(name, None)  # noqa: SLF001
    if entry is not None:
        target = Path(entry["path"]).absolute()
        _delete(target)
        untracked = live._include_untracked  # noqa: SLF001 - what is not there cannot be saved with the experiment
        untracked[:] = [file for file in untracked if Path(file).absolute() != _pointer(target)]


def stored_artifacts(live: Any) -> dict[str, dict[str, Any]]:
    """Return the artifacts of an earlier part of the run, with absolute paths."""
    file = Path(live.dvc_file).absolute()
    try:
        listed = yaml.safe_load(file.read_bytes()) or {}
    except (OSError, yaml.YAMLError):
        return {}
    artifacts = {
        name: {**entry, "path": os.path.abspath(file.parent / entry["path"])}
        for name, entry in (listed.get("artifacts") or {}).items()
        if "path" in entry
    }
    root = os.path.abspath(live.artifacts_dir) + os.sep
    return {name: entry for name, entry in artifacts.items() if entry["path"].startswith(root)}


def _pointer(target: Path) -> Path:
    return target.with_name(f"{target.name}.dvc")


def _delete(target: Path) -> None:
    for path in (target, _pointer(target)):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _tables(folder: Path) -> Iterator[tuple[Path, list[str], list[dict[str, str]]]]:
    for path in sorted((folder / "plots" / "metrics").rglob("*.tsv")):
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, delimiter="\t")
            yield path, list(reader.fieldnames or ()), list(reader)


def _value(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            value: int | float = kind(text)
        except ValueError:
            continue
        return text if text in ("nan", "inf", "-inf") else value
    return text
