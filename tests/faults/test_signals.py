"""SIGTERM and Ctrl-C: the status that shells expect, soon, without a traceback."""

import random
import shutil
import signal
import time
import zipfile
from collections.abc import Iterator

import pytest
from faults.projects import Project
from faults.sources import served

pytestmark = pytest.mark.slow

COPIES = 6
"""Each image so many times, with other bytes, so that a stage runs for seconds."""


@pytest.fixture(scope="module")
def busy(drawn, tmp_path_factory) -> Iterator[Project]:
    """A project with so many images that there is time to interrupt it."""
    root = tmp_path_factory.mktemp("busy") / "project"
    shutil.copytree(drawn.root, root)
    project = Project(root)
    pets = root.parent / "pets.zip"
    with zipfile.ZipFile(root / "data/raw.zip") as old, zipfile.ZipFile(pets, "w") as new:
        for member in old.infolist():
            content, (label, _, name) = old.read(member), member.filename.partition("/")
            for number in range(COPIES):
                new.writestr(f"{label}/{number}-{name}", content + bytes(number))
    with served(pets.read_bytes(), seconds=2.0) as site:
        project.configure({"data.source": site.url})
        for stage in ("download", "split", "pack"):
            project.run(stage)
        yield project


def lasting(project):
    """Return what lies there but for a part of a download, which stays to be resumed."""
    return {name for name in project.names() if "/.download-" not in name}


@pytest.mark.parametrize("stage", ["download", "split", "pack"])
@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_stage_soon_and_cleanly(busy, stage, sent, status):
    seconds = busy.run(stage).seconds
    before, names = busy.found(stage), lasting(busy)
    n_interrupted = 0
    for number in range(12):  # on a busy machine a run may end before its signal
        if n_interrupted == 2:
            break
        running = busy.start(stage)
        time.sleep(seconds * random.Random(f"{stage} {number}").uniform(0.5, 0.9))
        running.signal(sent)
        start = time.monotonic()
        ended = running.end(timeout_s=10)
        assert time.monotonic() - start < 10
        assert ended.status == status or "done in" in ended.errors, ended
        n_interrupted += ended.status == status
        assert "Traceback" not in ended.errors, ended.errors
        assert running.wait_until_gone(10) == []
        assert busy.found(stage) == before  # both runs make the same
        assert lasting(busy) == names
    assert n_interrupted == 2
