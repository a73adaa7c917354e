"""Peak memory of split and pack at 1, 4 and 16 times as many images.

    python -m benchmarks.memory --images 1500

One set is drawn, of which the smaller ones are every fourth and every sixteenth image. Memory is
summed over the process tree, sampled from /proc: PSS, in which pages that several processes share
count once, and of it what is no file. The pages of mapped files (the packed array, the archive) can
be dropped at any time. The highest RSS of any one process is its VmHWM.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
from contextlib import chdir, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.projects import empty_project
from pipeline.core.archive import write_archive
from pipeline.core.layout import Layout
from pipeline.core.params import load_params
from stages import download

REPOSITORY = Path(__file__).resolve().parents[1]
CODE = ("pipeline", "stages", "params.yaml")
EVERY_S = 0.02
MB = 2**20


@dataclass(frozen=True, slots=True)
class Peak:
    """The highest figures of one run, in bytes."""

    pss: int
    anonymous: int
    largest_process: int


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=int, default=1500, help="images at 1x")
    parser.add_argument("--times", type=int, nargs="+", default=[1, 4, 16])
    arguments = parser.parse_args()
    print("stage     times   images  archive   PSS sum  no file   largest process   manifest (MB)")
    with tempfile.TemporaryDirectory() as folder:
        most = max(arguments.times)
        drawn = drawn_archive(Path(folder) / "drawn", arguments.images * most)
        found: dict[str, list[tuple[int, Peak, int]]] = {"split": [], "pack": []}
        for times in arguments.times:
            root = _project(Path(folder) / f"{times}", drawn, every=most // times)
            for stage, rows in found.items():
                peak = _run(root, stage)
                n_images, manifest = arguments.images * times, Layout(root).split.stat().st_size
                rows.append((n_images, peak, manifest))
                size = Layout(root).raw_archive.stat().st_size
                numbers = (size, peak.pss, peak.anonymous, peak.largest_process, manifest)
                shown = "".join(f"{number / MB:10.1f}" for number in numbers)
                print(f"{stage:8s} {times:5d}x {n_images:8d} {shown}", flush=True)
            shutil.rmtree(root)
    if len(arguments.times) > 1:
        for stage, rows in found.items():
            _print_growth(stage, rows)


def _print_growth(stage: str, rows: list[tuple[int, Peak, int]]) -> None:
    (few, first, small), (many, last, large) = rows[0], rows[-1]
    per_image = (last.anonymous - first.anonymous) / (many - few)
    manifest = (large - small) / (many - few)
    print(f"{stage}: {per_image:.0f} bytes per image, of which a manifest row is {manifest:.0f}")


def drawn_archive(folder: Path, n_images: int) -> Path:
    """Draw images into a folder of their own; return their archive."""
    params, layout = load_params(REPOSITORY / "params.yaml"), Layout(folder)
    layout.raw_archive.parent.mkdir(parents=True)
    data = replace(params.data, source="synthetic", sha256=None, synthetic_images=n_images)
    with chdir(folder):  # the record of the source seen belongs to the project
        download.run(replace(params, data=data), layout)
    return layout.raw_archive


def _project(root: Path, drawn: Path, *, every: int) -> Path:
    """Make a project whose archive holds one of so many drawn images."""
    layout = empty_project(root)
    for name in CODE:
        source = REPOSITORY / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, root / name)
    with zipfile.ZipFile(drawn) as archive:
        names = sorted(archive.namelist())[::every]
        write_archive(layout.raw_archive, ((name, name, archive.read(name)) for name in names))
    return root


def _run(root: Path, stage: str) -> Peak:
    """Run a stage, watching its process tree."""
    child = subprocess.Popen(
        [sys.executable, "-m", f"stages.{stage}"], cwd=root, stderr=subprocess.PIPE
    )
    sampler = Sampler(child.pid)
    sampler.start()
    assert child.stderr is not None
    errors = child.stderr.read()  # its end is the end of the stage
    sampler.ended.set()
    sampler.join()
    child.stderr.close()
    if child.wait():
        raise SystemExit(errors.decode(errors="replace"))
    return Peak(sampler.pss, sampler.anonymous, sampler.largest)


class Sampler(threading.Thread):
    """Keeps the highest sums over a process and its descendants."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid, self.pss, self.anonymous, self.largest = pid, 0, 0, 0
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(EVERY_S):
            found = [_memory(pid) for pid in _tree(self._pid)]
            pss, anonymous, highest = (list(values) for values in zip(*found, strict=True))
            self.pss = max(self.pss, sum(pss))
            self.anonymous = max(self.anonymous, sum(anonymous))
            self.largest = max(self.largest, *highest)


def _tree(pid: int) -> list[int]:
    pids = [pid]
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                pids += _tree(int(child))
    return pids


def _memory(pid: int) -> tuple[int, int, int]:
    """Return PSS, its part that no file stands behind, and the highest RSS so far, in bytes."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
        status = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:  # it has ended
        return 0, 0, 0
    kb = {
        line.split(":")[0]: int(line.split()[1])
        for line in (*rollup, *status)
        if line.endswith(" kB")
    }
    pss = kb.get("Pss", 0)
    return pss * 1024, kb.get("Pss_Anon", pss) * 1024, kb.get("VmHWM", 0) * 1024


if __name__ == "__main__":
    main()
