"""An MLflow run and a client in one object."""

from __future__ import annotations

from typing import Any


class RunAndClient:
    """An `mlflow.entities.Run` (`info`, `data`) that is an `MlflowClient` as well (`log_artifact(run_id, path)`, …).

    `isinstance` takes it for an `MlflowClient`, as Lightning's `MLFlowLogger.experiment` is one.

    Args:
        run: The run, as it was when it began.
        client: The client of its server or database.
    """

    def __init__(self, run: Any, client: Any) -> None:
        """Keep both."""
        vars(self).update(_run=run, _client=client)

    @property  # type: ignore[misc]  # a class attribute for mypy
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The client's class."""
        return type(self._client)

    @property
    def experiment_id(self) -> str:
        """The id of the run's experiment, as Lightning's `MLFlowLogger` has it."""
        return str(vars(self)["_run"].info.experiment_id)

    def __getattr__(self, name: str) -> Any:
        """Return the run's attribute, else the client's.

        Raises:
            AttributeError: Neither has it.
        """
        if name.startswith("__"):
            raise AttributeError(name)
        run = vars(self)["_run"]
        return getattr(run if hasattr(run, name) else vars(self)["_client"], name)
