"""What a fitted map says of each row: where it lies, how surely, how well it fits; and rows it would make."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from dask_igtm import block, blocks
from dask_igtm.attributes import FittedAttributesMixin
from dask_igtm.histogram import SHARES
from dask_igtm.inputs import RowBlocks
from dask_igtm.outputs import Output, outputs_of
from dask_igtm.projection import project_rows
from dask_igtm.settings import check_whole
from dask_igtm.softmax import best_kernel
from dask_igtm.source import prepare
from dask_igtm.statistics import Likelihood
from dask_igtm.validation import rows_of

Array = NDArray[np.float64]

SLACK = 1e-6  # of a deviance: another block size or precision may round it so much


class DescribingMixin(FittedAttributesMixin):
    """What an estimator with a `model_` says of single rows."""

    random_state: Any
    deviance_: Array | None = None

    def describe(
        self,
        X: Any,
        outputs: Sequence[str] = ("means", "node", "entropy", "log_likelihood"),
        *,
        top: int = 5,
    ) -> dict[str, Any]:
        """Return several things about each row, from one pass.

        Parameters
        ----------
        X : as in `fit`; shape (n, D)
        outputs : sequence of str
            What to return:

            - "means", (n, 2): the posterior mean on the map;
            - "modes", (n, 2): the node with the largest responsibility, the first on ties;
            - "node", (n,), int32: its index;
            - "top_nodes", (n, top), int32: the indices of the nodes with the largest responsibilities,
              descending, ties by the lower index;
            - "top_responsibilities", (n, top): these responsibilities;
            - "responsibilities", (n, K): all of them;
            - "relative", (n, K): the same over the largest of their row;
            - "entropy", (n,): of the responsibilities, in nats, from 0 to ln K;
            - "log_likelihood", (n,): ln p(x), a density in the units of X;
            - "deviance", (n,): how far that lies below the largest that a row with the same gaps can have,
              which all centres at x would give; 0 is perfect.
        top : int, default=5
            How many nodes the "top" outputs name.

        Returns
        -------
        dict of str to array
            In the order of `outputs`: ndarrays, or lazy dask arrays for lazy X. Computed together, by
            `dask.compute(described)`, these share one E-step a block.

        Raises
        ------
        ValueError
            If an output is unknown, `top` is more than K, or X is not as `transform` wants it.
        """
        chosen = self._outputs(outputs, top)
        arrays = project_rows(rows_of(self, X), self._fitted, chosen)
        return {output.name: array for output, array in zip(chosen, arrays, strict=True)}

    def score_samples(self, X: Any) -> Any:
        """Return ln p(x) of each row, (n,), as a density in the units of X; lazy for lazy X."""
        return self.describe(X, ("log_likelihood",))["log_likelihood"]

    def applicability(self, X: Any, quantile: float = 0.95, reference: Any = None) -> Any:
        """Say of each row whether it lies in the model's domain, where predictions may be trusted.

        It does if its log-likelihood is at least the one that a share `quantile` of the reference reaches.
        A row with gaps is compared by its "deviance" (see `describe`), how far it is below its own bound,
        and one with nothing observed lies inside.

        Parameters
        ----------
        X : as in `fit`; shape (n, D)
        quantile : float in (0, 1], default=0.95
            Share of the reference, rows times their weights, that lies inside.
        reference : as X, optional
            Rows that make the domain, from one pass over them; by default those of `fit`. Either way
            quantiles come from a histogram with bins of 0.5 % of a deviance, and are interpolated.

        Returns
        -------
        array of bool of shape (n,)
            Lazy for lazy X; a pass over `reference` is computed.

        Raises
        ------
        ValueError
            If nothing is known of the rows of `fit`, because the map was made by `partial_fit`, cut
            short, or loaded from a file of an older release; or if X is not as `transform` wants it.
        """
        check_is_fitted(self, "model_")
        if not 0 < quantile <= 1:
            raise ValueError(f"quantile={quantile!r}; give a share above 0 and at most 1.")
        if reference is not None:
            quantiles: Any = self._likelihood(rows_of(self, reference)).deviance.quantiles(SHARES)
        else:
            quantiles = self.deviance_
        if quantiles is None:
            raise ValueError(
                "This map does not know how well it fits the rows of its fit: it was made by partial_fit, "
                "its fit was interrupted, or its file is of an older release; give those rows, or a sample "
                "of them, as reference=."
            )
        largest = float(np.interp(quantile, SHARES, quantiles)) * (1.0 + SLACK)
        return self.describe(X, ("deviance",))["deviance"] <= largest

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return the mean of ln p(x) over the rows that have an entry; computes."""
        check_is_fitted(self, "model_")
        return self._likelihood(rows_of(self, X, sample_weight)).mean

    def sample(self, n_samples: int = 1) -> Array:
        """Draw rows from the model: a node, all being equally likely, then a point of its Gaussian.

        Parameters
        ----------
        n_samples : int, default=1

        Returns
        -------
        ndarray of shape (n_samples, D)
            In the units of X, seeded by `random_state`: the same in every call where that is a number.
            With `n_components`, rows lie in the span of the principal axes.
        """
        model = self._fitted
        check_whole("n_samples", n_samples, least=1)
        random = check_random_state(self.random_state)
        centers = model.centers[random.randint(len(model.basis.nodes), size=n_samples)]
        return model.affine.inverse(centers + np.sqrt(model.beta_inv) * random.normal(size=centers.shape))

    def _outputs(self, names: Sequence[str], top: int = 1) -> tuple[Output, ...]:
        check_whole("top", top, least=1)
        return outputs_of(names, len(self._fitted.basis.nodes), top)

    def _likelihood(self, rows: RowBlocks) -> Likelihood:
        found: Likelihood = blocks.reduce(
            prepare(rows), block.likelihood, self._fitted, best_kernel(), label="igtm-likelihood"
        )
        if found.weight == 0:
            raise ValueError(
                "Every sample_weight is zero, or no row has an entry; give at least one row with an entry a "
                "positive weight."
            )
        return found
