"""The examples for clusters name commands, options and variables that exist."""

import re
import shlex
from pathlib import Path

import pytest
import yaml
from torch.distributed.run import get_args_parser

from pipeline.modeling.launch import MEMBER

SLURM = Path("examples/slurm/train.sbatch")
KUBERNETES = Path("examples/kubernetes/pytorchjob.yaml")
STAGES = yaml.safe_load(Path("dvc.yaml").read_text())["stages"]
SLURM_SETS = {"SLURM_JOB_NODELIST", "SLURM_NNODES", "SLURM_JOB_ID"}
"""Output environment variables of sbatch(1)."""


def commands() -> list[list[str]]:
    text = SLURM.read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [shlex.split(line) for line in lines]


def kubernetes() -> dict:
    return yaml.safe_load(KUBERNETES.read_text())


def container(role: str) -> dict:
    template = kubernetes()["spec"]["pytorchReplicaSpecs"][role]["template"]
    (found,) = template["spec"]["containers"]
    return found


def torchrun_arguments() -> dict[str, list[str]]:
    (started,) = [words for words in commands() if words[0] == "srun"]
    assert started[1] == "torchrun"
    return {"slurm": started[2:], "kubernetes": container("Worker")["args"]}


@pytest.mark.parametrize("name", ["slurm", "kubernetes"])
def test_torchrun_takes_the_arguments_and_runs_the_stage(name):
    numbers = {"WORLD_SIZE": "2", "RANK": "1", "SLURM_NNODES": "2", "MASTER_PORT": "29500"}
    words = [
        re.sub(r"\$\(?(\w+)\)?", lambda found: numbers.get(found[1], "host"), word)
        for word in torchrun_arguments()[name]
    ]
    found = get_args_parser().parse_args(words)
    assert (found.module, found.training_script) == (True, "stages.train")
    assert (found.nnodes, found.max_restarts) == ("2", 0)


def test_the_slurm_job_names_variables_that_slurm_sets_and_stages_that_exist():
    assert set(re.findall(r"SLURM_\w+", SLURM.read_text())) == SLURM_SETS
    given = [words for words in commands() if words[0] == "dvc"]
    assert [words[1] for words in given] == ["repro", "commit", "repro"]
    assert {word for words in given for word in words[2:] if word[0] != "-"} <= set(STAGES)
    assert Path(commands()[1][1]) == Path(".venv/bin/activate")


def test_the_slurm_options_are_set_before_the_first_command():
    lines = SLURM.read_text().splitlines()
    first = next(k for k, line in enumerate(lines) if line and line[0] != "#")
    options = [k for k, line in enumerate(lines) if line.startswith("#SBATCH")]
    assert lines[0] == "#!/bin/bash"
    assert max(options) < first


def test_the_kubernetes_job_has_two_roles_with_one_template_that_mount_what_training_needs():
    job = kubernetes()
    assert (job["apiVersion"], job["kind"]) == ("kubeflow.org/v1", "PyTorchJob")
    assert container("Master") == container("Worker")
    named = set(re.findall(r"\$\((\w+)\)", " ".join(container("Master")["args"])))
    assert named == set(MEMBER)
    folders = {Path(m["mountPath"]).name for m in container("Master")["volumeMounts"]}
    assert {"data", "models", "reports", ".ckpt"} <= folders


@pytest.mark.parametrize("path", [SLURM, KUBERNETES], ids=str)
def test_an_example_says_that_it_needs_a_cluster(path):
    assert "Needs a cluster" in path.read_text()
