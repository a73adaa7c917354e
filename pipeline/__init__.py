"""The library: how things are done. `stages` says what happens, in which order."""

import os

# Threads of torch that have nothing to do spin, 300,000 times unless told otherwise (libgomp
# manual, GOMP_SPINCOUNT), and take the core from whoever has. Beside another busy process a step
# of training then took ten times as long; a thousand cost nothing (docs/benchmarks.md). Here, since
# it is read once, when torch is loaded. No result depends on it.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
