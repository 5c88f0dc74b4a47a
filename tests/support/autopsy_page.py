"""The sample in docs/autopsy.md: the program of that page is run, and what the command says is put in.

`python -m tests.support.autopsy_page` writes the page.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.processes import PYTHON

PAGE = Path(__file__).parents[2] / "docs" / "autopsy.md"
_SAMPLE = re.compile(r"(<!-- sample -->\n).*?(<!-- end -->\n)", re.DOTALL)
_PLAIN = [
    (r"\d{8}-\d{6}-[0-9a-f]{6}", "20260131-120000-3fa9c1"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "2026-01-31 12:00:00"),
    (r"(?m)^last record .*\n(?: {18}.*\n)*", "last record       step 9, 2026-01-31 12:00:00 UTC (3 s ago)\n"),
    (r"(?m)^process  ( +)\d+ on \S+,", r"process  \g<1>4711 on node7,"),
    (r"(?m)^memory then .*\n(?: {18}.*\n)*", "memory then       process 43.9 MB, free on the machine 24.4 GB\n"),
    (r"/\S*/(?=ctypes/__init__)", "/usr/lib/python3.11/"),
    (r"__init__\.py:\d+", "__init__.py:519"),
    (r"/\S*/train\.py", "/home/me/train.py"),
    (r"in read \([^)]*/train", "in read (me/train"),
    (r"(?m)^  … .*\n", ""),
]


def page(text: str) -> str:
    """Return the page with what the command says now, but for what differs from run to run."""
    code = re.search(r'```python title="train.py"\n(.*?)```', text, re.DOTALL)
    assert code is not None
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "train.py").write_text(code[1])
        environment = os.environ | {"COLUMNS": "80"}
        subprocess.run([PYTHON, "train.py"], check=False, cwd=folder, timeout=60, env=environment, capture_output=True)
        (run,) = Path(folder).glob(".accel_track/*/*/")
        command = [PYTHON, "-m", "accel_track", "autopsy", run.name]
        done = subprocess.run(command, check=False, cwd=folder, timeout=60, env=environment, capture_output=True)
        output = done.stdout.decode()
    for pattern, plain in _PLAIN:
        output = re.sub(pattern, plain, output)
    return _SAMPLE.sub(lambda match: f"{match[1]}```text\n{output}```\n{match[2]}", text)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.exit()
