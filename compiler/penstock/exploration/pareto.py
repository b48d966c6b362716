"""What of many points nothing else betters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from penstock.fixed import BoolArray, FloatArray


def front(costs: Sequence[Sequence[float]], kinds: Sequence[str]) -> list[int]:
    """The points that no other of their kind dominates, in ascending order.

    costs: (points, objectives), lower is better. A point is dominated by one that is nowhere worse
    and somewhere better; of equal ones the first stays.
    """
    if not costs:
        return []
    values: FloatArray = np.asarray(costs, dtype=np.float64).reshape(len(costs), -1)
    own = np.asarray(kinds)
    # A point comes before all that it dominates.
    found: list[int] = []
    for index in np.lexsort(values.T[::-1]).tolist():
        rivals = values[[other for other in found if own[other] == own[index]]]
        nowhere_worse: BoolArray = (rivals <= values[index]).all(axis=1)
        if not nowhere_worse.any():
            found.append(index)
    return sorted(found)
