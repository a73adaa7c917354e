"""The model file alone: checked, loaded and asked, with no setting of its own."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from PIL import Image

from pipeline.core.atomic import sha256_path
from pipeline.core.errors import ArtifactError
from pipeline.imaging.preprocess import Pixels, pixels_from_bytes, preprocess
from pipeline.imaging.spec import ModelSpec, spec_from_json
from pipeline.inference.providers import choose_providers, provider_in_use

Probs = NDArray[np.float32]
Floats = NDArray[np.float32]

INPUT, OUTPUT, SPEC_KEY = "pixels", "probabilities", "spec"
LOGITS, CAM = "logits", "cam"
"""Outputs that a model may have besides, computed only where they are asked for by name."""
SUM_TOLERANCE = 1e-3  # float16 models sum to 1 within this
CURE = "run: dvc repro export_onnx"


class OnnxClassifier:
    """An exported model: uint8 pixels in, probabilities out; safe to share between threads.

    Args:
        path: the .onnx file; its checksum lies beside it, as `path`.sha256.
        device: `cpu`, `cuda`, or `auto` for CUDA where there is a device.
        threads: threads within one call of `predict`. Several threads calling with one each do
            more than one call with several: the session gives up the GIL.

    Raises:
        ArtifactError: the file is missing, damaged, not a model of this pipeline, or wants data
            from other files.
        InstallationError: `cuda` was asked for and cannot be had.
    """

    def __init__(self, path: Path, *, device: str = "auto", threads: int = 1) -> None:
        self._path = path
        content, self.sha256 = _read(path)  # once: a new file may take its place at any moment
        self._session = _session(content, path, device=device, threads=threads)
        self.provider = provider_in_use(self._session, device=device)
        self.metadata: Mapping[str, str] = MappingProxyType(
            dict(self._session.get_modelmeta().custom_metadata_map)
        )
        self.spec = _read_spec(self.metadata, path)
        self.outputs = tuple(node.name for node in self._session.get_outputs())
        _check_tensors(self._session, self.spec, path)
        self._check_answer()

    def predict(self, pixels: Pixels) -> Probs:
        """Return the (N, K) probabilities of (N, S, S, 3) RGB pixels.

        Raises:
            ArtifactError: the model fails, or gives a value that is not a finite number.
        """
        return self.run(pixels, [OUTPUT])[0]

    def predict_with_cam(self, pixels: Pixels) -> tuple[Probs, Floats]:
        """Return the (N, K) probabilities and the (N, K, h, w) class activation maps.

        The mean of a map, plus the bias of its class, is the class's logit: the maps say how much
        each place adds to it (Zhou et al. 2016, section 2). Only models with `CAM` among their
        `outputs` have them.

        Raises:
            ArtifactError: this model has none, or as in `predict`.
        """
        probs, cam = self.run(pixels, [OUTPUT, CAM])
        return probs, cam

    def run(self, pixels: Pixels, names: Sequence[str]) -> list[Floats]:
        """Return the named outputs for (N, S, S, 3) pixels; errors as in `predict`."""
        unknown = sorted(set(names) - set(self.outputs))
        if unknown:
            raise ArtifactError(
                f"{self._path}: no output {', '.join(unknown)}, it has {', '.join(self.outputs)}"
            )
        try:
            found = self._session.run(list(names), {INPUT: pixels})
        except Exception as error:  # ONNX Runtime's errors share no other base class
            raise ArtifactError(f"{self._path}: the model failed: {_brief(error)}") from error
        if not all(np.isfinite(values).all() for values in found):
            raise ArtifactError(f"{self._path}: the model gave a value that is not finite; {CURE}")
        return [np.asarray(values, dtype=np.float32) for values in found]

    def predict_bytes(self, contents: Sequence[bytes]) -> Probs:
        """Decode, preprocess and classify N images; raises ImageError for an unusable one."""
        return self.predict(np.stack([self.pixels(content) for content in contents]))

    def pixels(self, content: bytes) -> Pixels:
        """Return (S, S, 3) pixels as this model wants them; raises ImageError."""
        return pixels_from_bytes(content, self.spec.preprocess)

    def _check_answer(self) -> None:
        """Ask once: a model that loads can still fail, and the first call also warms up."""
        pixels = preprocess(Image.new("RGB", (64, 64), "grey"), self.spec.preprocess)
        probs = self.predict(np.stack([pixels, pixels]))
        right = probs.shape == (2, len(self.spec.classes)) and (probs >= 0).all()
        if not right or np.abs(probs.sum(axis=1) - 1).max() > SUM_TOLERANCE:
            raise ArtifactError(f"{self._path}: `{OUTPUT}` are no probabilities; {CURE}")


def _read(path: Path) -> tuple[bytes, str]:
    """Return the file's content and its sha256, which is the one that lies beside it."""
    checksum = sha256_path(path)
    if not path.is_file():
        raise ArtifactError(f"{path}: not found; {CURE}")
    if not checksum.is_file():
        # A flipped bit loads without any error and changes the answers.
        raise ArtifactError(f"{checksum}: not found; copy it together with the model, or {CURE}")
    try:
        content = path.read_bytes()
        words = checksum.read_text(errors="replace").split()
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read: {error.strerror or error}") from error
    expected = words[0] if words else "nothing"
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise ArtifactError(
            f"{path}: sha256 is {found}, {checksum.name} says {expected}; "
            "the file is damaged: run dvc checkout, or dvc repro export_onnx"
        )
    return content, found


def _session(content: bytes, path: Path, *, device: str, threads: int) -> ort.InferenceSession:
    ort.set_default_logger_severity(4)  # failures are raised and reported by us, in one line
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Weights in other files are looked for in a folder that cannot exist, hence refused: those
    # files have no checksum, and their paths have led out of the model's folder before.
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", str(path / "external")
    )
    providers = choose_providers(device)
    try:
        return ort.InferenceSession(content, options, providers=providers)
    except Exception as error:  # ONNX Runtime's errors share no other base class
        raise ArtifactError(
            f"{path}: not a self-contained ONNX model ({_brief(error)}); {CURE}"
        ) from error


def _read_spec(metadata: Mapping[str, str], path: Path) -> ModelSpec:
    if SPEC_KEY not in metadata:
        raise ArtifactError(
            f"{path}: no `{SPEC_KEY}` in its metadata: not a model of this pipeline"
        )
    spec = spec_from_json(metadata[SPEC_KEY], where=str(path))
    if not spec.classes or len(set(spec.classes)) != len(spec.classes):
        raise ArtifactError(f"{path}: classes are {spec.classes}, expected distinct names; {CURE}")
    return spec


def _check_tensors(session: ort.InferenceSession, spec: ModelSpec, path: Path) -> None:
    """Check names, types and shapes; further outputs are allowed and never asked for."""
    size_px, n_classes = spec.preprocess.size_px, len(spec.classes)
    expected = {
        (INPUT, "tensor(uint8)", (size_px, size_px, 3)): session.get_inputs(),
        (OUTPUT, "tensor(float)", (n_classes,)): session.get_outputs(),
    }
    for (name, kind, shape), nodes in expected.items():
        found = [(n.name, n.type, n.shape) for n in nodes]
        good = [n for n in nodes if (n.name, n.type, tuple(n.shape[1:])) == (name, kind, shape)]
        dynamic = good and not isinstance(good[0].shape[0], int)
        if not dynamic or (name == INPUT and len(nodes) != 1):
            raise ArtifactError(
                f"{path}: has {found}, expected {name} {kind} {('N', *shape)}; {CURE}"
            )


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
