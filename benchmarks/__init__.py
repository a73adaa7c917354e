"""What is measured: against peers, against limits of the machine, against time."""

import pipeline  # noqa: F401  # before torch: it says how long idle threads spin
