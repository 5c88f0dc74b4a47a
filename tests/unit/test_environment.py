"""What a run says of where it happens, with real repositories, real installations and, only for GPUs, a stand-in."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from importlib.metadata import packages_distributions, version
from types import SimpleNamespace

import pytest

from accel_track.monitors import environment
from accel_track.monitors.environment import describe_environment

TOKEN = "ghp_abcdefgh"


def git(folder, *arguments):
    settings = ("user.name=A", "user.email=a@example.org", "init.defaultBranch=main", "commit.gpgsign=false")
    options = [part for setting in settings for part in ("-c", setting)]
    done = subprocess.run(
        ["git", *options, "-C", folder, *arguments], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def repository(folder):
    folder.mkdir()
    git(folder, "init")
    (folder / "train.py").write_text("print(1)\n")
    git(folder, "add", ".")
    git(folder, "commit", "-m", "first")
    return folder


@pytest.fixture
def repo(tmp_path, monkeypatch):
    folder = repository(tmp_path / "repo")
    monkeypatch.setattr(sys, "argv", [str(folder / "train.py")])
    return folder


def described_in_a_new_process(code):
    program = f"import json\n{code}\nfrom accel_track.monitors.environment import describe_environment\nimport sys\n"
    program += "print(json.dumps([describe_environment(), sorted(sys.modules)]))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    return json.loads(done.stdout)


def git_that_hangs(folder, monkeypatch, when="*"):
    """Put a program named git first on the path that hangs for some of its commands."""
    folder.mkdir()
    real = shutil.which("git")
    program = folder / "git"
    program.write_text(f'#!/bin/sh\ncase "$*" in {when}) exec sleep 100;; esac\nexec {real} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    monkeypatch.setattr(environment, "_SECONDS_FOR_GIT", 1.0)


# -- the program and the machine --------------------------------------------------------------------------------------


def test_the_program_and_the_machine(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py", "--lr", "0.1", "--name", "a b"])
    described = describe_environment()
    assert described["python"] == ".".join(map(str, sys.version_info[:3]))
    assert described["command"] == "train.py --lr 0.1 --name 'a b'"
    assert described["platform"]
    assert described["host"]
    assert 1 <= described["cpus"] <= os.cpu_count()
    assert json.loads(json.dumps(described)) == described


def test_credentials_in_the_command_are_redacted_unless_told_otherwise(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py", "--api-key", TOKEN, f"--token={TOKEN}"])
    assert TOKEN not in json.dumps(describe_environment())
    assert describe_environment(redact=False)["command"] == f"train.py --api-key {TOKEN} --token={TOKEN}"


def test_the_job_of_slurm(monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert "slurm_job_id" not in describe_environment()
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    assert describe_environment()["slurm_job_id"] == "4711"


def test_the_number_of_cpus_where_there_is_no_affinity(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert describe_environment()["cpus"] == os.cpu_count()


# -- git --------------------------------------------------------------------------------------------------------------


def test_the_commit_and_the_branch(repo):
    git(repo, "checkout", "-b", "feature/new")
    assert describe_environment()["git"] == {
        "commit": git(repo, "rev-parse", "HEAD"),
        "branch": "feature/new",
        "dirty": False,
    }


@pytest.mark.parametrize("staged", [False, True])
def test_a_changed_file_makes_it_dirty_and_an_unknown_one_does_not(repo, staged):
    (repo / "output.txt").write_text("unknown to git")
    assert describe_environment()["git"]["dirty"] is False
    (repo / "train.py").write_text("print(2)\n")
    if staged:
        git(repo, "add", "train.py")
    assert describe_environment()["git"]["dirty"] is True


def test_no_branch_where_head_is_detached(repo):
    git(repo, "checkout", "--detach")
    assert set(describe_environment()["git"]) == {"commit", "dirty"}


@pytest.mark.first(2)
@pytest.mark.parametrize(
    ("given", "said"),
    [
        (f"https://me:{TOKEN}@example.org/a/b.git", "https://example.org/a/b.git"),
        (f"https://{TOKEN}@example.org/a/b.git", "https://example.org/a/b.git"),
        ("git@example.org:a/b.git", "git@example.org:a/b.git"),
    ],
)
@pytest.mark.parametrize("redact", [True, False])
def test_the_remote_without_user_info(repo, given, said, redact):
    git(repo, "remote", "add", "origin", given)
    assert describe_environment(redact)["git"]["remote"] == said


def test_the_programs_repository_and_not_that_of_the_working_directory(repo, tmp_path, monkeypatch):
    other = repository(tmp_path / "other")
    git(other, "commit", "--amend", "-m", "second")
    monkeypatch.chdir(other)
    assert describe_environment()["git"]["commit"] == git(repo, "rev-parse", "HEAD")


def test_the_repository_that_a_link_to_the_program_points_to(repo, tmp_path, monkeypatch):
    link = tmp_path / "train"
    link.symlink_to(repo / "train.py")
    monkeypatch.setattr(sys, "argv", [str(link)])
    assert describe_environment()["git"]["commit"] == git(repo, "rev-parse", "HEAD")


@pytest.mark.parametrize("program", ["", "-c", "train", __file__])
def test_the_working_directory_where_the_program_is_in_no_repository(repo, tmp_path, monkeypatch, program):
    copy = shutil.copy(program, tmp_path) if program == __file__ else program
    monkeypatch.setattr(sys, "argv", [str(copy)])
    monkeypatch.chdir(repo)
    assert describe_environment()["git"]["commit"] == git(repo, "rev-parse", "HEAD")


@pytest.mark.parametrize("place", ["scripts", "purelib"])
def test_the_working_directory_where_the_program_is_an_installed_one(repo, tmp_path, monkeypatch, place):
    environment_in_git = repository(tmp_path / "pyenv")
    git(environment_in_git, "commit", "--amend", "-m", "second")
    monkeypatch.setattr(sys, "argv", [str(environment_in_git / "train.py")])
    monkeypatch.chdir(repo)
    real = sysconfig.get_path
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(environment_in_git) if name == place else real(name))
    assert describe_environment()["git"]["commit"] == git(repo, "rev-parse", "HEAD")


def test_the_repository_stays_as_it_is(repo):
    os.utime(repo / "train.py", (1, 1))  # git would take note of that in its index
    before = (repo / ".git" / "index").read_bytes()
    describe_environment()
    assert (repo / ".git" / "index").read_bytes() == before


def test_nothing_without_a_repository(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "train.py")])
    assert "git" not in describe_environment()
    assert capfd.readouterr() == ("", "")


def test_nothing_in_a_repository_without_a_commit(tmp_path, monkeypatch):
    git(tmp_path, "init")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py"])
    assert "git" not in describe_environment()


@pytest.mark.usefixtures("repo")
def test_nothing_where_git_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "git" not in describe_environment()


@pytest.mark.usefixtures("repo")
def test_nothing_where_git_hangs(tmp_path, monkeypatch):
    git_that_hangs(tmp_path / "bin", monkeypatch)
    assert "git" not in describe_environment()


def test_what_git_told_before_it_hung(repo, tmp_path, monkeypatch):
    commit = git(repo, "rev-parse", "HEAD")
    git_that_hangs(tmp_path / "bin", monkeypatch, when="*status*")
    assert describe_environment()["git"] == {"commit": commit, "branch": "main"}


def test_nothing_where_the_working_directory_is_gone(tmp_path, monkeypatch):
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", [""])
    folder.rmdir()
    described = describe_environment()
    assert "git" not in described
    assert "packages" in described


# -- packages ---------------------------------------------------------------------------------------------------------


@pytest.mark.extras
def test_the_packages_that_are_imported_and_no_others():
    described, modules = described_in_a_new_process("import numpy, yaml, six")
    lines = described["packages"].split("\n")
    assert {f"numpy=={version('numpy')}", f"accel-track=={version('accel-track')}"} <= set(lines)
    assert any(line.startswith("PyYAML==") for line in lines)
    assert lines == sorted(lines, key=str.lower)
    assert not {"torch", "lightning", "psutil"} & set(modules)
    assert not {"torch", "lightning", "psutil"} & {line.partition("==")[0] for line in lines}


@pytest.mark.long
@pytest.mark.extras
def test_the_packages_that_the_standard_library_finds():
    described, modules = described_in_a_new_process("import torch, lightning.pytorch, matplotlib")
    expected = {name for module, names in packages_distributions().items() if module in modules for name in names}
    found = {line.partition("==")[0] for line in described["packages"].split("\n")}
    assert found - {"accel-track"} == expected - {"accel-track"}  # which an editable installation hides from it


def test_the_rest_of_a_package_does_no_harm(tmp_path, monkeypatch):
    (tmp_path / "broken-1.0.dist-info").mkdir()
    (tmp_path / "pytest-0.1.dist-info").mkdir()
    (tmp_path / "pytest-0.1.dist-info" / "METADATA").write_text("Name: pytest\nVersion: 0.1\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    lines = describe_environment()["packages"].split("\n")
    assert [line for line in lines if line.startswith("pytest==")] == [f"pytest=={pytest.__version__}"]
    assert not [line for line in lines if line.startswith("broken")]


# -- GPUs: a stand-in for torch, since no test machine has one --------------------------------------------------------


def cuda(*names, initialized=True):
    return SimpleNamespace(
        cuda=SimpleNamespace(
            is_initialized=lambda: initialized,
            device_count=lambda: len(names),
            get_device_name=lambda index: names[index],
        )
    )


def test_the_names_of_gpus_once_cuda_is_in_use(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", cuda("NVIDIA A100", "NVIDIA T4"))
    assert describe_environment()["gpus"] == ["NVIDIA A100", "NVIDIA T4"]
    monkeypatch.setitem(sys.modules, "torch", cuda("NVIDIA A100", initialized=False))
    assert "gpus" not in describe_environment()


# -- whatever happens -------------------------------------------------------------------------------------------------


def test_what_cannot_be_found_out_is_left_out(monkeypatch):
    def broken(*_):
        raise RuntimeError("no")

    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace())
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.setattr(environment, "distributions", broken)
    monkeypatch.setattr(environment.platform, "platform", broken)
    assert set(describe_environment()) == {"python", "host", "cpus"}


def test_importing_it_imports_no_torch():
    _, modules = described_in_a_new_process("")
    assert "accel_track.monitors.environment" in modules
    assert not {"torch", "lightning", "numpy"} & set(modules)
