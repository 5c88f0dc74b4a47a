"""What tests of bridges share."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient


@pytest.fixture(scope="session")
def _empty_database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()  # migrations take seconds
    return path.read_bytes()


@pytest.fixture(autouse=True)
def _no_run_of_wandbs_is_left() -> Iterator[None]:
    """End what a logger of Lightning's or accelerate's leaves open, with the variables that wandb has read."""
    _end_wandb()
    yield
    _end_wandb()


def _end_wandb() -> None:
    if (wandb := sys.modules.get("wandb")) is not None:
        if wandb.run is not None:
            wandb.finish()
        wandb.teardown()


@pytest.fixture
def database(_own_directory: None, _empty_database: bytes) -> MlflowClient:
    """Return a client of `mlflow.db` in the working directory, which front doors take by themselves."""
    Path("mlflow.db").write_bytes(_empty_database)
    return MlflowClient(f"sqlite:///{Path.cwd()}/mlflow.db")  # MLflow keeps stores by their addresses
