"""Rows of slices.csv joined with the images that they speak of."""

from pipeline.analysis.parts import slices_by_path, slices_with_paths
from pipeline.core.artifacts import SliceRow


def row(value, n):
    return SliceRow(slice="t", value=value, n=n, accuracy=0.5, accuracy_low=0.2, accuracy_high=0.8)


def test_parts_of_one_name_keep_their_own_images():
    # A cell may hold the very word that the part of the rare values is named by.
    rows = [row("(others)", 1), row("a", 1), row("(others)", 2)]
    members = [("t", "(others)", ["1"]), ("t", "a", ["2"]), ("t", "(others)", ["3", "4"])]
    found = slices_with_paths(rows, members)
    assert [part.paths for part in found] == [{"1"}, {"2"}, {"3", "4"}]
    assert slices_by_path(found) == {"1": "0", "2": "1", "3": "2", "4": "2"}


def test_a_part_that_is_not_known_has_no_images():
    (found,) = slices_with_paths([row("b", 1)], [("t", "a", ["1"])])
    assert found.paths == frozenset()
