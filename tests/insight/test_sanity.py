"""Heat-maps lie on the animal, and need the trained weights to do so.

Adebayo et al. 2018, Sanity Checks for Saliency Maps, section 3: a map that survives the
randomisation of the weights explains nothing of the model.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import spearmanr
from torch.nn import functional as F

from pipeline.core.params import load_params
from pipeline.insight.attribution import heat_maps
from pipeline.modeling.device import Compute
from pipeline.modeling.fit import Fitting
from pipeline.modeling.recipe import Recipe
from pipeline.modeling.zoo import build_model, fit_to_data
from pipeline.packing.packed import PackedSplit
from pipeline.sources.drawing import SPECIES, draw_animal

pytestmark = pytest.mark.slow
SIDE_PX = 64
N_TRAIN, N_VALID, N_LOOKED_AT = 800, 100, 100


def _drawn(n: int, *, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return pixels (N, S, S, 3), masks of the animals (N, S, S) and labels (N,)."""
    pixels, masks = [], []
    for index in range(n):
        image, mask = draw_animal(SPECIES[index % 2], np.random.default_rng((seed, index)))
        small = (SIDE_PX, SIDE_PX)
        pixels.append(np.asarray(image.resize(small, Image.Resampling.BOX)))
        seen = Image.fromarray(mask.astype(np.uint8) * 255).resize(small, Image.Resampling.BOX)
        masks.append(np.asarray(seen) > 127)
    return np.stack(pixels), np.stack(masks), np.arange(n) % 2


def _split(n: int, *, seed: int) -> PackedSplit:
    pixels, _, labels = _drawn(n, seed=seed)
    return PackedSplit(pixels=pixels, labels=labels, paths=tuple(map(str, range(n))))


@pytest.fixture(scope="module")
def trained():
    """A network after a few epochs of the default recipe on a few hundred drawn animals."""
    train, valid = _split(N_TRAIN, seed=1), _split(N_VALID, seed=2)
    params = load_params(Path(__file__).parents[2] / "params.yaml").train
    recipe = Recipe(
        lr=0.06,
        epochs=8,
        freeze_epochs=0,
        batch_size=32,
        seed=0,
        optimizer=params.optimizer,
        weight_decay=params.weight_decay,
        warmup_fraction=params.warmup_fraction,
        sizes_px=(48,),
        crop_min_area=params.crop_min_area,
        flip=True,
        label_smoothing=params.label_smoothing,
    )
    model = build_model("compact", n_classes=2, seed=0)
    fit_to_data(model, train)
    compute = Compute(device=torch.device("cpu"), bf16=False)
    fitting = Fitting(model, train, valid, recipe, compute=compute)
    history = list(fitting.run())
    model.load_state_dict(fitting.best)
    assert max(record.valid_accuracy for record in history) > 0.8  # or the maps mean nothing
    return model


def _share_on_animal(maps: np.ndarray, masks: np.ndarray) -> float:
    """Return the mean share of a map's mass that lies on the animal."""
    large = F.interpolate(torch.from_numpy(maps)[:, None], size=masks.shape[1:], mode="bilinear")
    mass = large[:, 0].numpy()
    some = mass.sum((1, 2)) > 0
    return float(((mass * masks).sum((1, 2))[some] / mass.sum((1, 2))[some]).mean())


def test_the_map_lies_on_the_animal_and_random_weights_destroy_it(trained):
    pixels, masks, _ = _drawn(N_LOOKED_AT, seed=3)
    with torch.no_grad():
        predicted = trained.eval()(torch.from_numpy(pixels)).argmax(1).numpy()
    maps = heat_maps(trained, pixels, predicted)
    other = build_model("compact", n_classes=2, seed=7)
    other.network.whiten.load_state_dict(trained.network.whiten.state_dict())
    random = heat_maps(other, pixels, predicted)

    share, by_chance = _share_on_animal(maps, masks), float(masks.mean())
    # The default model, trained on more and for longer, reaches 0.8 (docs/network.md).
    assert share > by_chance + 0.2
    assert _share_on_animal(random, masks) < share - 0.1
    pairs = [(a, b) for a, b in zip(maps, random, strict=True) if a.any() and b.any()]
    correlations = [spearmanr(a.ravel(), b.ravel()).statistic for a, b in pairs]
    assert np.mean(correlations) < 0.5
