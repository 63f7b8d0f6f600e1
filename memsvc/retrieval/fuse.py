"""Calibrated fusion: every arm on a bounded common scale, then a weighted sum.

An arm that tells nothing apart adds exactly 0 to every memory, and no arm can add more than its weight times
`LIMIT`, so a weak or broken arm cannot bury what a strong one found.
"""

from dataclasses import dataclass

import numpy as np

from memsvc.retrieval.model import Floats

LIMIT = 8.0
# Spread below which cosines differ by rounding alone.
FLAT = 1e-6


@dataclass(frozen=True, slots=True)
class Scale:
    """Mean and standard deviation of an arm over the table; deviation 0 marks an arm without signal."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, values: Floats) -> "Scale":
        """Measured on what is not NaN, in double precision so that row order cannot change a rank."""
        known = values[~np.isnan(values)].astype(np.float64)
        if not len(known):
            return cls(0.0, 0.0)
        deviation = float(known.std())
        return cls(float(known.mean()), deviation if deviation > FLAT else 0.0)

    def standardize(self, values: Floats) -> Floats:
        """z-scores within +-LIMIT; NaN (not measured) becomes 0, the mean: neither praise nor blame."""
        if self.deviation == 0:
            return np.zeros(len(values), np.float32)
        scores: Floats = np.clip((values - np.float32(self.mean)) / np.float32(self.deviation), -LIMIT, LIMIT)
        scores[np.isnan(scores)] = 0
        return scores
