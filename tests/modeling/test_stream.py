"""Training and prediction do not see whether images are kept decoded or encoded."""

import numpy as np
import pytest
import torch
from jpegs import archive_of, jpeg, sample

from pipeline.imaging.spec import PreprocessSpec
from pipeline.modeling.batches import Augmentation, train_batches
from pipeline.modeling.predict import predict_logits
from pipeline.modeling.zoo import build_model, fit_to_data
from pipeline.packing.packed import Packed, read_packed, write_packed


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> tuple[Packed, Packed]:
    folder = tmp_path_factory.mktemp("packed")
    names = [f"{label}/{k:03d}.jpg" for label in ("cat", "dog") for k in range(50)]
    contents = {name: jpeg(k) for k, name in enumerate(names)}
    archive = archive_of(folder / "raw.zip", contents)
    for mode in ("array", "stream"):
        write_packed(
            folder / mode,
            archive_path=archive,
            samples=[sample(path, content) for path, content in contents.items()],
            spec=PreprocessSpec(size_px=24),
            mode=mode,
            workers=1,
        )
    return read_packed(folder / "array"), read_packed(folder / "stream", workers=2)


def test_training_batches_are_equal(both):
    found = [
        list(
            train_batches(
                packed.train,
                batch_size=16,
                size_px=20,
                augmentation=Augmentation(crop_min_area=0.4, flip=True),
                seed=3,
                epoch=2,
            )
        )
        for packed in both
    ]
    assert len(found[0]) == 6
    for (a, labels_a), (b, labels_b) in zip(*found, strict=True):
        assert torch.equal(a, b)
        assert torch.equal(labels_a, labels_b)


def test_predictions_and_whitening_are_equal(both, cpu):
    logits = []
    for packed in both:
        model = build_model("compact", n_classes=2)
        fit_to_data(model, packed.train)
        logits.append(
            predict_logits(model, packed.train.pixels, compute=cpu, batch_size=30).numpy()
        )
    assert np.array_equal(*logits)
