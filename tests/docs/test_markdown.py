"""Every Python block of the README and the documentation runs, and prints what it says."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_examples import CodeExample, EvalExample, find_examples

from accel_track.registry import LOGGER_TYPE_TO_CLASS

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "examples").rglob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
ELSEWHERE = [ROOT / "docs" / "backends" / f"{name}.md" for name in LOGGER_TYPE_TO_CLASS]  # run by test_backends.py


@pytest.fixture(autouse=True)
def _restored_registry() -> Iterator[None]:
    before = dict(LOGGER_TYPE_TO_CLASS)
    yield
    LOGGER_TYPE_TO_CLASS.clear()
    LOGGER_TYPE_TO_CLASS.update(before)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()  # migrations take seconds
    return path.read_bytes()


BLOCKS = [
    block for block in find_examples(*(page for page in PAGES if page not in ELSEWHERE)) if block.prefix == "python"
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("example", BLOCKS, ids=lambda example: f"{example.path.name}:{example.start_line}")
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")  # Lightning's advice to small examples
def test_block(example: CodeExample, eval_example: EvalExample, request: pytest.FixtureRequest) -> None:
    if '"mlflow"' in example.source:
        folder = re.search(r'(?:project|save)_dir="(\w+)"', example.source)
        database = Path(folder[1] if folder else ".", "mlflow.db")
        database.parent.mkdir(exist_ok=True)
        database.write_bytes(request.getfixturevalue("empty_database"))
    if "# >" in example.source:
        example.source = example.source.replace("# >", "#>")  # ruff format writes it with a space
        eval_example.run_print_check(example)
    else:
        eval_example.run(example)


def test_pages_have_blocks_and_links_that_exist() -> None:
    assert len(BLOCKS) >= 8
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}, which is not there"
