"""What a difference from the baseline amounts to: one rule for the terminal's marks and the report's."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

from pcclip.evaluation.document import Compared

SIGNIFICANT = 0.05

Effect: TypeAlias = Literal["better", "worse", "same", "differs", "unknown"]
"""``same``: chance explains it. ``differs``: it does not, and neither direction is the better one.
``unknown``: there is no interval.
"""


def effect(compared: Compared, higher_is_better: bool | None) -> Effect:
    """Return whether a difference is one that chance does not explain, and which way it goes.

    That is where p < 0.05 and the 95% interval leaves out zero. Both are of the same resamples, so the first nearly
    always says the second; asking for both, no mark stands beside an interval that holds zero.
    """
    if not all(map(math.isfinite, (compared.low, compared.high, compared.p))):
        return "unknown"
    if compared.p >= SIGNIFICANT or compared.low <= 0 <= compared.high:
        return "same"
    if higher_is_better is None:
        return "differs"
    return "better" if (compared.low > 0) == higher_is_better else "worse"
