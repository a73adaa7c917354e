"""Is one model better than another? Compare the test predictions of two revisions.

The images that only one of the two models gets right decide, by McNemar's exact test at 5 %; with
one revision, the workspace is the other model.
"""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.core.arguments import command_parser, whole_number
from pipeline.core.atomic import write_text
from pipeline.core.layout import Layout
from pipeline.core.process import guarded
from pipeline.evaluation.compare_page import render
from pipeline.evaluation.comparison import RESAMPLES, Comparison, Difference, compare, p_text
from pipeline.evaluation.revisions import WORKSPACE, predictions_at

log = logging.getLogger(__name__)

NAME = "pipeline.evaluation.compare"
PAGE = Path("reports/compare.html")
WORSE_STATUS = 3
DETAILS = f"""\
Test predictions are read from reports/evaluate/predictions.csv of each revision, out of DVC's cache
or remote; nothing is checked out. Images are paired by path; one that has another label now counts
with the newer label for both.

exit status: 0 whatever the verdict, 1 if they cannot be compared; with --fail-if-worse,
{WORSE_STATUS} if the new model is worse

examples:
  python -m {NAME} HEAD              the last commit and the workspace
  python -m {NAME} main hasty-rats   a branch and an experiment of `dvc exp show`
"""


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the command line's values."""
    parser = command_parser(NAME, description=__doc__, details=DETAILS)
    add = parser.add_argument
    add("old", metavar="REV", help="commit, branch, tag or experiment of the old model")
    add("new", metavar="REV", nargs="?", default=WORKSPACE, help="the new one's (%(default)s)")
    add("--html", metavar="FILE", type=Path, default=PAGE, help="page to write (%(default)s)")
    add("--no-html", action="store_true", help="write no page")
    add("--json", action="store_true", help="print JSON instead of text")
    add("--fail-if-worse", action="store_true", help=f"exit status {WORSE_STATUS} if it is worse")
    add("--seed", metavar="N", type=_seed, default=0, help="of the bootstrap (%(default)s)")
    add(
        "--resamples",
        metavar="N",
        type=whole_number,
        default=RESAMPLES,
        help="of the bootstrap (%(default)s)",
    )
    return parser.parse_args(argv)


def main(arguments: argparse.Namespace, *, root: Path = Path()) -> Comparison:
    """Compare what the command line names; print the verdict and write the page."""
    old, new = arguments.old, arguments.new
    comparison = compare(
        predictions_at(old, root=root),
        predictions_at(new, root=root),
        rng=np.random.default_rng(arguments.seed),
        n_resamples=arguments.resamples,
    )
    if arguments.json:
        content = {"old": old, "new": new, "sentence": comparison.sentence(old, new)}
        print(json.dumps(content | comparison.to_json(), indent=2, sort_keys=True))
    else:
        print("\n".join(in_words(comparison, old, new)))
    if not arguments.no_html:
        page = render(comparison, old=old, new=new, archive_path=Layout(root).raw_archive)
        write_text(root / arguments.html, page)
        log.info("%s: %.1f MB", root / arguments.html, len(page) / 1e6)
    return comparison


def in_words(comparison: Comparison, old: str, new: str) -> list[str]:
    """Return the lines for people, the verdict last."""
    c = comparison
    lines = [f"{c.n} test images in both; {c.n_only_old} only in {old}, {c.n_only_new} in {new}"]
    if c.relabelled:
        lines.append(f"{len(c.relabelled)} have another label in {new}, which counts for both")
    return [
        *lines,
        _line("accuracy", c.accuracy),
        _line("log loss", c.log_loss),
        f"fixed     {len(c.fixed)}, newly broken {len(c.broken)}, p = {p_text(c.p_value)}",
        c.sentence(old, new),
    ]


def _seed(text: str) -> int:
    """Parse a whole number from 0 on, for argparse."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 on, found {text!r}")
    return int(text)


def _line(name: str, figure: Difference) -> str:
    return (
        f"{name}  {figure.old:.4f} -> {figure.new:.4f}, difference {figure.difference:+.4f} "
        f"(95 % interval {figure.low:+.4f} to {figure.high:+.4f})"
    )


def command(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    arguments = parse(argv)
    found: list[Comparison] = []
    status = guarded(lambda: found.append(main(arguments)), name=NAME)
    if arguments.fail_if_worse and found and found[0].verdict == "worse":
        return WORSE_STATUS
    return status


if __name__ == "__main__":
    sys.exit(command())
