"""A Hydra application: each job of a multirun is a run of its own, and the sweep is their group.

python examples/hydra_sweep.py --multirun lr=0.01,0.1 trackers=[mlflow]
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hydra
import torch
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

import accel_track


@dataclass
class Config:
    """The hyperparameters; any YAML file of Hydra's does as well."""

    lr: float = 0.05
    steps: int = 10
    dir: str = "runs"
    trackers: list[str] = field(default_factory=lambda: ["tensorboard"])


ConfigStore.instance().store(name="config", node=Config)


@hydra.main(version_base="1.3", config_name="config", config_path=None)
def main(config: Config) -> None:
    """Train with one set of hyperparameters."""
    job = HydraConfig.get()
    init_kwargs: dict[str, dict[str, Any]] = {}
    name = None
    if job.mode == RunMode.MULTIRUN:
        sweep = "-".join(Path(job.sweep.dir).parts[-2:])  # Hydra calls it by date and time
        name = f"{sweep}-{job.job.num}"
        groups = {"wandb": {"group": sweep}, "trackio": {"group": sweep}, "mlflow": {"tags": {"sweep": sweep}}}
        init_kwargs = {tracker: given for tracker, given in groups.items() if tracker in config.trackers}

    with accel_track.init(
        "hydra", list(config.trackers), project_dir=config.dir, run_name=name, config=config, init_kwargs=init_kwargs
    ) as run:
        torch.manual_seed(0)
        inputs = torch.randn(64, 4)
        model = torch.nn.Linear(4, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=config.lr)
        for step in range(config.steps):
            loss = torch.nn.functional.mse_loss(model(inputs), inputs.sum(1, keepdim=True))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            run.log({"loss": loss}, step)
    print(f"lr={config.lr}: loss {loss.item():.4f}")
    print(f"look at it: accel-track ls {config.dir}")


if __name__ == "__main__":
    main()
