"""SwanLab's settings: what its files, its variables and the program say of mode, key and run."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any


def find_settings(init_kwargs: Mapping[str, Any]) -> Any:
    """Return SwanLab's settings from files, variables, `swanlab.merge_settings` and the argument of that name."""
    from swanlab import Settings  # pyright: ignore[reportAttributeAccessIssue]

    settings = Settings()
    merged = sys.modules.get("swanlab.sdk.internal.settings.global_settings")
    for more in (getattr(merged, "get_global_settings", lambda: None)(), init_kwargs.get("settings")):
        if more is not None:
            settings.merge_settings(more)
    return settings


def needs_key(init_kwargs: Mapping[str, Any]) -> bool:
    """Return whether SwanLab would ask for a key."""
    given = init_kwargs.get("mode")
    if given in ("offline", "local", "disabled"):
        return False
    settings = find_settings(init_kwargs)
    if (given or settings.mode) not in ("online", "cloud") or settings.api_key:
        return False
    # `swanlab.login(save=False)` in this process; where that cannot be seen, SwanLab has to say it.
    login = sys.modules.get("swanlab.sdk.internal.core_python.client")
    return not getattr(login, "exists", lambda: login is not None)()


def chooses_id(init_kwargs: Mapping[str, Any]) -> bool:
    """Return whether the user says which run it is."""
    if not {"id", "parallel", "resume"}.isdisjoint(init_kwargs):
        return True
    run = find_settings(init_kwargs).run
    return bool(run.id or run.resume != "never")
