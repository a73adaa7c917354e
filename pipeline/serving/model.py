"""One version of a model, checked before anybody is answered by it."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import ArtifactError
from pipeline.imaging.preprocess import Pixels
from pipeline.imaging.spec import ALL_UNSURE
from pipeline.inference.classifier import CAM, OUTPUT, SPEC_KEY, OnnxClassifier, Probs
from pipeline.inference.golden import FOLDER, INDEX, require_verified, verify_classifier
from pipeline.serving.versions import Version

log = logging.getLogger(__name__)

Cams = NDArray[np.float32]

BATCH_TOLERANCE = 1e-4
"""How far the answer to one image may depend on the others of its batch; float16 is within this."""
CARD_TEXT = 200
"""Longest text of the metadata that is shown."""
TOLD_ANYWAY = ("classes", "threshold")


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A loaded version and the facts that its file carries."""

    name: str
    version: str
    sha256: str
    classifier: OnnxClassifier
    metadata: dict[str, str]
    """What the exporter wrote: accuracy, data hash and more; without the spec."""
    threshold: float | None
    """Least probability of a label that is not called unsure; None never calls it so."""
    has_cam: bool
    """Whether it can say where in the image it saw a class."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the outputs."""
        return self.classifier.spec.classes

    @property
    def size_px(self) -> int:
        """Side of the square input."""
        return self.classifier.spec.preprocess.size_px

    def predict(self, pixels: Pixels) -> Probs:
        """Return the (N, K) probabilities of (N, S, S, 3) pixels; raises ArtifactError."""
        return self.classifier.predict(pixels)

    def cam(self, pixels: Pixels) -> Cams:
        """Return (K, h, w): how much each place of (S, S, 3) pixels speaks for each class.

        A call of its own: most requests do not ask, and need not pay.
        """
        (cams,) = self.classifier.run(pixels[None], [CAM])
        return np.asarray(cams[0], dtype=np.float32)

    def card(self) -> dict[str, Any]:
        """Return what people may know about the model, as JSON."""
        spec = self.classifier.spec
        return {
            "name": self.name,
            "version": self.version,
            "classes": list(spec.classes),
            "arch": spec.arch,
            "size_px": spec.preprocess.size_px,
            "fit": spec.preprocess.fit,
            "threshold": self.threshold,
            "cam": self.has_cam,
            "provider": self.classifier.provider,
            "sha256": self.sha256,
            "metadata": {
                key: text[:CARD_TEXT]
                for key, text in sorted(self.metadata.items())
                if key not in TOLD_ANYWAY
            },
        }


def load(version: Version, *, device: str) -> Model:
    """Load a version and let it prove itself: checksum, spec, tensors, two questions.

    Raises:
        ArtifactError: it is missing, damaged, or its answers are no probabilities.
        InstallationError: `cuda` was asked for and cannot be had.
    """
    classifier = OnnxClassifier(version.path, device=device)
    metadata = dict(classifier.metadata)
    spec = metadata.pop(SPEC_KEY)
    model = Model(
        name=version.name,
        version=version.number,
        sha256=classifier.sha256,
        classifier=classifier,
        metadata=metadata,
        threshold=_threshold(metadata, spec, version.path),
        has_cam=CAM in classifier.outputs,
    )
    _check_batches(model, version.path)
    _replay_golden(model, version.path)
    return model


def _threshold(metadata: dict[str, str], spec: str, path: Path) -> float | None:
    text = metadata.get("threshold", json.loads(spec).get("threshold"))
    if text in (None, "", "null"):
        return None
    try:
        threshold = float(str(text))
    except ValueError:
        threshold = -1.0
    if not 0 <= threshold <= ALL_UNSURE:
        raise ArtifactError(f"{path}: threshold is {text!r}, expected a number from 0 to 1")
    return threshold


def _check_batches(model: Model, path: Path) -> None:
    """Check that an image gets the same answer alone and among others, and that maps are maps."""
    side = np.arange(model.size_px, dtype=np.uint32)
    ramp = ((side[:, None, None] * 3 + side[None, :, None] * 5 + [0, 80, 160]) % 256).astype("u1")
    batch = np.stack([np.zeros_like(ramp), ramp, np.full_like(ramp, 255)])
    together, alone = model.predict(batch)[1], model.predict(ramp[None])[0]
    if np.abs(together - alone).max() > BATCH_TOLERANCE:
        raise ArtifactError(f"{path}: `{OUTPUT}` of an image depend on the others of its batch")
    if not model.has_cam:
        return
    cam = model.cam(ramp)
    if cam.ndim != 3 or len(cam) != len(model.classes) or not np.isfinite(cam).all():
        raise ArtifactError(f"{path}: `{CAM}` has shape {cam.shape}, expected (K, h, w) numbers")


def _replay_golden(model: Model, path: Path) -> None:
    """Check the answers to the golden files that lie beside the model, if there are any."""
    folder = path.parent / FOLDER
    if not (folder / INDEX).is_file():
        log.debug("%s: no golden files beside it; checked without them", path)
        return
    verification = verify_classifier(model.classifier, folder)
    require_verified(verification, where=str(path))
    log.info("%s: %d golden images agree", path, verification.n)
