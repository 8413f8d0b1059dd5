"""Explainers of other packages as methods, one file a package: what the peers benchmark compares.

They are registered by the distribution beside this file, as those of any other package are
(``pip install ./benchmarks/peers``); the benchmarks find them by their entry points.
"""

from benchmarks.peers._peer import Peer, missing

__all__ = ["Peer", "missing"]
