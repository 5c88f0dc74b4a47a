"""The commands that install missing packages, and the packages that this platform cannot have."""

from __future__ import annotations

import re
import sys
from importlib.metadata import PackageNotFoundError, requires

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_EXTRA = re.compile(r"""(?: and )?extra == ["']([\w-]+)["']""")


def _extras(marker: Marker) -> list[str]:
    return _EXTRA.findall(str(marker))


def unmet_condition(requirement: str, **environment: str) -> str | None:
    """Return the condition of this package's extras for a requirement where it is not met, or None.

    Args:
        requirement: What to install, such as "aim>=3.29".
        **environment: Markers of another platform (PEP 508), such as `python_version="3.13"`. Default: this one's.
    """
    try:
        declared = [Requirement(text) for text in requires("accel-track") or ()]
    except PackageNotFoundError:  # a source tree that is not installed
        return None
    name = canonicalize_name(Requirement(requirement).name)
    markers = [one.marker for one in declared if one.marker and canonicalize_name(one.name) == name]
    if any(marker.evaluate({"extra": extra, **environment}) for marker in markers for extra in _extras(marker)):
        return None
    return next((_EXTRA.sub("", str(marker)) for marker in markers), None)


def install_command(requirement: str) -> str:
    """Return the sentence that tells how to install an SDK into the running interpreter, or why that cannot be."""
    if condition := unmet_condition(requirement):
        return f"it is not to be had here: {requirement} is for {condition}"
    return f'install it with: "{sys.executable}" -m pip install "{requirement}"'
