"""Networks and how they are fitted.

Imported before torch, so that OpenMP's threads sleep while they wait: two processes that spin
against each other on the same cores slow each other down five times and more.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
