"""The same stage twice at the same time: one works, the other works too or says why not."""

import random
import time

import pytest
from faults.projects import one_line_error

pytestmark = pytest.mark.slow

BENCHES = ("drawing", "from_folder", "from_tar", "from_web", "splitting", "packing")


def run_twice(bench, number):
    """Start a stage and start it again at a random moment of the first run."""
    offset_s = random.Random(f"{bench.stage} {number}").uniform(0, bench.seconds) * (number > 0)
    bench.prepare(replacing=number % 2 == 1)
    runs = [bench.project.start(bench.stage)]
    time.sleep(offset_s)
    runs.append(bench.project.start(bench.stage))
    ends = [run.end() for run in runs]
    for ended in ends:
        if ended.status != 0:
            one_line_error(ended, bench.stage)
    assert 0 in [ended.status for ended in ends], [ended.errors for ended in ends]
    assert bench.project.found(bench.stage) == bench.new
    assert bench.project.names() == bench.names
    assert [run.wait_until_gone(10) for run in runs] == [[], []]


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("bench", BENCHES, indirect=True)
def test_two_at_once_leave_what_one_leaves(bench, number):
    run_twice(bench, number)


@pytest.mark.campaign
@pytest.mark.parametrize("number", range(100, 110))
@pytest.mark.parametrize("bench", BENCHES, indirect=True)
def test_two_at_once_many_times(bench, number):
    run_twice(bench, number)
