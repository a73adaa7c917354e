"""Images that show the same: equal pixels, or encoded again, resized, mirrored, lightly cropped.

Four sieves, each finer and dearer: perceptual hashes a few bits apart, thumbnails that correlate,
thumbnails that correlate well without some margins, and the pixels, laid over each other.
docs/duplicates.md has the figures behind the numbers.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, combinations, pairwise, tee
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.core.archive import Place, read_place
from pipeline.core.workers import supervised_map
from pipeline.data.groups import Pair
from pipeline.data.look import THUMBNAIL_SIDE_PX
from pipeline.data.overlay import show_the_same
from pipeline.data.scan import Scanned
from pipeline.data.thumbnails import Thumbnails, best_correlation, correlation
from pipeline.imaging.decode import decode

MAX_BITS_APART = 16
"""Of 64; two unrelated photographs are 32 apart on average, one pair in 1,700 is 16 or less."""
MIN_CORRELATION = 0.75
"""Of 16 x 16 thumbnails; a crop by 6 % keeps 0.77 in 99 of 100 photographs."""
MIN_BEST_CORRELATION = 0.93
"""Of 8 x 8 views of thumbnails without some margins: no copy within the first two sieves has less,
and one of 13 other pairs has more."""

BANDS, BAND_BITS = 4, 16
FLIPPED_BITS = 2
"""Of a band: every pair up to 11 bits apart agrees to within 2 bits in one of the 4 bands."""
MAX_PAIRS_AT_ONCE = 1 << 16

Hashes = NDArray[np.uint64]
Index = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Candidate:
    """Two images that may show the same."""

    first: str
    second: str
    mirrored: bool


@dataclass(frozen=True, slots=True)
class Question:
    """What a process is to look at: one image's pixels, or whether two show the same."""

    places: tuple[Place, ...]
    mirrored: bool = False

    @property
    def path(self) -> str:
        """Names in data/raw.zip."""
        return " and ".join(place.path for place in self.places)


def find_pairs(
    images: Sequence[Scanned],
    *,
    places: Mapping[str, Place],
    archive_path: Path,
    workers: int,
    on_progress: Callable[[int], None] = lambda n_pairs: None,
) -> list[Pair]:
    """Return pairs of images that show the same, sorted; equal bytes are not looked at again.

    Of images with equal pixels, each is a pair with the first of them by path. Near duplicates are
    pairs such that all images that show the same are connected, not every pair there is.

    Args:
        images: every image that can be decoded.
        places: by path, where their bytes lie.
        archive_path: data/raw.zip.
        workers: processes; the result does not depend on their number.
        on_progress: called with the number of pairs looked at since the last call.
    """
    first_of: dict[str, Scanned] = {}
    for image in sorted(images, key=lambda image: image.path):
        first_of.setdefault(image.sha256, image)
    distinct = list(first_of.values())
    # In one go: starting processes takes longer than the few that look exactly alike.
    questions: Iterator[Question] = chain(
        (Question((places[path],)) for path in _alike(distinct)),
        (Question((places[c.first], places[c.second]), c.mirrored) for c in _candidates(distinct)),
    )
    questions, asked = tee(questions)
    work = partial(_answer, archive_path)
    first: dict[str, str] = {}
    equal: list[Pair] = []
    near: list[tuple[str, str]] = []
    for question, answer in zip(
        questions, supervised_map(work, asked, workers=workers, lost=_no), strict=True
    ):
        paths = [place.path for place in question.places]
        if len(paths) == 1:
            if first.setdefault(str(answer), paths[0]) != paths[0]:
                equal.append(Pair(first[str(answer)], paths[0], "pixels"))
        elif answer:
            near.append((paths[0], paths[1]))
        on_progress(1)
    found = [*equal, *_of_the_first(near, {pair.second: pair.first for pair in equal})]
    return sorted(found, key=lambda pair: (pair.first, pair.second))


def _of_the_first(near: Sequence[tuple[str, str]], first_of: Mapping[str, str]) -> list[Pair]:
    """Return the pairs, each once, with the first of images of equal pixels in place of others.

    Not all of those images were compared with everything, so none of their pairs may be lost.
    """
    pairs = {tuple(sorted(first_of.get(path, path) for path in pair)) for pair in near}
    return [Pair(one, other, "near") for one, other in pairs if one != other]


def _alike(images: Sequence[Scanned]) -> Iterator[str]:
    """Yield the images that look exactly like another; their pixels may be equal."""
    groups: dict[object, list[str]] = {}
    for image in images:
        groups.setdefault((image.width, image.height, image.look), []).append(image.path)
    return (path for group in groups.values() if len(group) > 1 for path in group)


def _answer(archive_path: Path, question: Question) -> str | bool:
    """Return the sha256 of an image's pixels, or whether two images show the same."""
    images = [decode(read_place(archive_path, place)) for place in question.places]
    if len(images) == 1:
        (image,) = images
        return hashlib.sha256(b"%d %d " % image.size + image.tobytes()).hexdigest()
    one, other = images
    if not question.mirrored and one.size == other.size and one.tobytes() == other.tobytes():
        return True
    return show_the_same(one, other, mirrored=question.mirrored)


def _no(question: Question, why: str) -> str | bool:
    """Stand in for the answer about an image that costs a process its life: like no other."""
    return question.path if len(question.places) == 1 else False


def _candidates(images: Sequence[Scanned]) -> Iterator[Candidate]:
    """Yield the pairs that pass the sieves but the last, each once."""
    if len(images) < 2:
        return
    phash = np.array([image.look.phash for image in images], dtype=np.uint64)
    mirrored = np.array([image.look.mirrored for image in images], dtype=np.uint64)
    thumbnails = np.frombuffer(b"".join(i.look.thumbnail for i in images), np.uint8)
    thumbnails = thumbnails.reshape(len(images), THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX)
    unique, inverse = np.unique(phash, return_index=True, return_inverse=True)[1:]
    straight = chain(
        _of_equal_hash(inverse, images), _few_bits_apart(phash[unique], phash[unique], unique)
    )
    turned = _few_bits_apart(phash[unique], mirrored[unique], unique)
    found: set[tuple[int, int]] = set()
    # A picture that is its own mirror image need not be looked at twice.
    for pairs, is_mirrored in ((straight, False), (turned, True)):
        for first, second in pairs:
            for i, j in _correlated(thumbnails, first, second, mirrored=is_mirrored):
                if (i, j) not in found:
                    found.add((i, j))
                    yield Candidate(images[i].path, images[j].path, is_mirrored)


def _of_equal_hash(
    group: NDArray[np.intp], images: Sequence[Scanned]
) -> Iterator[tuple[Index, Index]]:
    """Yield pairs of images of one hash: all of few, of many just those with thumbnails in order.

    A thousand empty pictures would be half a million pairs.
    """
    order = np.argsort(group, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        if len(members) < 2:
            continue
        if len(members) <= 16:
            pairs = list(combinations(members.tolist(), 2))
        else:
            row = sorted(members.tolist(), key=lambda i: (images[i].look.thumbnail, i))
            pairs = [(min(i, j), max(i, j)) for i, j in pairwise(row)]
            pairs += [(min(row[0], i), max(row[0], i)) for i in row[2:]]
        first, second = np.array(pairs, dtype=np.int64).T
        yield first, second


def _few_bits_apart(a: Hashes, b: Hashes, index: Index) -> Iterator[tuple[Index, Index]]:
    """Yield pairs i < j of `index` whose hashes `a[i]` and `b[j]` differ in few bits.

    Multi-index hashing: two hashes that are close in all are close in one of their bands, and the
    few that are close in a band are found by sorting it. Every pair up to 11 bits apart is found;
    of those 12 to 16 apart, most.

    Source: Norouzi, Punjani and Fleet 2012, Fast search in Hamming space with multi-index hashing.
    """
    for band in range(BANDS):
        shift, low = np.uint64(band * BAND_BITS), np.uint64((1 << BAND_BITS) - 1)
        keys = ((a >> shift) & low).astype(np.int64)
        sought = ((b >> shift) & low).astype(np.int64)
        order = np.argsort(sought, kind="stable")
        ordered = b[order]
        starts = np.searchsorted(sought[order], np.arange((1 << BAND_BITS) + 1))
        for mask in _masks():
            begin = starts[keys ^ mask]
            counts = starts[(keys ^ mask) + 1] - begin
            for rows, some, place in _expanded(begin, counts):
                # Which they are is asked of the few that are close: one in thousands.
                apart = np.bitwise_count(np.repeat(a[rows], some) ^ ordered[place])
                close = np.flatnonzero(apart <= MAX_BITS_APART)
                if len(close):
                    i = rows.start + np.searchsorted(np.cumsum(some), close, "right")
                    j = order[place[close]]
                    one, other = index[i[i < j]], index[j[i < j]]
                    yield np.minimum(one, other), np.maximum(one, other)


def _masks() -> list[int]:
    """Return every way to flip up to `FLIPPED_BITS` bits of a band."""
    bits = [1 << bit for bit in range(BAND_BITS)]
    return [sum(some) for n in range(FLIPPED_BITS + 1) for some in combinations(bits, n)]


def _expanded(begin: Index, counts: Index) -> Iterator[tuple[slice, Index, Index]]:
    """Yield rows, their counts and every place in `begin[i] ... begin[i] + counts[i]`.

    The places of one row follow those of the row before; so many come at once as a cache holds.
    """
    ends = np.cumsum(counts)
    done = 0
    while done < len(counts):
        before = ends[done - 1] if done else 0
        stop = max(done + 1, int(np.searchsorted(ends, before + MAX_PAIRS_AT_ONCE, "right")))
        some = counts[done:stop]
        skipped = begin[done:stop] - (np.cumsum(some) - some)
        yield slice(done, stop), some, np.arange(some.sum()) + np.repeat(skipped, some)
        done = stop


def _correlated(
    thumbnails: Thumbnails, first: Index, second: Index, *, mirrored: bool
) -> Iterator[tuple[int, int]]:
    """Yield the pairs whose thumbnails correlate, first as they are, then without some margins."""
    for score, least in ((correlation, MIN_CORRELATION), (best_correlation, MIN_BEST_CORRELATION)):
        a, b = thumbnails[first], thumbnails[second]
        keep = score(a, b[:, :, ::-1] if mirrored else b) >= least
        first, second = first[keep], second[keep]
    yield from zip(first.tolist(), second.tolist(), strict=True)
