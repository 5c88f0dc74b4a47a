"""The pages on the architecture name what there is: folders, files, and the libraries of the package."""

import re
from pathlib import Path

import pytest
import tomllib

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "accel_track"
SDKS = {"aim", "clearml", "comet-ml", "dvclive", "mlflow", "swanlab", "trackio", "wandb"}


def text_of(page: str) -> str:
    return (ROOT / "docs" / page).read_text(encoding="utf-8")


def test_each_part_of_the_package_is_on_the_map() -> None:
    parts = [f"{one.name}/" if one.is_dir() else one.name for one in PACKAGE.iterdir() if not one.name.startswith("__")]
    code = set(re.findall(r"`([\w./]+)`", text_of("architecture.md")))
    assert [part for part in parts if part != "py.typed" and part not in code] == []


@pytest.mark.parametrize("page", ["architecture.md", "decisions.md"])
def test_files_and_folders_that_are_named_are_there(page: str) -> None:
    named = set(re.findall(r"`((?:\w+/)+(?:\w+\.py)?)`", text_of(page))) - {"media/"}
    assert len(named) > 5
    places = (PACKAGE, ROOT, PACKAGE / "views", PACKAGE / "delivery", PACKAGE / "trackers")
    assert [name for name in named if not any((place / name).exists() for place in places)] == []


def test_each_library_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [one for extra, ones in project["optional-dependencies"].items() if extra != "dev" for one in ones]
    needed = {re.split(r"[\[><=; ]", one)[0] for one in [*project["dependencies"], *extras]}
    table = text_of("architecture.md").partition("## Libraries")[2].partition("\n\nThe nine SDKs")[0]
    assert [one for one in needed - SDKS - {"accel-track"} if one not in table] == []
