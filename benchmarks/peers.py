"""Our training beside fastai's and a plain torchvision loop: same images, size, batch and network.

    python -m benchmarks.peers --source PATH_OF_AN_ARCHIVE --arch resnet18 --size-px 64
    python -m benchmarks.peers --source ... --arch compact --what accuracy --threads 2

Needs `pip install fastai`, in this environment or in that of `--peer-python`. The peers read JPEG
files in class folders, ours reads the arrays that the stages split and pack made of them before
(their time is printed). Each loop is a process; they take turns in every round, so that a machine
that is busy for a while slows all of them.

`speed`: images per CPU second in one thread, loading and training; fastai without augmentation but
the resize, the torchvision loop with random crops and mirroring, ours with those of params.yaml.
`accuracy`: validation accuracy after whole epochs; fastai by `fit_one_cycle(EPOCHS, 3e-3)` with
random resized crops, ours with the rate that lr_find suggests.
`lr_find`: CPU seconds of one suggestion, in one thread; ours is made of a coarse sweep and three
fine ones.
"""

import argparse
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.projects import empty_project
from pipeline.core.archive import RawArchive
from pipeline.core.artifacts import Sample, read_records
from pipeline.core.layout import Layout
from pipeline.core.params import Params, load_params
from pipeline.core.process import available_cores
from stages import download, pack, split

WHAT = {
    "speed": ("images_per_cpu_s",),
    "accuracy": ("accuracy", "wall_s", "cpu_s"),
    "lr_find": ("cpu_s", "lr"),
}
"""What is compared, and the figures of each; ratios are those of the first."""
PEERS = {
    "speed": ("ours", "fastai", "torchvision"),
    "accuracy": ("ours", "fastai"),
    "lr_find": ("ours", "fastai"),
}
"""Who has a loop for it."""


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    params = load_params()
    top = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "params.yaml").write_text(Path("params.yaml").read_text(encoding="utf-8"))
        os.chdir(folder)  # the stages' records of what they saw belong here
        layout = empty_project(folder)
        _prepare(arguments, params, layout, archive=(top / arguments.source).resolve())
        found: dict[str, list[dict[str, Any]]] = {peer: [] for peer in arguments.peers}
        for number in range(arguments.rounds):
            for peer in arguments.peers:
                result = _run(arguments, peer, top=top, folder=folder, seed=number)
                found[peer].append(result)
                print(f"round {number} {peer:12s} {json.dumps(result)}", flush=True)
    _print_table(arguments, found)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--source", type=Path, required=True, help="a zip of named images")
    parser.add_argument("--what", choices=WHAT, default="speed")
    parser.add_argument("--arch", default="resnet18")
    parser.add_argument("--size-px", type=int, default=64)
    parser.add_argument("--pack-px", type=int, help="side of the packed images; 1.25 x size-px")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--train-images", type=int, default=5000)
    parser.add_argument("--valid-images", type=int, default=1000)
    parser.add_argument("--n-images", type=int, default=512, help="timed in each round of speed")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int, help="1; all cores for accuracy")
    parser.add_argument("--train", default="", help="changes of our recipe: NAME=VALUE;NAME=VALUE")
    parser.add_argument("--peers", nargs="+", choices=PEERS["speed"], help="all that have it")
    parser.add_argument("--peer-python", default=sys.executable, help="the one with fastai")
    arguments = parser.parse_args()
    able = PEERS[arguments.what]
    arguments.peers = arguments.peers or able
    if not set(arguments.peers) <= set(able):
        parser.error(f"--peers: {arguments.what} is measured of {', '.join(able)} alone")
    return arguments


def _prepare(
    arguments: argparse.Namespace, params: Params, layout: Layout, *, archive: Path
) -> None:
    """Write the images as class folders and as packed arrays: the same ones in train and valid."""
    n_images = arguments.train_images + arguments.valid_images
    params = replace(
        params,
        data=replace(params.data, source=str(archive), sha256=None),
        split=replace(params.split, method="exact", test_fraction=0.01),
        pack=replace(params.pack, size_px=arguments.pack_px or round(1.25 * arguments.size_px)),
    )
    chosen = Path("chosen.zip")
    with zipfile.ZipFile(archive) as every, zipfile.ZipFile(chosen, "w") as some:
        names = sorted(n for n in every.namelist() if n.lower().endswith((".jpg", ".jpeg", ".png")))
        step = len(names) / min(n_images, len(names))
        for index in range(min(n_images, len(names))):
            name = names[int(index * step)]
            some.writestr(name, every.read(name))
    start = time.monotonic()
    params = replace(
        params,
        data=replace(params.data, source=str(chosen.resolve())),
        split=replace(params.split, valid_fraction=arguments.valid_images / n_images),
    )
    for stage in (download, split, pack):
        stage.run(params, layout)
    print(f"download, split and pack: {time.monotonic() - start:.1f} s", flush=True)
    with RawArchive(layout.raw_archive) as raw:
        for sample in read_records(layout.split, Sample, stage="split"):
            path = Path("images", sample.split, *Path(sample.path).parts)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(raw.read(sample.path))


def _run(
    arguments: argparse.Namespace, peer: str, *, top: Path, folder: Path, seed: int
) -> dict[str, Any]:
    threads = arguments.threads or (available_cores() if arguments.what == "accuracy" else 1)
    options = {
        "images": folder / "images",
        "packed": folder / "data/packed",
        "arch": arguments.arch,
        "size-px": arguments.size_px,
        "n-images": arguments.n_images,
        "epochs": arguments.epochs,
        "threads": threads,
        "seed": seed,
        "train": arguments.train,
    }
    done = subprocess.run(
        [
            *(sys.executable if peer == "ours" else arguments.peer_python, "-m"),
            *("benchmarks.peer_loops", peer, arguments.what),
            *(f"--{name}={value}" for name, value in options.items()),
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(top), "OMP_NUM_THREADS": str(threads)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _print_table(arguments: argparse.Namespace, found: dict[str, list[dict[str, Any]]]) -> None:
    keys = WHAT[arguments.what]
    print(f"\n{arguments.arch}, {arguments.size_px} px, {arguments.rounds} rounds: median (range)")
    for peer, results in found.items():
        cells = [f"{key} {_middle([r[key] for r in results])}" for key in keys]
        if peer != "fastai" and "fastai" in found:
            pairs = zip(results, found["fastai"], strict=True)
            ratios = [a[keys[0]] / b[keys[0]] for a, b in pairs]
            cells.append(f"ratio to fastai {_middle(ratios)}")
        print(f"{peer:12s} {', '.join(cells)}")


def _middle(values: list[float]) -> str:
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


if __name__ == "__main__":
    main()
