"""kill -9 at any moment: the old artifact or the new one, and the next run ends well."""

import time

import pytest

pytestmark = pytest.mark.slow

BENCHES = ("drawing", "from_folder", "from_tar", "from_web", "splitting", "packing")
CAMPAIGN = {
    "drawing": range(10),
    "from_folder": range(15),
    "from_tar": range(15),
    "from_web": range(15),
    "splitting": range(20),
    "packing": range(25),
}
"""Random kills of each kind, 100 in total."""


FEW = {
    **dict.fromkeys(("drawing", "from_folder", "packing"), (1000,)),
    **dict.fromkeys(("from_tar", "from_web", "splitting"), (1003,)),
}
"""The whole group with nothing to replace, or the parent alone while replacing."""


def trials(numbers):
    return [
        pytest.param(name, number, id=f"{name}-{number}")
        for name, chosen in numbers.items()
        for number in chosen
    ]


@pytest.mark.parametrize(("bench", "number"), trials(FEW), indirect=["bench"])
def test_a_kill_at_a_random_moment_costs_nothing_but_the_run(bench, number):
    bench.trial(number)


@pytest.mark.campaign
@pytest.mark.parametrize(("bench", "number"), trials(CAMPAIGN), indirect=["bench"])
def test_one_of_a_hundred_kills(bench, number):
    bench.trial(number)


@pytest.mark.parametrize("bench", ["from_folder", "splitting", "packing"], indirect=True)
def test_a_kill_before_the_last_changes_of_the_file_system(bench, killer):
    steps = bench.steps(killer)
    assert steps >= 8
    for step in range(steps - 5, steps + 1):  # when old gives way to new
        bench.kill_before_step(killer, step)


@pytest.mark.campaign
@pytest.mark.parametrize("bench", BENCHES, indirect=True)
def test_a_kill_before_every_change_of_the_file_system(bench, killer):
    for step in range(1, bench.steps(killer) + 1):
        bench.kill_before_step(killer, step)


def test_a_killed_download_goes_on_where_it_stopped(from_web, site):
    from_web.prepare(replacing=False)
    running = from_web.project.start("download")
    end = time.monotonic() + 30
    while not _partial_bytes(from_web) > 50_000:
        assert time.monotonic() < end
        time.sleep(0.01)
    running.kill(whole_group=True)
    done, asked_before = _partial_bytes(from_web), len(site.ranges)
    from_web.check_next_run(running)
    assert site.ranges[asked_before:] == [f"bytes={done}-"]


def _partial_bytes(bench):
    partials = bench.project.root.joinpath("data").glob(".download-*")
    return sum(path.stat().st_size for path in partials)
