"""What the benchmarks promise by their options is there."""

import pytest

from benchmarks import peer_loops
from benchmarks.peers import PEERS


@pytest.mark.parametrize(("what", "peer"), [(w, p) for w, peers in PEERS.items() for p in peers])
def test_every_peer_has_a_loop_for_what_it_is_compared_in(what, peer):
    assert callable(getattr(peer_loops, f"_{peer}_{what}"))
