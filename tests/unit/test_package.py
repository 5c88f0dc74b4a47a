"""The package as installed: lazy names, extras, versions."""

import subprocess
import sys
from importlib.metadata import requires, version

import pytest
from packaging.requirements import Requirement

import accel_track
from accel_track.registry import LOGGER_TYPE_TO_CLASS

EXTRAS = {"comet_ml": "comet"}


def test_importing_it_imports_neither_torch_nor_lightning() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import accel_track"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "accel_track" in imported
    assert not {"torch", "lightning", "numpy"} & {name.partition(".")[0] for name in imported}


def test_an_accelerator_that_only_logs_imports_no_fabric() -> None:
    code = (
        "import sys; from accel_track import Accelerator; import torch\n"
        "accelerator = Accelerator('tensorboard', project_dir='.', cpu=True)\n"
        "accelerator.init_trackers('p', {'lr': 0.1})\n"
        "accelerator.log({'loss': 0.5}, step=0, reduce='mean')\n"
        "accelerator.print(accelerator.num_processes, accelerator.process_index, accelerator.is_local_main_process)\n"
        "accelerator.wait_for_everyone()\n"
        "accelerator.end_training()\n"
        "assert 'lightning' not in sys.modules\n"
        "model = accelerator.prepare(torch.nn.Linear(1, 1))\n"
        "assert accelerator.prepare(model) is model\n"
        "assert 'lightning.fabric' in sys.modules\n"
        "print(accelerator.device, accelerator.fabric is accelerator.fabric)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, "1 0 True\ncpu True\n"), done.stderr


def test_public_names() -> None:
    for name in accel_track.__all__:
        assert getattr(accel_track, name).__name__ == name
    assert set(accel_track.__all__) <= set(dir(accel_track))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = accel_track.nothing
    assert version("accel-track") == accel_track.__version__


@pytest.mark.parametrize("name", sorted(set(LOGGER_TYPE_TO_CLASS) - {"tensorboard", "jsonl", "console"}))
def test_an_extra_installs_what_the_tracker_says_to_install(name: str) -> None:
    extra = EXTRAS.get(name, name)
    declared = [Requirement(text) for text in requires("accel-track") or []]
    (found,) = [one for one in declared if one.marker and f'extra == "{extra}"' in str(one.marker).replace("'", '"')]
    said = Requirement(LOGGER_TYPE_TO_CLASS[name].install or "")
    assert (said.name, said.specifier) == (found.name, found.specifier)
