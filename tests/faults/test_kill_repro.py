"""`dvc repro` killed, its stage killed, or both: the next run ends well, and verify is content."""

import os
import random
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import psutil
import pytest
import yaml
from clones import Clone, without_dvc
from example_files import add_environment
from faults.projects import MARK, PATIENCE_S, Running, tree_hash

from pipeline.verify.verify import verify

pytestmark = pytest.mark.slow

WHOM = ("dvc", "stage", "both")
SIGNALS = (signal.SIGKILL, signal.SIGTERM)
LONG_S = 300


@dataclass
class ReproBench:
    """A repository whose pipeline has run, one stage of which is made to run again."""

    clone: Clone
    stages: tuple[str, ...] = ()
    want: dict[str, str] = field(default_factory=dict)
    """Hash of each out, and of dvc.lock."""
    seconds: dict[str, float] = field(default_factory=dict)
    """How long each stage takes under DVC."""
    n_mended: int = 0
    """Kills that hit DVC while it rewrote dvc.lock."""

    def found(self) -> dict[str, str]:
        """Return the hash of each out as it lies there."""
        return {name: tree_hash(self.clone.root / name) for name in (*self._outs(), "dvc.lock")}

    def forget_runs(self) -> None:
        """Empty the run cache, so that the next run cannot be spared."""
        shutil.rmtree(self.clone.root / ".dvc/cache/runs", ignore_errors=True)

    def start(self, stage: str) -> Running:
        """Start `dvc repro` of one stage, whether or not it is up to date."""
        mark = uuid.uuid4().hex
        errors = self.clone.root.parent / f"{mark}.stderr"
        with errors.open("wb") as file:
            child = subprocess.Popen(
                ["dvc", "repro", "--force", "--single-item", stage],
                cwd=self.clone.root,
                env={**without_dvc(os.environ), MARK: mark},
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        return Running(child, errors, mark)

    def duration(self, stage: str) -> float:
        """Run a stage undisturbed once, and return the seconds that it takes."""
        if stage not in self.seconds:
            ended = self.start(stage).end(LONG_S)
            assert ended.status == 0, ended.errors
            self.seconds[stage] = ended.seconds
        return self.seconds[stage]

    def killed(self, stage: str, share: float, whom: str, number: int) -> Running:
        """Start a stage and send a signal after a share of its time, sooner if it ended by then."""
        seconds = share * self.duration(stage)
        while True:
            running = self.start(stage)
            time.sleep(seconds)
            send(running, whom, number)
            with suppress(subprocess.TimeoutExpired):
                if running.child.wait(LONG_S) != 0:
                    return running
            seconds *= 0.7

    def go_on(self, killed: Running) -> None:
        """Run the pipeline as a user would next; all must be as if nothing had happened."""
        said = self.clone.run("make", "repro")
        self.n_mended += "verify: dvc.lock was torn" in said
        assert "Traceback" not in said
        assert killed.wait_until_gone(PATIENCE_S) == []
        assert self.found() == self.want
        assert [*map(str, verify(self.clone.root, with_cache=True).findings)] == []
        assert self.clone.run("git", "status", "--porcelain") == ""

    def _outs(self) -> list[str]:
        stages = yaml.safe_load((self.clone.root / "dvc.yaml").read_text())["stages"].values()
        entries = [o for s in stages for o in (*s["outs"], *s.get("metrics", []))]
        return [next(iter(o)) if isinstance(o, dict) else o for o in entries]


def send(running: Running, whom: str, number: int) -> None:
    """Send a signal to DVC, to the stage it runs, or to both; to DVC if it runs none yet."""
    with suppress(ProcessLookupError, psutil.Error):
        if whom == "both":
            os.killpg(running.child.pid, number)
            return
        stages = psutil.Process(running.child.pid).children()
        if whom == "stage" and stages:
            stages[0].send_signal(number)
        else:
            running.child.send_signal(number)


@pytest.fixture(scope="module")
def bench(reproduced, tmp_path_factory) -> Iterator[ReproBench]:
    root = tmp_path_factory.mktemp("kills") / "project"
    shutil.copytree(reproduced, root)
    bench = ReproBench(Clone(root))
    add_environment(root)
    # The model file names the commit of its code, and the stages first ran outside of Git.
    bench.clone.run("dvc", "repro", "--force", "--single-item", "export_onnx")
    bench.clone.run("dvc", "repro")
    bench.clone.run("git", "commit", "-qam", "run by DVC")
    bench.stages = tuple(yaml.safe_load((root / "dvc.yaml").read_text())["stages"])
    bench.want = bench.found()
    yield bench
    print(f"{bench.n_mended} kills tore dvc.lock, and make repro put it back")
    for path in root.parent.glob("*.stderr"):
        path.unlink()


def trial(bench: ReproBench, number: int) -> None:
    """Kill one run; what, when, whom and how follows from seed and number."""
    chance = random.Random(f"{os.environ.get('FAULT_SEED', '0')} repro {number}")
    whom, sent = WHOM[number % 3], SIGNALS[number // 3 % 2]
    stage = chance.choice(bench.stages)
    bench.duration(stage)
    bench.forget_runs()  # what comes from there runs no stage, which then cannot clean up
    # Half of the moments in the last third, where outs are written, hashed and locked.
    share = chance.choice((chance.uniform(0.05, 1), chance.uniform(0.66, 1)))
    bench.go_on(bench.killed(stage, share, whom, sent))


@pytest.mark.parametrize(
    ("stage", "whom", "sent"),
    [
        ("split", "dvc", signal.SIGKILL),
        ("train", "dvc", signal.SIGTERM),
        ("pack", "stage", signal.SIGKILL),
        ("download", "both", signal.SIGKILL),
    ],
)
def test_after_a_kill_the_next_run_ends_well(bench, stage, whom, sent):
    bench.duration(stage)  # which is a run to be forgotten, too
    bench.forget_runs()
    bench.go_on(bench.killed(stage, 0.8, whom, sent))


@pytest.mark.campaign
@pytest.mark.parametrize("number", range(50))
def test_one_of_fifty_kills_of_repro(bench, number):
    trial(bench, number)
