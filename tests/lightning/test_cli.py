"""AccelTrackLogger and AccelTrackCallback from Lightning's command line and a YAML file."""

import inspect
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from lightning.pytorch.cli import LightningCLI

from accel_track import AccelTrackCallback, AccelTrackLogger
from accel_track.journal.directory import RunDirectory, find_runs
from accel_track.journal.reader import JournalReader
from accel_track.records import Config, Metrics
from tests.support import warm
from tests.support.models import Tiny
from tests.support.skips import need

ROOT = Path(__file__).parents[2]
DOORS = {"logger": AccelTrackLogger, "callbacks": AccelTrackCallback}

PROGRAM = """
from lightning.pytorch import LightningDataModule
from lightning.pytorch.cli import LightningCLI
from tests.support.models import Tiny, batches

class Data(LightningDataModule):
    def __init__(self, size: int = 8) -> None:
        super().__init__()
        self.save_hyperparameters()

    def train_dataloader(self):
        return batches()

    val_dataloader = test_dataloader = train_dataloader

if __name__ == "__main__":
    LightningCLI(Tiny, Data)
"""

DELIVERY: dict[str, Any] = {
    "delivery": "thread",
    "on_error": "warn",
    "strict": True,
    "start_timeout": 30,
    "finish_timeout": 45.5,
    "durability": "power",
    "redact": True,
    "resume": "auto",
    "all_ranks": False,
    "rules": None,
    "keep": "30d",
    "mirror": None,
    "mirror_interval": None,
    "alerts": ["nan", "loss > 10 for 50 steps"],
    "autopsy": True,
    "stall_after": 90.0,
}
LOGGER: dict[str, Any] = {
    "log_with": ["tensorboard", "mlflow"],
    "name": "digits",
    "version": None,
    "save_dir": "logs",
    "prefix": "p",
    "config": {"note": "from YAML", "nested": {"a": 1}},
    "init_kwargs": {"mlflow": {"tags": {"team": "vision"}}},
    "log_graph": False,
    "project": None,
    "experiment_name": None,
    "run_name": None,
    "tracking_uri": None,
    "artifact_location": "artifacts",
    "run_id": None,
    "offline": True,
    "group": None,
    "tags": {"by": "YAML"},
    "log_model": False,
    "default_hp_metric": False,
    "sub_dir": None,
    **DELIVERY,
}
CALLBACK: dict[str, Any] = {
    "log_with": "mlflow",
    "name": "other",
    "version": "named",
    "save_dir": "elsewhere",
    "prefix": "",
    "config": {"more": [1, 2]},
    "init_kwargs": None,
    "log_checkpoints": "last",
    "log_learning_rate": True,
    "log_gradient_norm": True,
    "log_throughput": False,
    "log_system": False,
    "system_interval": 5,
    "log_summary": False,
    "log_environment": True,
    "log_samples": 4,
    "class_names": ["zero", "one"],
    **DELIVERY,
}


def configuration(**of_trainer: Any) -> dict[str, Any]:
    return {
        "seed_everything": 1,
        "trainer": {
            "accelerator": "cpu",
            "max_epochs": 1,
            "log_every_n_steps": 2,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "logger": {"class_path": "accel_track.AccelTrackLogger", "init_args": LOGGER},
            "callbacks": [{"class_path": "accel_track.AccelTrackCallback", "init_args": CALLBACK}],
            **of_trainer,
        },
        "model": {"lr": 0.5},
        "data": {"size": 8},
    }


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., str]:
    """Run the program with a subcommand and arguments, in this test's folder; return what it said."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)

    def run(*arguments: str) -> str:
        command = [sys.executable, str(program), *arguments]
        done = warm.run(command, timeout=100, env={**os.environ, "PYTHONPATH": str(ROOT)})
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def records(run: RunDirectory) -> tuple[dict[str, Any], list[tuple[int | None, list[str]]]]:
    """Return a run's hyperparameters, later ones over earlier ones, and the steps and names of its metrics."""
    config: dict[str, Any] = {}
    metrics = []
    for record in JournalReader(run.rank()):
        if isinstance(record, Config):
            config |= record.values
        elif isinstance(record, Metrics):
            metrics.append((record.step, sorted(record.values)))
    return config, metrics


def in_process(*arguments: str) -> None:
    LightningCLI(Tiny, args=["fit", *arguments], run=True)


# -- what the command line knows of the arguments -----------------------------------------------------------------------


@pytest.mark.parametrize("door", ["logger", "callbacks"])
def test_every_argument_is_documented(door: str, capsys: pytest.CaptureFixture[str]) -> None:
    cls = DOORS[door]
    with pytest.raises(SystemExit):
        in_process(f"--trainer.{door}.help", f"accel_track.{cls.__name__}")
    text = " ".join(capsys.readouterr().out.partition("Help for")[2].split())
    parameters = inspect.signature(cls).parameters
    begins = {name: text.rindex(f"--trainer.{door}.{name} ") for name in parameters}
    assert sorted(begins, key=lambda name: begins[name]) == list(parameters)
    ends = [*list(begins.values())[1:], len(text)]
    for (name, begin), end in zip(begins.items(), ends, strict=True):
        about = re.fullmatch(r"--\S+ (?:\S+, --\S+ )?\S+ (.+) \(type: (.+), default: (.*)\).*", text[begin:end])
        assert about is not None, text[begin:end]
        assert re.match(r"[A-Z\"].*\.$", about[1]), (name, about[1])
        assert "Any" not in about[2] or name in ("config", "init_kwargs", "rules"), (name, about[2])


@pytest.mark.parametrize("door", ["logger", "callbacks"])
def test_every_argument_is_in_the_printed_configuration(door: str, capsys: pytest.CaptureFixture[str]) -> None:
    cls = DOORS[door]
    with pytest.raises(SystemExit):
        in_process(f"--trainer.{door}", f"accel_track.{cls.__name__}", "--print_config")
    printed = yaml.safe_load(capsys.readouterr().out)["trainer"][door]
    defaults = {name: one.default for name, one in inspect.signature(cls).parameters.items()}
    assert printed == {"class_path": f"accel_track.{cls.__name__}", "init_args": defaults}


@pytest.mark.parametrize(("door", "given"), [("logger", LOGGER), ("callbacks", CALLBACK)])
def test_the_yaml_of_these_tests_has_every_argument(door: str, given: dict[str, Any]) -> None:
    assert list(given) == list(inspect.signature(DOORS[door]).parameters)


@pytest.mark.first(2)
@pytest.mark.parametrize(
    ("name", "value"), [("delivery", "post"), ("resume", "maybe"), ("start_timeout", "soon"), ("init_kwargs", "a")]
)
def test_a_wrong_value_is_the_command_lines_error(name: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        in_process("--trainer.logger", "accel_track.AccelTrackLogger", f"--trainer.logger.{name}", value)
    assert name in capsys.readouterr().err


# -- runs ---------------------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_runs_from_a_file_again_and_on_from_a_checkpoint(command: Callable[..., str]) -> None:
    need("mlflow")
    from mlflow import MlflowClient

    Path("train.yaml").write_text(yaml.safe_dump(configuration()))
    command("fit", "--config", "train.yaml")
    (run,) = find_runs(".")
    info = run.load()
    assert (info.project, info.name, info.status, info.starts) == ("digits", "version_0", "finished", 1)
    assert {name: one.kwargs for name, one in info.trackers.items()} == {
        "tensorboard": {},
        "mlflow": {"logging_dir": os.path.abspath("artifacts"), "tags": {"team": "vision"}},
    }
    config, metrics = records(run)
    options = config["options"]
    assert options["trainer"]["logger"]["init_args"] == LOGGER
    assert options["trainer"]["callbacks"][0]["init_args"] == CALLBACK
    assert (options["model"]["lr"], options["data"]["size"], options["seed_everything"]) == (0.5, 8, 1)
    assert (config["lr"], config["size"], config["note"], config["more"]) == (0.5, 8, "from YAML", [1, 2])
    assert (1, ["p-epoch", "p-loss"]) in metrics
    assert {name for _, names in metrics for name in names} >= {"p-gradient_norm", "p-lr-SGD", "p-val_loss"}
    folder = Path("logs/digits/version_0")
    assert yaml.safe_load((folder / "config.yaml").read_text())["model"]["lr"] == 0.5
    (checkpoint,) = folder.glob("checkpoints/*.ckpt")
    assert not Path("elsewhere").exists()  # the callback has joined the logger

    command("fit", "--config", "train.yaml")
    assert sorted(one.load().name or "" for one in find_runs(".")) == ["version_0", "version_1"]
    assert Path("logs/digits/version_1/config.yaml").is_file()

    said = command("fit", "--config", "train.yaml", "--trainer.max_epochs", "2", "--ckpt_path", str(checkpoint))
    assert "already exists" not in said
    info = run.load()
    assert (info.name, info.status, info.starts) == ("version_0", "finished", 2)
    assert len(list(find_runs("."))) == 2
    assert yaml.safe_load((folder / "config.yaml").read_text())["trainer"]["max_epochs"] == 2
    config, metrics = records(run)
    assert config["options"]["ckpt_path"] == str(checkpoint)
    assert [step for step, names in metrics if "p-loss" in names] == [1, 3, 5, 7, 9, 11, 13, 15]

    client = MlflowClient(f"sqlite:///{Path.cwd() / 'logs' / 'mlflow.db'}")
    found = client.search_runs([client.get_experiment_by_name("digits").experiment_id])
    assert sorted(one.info.run_name for one in found) == ["version_0", "version_1"]
    (first,) = [one for one in found if one.info.run_name == "version_0"]
    assert (first.info.status, first.data.tags["team"]) == ("FINISHED", "vision")
    assert first.data.params["options/trainer/log_every_n_steps"] == "2"
    assert [one.step for one in client.get_metric_history(first.info.run_id, "p-loss")] == list(range(1, 16, 2))


@pytest.mark.long
def test_the_callback_alone(command: Callable[..., str]) -> None:
    alone = {**CALLBACK, "log_with": "tensorboard", "version": None}
    callbacks = [{"class_path": "accel_track.AccelTrackCallback", "init_args": alone}]
    Path("train.yaml").write_text(yaml.safe_dump(configuration(logger=False, callbacks=callbacks)))
    command("fit", "--config", "train.yaml")
    (run,) = find_runs(".")
    config, metrics = records(run)
    assert config["options"]["trainer"]["callbacks"][0]["init_args"] == alone
    assert config["options"]["trainer"]["logger"] is False
    assert [step for step, names in metrics if "loss" in names] == [1, 3, 5, 7]
    assert list(Path("elsewhere/other/version_0").glob("events.out.tfevents.*"))
