"""The images and plots that an earlier part of a run has left, as DVCLive's objects: it lists those it knows of."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def _folder(plots: str, kind: Any) -> Path:
    """Return the folder of one kind of plots, which is a property of the class and none for type checkers."""
    return Path(plots, kind.subfolder)


def shown_images(plots: str) -> dict[str, Any]:
    """Return the images below a folder of plots by their names."""
    from dvclive.plots.image import Image

    folder = _folder(plots, Image)
    names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.suffix in Image.suffixes]
    return {name: Image(name, plots) for name in names}


def shown_plots(plots: str, base: Path, listed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plots below a folder by their names.

    Args:
        plots: The folder.
        base: The folder of `dvc.yaml`, to which its paths are relative.
        listed: What `dvc.yaml` holds.
    """
    from dvclive.plots import SKLEARN_PLOTS
    from dvclive.plots.custom import CustomPlot

    found: dict[str, Any] = {}
    configs = _configs(base, listed)
    for file in sorted(_folder(plots, CustomPlot).rglob("*.json")):
        config = configs.get(os.path.abspath(file)) or _guessed(file)
        name = file.relative_to(_folder(plots, CustomPlot)).with_suffix("").as_posix()
        found[name] = CustomPlot(name, plots, **{"template": None, **config})
    for cls in SKLEARN_PLOTS.values():
        for file in sorted(_folder(plots, cls).rglob("*.json")):
            name = file.relative_to(_folder(plots, cls)).with_suffix("").as_posix()
            config, plot = configs.get(os.path.abspath(file), {}), cls(name, plots)
            if (plot.plot_config["x"], plot.plot_config["y"]) == (config.get("x"), config.get("y")):
                found[name] = plot
    return found


def _configs(base: Path, listed: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the arguments of the plots in `dvc.yaml` by the absolute paths of their files."""
    entries = [entry for entry in listed.get("plots") or () if isinstance(entry, dict)]
    return {os.path.abspath(base / path): dict(config) for entry in entries for path, config in entry.items()}


def _guessed(file: Path) -> dict[str, Any]:
    try:
        first, *_ = json.loads(file.read_bytes())
        return {"x": next(iter(first)), "y": list(first)[-1]}
    except (ValueError, TypeError, StopIteration):
        return {"x": "x", "y": "y"}
