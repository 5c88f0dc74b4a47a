"""The package as installed: lazy names, extras, versions."""

import re
import subprocess
import sys
from importlib.metadata import requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import accel_track
from accel_track.registry import LOGGER_TYPE_TO_CLASS
from accel_track.trackers.installing import install_command, unmet_condition

EXTRAS = {"comet_ml": "comet"}
ROOT = Path(__file__).parents[2]


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
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=150)
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


def test_the_extra_of_comet_is_called_as_the_tracker_is_too() -> None:
    declared = [Requirement(text) for text in requires("accel-track") or []]
    asked = [one for one in declared if one.marker and one.marker.evaluate({"extra": "comet-ml"})]
    assert [one.name for one in asked] == ["comet-ml"]


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13", "3.14"])
def test_what_a_platform_cannot_have_is_not_suggested(python: str) -> None:
    conditions = {
        name: condition
        for name, cls in LOGGER_TYPE_TO_CLASS.items()
        if cls.install and (condition := unmet_condition(cls.install, python_version=python))
    }
    assert conditions == ({} if python in ("3.10", "3.11", "3.12") else {"aim": 'python_version < "3.13"'})


@pytest.mark.parametrize("name", ["aim", "mlflow"])
def test_the_sentence_on_this_platform(name: str) -> None:
    requirement = LOGGER_TYPE_TO_CLASS[name].install or ""
    here = name != "aim" or sys.version_info < (3, 13)
    ours = f'install it with: "{sys.executable}" -m pip install "{requirement}"'
    assert install_command(requirement) == (
        ours if here else f'it is not to be had here: {requirement} is for python_version < "3.13"'
    )


def test_an_unknown_requirement_is_no_case_for_conditions() -> None:
    assert unmet_condition("no-such-sdk>=1") is None
    assert unmet_condition("accel-track[demo]") is None


def test_versions_agree() -> None:
    cited = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    released = re.search(r"^## (\d\S+) - ", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert cited
    assert released
    assert cited[1] == released[1] == accel_track.__version__


def test_classifiers_name_the_pythons_that_tox_has() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    named = set(re.findall(r"Programming Language :: Python :: 3\.(\d+)", project))
    tested = set(re.findall(r"py3(\d+)-quick", (ROOT / "tox.ini").read_text())) | {"11"}  # on which all tests run
    assert named == tested
