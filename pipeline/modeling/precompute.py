"""Features of the frozen body, computed once and kept: the head then trains in seconds.

fast.ai's lesson 1 calls this `precompute=True`. The body sees the plain images, so augmentation
plays no part; it is for the epochs in which only the head is trained.
"""

import logging
from pathlib import Path

import torch

from pipeline.core.errors import ArtifactError
from pipeline.core.locks import held
from pipeline.core.progress import Progress
from pipeline.modeling.device import Compute
from pipeline.modeling.feed import Features, head_inputs
from pipeline.modeling.resume import Checkpoints, remove_others
from pipeline.modeling.zoo import Classifier
from pipeline.packing.packed import PackedSplit

log = logging.getLogger(__name__)
SETS_KEPT = 2
"""Sets of features that are kept beside the one in use; older ones are removed."""


def cached_features(
    model: Classifier, train: PackedSplit, valid: PackedSplit, *, compute: Compute, folder: Path
) -> Features:
    """Return what the head is given for each image, from `folder` if it is there.

    Args:
        model: its head plays no part.
        train: images, N of them.
        valid: images.
        compute: where the model lives.
        folder: named by all that the features depend on; see `fingerprint`.

    Raises:
        ParamsError: the network has layers behind its head.
    """

    def tell(holder: int | None) -> None:
        who = "another training" if holder is None else f"another training, process {holder},"
        log.info("%s computes the same features; waiting for them: %s", who, folder)

    with held(folder, owner="another training", on_wait=tell):
        remove_others(folder, kept=SETS_KEPT)
        store = Checkpoints(folder, kept=1)
        found = store.load(device=torch.device("cpu"))
        if found is not None and found.keys() == {"train", "valid"}:
            log.info("features of the frozen body were computed before: %s", folder)
            return Features(found["train"], found["valid"])
        with Progress("precompute", total=len(train) + len(valid)) as progress:
            features = Features(
                *(
                    head_inputs(model, split, compute=compute, on_batch=progress.advance)
                    for split in (train, valid)
                )
            )
        try:
            store.save({"train": features.train, "valid": features.valid}, epoch=0, step=0)
        except ArtifactError as error:
            log.warning("%s; the features will be computed again next time", error)
        return features
