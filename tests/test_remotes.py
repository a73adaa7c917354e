"""Data and models shared through a folder and through S3: push, clone, pull, nothing to run."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from clones import Clone
from s3 import CREDENTIALS, Bucket, bucket
from serving.conftest import started
from tiny import with_values

pytestmark = pytest.mark.slow

SERVED = ("models/model.onnx", "models/model.onnx.sha256", "models/golden")
"""What docs/sharing.md says that serving needs."""


@dataclass(frozen=True, slots=True)
class Shared:
    """A repository whose data were pushed, and the bare Git repository that others clone."""

    origin: Clone
    url: str

    def clone(self, target: Path) -> Clone:
        """Clone it as a colleague would."""
        self.origin.run("git", "clone", "-q", self.url, str(target))
        return Clone(target, self.origin.environment)


def with_panels(clone: Clone, n: int) -> None:
    """Set a parameter that the report alone depends on."""
    params = clone.root / "params.yaml"
    params.write_text(with_values(params.read_text(), {"report.images_per_panel": str(n)}))


@pytest.fixture(scope="module")
def s3(tmp_path_factory) -> Iterator[Bucket]:
    with bucket(tmp_path_factory.mktemp("s3") / "log") as made:
        yield made


@pytest.fixture(scope="module", params=["folder", "S3"])
def shared(request, reproduced, tmp_path_factory) -> Shared:
    """A repository with two runs, whose reports differ, each committed and pushed."""
    folder = tmp_path_factory.mktemp("shared")
    shutil.copytree(reproduced, folder / "origin")
    origin = Clone(folder / "origin", CREDENTIALS)
    if request.param == "S3":
        made = request.getfixturevalue("s3")
        origin.run("dvc", "remote", "add", "-d", "storage", f"s3://{made.name}/lesson1")
        origin.run("dvc", "remote", "modify", "storage", "endpointurl", made.endpoint)
    else:
        origin.run("dvc", "remote", "add", "-d", "storage", str(folder / "storage"))
    origin.commit("where the data lie")
    with_panels(origin, 5)
    origin.run("dvc", "repro", "report")
    origin.commit("more images in the report")
    origin.run("dvc", "push", "--run-cache")
    origin.run("git", "revert", "--no-edit", "HEAD")
    origin.run("dvc", "checkout", "-q")
    origin.run("dvc", "push", "--run-cache")
    origin.run("git", "clone", "-q", "--bare", ".", str(folder / "bare"))
    shutil.rmtree(origin.root / ".dvc/cache")  # whatever comes now, comes from the remote
    if request.param == "S3":
        assert made.n_objects() > 50
    return Shared(origin, (folder / "bare").as_uri())


@pytest.fixture(scope="module")
def pulled(shared, tmp_path_factory) -> Clone:
    clone = shared.clone(tmp_path_factory.mktemp("pulled") / "clone")
    clone.run("dvc", "pull", "--run-cache")
    return clone


def test_in_a_clone_after_pull_there_is_nothing_to_run(pulled):
    assert "Data and pipelines are up to date" in pulled.run("dvc", "repro")
    assert pulled.run("git", "status", "--porcelain") == ""
    assert "in sync" in pulled.run("dvc", "status", "--cloud")
    assert pulled.run("python", "-m", "pipeline.verify").startswith("ok: ")


def test_a_colleague_s_other_run_comes_from_the_shared_run_cache(pulled):
    with_panels(pulled, 5)
    output = pulled.run("dvc", "repro", "--pull", "report")
    assert "Stage 'report' is cached - skipping run" in output
    pulled.run("git", "checkout", "-q", ".")
    output = pulled.run("dvc", "repro", "report")
    assert "Running stage" not in output
    assert pulled.run("git", "status", "--porcelain") == ""


def test_without_data_it_can_be_told_that_nothing_would_run(shared, tmp_path):
    clone = shared.clone(tmp_path / "clone")
    assert "up to date" in clone.run("dvc", "repro", "--allow-missing", "--dry")
    said = clone.run("python", "-m", "pipeline.verify", fails=True)
    assert "outs is here; run: dvc pull" in said


def test_the_model_alone_is_fetched_and_served(shared, tmp_path):
    here = Clone(tmp_path, CREDENTIALS)
    (tmp_path / "models").mkdir()
    for path in SERVED:
        here.run("dvc", "get", shared.url, path, "-o", path)
    golden = json.loads((tmp_path / "models/golden/golden.json").read_text())
    image = golden["images"][0]
    content = (tmp_path / "models/golden" / image["file"]).read_bytes()
    model = str(tmp_path / "models/model.onnx")
    with started(["-m", "pipeline.serving", "--model", model, "--port", "0"]) as server:
        answer = httpx.post(f"{server.url}/predict", content=content, trust_env=False).json()
    expected = dict(zip(golden["classes"], image["probabilities"], strict=True))
    assert answer["probabilities"] == pytest.approx(expected, abs=1e-3)
