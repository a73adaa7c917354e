"""Answers of a model file to an array of images, in a process of its own that never saw torch.

    python -m pipeline.inference.replay MODEL PIXELS.npy OUT.npz --batch-sizes 1 7 32

Export proves with it what it exported: the file alone, loaded as a server loads it. A process that
has torch loaded proves less, since torch brings libraries that ONNX Runtime may then find.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.core.arguments import command_parser, whole_number
from pipeline.core.errors import InstallationError
from pipeline.core.process import guarded
from pipeline.imaging.preprocess import Pixels
from pipeline.inference.classifier import CAM, LOGITS, OUTPUT, Floats, OnnxClassifier

NAME = "pipeline.inference.replay"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a model says about N images, asked in batches of one size."""

    probs: Floats
    """(N, K)."""
    logits: Floats
    """(N, K), before the temperature."""
    cam_means: Floats | None
    """(N, K) means over space of the class activation maps, where the model has them."""


def answers(classifier: OnnxClassifier, pixels: Pixels, *, batch_size: int) -> Answers:
    """Ask for every output in batches of `batch_size`, the last of which may be smaller."""
    names = [OUTPUT, LOGITS, *({CAM} & set(classifier.outputs))]
    parts = []
    for start in range(0, len(pixels), batch_size):
        found = dict(
            zip(names, classifier.run(pixels[start : start + batch_size], names), strict=True)
        )
        found[CAM] = found[CAM].mean(axis=(2, 3)) if CAM in found else np.zeros(0, np.float32)
        parts.append(found)
    whole = {name: np.concatenate([part[name] for part in parts]) for name in (*names, CAM)}
    return Answers(
        probs=whole[OUTPUT],
        logits=whole[LOGITS],
        cam_means=whole[CAM] if CAM in names else None,
    )


def write_answers(path: Path, found: dict[int, Answers]) -> None:
    """Write the answers at each batch size."""
    arrays = {}
    for size, each in found.items():
        arrays[f"probs_{size}"], arrays[f"logits_{size}"] = each.probs, each.logits
        if each.cam_means is not None:
            arrays[f"cam_means_{size}"] = each.cam_means
    np.savez(path, **arrays)  # type: ignore[arg-type]  # numpy's stub takes a bool there


def read_answers(path: Path, batch_sizes: tuple[int, ...]) -> dict[int, Answers]:
    """Read what `write_answers` wrote."""
    with np.load(path) as arrays:
        return {
            size: Answers(
                probs=arrays[f"probs_{size}"],
                logits=arrays[f"logits_{size}"],
                cam_means=arrays.get(f"cam_means_{size}"),
            )
            for size in batch_sizes
        }


def main() -> None:
    """Ask the model that the command line names, on the CPU."""
    parser = command_parser(NAME, description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", metavar="MODEL", type=Path)
    parser.add_argument("pixels", metavar="PIXELS.npy", type=Path)
    parser.add_argument("out", metavar="OUT.npz", type=Path)
    parser.add_argument("--batch-sizes", type=whole_number, nargs="+", default=[32])
    parser.add_argument("--threads", type=whole_number, default=1)
    arguments: argparse.Namespace = parser.parse_args()
    if "torch" in sys.modules:
        raise InstallationError(f"{NAME}: torch is loaded; this is no clean process")
    classifier = OnnxClassifier(arguments.model, device="cpu", threads=arguments.threads)
    pixels = np.load(arguments.pixels, mmap_mode="r")
    found = {size: answers(classifier, pixels, batch_size=size) for size in arguments.batch_sizes}
    write_answers(arguments.out, found)


if __name__ == "__main__":
    sys.exit(guarded(main, name=NAME))
