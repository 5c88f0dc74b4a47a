"""The source of Lightning's CSV logs: what its CSVLogger writes, in training and by itself."""

import math
import os
from pathlib import Path

import lightning
import pytest
import torch
from lightning.fabric.loggers import CSVLogger as FabricLogger
from lightning.pytorch.loggers import CSVLogger

from accel_track.errors import NotReadableError
from accel_track.importers.csv_logs import CsvLogsRun, CsvLogsSource
from accel_track.trackers.reading.tables import CUT_OFF, ODD
from tests.support.backend_runs import held


def runs(place: Path) -> dict[str, CsvLogsRun]:
    return {run.id: run for run in CsvLogsSource(str(place)).runs()}  # type: ignore[misc] # all are


class Tiny(lightning.LightningModule):
    """A module that logs in training."""

    def __init__(self, lr: float = 0.1, activation: object = torch.relu) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(2, 1)

    def training_step(self, batch: torch.Tensor, _: int) -> torch.Tensor:
        loss = self.layer(batch).sum()
        self.log_dict({"loss": loss, "half": 0.5})
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.0)


def test_a_training(tmp_path: Path) -> None:
    """Rows, steps and epochs of a Trainer, and the hyperparameters without the function, which is a text."""
    logger = CSVLogger(tmp_path, name="experiment")
    data = torch.utils.data.DataLoader(torch.ones(8, 2), batch_size=2)
    trainer = lightning.Trainer(
        logger=logger,
        max_epochs=2,
        log_every_n_steps=1,
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    trainer.fit(Tiny(), data)
    (run,) = runs(tmp_path).values()
    assert (run.id, run.name, run.project) == ("experiment/version_0", "version_0", "experiment")
    points = held(run, tmp_path).points
    assert points["half"] == [(step, 0.5) for step in range(8)]
    assert points["epoch"] == [(step, step // 4) for step in range(8)]
    assert len(points["loss"]) == 8
    assert run.config["lr"] == 0.1
    assert isinstance(run.config["activation"], str)
    assert not run.lost


def test_values_and_versions(tmp_path: Path) -> None:
    """Several versions, of both loggers: gaps, texts, NaN, columns that come later, steps that repeat."""
    for logger in (CSVLogger(tmp_path), FabricLogger(tmp_path, name="fabric")):
        logger.log_metrics({"a": 0.5, "odd": math.nan}, step=0)
        logger.log_metrics({"b": math.inf, "a": 2.0}, step=1)
        logger.log_metrics({"a": 3.0}, step=1)
        logger.save()
        logger.log_metrics({"later": 7.0}, step=4)
        logger.save()
    found = runs(tmp_path)
    assert set(found) == {"lightning_logs/version_0", "fabric/version_0"}
    for run in found.values():
        got = held(run, tmp_path)
        assert got.points["a"] == [(0, 0.5), (1, 2.0), (1, 3.0)]
        assert got.points["b"] == [(1, math.inf)]
        assert got.points["later"] == [(4, 7.0)]
        assert math.isnan(got.points["odd"][0][1])
        assert [len(row.values) for row in got.rows] == [2, 2, 1, 1]
        assert run.created is None  # the time of a file is none of the run's
        assert set(got.times["a"]) == {os.path.getmtime(tmp_path / run.id / "metrics.csv")}


def test_nothing_of_a_source_is_executed(tmp_path: Path) -> None:
    """Python's tags in hparams.yaml are texts."""
    (tmp_path / "metrics.csv").write_text("step,a\n0,1\n")
    made = tmp_path / "made"
    (tmp_path / "hparams.yaml").write_text(
        f"good: 1\nshape: !!python/tuple [1, 2]\nbad: !!python/object/apply:os.mkdir ['{made}']\n"
        f"new: !!python/object/new:subprocess.Popen [['touch', '{made}']]\nname: !!python/name:os.system ''\n"
    )
    (run,) = runs(tmp_path).values()
    assert not made.exists()
    assert run.config["good"] == 1
    assert run.config["shape"] == [1, 2]
    assert all(isinstance(run.config[name], str) for name in ("bad", "new", "name"))
    assert not run.lost


@pytest.mark.parametrize(
    "text",
    [
        "[1, 2]",
        "a: [",
        "a: &a [*a]",
        "x: &x [1, 2]\n"
        + "".join(f"x{n}: &x{n} [{', '.join([f'*x{n - 1 if n else str()}'] * 9)}]\n" for n in range(9)),
        "[" * 2000,
        "a: 1\n" * 300_000,
    ],
)
def test_impossible_hyperparameters(tmp_path: Path, text: str) -> None:
    """No YAML, no dictionary, endless, huge by aliases, too deep, too large: counted, and the values are read."""
    (tmp_path / "metrics.csv").write_text("step,a\n0,1\n")
    (tmp_path / "hparams.yaml").write_text(text)
    (run,) = runs(tmp_path).values()
    assert held(run, tmp_path).points["a"] == [(0, 1)]
    assert run.config == {}
    ((sentence, count),) = run.lost.items()
    assert sentence.startswith("hparams.yaml cannot be read")
    assert count == 1


def test_torn_and_odd_lines(tmp_path: Path) -> None:
    """What is whole is read, and the rest is counted."""
    file = tmp_path / "metrics.csv"
    file.write_bytes(b"a,step,b\n1,0,2\n1\n\n1,2,3,4\n2,x,3\n3,3.0,\xff\n4,-1,\n5,5,1.")
    (run,) = runs(tmp_path).values()
    got = held(run, tmp_path)
    assert got.points["a"] == [(0, 1), (None, 2), (3, 3), (None, 4)]
    assert run.lost == {ODD: 2, CUT_OFF: 1}


def test_recognition(tmp_path: Path) -> None:
    """By a column of steps in metrics.csv."""
    (tmp_path / "metrics.csv").write_text("a,b\n1,2\n")
    assert not CsvLogsSource.recognises(str(tmp_path))
    assert not CsvLogsSource.recognises(str(tmp_path / "missing"))
    (tmp_path / "garbage").mkdir()
    (tmp_path / "garbage" / "metrics.csv").write_bytes(bytes(range(256)) * 100)
    assert not CsvLogsSource.recognises(str(tmp_path))
    deep = tmp_path / "x" / "version_3"
    deep.mkdir(parents=True)
    (deep / "metrics.csv").write_text("step,a\n1,2\n")
    assert CsvLogsSource.recognises(str(tmp_path))
    assert CsvLogsSource.recognises(str(deep / "metrics.csv"))
    assert set(runs(tmp_path)) == {"x/version_3"}
    assert len(runs(deep / "metrics.csv")) == 1
    with pytest.raises(NotReadableError, match="csv_logs: there is no"):
        list(CsvLogsSource(str(tmp_path / "missing")).runs())


def test_links_out_of_the_folder(tmp_path: Path) -> None:
    """They are not followed."""
    (tmp_path / "outside.csv").write_text("step,a\n0,1\n")
    place = tmp_path / "place"
    place.mkdir()
    (place / "metrics.csv").symlink_to(tmp_path / "outside.csv")
    (run,) = runs(place).values()
    assert not held(run, tmp_path).rows
    assert sum(run.lost.values()) == 1
