"""The sieves on thumbnails: against numpy's correlation, and on pictures without some margins."""

import numpy as np
import pytest
from PIL import Image

from pipeline.data.thumbnails import best_correlation, correlation


def scenes(n: int) -> np.ndarray:
    """Return (n, 160, 160) smooth pictures, no two alike."""
    small = np.random.default_rng(0).integers(0, 256, (n, 6, 6), dtype=np.uint8)
    return np.stack([np.asarray(Image.fromarray(s).resize((160, 160))) for s in small])


def thumbnails(pictures: np.ndarray) -> np.ndarray:
    return np.stack([np.asarray(Image.fromarray(p).resize((16, 16), Image.BOX)) for p in pictures])


def test_the_correlation_is_pearsons():
    first, second = thumbnails(scenes(40)[:20]), thumbnails(scenes(40)[20:])
    expected = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(first, second, strict=True)]
    # Two levels of noise are added to both, next to a spread of some 60.
    np.testing.assert_allclose(correlation(first, second), expected, atol=3e-3)


def test_empty_pictures_are_alike_and_unlike_any_other():
    empty = np.stack([np.full((16, 16), 255, np.uint8), np.zeros((16, 16), np.uint8)])
    other = thumbnails(scenes(2))
    for score in (correlation, best_correlation):
        np.testing.assert_allclose(score(empty, empty[::-1]), 1.0, rtol=1e-6)
        assert (score(empty, other) < 0.1).all()


@pytest.mark.parametrize(
    ("top", "bottom", "left", "right"),
    [(0, 0, 10, 0), (10, 0, 0, 0), (0, 10, 10, 0), (10, 10, 10, 10), (0, 0, 0, 10)],
)
def test_cut_pictures_correlate_once_the_others_are_cut_too(top, bottom, left, right):
    whole = scenes(30)
    cut = whole[:, top : 160 - bottom, left : 160 - right]
    first, second = thumbnails(whole), thumbnails(cut)
    best = best_correlation(first, second)
    assert (best > 0.985).all()
    assert (correlation(first, second) < best).all()
    np.testing.assert_allclose(best_correlation(second, first), best, rtol=1e-5)


def test_a_shift_is_one_margin_of_each():
    whole = scenes(30)
    first, second = thumbnails(whole[:, :, 10:]), thumbnails(whole[:, 10:, :-10])
    assert (best_correlation(first, second) > 0.98).all()


def test_unrelated_pictures_do_not_correlate_whatever_is_cut():
    pictures = thumbnails(scenes(200))
    assert (best_correlation(pictures[:100], pictures[100:]) < 0.93).all()


def test_any_number_of_pairs_gives_the_same_scores():
    first, second = thumbnails(scenes(600)[:300]), thumbnails(scenes(600)[300:])
    one_by_one = [best_correlation(first[[k]], second[[k]])[0] for k in range(300)]
    np.testing.assert_allclose(best_correlation(first, second), one_by_one, atol=1e-5)
    assert best_correlation(first[:0], second[:0]).shape == (0,)
