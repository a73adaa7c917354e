"""The split that a data set came with: from its folders, or from what people wrote."""

from collections.abc import Mapping, Sequence
from itertools import takewhile
from operator import attrgetter
from pathlib import PurePosixPath

from pipeline.core.archive import JOINT
from pipeline.core.errors import DataError
from pipeline.core.splits import split_of_folder
from pipeline.data.groups import members_of
from pipeline.data.scan import Scanned

MAX_NAMED = 5


def given_splits(images: Sequence[Scanned], table: Mapping[str, str]) -> dict[str, str]:
    """Return the given split of each image that has one, by path.

    The table is asked first, then the train, valid and test folders of the source. Where there are
    no such folders, the table may name just some images. Where there are, an image outside of them
    that the table does not name is an error: it was more likely forgotten than meant for training.

    Args:
        images: usable images.
        table: the split that people wrote, by path.

    Raises:
        DataError: no image has a split, one lies outside the folders, or all are kept from
            training.
    """
    folders = _folder_splits(images)
    given = folders | {i.path: table[i.path] for i in images if i.path in table}
    missing = sorted((i for i in images if i.path not in given), key=attrgetter("path"))
    if not given:
        raise DataError(
            "split.keep_given: found true, but no image lies in a train, valid or test folder and "
            "data/metadata.csv gives no split; set it to false"
        )
    if folders and missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise DataError(
            f"split.keep_given: found true, but {missing[0].source}{more} lies in no train, valid "
            "or test folder; write its split into data/metadata.csv, or set keep_given to false"
        )
    if not missing and "train" not in given.values():
        raise DataError(
            "split.keep_given: found true, but no image is given to train; give it some, "
            "or set it to false"
        )
    return given


def splits_of_groups(groups: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Return the split of each group of which an image has a given one, by its name.

    Images of a group that have no given split follow those that have. A group that the given split
    divides goes to training: what was trained on must not be tested on.
    """
    wanted = _wanted(groups, given)
    return {g: splits.pop() if len(splits) == 1 else "train" for g, splits in wanted.items()}


def divided_groups(groups: Mapping[str, str], given: Mapping[str, str]) -> list[str]:
    """Return the names of the groups that the given split divides, sorted."""
    return sorted(g for g, splits in _wanted(groups, given).items() if len(splits) > 1)


def warn_divided(groups: Mapping[str, str], divided: Sequence[str]) -> list[str]:
    """Return a sentence that names the first of the divided groups and their images, if any."""
    if not divided:
        return []
    members = members_of(groups)
    named = "; ".join(f"{g}: {_some(members[g])}" for g in divided[:MAX_NAMED])
    more = f"; and {len(divided) - MAX_NAMED} more" if len(divided) > MAX_NAMED else ""
    return [
        "groups of images that the given split divides, and that go to training: "
        f"{len(divided)} ({named}{more})"
    ]


def _wanted(groups: Mapping[str, str], given: Mapping[str, str]) -> dict[str, set[str]]:
    wanted: dict[str, set[str]] = {}
    for path, split in given.items():
        wanted.setdefault(groups[path], set()).add(split)
    return wanted


def _some(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return ", ".join(paths[:3]) + more


def _folder_splits(images: Sequence[Scanned]) -> dict[str, str]:
    """Return the split that the folders of its source give to an image, if any, by path.

    Folders around all images of a source, and those that the source itself lies in, are asked
    last, the innermost first: a data set with splits of its own may lie in a folder called train.
    """
    by_source: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
    for image in images:
        source, _, name = image.source.replace("\\", "/").rpartition(JOINT)
        folders = PurePosixPath(name).parts[:-1]
        by_source.setdefault(source, []).append((image.path, folders))
    splits = {}
    for source, members in by_source.items():
        n_shared = _n_shared([folders for _, folders in members])
        around = [*PurePosixPath(source).parts, *members[0][1][:n_shared]][::-1]
        for path, folders in members:
            asked = map(split_of_folder, [*folders[n_shared:], *around])
            if split := next(filter(None, asked), None):
                splits[path] = split
    return splits


def _n_shared(folders: Sequence[tuple[str, ...]]) -> int:
    """Return how many leading folders all have in common; the rest lie between first and last."""
    levels = zip(min(folders), max(folders), strict=False)
    return sum(1 for _ in takewhile(lambda level: level[0] == level[1], levels))
