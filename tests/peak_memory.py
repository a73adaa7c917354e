"""The peak memory of a process of its own.

`ru_maxrss` will not do: a child begins with the peak of the process that it was forked from.
"""

from pathlib import Path

PEAK_BYTES = """\
def peak_bytes():
    from pathlib import Path
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024
"""

WATCHED = (
    PEAK_BYTES
    + """\
import atexit, os, runpy, sys
from pathlib import Path
atexit.register(lambda: Path(os.environ["PEAK_FILE"]).write_text(str(peak_bytes())))
sys.path.insert(0, os.getcwd())
del sys.argv[0]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
)
"""A script that runs the module it is given; it leaves its peak memory in $PEAK_FILE."""


def left_bytes(file: Path) -> int:
    """Return what a watched process left."""
    return int(file.read_text())
