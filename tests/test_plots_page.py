"""`dvc plots show` without a network: every curve is drawn, and nothing is asked of anybody."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from chromium import chromium
from playwright.sync_api import expect
from reported import make_run

pytestmark = pytest.mark.slow

PLOTS = yaml.safe_load(Path("dvc.yaml").read_text())["plots"]
WITHOUT = {"roc"}  # the run made by hand has no such file
DRAWN = """plots => plots.map(plot => [...plot.querySelectorAll(
    "svg .mark-line path, svg .mark-symbol path, svg .mark-rect path")].filter(mark => {
        const { width, height } = mark.getBoundingClientRect()
        return mark.getAttribute("d") && width + height > 5 }).length)"""
"""How many lines, points and cells of each plot can be seen."""


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A DVC repository with the files of a run, the project's plots and its page."""
    root = tmp_path_factory.mktemp("plots")
    make_run(root, ("cat", "dog"))
    shutil.copytree(".dvc/plots", root / ".dvc/plots")
    plots = [plot for plot in PLOTS if not WITHOUT & set(plot)]
    (root / "dvc.yaml").write_text(yaml.safe_dump({"plots": plots}))
    run(root, "git", "init", "-q")
    (root / ".dvc/config").write_text(Path(".dvc/config").read_text())
    for package in ("pipeline", "scripts"):
        (root / package).symlink_to(Path(package).resolve())
    run(root, sys.executable, "-m", "scripts.plots_page")
    return root, plots


def run(root: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=root, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_plot_is_drawn_without_a_request(repository):
    root, plots = repository
    run(root, sys.executable, "-m", "dvc", "plots", "show")
    index = root / "dvc_plots/index.html"
    assert "<script src" not in index.read_text()
    asked, wrong = [], []
    with chromium() as browser:
        context = browser.new_context(offline=True)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(index.as_uri())
        expect(page.locator(".vega-embed svg.marks")).to_have_count(len(plots), timeout=60_000)
        drawn = page.locator(".vega-embed").evaluate_all(DRAWN)
        context.close()
    assert len(drawn) == len(plots)
    assert min(drawn) > 0, drawn
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert wrong == []
