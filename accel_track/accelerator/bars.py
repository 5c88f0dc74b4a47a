"""Progress bars of loops that run in several processes."""

from __future__ import annotations

from typing import Any

from accel_track.state import PartialState


def tqdm(*args: Any, main_process_only: bool = True, disable: bool = False, **kwargs: Any) -> Any:
    """Return a progress bar, `tqdm.auto.tqdm`, that only the main process of each machine shows.

    Args:
        *args: Arguments of tqdm.
        main_process_only: Whether the other processes show no bar.
        disable: Whether no process shows a bar.
        **kwargs: Keyword arguments of tqdm.
    """
    from tqdm.auto import tqdm as bars

    elsewhere = main_process_only and not PartialState().is_local_main_process
    return bars(*args, **kwargs, disable=disable or elsewhere)
