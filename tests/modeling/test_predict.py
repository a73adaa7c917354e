"""The views of test-time augmentation, and logits that do not depend on the batch size."""

import numpy as np
import pytest
import torch
from modeling_sets import make_split
from torchvision.transforms.v2 import functional as reference

from pipeline.modeling.predict import predict_logits, predict_views, tta_views
from pipeline.modeling.zoo import build_model


@pytest.fixture
def images():
    return torch.from_numpy(make_split(3, size_px=32).pixels)


@pytest.mark.parametrize(("name", "n_views"), [("none", 1), ("flip", 2), ("multi_crop", 12)])
def test_the_first_view_is_the_whole_image_and_all_have_its_shape(images, name, n_views):
    views = tta_views(name)
    assert len(views) == n_views
    assert torch.equal(views[0](images), images)
    for view in views:
        assert view(images).shape == images.shape
        assert view(images).dtype == torch.uint8


def test_every_second_view_is_the_mirror_image_of_the_one_before(images):
    views = tta_views("multi_crop")
    for plain, mirrored in zip(views[::2], views[1::2], strict=True):
        assert torch.equal(mirrored(images), plain(images).flip(2))


def test_the_crops_are_torchvisions_five_scaled_up_again(images):
    first = images.permute(0, 3, 1, 2)
    expected = [
        reference.resize(crop, [32, 32], antialias=True).permute(0, 2, 3, 1)
        for crop in reference.five_crop(first, [28, 28])  # 7 / 8 of 32
    ]
    found = [view(images) for view in tta_views("multi_crop")[2::2]]
    for one, other in zip(found, expected, strict=True):
        assert (one.int() - other.int()).abs().max() <= 1


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build_model("compact", n_classes=3).eval()


def test_views_are_predicted_as_if_each_came_alone(model, cpu):
    pixels = make_split(10).pixels
    found = predict_views(model, pixels, views=tta_views("flip"), compute=cpu, batch_size=4)
    assert found.shape == (2, 10, 3)
    alone = [predict_logits(model, p, compute=cpu) for p in (pixels, pixels[:, :, ::-1].copy())]
    assert np.abs(found.numpy() - torch.stack(alone).numpy()).max() < 1e-5
    assert (found[0] - found[1]).abs().max() > 1e-3


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_probabilities_do_not_depend_on_the_batch_size(model, cpu, batch_size):
    pixels = make_split(30).pixels
    expected = predict_logits(model, pixels, compute=cpu, batch_size=256).softmax(1)
    found = predict_logits(model, pixels, compute=cpu, batch_size=batch_size).softmax(1)
    assert (found - expected).abs().max() < 1e-6


def test_progress_counts_every_view(model, cpu):
    seen = []
    predict_views(
        model,
        make_split(5).pixels,
        views=tta_views("flip"),
        compute=cpu,
        batch_size=4,
        on_batch=seen.append,
    )
    assert sum(seen) == 10
