"""Benches for each stage, on 150 drawn images."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tiny import TINY, copy_project

pytest.register_assert_rewrite(
    "faults.projects", "faults.trials"
)  # their asserts say what is wrong

from faults.projects import ARTIFACTS, Project  # noqa: E402
from faults.sources import served, tarred, unpacked, zipped  # noqa: E402
from faults.trials import KILLER, Bench  # noqa: E402

OTHER = {
    "download": {"data.synthetic_seed": "7", "data.synthetic_images": "60"},
    "split": {"split.seed": "7"},
    "pack": {"pack.size_px": "32"},
}
"""Parameters of an earlier run that made other artifacts."""


@pytest.fixture(scope="session")
def drawn(tmp_path_factory) -> Project:
    """The project after download, split and pack of the drawn images."""
    project = Project(copy_project(tmp_path_factory.mktemp("drawn") / "project"))
    for stage in ARTIFACTS:
        project.run(stage)
    return project


@pytest.fixture(scope="session")
def pets(drawn, tmp_path_factory) -> Path:
    """The drawn images as a folder."""
    return unpacked(drawn.root / "data/raw.zip", tmp_path_factory.mktemp("pets") / "pets")


@pytest.fixture(scope="session")
def copied(drawn, tmp_path_factory) -> Callable[[str], Project]:
    """Copy the project as it is after its stages."""

    def copy(name: str) -> Project:
        root = tmp_path_factory.mktemp(name) / "project"
        shutil.copytree(drawn.root, root)
        return Project(root)

    return copy


@pytest.fixture(scope="session")
def set_up(copied) -> Callable[..., Bench]:
    """Make the bench of a stage: an older run's artifacts, then an undisturbed run."""

    def make(stage: str, name: str, values: dict[str, str] | None = None) -> Bench:
        project = copied(name)
        project.configure(OTHER[stage])
        corrections = project.root / "data/corrections.csv"
        as_it_was = corrections.read_text()
        corrections.write_text(f"{as_it_was.splitlines()[0]}\n{_a_drop(project.root)}\n")
        project.run(stage)
        corrections.write_text(as_it_was)
        old = {n: (project.root / n).read_bytes() for n in _files(project.root, stage)}
        project.configure({key: TINY.get(key, DEFAULTS.get(key, "")) for key in OTHER[stage]})
        project.configure(values or {})
        bench = Bench(project, stage, old)
        bench.measure()
        return bench

    return make


DEFAULTS = {"data.synthetic_seed": "2018", "split.seed": "42"}


def _a_drop(root: Path) -> str:
    """Return a correction that makes another rejected.csv."""
    return (root / "data/split.csv").read_text().splitlines()[1].split(",")[0] + ",drop,"


def _files(root: Path, stage: str) -> Iterator[str]:
    for name in ARTIFACTS[stage]:
        path = root / name
        found = path.rglob("*") if path.is_dir() else [path]
        yield from (str(file.relative_to(root)) for file in found if file.is_file())


@pytest.fixture(scope="session")
def killer(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("killer") / "killer.py"
    path.write_text(KILLER)
    return path


@pytest.fixture(scope="session")
def drawing(set_up) -> Bench:
    return set_up("download", "drawing")


@pytest.fixture(scope="session")
def from_folder(set_up, pets) -> Bench:
    return set_up("download", "from_folder", {"data.source": str(pets)})


@pytest.fixture(scope="session")
def from_tar(set_up, pets, tmp_path_factory) -> Bench:
    path = tarred(pets, tmp_path_factory.mktemp("tar") / "pets.tgz")
    return set_up("download", "from_tar", {"data.source": str(path)})


@pytest.fixture(scope="session")
def site(pets, tmp_path_factory):
    content = zipped(pets, tmp_path_factory.mktemp("zip") / "pets.zip").read_bytes()
    with served(content, seconds=1.0) as site:
        yield site


@pytest.fixture(scope="session")
def from_web(set_up, site) -> Bench:
    return set_up("download", "from_web", {"data.source": site.url})


@pytest.fixture(scope="session")
def splitting(set_up) -> Bench:
    return set_up("split", "splitting")


@pytest.fixture(scope="session")
def packing(set_up) -> Bench:
    return set_up("pack", "packing")


@pytest.fixture
def bench(request) -> Bench:
    """Return the bench that a test's parameter names."""
    return request.getfixturevalue(request.param)
