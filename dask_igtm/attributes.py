"""What a fitted estimator tells of its model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from dask_igtm.model import Model

Array = NDArray[np.float64]


class FittedAttributesMixin:
    """Fitted attributes that follow from `model_`; documented by the estimator."""

    model_: Model

    @property
    def nodes_(self) -> Array:
        """Latent grid, (K, 2)."""
        return self._fitted.basis.nodes

    @property
    def centers_(self) -> Array:
        """Nodes in data space, (K, D), in the units of X."""
        return self._fitted.affine.inverse(self._fitted.centers)

    @property
    def weights_(self) -> Array:
        """Coefficients of the map, (M + 1, D), in the units of X."""
        affine = self._fitted.affine
        weights = affine.inverse_linear(self._fitted.weights)
        weights[-1] += affine.mean
        return weights

    @property
    def beta_inv_(self) -> float:
        """Noise variance in the units of the model."""
        return self._fitted.beta_inv

    @property
    def noise_variance_(self) -> Array:
        """Noise variance of each column, (D,), in squared units of X."""
        return self._fitted.affine.inverse_variance(self.beta_inv_)

    @property
    def scale_(self) -> Array:
        """Units of the model, (D,), in those of X."""
        return self._fitted.affine.scale

    @property
    def _fitted(self) -> Model:
        check_is_fitted(self, "model_")
        return self.model_
