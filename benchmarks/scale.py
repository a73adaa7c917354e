"""What the stages cost against the number of images, up to a million, and a picture of it.

    python -m benchmarks.scale --images 1000 3000 10000 30000 --out docs/scale.csv
    python -m benchmarks.scale --picture docs/scale.svg --out docs/scale.csv

A few hundred images are drawn; each image of a set is made of quarters of four of them, so that no
two show the same, 48 px, JPEG. They go from an archive through download, split, pack (32 px), one
epoch of train (ShuffleNet) and evaluate, each in a process with one worker and one thread.

CPU seconds are user and system time of a stage's processes. Memory is summed over the process tree
as in `benchmarks.memory`; of it is counted what no file stands behind.
"""

import argparse
import csv
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from benchmarks.memory import CODE, REPOSITORY, Sampler, drawn_archive
from benchmarks.projects import empty_project
from pipeline.core.archive import RawArchive
from pipeline.core.artifacts import Suggestion, write_suggestion
from pipeline.core.errors import ImageError
from pipeline.imaging.decode import decode

STAGES = ("download", "split", "pack", "train", "evaluate")
MADE = {
    "download": ("data/raw.zip",),
    "split": ("data/split.csv", "data/rejected.csv"),
    "pack": ("data/packed",),
    "train": ("models", "reports/train"),
    "evaluate": ("reports/evaluate",),
}
DRAWN, SIDE_PX, QUALITY = 600, 48, 90
VALUES = {
    "data": {"max_members": 10_000_000, "source": "source.zip", "sha256": None},
    "pack": {"size_px": 32},
    "model": {"arch": "shufflenet_v2_x0_5"},
    "train": {
        "epochs": 1,
        "lr": 0.001,
        "optimizer": "adamw",
        "sizes_px": [32],
        "batch_size": 256,
    },
    "evaluate": {"tta": "none"},
    "runtime": {"workers": 1, "threads": 1, "device": "cpu"},
}
Images = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Cost:
    """What one stage cost on one set."""

    images: int
    stage: str
    wall_s: float
    cpu_s: float
    memory_bytes: int
    disk_bytes: int


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=int, nargs="*", default=[])
    parser.add_argument("--mode", choices=("array", "stream"), default="array", help="pack.mode")
    parser.add_argument("--out", type=Path, default=Path("docs/scale.csv"))
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    costs = _read(arguments.out)
    if arguments.images:
        with tempfile.TemporaryDirectory() as folder:
            quarters = _quarters(Path(folder) / "drawn")
            for n_images in arguments.images:
                root = Path(folder) / str(n_images)
                for cost in _measured(root, quarters, n_images, mode=arguments.mode):
                    print(*(f"{getattr(cost, f.name):>12}" for f in fields(Cost)), flush=True)
                    costs[cost.images, cost.stage] = cost
                    _write(arguments.out, costs)
                shutil.rmtree(root)
    _print_marginal(costs)
    if arguments.picture:
        _draw(arguments.picture, costs)


def _measured(root: Path, quarters: list[Images], n_images: int, *, mode: str) -> Iterator[Cost]:
    layout = empty_project(root)
    for name in CODE[:2]:
        shutil.copytree(REPOSITORY / name, root / name)
    values = {**VALUES, "pack": {**VALUES["pack"], "mode": mode}}
    (root / "params.yaml").write_text(_params(values))
    _write_source(root / "source.zip", quarters, n_images)
    write_suggestion(layout.suggestion, Suggestion(lr=0.001, status="ok"))
    for stage in STAGES:
        yield _run(root, stage, n_images)


def _run(root: Path, stage: str, n_images: int) -> Cost:
    """Run a stage and say what it cost."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with (root / "errors").open("w+b") as errors:
        child = subprocess.Popen([sys.executable, "-m", f"stages.{stage}"], cwd=root, stderr=errors)
        sampler = Sampler(child.pid)
        sampler.start()
        status = child.wait()
        wall_s = time.perf_counter() - start
        sampler.ended.set()
        sampler.join()
        if status:
            errors.seek(0)
            raise SystemExit(errors.read().decode(errors="replace"))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    disk = sum(_size(root / name) for name in MADE[stage])
    return Cost(n_images, stage, round(wall_s, 2), round(cpu_s, 2), sampler.anonymous, disk)


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _params(values: dict[str, dict[str, object]]) -> str:
    """Return params.yaml with other values, as JSON, which is YAML too."""
    import yaml

    tree = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    for section, keys in values.items():
        tree[section] |= keys
    return json.dumps(tree, indent=1)


def _quarters(folder: Path) -> list[Images]:
    """Return the drawn images of each class, (N, 48, 48, 3), of which quarters are taken."""
    found: dict[str, list[Images]] = {}
    with RawArchive(drawn_archive(folder, DRAWN)) as archive:
        for member in archive.members:
            with suppress(ImageError):  # some are drawn damaged
                image = decode(archive.read(member.path))
                small = image.resize((SIDE_PX, SIDE_PX), Image.Resampling.BOX)
                found.setdefault(member.label, []).append(np.asarray(small))
    return [np.stack(images) for images in found.values()]


def _write_source(path: Path, quarters: list[Images], n_images: int) -> None:
    """Write an archive of two classes, the n-th image always the same."""
    half = SIDE_PX // 2
    corners = [(slice(r, r + half), slice(c, c + half)) for r in (0, half) for c in (0, half)]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for number in range(n_images):
            rng = np.random.default_rng([1, number])
            drawn = quarters[number % len(quarters)]
            image = np.empty((SIDE_PX, SIDE_PX, 3), np.uint8)
            for corner, k in zip(corners, rng.integers(len(drawn), size=4), strict=True):
                image[corner] = drawn[k][corners[rng.integers(4)]]
            content = simplejpeg.encode_jpeg(image, quality=QUALITY)
            archive.writestr(f"class{number % len(quarters)}/{number:07d}.jpg", content)


def _read(path: Path) -> dict[tuple[int, str], Cost]:
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        rows = [
            Cost(
                int(row["images"]),
                row["stage"],
                float(row["wall_s"]),
                float(row["cpu_s"]),
                int(row["memory_bytes"]),
                int(row["disk_bytes"]),
            )
            for row in csv.DictReader(file)
        ]
    return {(cost.images, cost.stage): cost for cost in rows}


def _write(path: Path, costs: dict[tuple[int, str], Cost]) -> None:
    names = [field.name for field in fields(Cost)]
    with path.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(names)
        for key in sorted(costs, key=lambda key: (key[0], STAGES.index(key[1]))):
            table.writerow([getattr(costs[key], name) for name in names])


def _print_marginal(costs: dict[tuple[int, str], Cost]) -> None:
    """Print the cost of one image more between neighbouring sizes."""
    sizes = sorted(n for n, stage in costs if stage == STAGES[-1])
    print("stage         from        to   CPU ms  memory kB  disk kB   per further image")
    for stage in (*STAGES, "all"):
        for few, many in pairwise(sizes):
            one, other = _total(costs, few, stage), _total(costs, many, stage)
            more = many - few
            numbers = (
                (other.cpu_s - one.cpu_s) / more * 1e3,
                (other.memory_bytes - one.memory_bytes) / more / 1e3,
                (other.disk_bytes - one.disk_bytes) / more / 1e3,
            )
            print(f"{stage:10s}{few:>8d}{many:>10d}" + "".join(f"{x:10.3f}" for x in numbers))


def _draw(path: Path, costs: dict[tuple[int, str], Cost]) -> None:
    """Draw CPU time and memory against the number of images, with the line a + b n of each."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "scale"  # the same bytes every time
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    every = np.geomspace(1e3, 1e6, 50)
    for axis, name, unit in zip(
        axes, ("cpu_s", "memory_bytes"), ((1.0, "CPU seconds"), (1e-6, "memory, MB")), strict=True
    ):
        for stage in (*STAGES, "all"):
            sizes = sorted({n for n, s in costs if s == stage or stage == "all"})
            sizes = [n for n in sizes if all((n, s) in costs for s in STAGES)]
            values = [unit[0] * getattr(_total(costs, n, stage), name) for n in sizes]
            slope, fixed = np.polyfit(sizes, values, 1, w=1 / np.sqrt(sizes))
            (points,) = axis.plot(sizes, values, "o", label=stage)
            axis.plot(every, fixed + slope * every, "--", color=points.get_color(), linewidth=1)
        axis.set(xscale="log", yscale="log", xlabel="images", ylabel=unit[1])
        axis.grid(alpha=0.3)
    axes[0].legend()
    figure.savefig(path, metadata={"Date": None})


def _total(costs: dict[tuple[int, str], Cost], n_images: int, stage: str) -> Cost:
    """Return the cost of a stage, or of all together: memory is that of the largest."""
    chosen = [costs[n_images, s] for s in (STAGES if stage == "all" else (stage,))]
    return Cost(
        n_images,
        stage,
        sum(c.wall_s for c in chosen),
        sum(c.cpu_s for c in chosen),
        max(c.memory_bytes for c in chosen),
        sum(c.disk_bytes for c in chosen),
    )


if __name__ == "__main__":
    main()
