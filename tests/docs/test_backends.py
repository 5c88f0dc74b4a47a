"""The pages of docs/backends say what the trackers declare, and what they show works."""

import re
import sys
from pathlib import Path

import pytest

from accel_track.registry import LOGGER_TYPE_TO_CLASS
from tests.support import warm
from tests.support.backend_pages import FACTS, FOLDER, INDEX, NAMES, PROJECT, extra, index, page, pages
from tests.support.runs import only_run

_AT_ONCE = ("tensorboard", "mlflow", "jsonl", "console")


@pytest.mark.parametrize("path", pages(), ids=lambda path: path.stem)
def test_each_is_up_to_date(path) -> None:
    """Else: python -m tests.support.backend_pages."""
    assert path.read_text(encoding="utf-8") == pages()[path]


def test_each_tracker_has_a_page_and_facts() -> None:
    assert sorted(FACTS) == sorted(NAMES) == sorted(LOGGER_TYPE_TO_CLASS)
    assert {path.stem for path in FOLDER.glob("*.md")} == {"index", *NAMES}


def test_an_extra_installs_what_the_tracker_asks_for() -> None:
    for name, cls in LOGGER_TYPE_TO_CLASS.items():
        assert extra(name) or cls.install is None or cls.install in PROJECT["dependencies"], name


def test_a_page_with_other_sections_is_refused() -> None:
    text = (FOLDER / "aim.md").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="sections"):
        page("aim", text.replace("## Media", "## Pictures"))
    with pytest.raises(ValueError, match="nothing is in the section 'With a server'"):
        page("aim", re.sub(r"(## With a server\n).*?(\n## )", r"\1\2", text, flags=re.DOTALL))
    compared = (FOLDER / "index.md").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="Steps"):
        index(compared.replace("## Steps", "## Numbers of steps"))
    assert all(f"## {heading}\n" in compared for heading in INDEX)


@pytest.mark.first(len(_AT_ONCE))
@pytest.mark.parametrize("name", sorted(NAMES, key=lambda name: name not in _AT_ONCE))
def test_what_a_page_shows_is_read_back(name: str) -> None:
    """The blocks of a page run as programs, and `accel-track verify --against`, which it names, finds all of it."""
    text = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    done = warm.run([sys.executable, "-W", "ignore", "-c", block], timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    for printed in re.findall(r"# > (.*)", block):
        assert printed in done.stdout.splitlines()
    if name == "console":
        assert re.search(r"train/loss\W+9\W+0\.1\W", done.stderr), done.stderr
    else:
        assert f"verify RUN --against {name}`" in text
        verify = [sys.executable, "-m", "accel_track", "verify", str(only_run(Path()).path), "--against", name]
        verified = warm.run(verify, timeout=100)
        assert verified.returncode == 0, verified.stdout + verified.stderr
        assert f"{name}: 10 of 10 values" in verified.stdout
