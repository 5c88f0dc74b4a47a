"""Notebook cells: IPython tells how they end; an exception ends a cell, and neither the program nor its runs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


def after_each_cell(call: Callable[[Any], None]) -> None:
    """Have a function called after each cell of IPython, once for all times; do nothing elsewhere.

    Args:
        call: Gets IPython's result, of which `error_in_exec` is the exception that ended the cell, or None.
    """
    # Another thread may be importing it at this moment, as ClearML's does.
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    shell = None if get_ipython is None else get_ipython()
    if shell is not None and call not in shell.events.callbacks["post_run_cell"]:
        shell.events.register("post_run_cell", call)
