"""Progress bars of loops that run in several processes."""

from __future__ import annotations

from typing import Any

from accel_track.state import PartialState


def tqdm(*args: Any, main_process_only: bool = True, disable: bool = False, **kwargs: Any) -> Any:
    """Return `tqdm.auto.tqdm`, which shows nothing off the main process of a machine.

    Args:
        *args: Its arguments, as `kwargs` are.
        main_process_only: Whether the other processes show nothing.
        disable: Whether nothing is shown anywhere.
        **kwargs: See `args`.
    """
    from tqdm.auto import tqdm as bars

    elsewhere = main_process_only and not PartialState().is_local_main_process
    return bars(*args, **kwargs, disable=disable or elsewhere)
