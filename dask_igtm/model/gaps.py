"""Gaps: entries of the data that are missing, stored as NaN, and what a model makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FILLED = ("mean", "median", "most_frequent", "constant")
STRATEGIES = ("error", *FILLED, "marginalize")


@dataclass(frozen=True)
class Gaps:
    """What a model does with gaps.

    Attributes
    ----------
    strategy : {"error", "mean", "median", "most_frequent", "constant", "marginalize"}
        Refuse them; fill them with one value a column; or let the rows count by what is observed of them.
    fill : ndarray of shape (D,) or (1,), or None
        Those values, in the user's units.
    """

    strategy: str = "error"
    fill: NDArray[np.float64] | None = None

    @property
    def allowed(self) -> bool:
        """Whether rows may have gaps."""
        return self.strategy != "error"

    @property
    def marginal(self) -> bool:
        """Whether gaps stay gaps."""
        return self.strategy == "marginalize"

    def filled(self, X: NDArray[Any]) -> NDArray[Any]:
        """Return rows (n, D) with their gaps filled, where they are."""
        return X if self.fill is None else np.where(np.isnan(X), self.fill, X)


REFUSED = Gaps()
