"""Check every artifact, DVC's cache and what killed processes leave; say how to mend it."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from pipeline.core.arguments import command_parser
from pipeline.core.errors import ArtifactError
from pipeline.core.process import guarded
from pipeline.verify.mend import mend
from pipeline.verify.verify import Verdict, verify


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status: 0 if all is well, 1 if not."""
    parser = command_parser(
        "pipeline.verify",
        description="Check every artifact against dvc.lock and the sha256 beside it, every object "
        "in DVC's cache, and look for what killed processes leave. Changes nothing; says for each "
        "finding which command mends it. With --mend, only puts back what a kill tore and "
        "removes what it left; make repro does it first.",
    )
    parser.add_argument(
        "--no-cache",
        action="store_true",
        help="leave out DVC's cache, which may hold more than the disk reads in a minute",
    )
    parser.add_argument(
        "--mend",
        action="store_true",
        help="restore a torn dvc.lock, remove locks and files of the dead",
    )
    chosen = parser.parse_args(arguments)
    if chosen.mend:
        return guarded(_mend, name="verify")
    return guarded(lambda: _verify(with_cache=not chosen.no_cache), name="verify")


def _mend() -> None:
    for line in mend(Path()):
        print(f"verify: {line}")


def _verify(*, with_cache: bool) -> None:
    start = time.monotonic()
    verdict = verify(Path(), with_cache=with_cache)
    for finding in verdict.findings:
        print(finding)
    if verdict.findings:
        n = len(verdict.findings)
        raise ArtifactError(f"{n} finding{'s' * (n > 1)}; run the commands above, then this again")
    print(f"ok: {_summary(verdict)} in {time.monotonic() - start:.1f} s")


def _summary(verdict: Verdict) -> str:
    return (
        f"{verdict.n_outs} outs, {verdict.n_checksums} checksums, "
        f"{verdict.n_objects} objects in DVC's cache; {verdict.n_bytes / 1e6:.1f} MB read"
    )


if __name__ == "__main__":
    sys.exit(main())
