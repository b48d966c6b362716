"""What a process is given at a time: an error, or the points that share their schedules."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass

from penstock.errors import PenstockError
from penstock.exploration.evaluate import Recent, Workshop
from penstock.exploration.network import Network, versions
from penstock.exploration.rows import Row
from penstock.settings import Hardware, Precision

KEPT_NETWORKS = 2
_workshops = Recent(KEPT_NETWORKS)
"""Of this process, by the digest of the network."""


@dataclass(frozen=True)
class Job:
    """keys: of the results, one for each of the hardwares; without any, of the error.

    network: its digest. versions: of the one who asks. target_us: see ``Workshop.figures``.
    """

    keys: tuple[str, ...]
    network: str
    precision: Precision
    hardwares: tuple[Hardware, ...]
    versions: str
    target_us: float | None = None

    def done(self, pickled: Callable[[], bytes]) -> dict[str, Row]:
        """The results by their keys. pickled: gives the network, if it is not known here."""
        if versions() != self.versions:
            raise PenstockError(
                f"a worker has {versions()}, not {self.versions}", "scheduler",
                "install the same versions everywhere",
            )  # fmt: skip
        shop: Workshop = _workshops.get_or(self.network, lambda: _opened(pickled()))
        if not self.hardwares:
            return {self.keys[0]: shop.error(self.precision)}
        return {
            key: shop.figures(self.precision, hardware, self.target_us)
            for key, hardware in zip(self.keys, self.hardwares, strict=True)
        }


def _opened(pickled: bytes) -> Workshop:
    network = pickle.loads(pickled)  # of the process that explores, never of a file of a user
    assert isinstance(network, Network)
    return Workshop(network)
