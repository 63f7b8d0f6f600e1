"""Planted changes: short conversations in which it is known what supersedes what, and what only looks like it.

The wording is in `planted_*.toml`; it was written without regard to how the service reads it. Every case is one or two
spaces of its own. Cases are split into `dev`, on which rules may be written, and `test`, which they must not have seen.
Of the first attributes a quarter is in `test` alone, and of every other one the last phrasing of each list is; of the
later ones (`planted_dev.toml`, `planted_test.toml`) each is in one split with all its phrasings.
"""

from evals.planted_cases import of_attributes
from evals.planted_model import Case, Split
from evals.planted_pairs import of_pairs


def cases(seed: int = 0, split: Split | None = None) -> tuple[Case, ...]:
    """The whole suite, or one split of it, in a fixed order; the same seed gives the same cases."""
    found = [*of_attributes(seed), *of_pairs(seed)]
    return tuple(case for case in found if split is None or case.split == split)
