"""Measure one case in this process: `python -m benchmarks._child SCRIPT CASE RESULT [--short]`, in its own folder."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks._case import Gap, cases, script


def main() -> None:
    """Write what was found, what is missing or what went wrong; the runner reads it from the file."""
    name, wanted, place, *options = sys.argv[1:]
    (case,) = (one for one in cases(name) if one.name == wanted)
    found: dict[str, Any]
    try:
        found = {"measured": asdict(script(name).run(case, Path.cwd(), "--short" in options))}
    except Gap as gap:
        found = {"skipped": str(gap)}
    Path(place).write_text(json.dumps(found))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # everything is finished and counted; what SDKs do at exit is of no interest


if __name__ == "__main__":
    main()
