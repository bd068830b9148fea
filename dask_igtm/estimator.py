"""`IGTM`, the scikit-learn estimator: it validates, calls the engine, and keeps the result."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from dask_igtm import archive, saved, stepwise
from dask_igtm.estimate import Estimate, estimate
from dask_igtm.fitting import fit_map
from dask_igtm.histogram import SHARES
from dask_igtm.inputs import row_blocks
from dask_igtm.model import Model
from dask_igtm.outcome import Fit, Interrupted
from dask_igtm.progress import Listener, check_listeners, shown
from dask_igtm.reading import ReadingMixin
from dask_igtm.settings import Settings, check_whole
from dask_igtm.softmax import best_kernel
from dask_igtm.streaming import advance
from dask_igtm.tables import is_lazy, named
from dask_igtm.validation import LENIENT, rows_of

Array = NDArray[np.float64]


class IGTM(
    ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]
    ReadingMixin,
    BaseEstimator,  # type: ignore[misc]
):
    """Incremental Generative Topographic Mapping of arrays in memory, dask arrays and Zarr.

    A map is a square grid of nodes, bent through data space as the centres of a Gaussian mixture. `fit`
    runs EM block by block; the result does not depend on how rows are divided into blocks, beyond
    rounding.

    Parameters
    ----------
    k : int, default=16
        Nodes along one side of the map, K = k * k; 0 takes int(sqrt(5 * sqrt(N))) + 2.
    m : int, default=4
        Radial basis functions (RBFs) along one side, M = m * m; 0 takes int(sqrt(k)).
    s : float, default=0.3
        Variance of an RBF, in squared spacings of the RBF centres. Small values make a map that bends
        more. 0 takes the largest squared distance between two centres.
    regul : float or "auto", default=0.1
        Ridge on the weights of the map, in inverse squared units of the model (see `scale`). "auto" lets the
        evidence choose it, and the noise with it, from the fifth iteration on and at no further pass; that
        needs `scale="center"` or "standard", and plain EM. It sets out from a hundredth of the ridge under
        which the map would collapse; one that runs away is held where no map grows, with a warning. The
        evidence is the probability of these rows, averaged over maps; the ridge that suits new rows best
        may be another, so compare `score` of rows kept back with that of a few fixed ones.
    random_state : int, RandomState or None, default=1234
        Seeds what is random. Plain EM has nothing random.
    niter : int, default=200
        Largest number of iterations; 0 stays at the plane of the first two principal axes.
    verbose : bool, default=False
        Show iteration, log-likelihood, change, rows per second and time left on stderr: as a bar in a
        terminal with rich (the extra `progress`) or a notebook with ipywidgets too, as a line an iteration
        elsewhere. The same
        lines always go to the logger "dask_igtm".
    model : {"means", "modes", "responsibilities", "complete"}, default="means"
        What `transform` returns of a row: the posterior mean on the map (2 columns), the node with the
        largest posterior (2 columns), the posterior over the nodes (K columns), or all of it as an
        `OptimizedGTM`.
    n_blocks : int, default=0
        Blocks into which `fit` divides the rows; 0 takes the chunks of lazy data, and 5,000 rows each
        of an array in memory.
    scale : {None, "center", "standard"}, default=None
        None gives the answer of ugtm's eIGTM, whose ridge pulls towards the origin of X. "center" pulls
        towards the column means instead, so that the fit does not depend on offsets. "standard" also
        divides by the column standard deviations, so that it does not depend on units.
    tol : float, default=1e-4
        Stop after four consecutive changes of at most `tol`, of ugtm's "Err" for plain EM and of the
        penalised mean log-likelihood for the accelerated solver after its first ten; 0 never stops early.
    solver : {"em", "accelerated"}, default="em"
        "em" is plain EM, as in ugtm. "accelerated" climbs the same objective by L-BFGS in the metric of
        the M-step, each iteration one pass, in half to an eighth of the passes; it never ends below the
        best map that it saw, but may end at another local optimum than EM, better or worse.
    missing : str, default="error"
        What `fit` and all that follows make of gaps, which are entries that are NaN. "error" refuses them.
        "marginalize" lets a row count by what is observed of it, which is exact EM: a gap gets its
        expectation under the map in every iteration, and a row with nothing observed has no weight in
        `fit` and `score`, and the prior in `transform`. "mean", "median", "most_frequent" and "constant"
        (0) fill a gap with that value of its column, as scikit-learn's SimpleImputer does, from one pass
        over lazy data; two for the median, which is then exact only to half a bin of a histogram, a
        4,096th of the column's range (a 64th in very many columns).
    n_components : int, float in (0, 1), or None, default=None
        Map the first principal axes instead of the columns: that many, as many as explain that share of
        the variance, or as many as explain 80 % for -1. Likelihoods are then densities of the principal
        coordinates.
    persist : {"auto", True, False}, default="auto"
        Keep the blocks of lazy X in the workers' memory during `fit`, so that they are read once. "auto"
        does where they take at most half of that memory, and logs it.

    Attributes
    ----------
    nodes_ : ndarray of shape (K, 2)
        Latent grid in [-1, 1]^2, first coordinate slowest.
    centers_ : ndarray of shape (K, D)
        Where the nodes lie in data space, in the units of X.
    weights_ : ndarray of shape (M + 1, D)
        Coefficients of the map in the units of X: `phi @ weights_ == centers_`.
    beta_inv_ : float
        Noise variance in the units of the model (those of X unless `scale="standard"`).
    noise_variance_ : ndarray of shape (D,)
        Noise variance of each column in squared units of X.
    scale_ : ndarray of shape (D,)
        Units of the model in those of X.
    regul_ : float
        Ridge at the end: `regul`, or the last choice of the evidence.
    n_iter_ : int
        Iterations done.
    n_samples_seen_ : float
        Rows of `fit` and of the blocks that followed, each times its weight.
    n_passes_ : int
        Passes over the data: one an iteration and one for `log_likelihood_`.
    converged_ : bool
        Whether the solver stopped by `tol`, on a map that has not collapsed onto a point.
    log_likelihood_ : float
        Mean of ln p(x) over the rows of `fit`, a density in the units of X.
    history_ : ndarray, one number an iteration
        The same before each iteration.
    deviance_ : ndarray of shape (602,) or None
        How far ln p(x) of the rows of `fit` lies below the largest possible: its quantiles at the shares
        1 - 10^(-i / 100), and 1; what `applicability` compares with. None after `partial_fit` or an
        interruption.
    kernel_ : {"numba", "numpy"}
        What computed the softmax: numba's compiled one where the driver has numba.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Only where X had column names.

    References
    ----------
    C. M. Bishop, M. Svensén, C. K. I. Williams (1998). GTM: The Generative Topographic Mapping. Neural
    Computation 10, 215-234.

    H. A. Gaspar et al. (2015). Chemical data visualization and analysis with incremental generative
    topographic mapping: big data challenge. J. Chem. Inf. Model. 55, 84-94.

    C. M. Bishop, M. Svensén, C. K. I. Williams (1998). Developments of the generative topographic mapping.
    Neurocomputing 21, 203-224. For `regul="auto"`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from dask_igtm import IGTM
    >>> igtm = IGTM(k=8, scale="standard").fit(load_iris().data)
    >>> igtm.transform(load_iris().data).shape
    (150, 2)
    """

    def __init__(
        self,
        k: int = 16,
        m: int = 4,
        s: float = 0.3,
        regul: float | str = 0.1,
        random_state: Any = 1234,
        niter: int = 200,
        verbose: bool = False,
        model: str = "means",
        n_blocks: int = 0,
        *,
        scale: str | None = None,
        tol: float = 1e-4,
        solver: str = "em",
        missing: str = "error",
        n_components: float | None = None,
        persist: bool | str = "auto",
    ) -> None:
        self.k = k
        self.m = m
        self.s = s
        self.regul = regul
        self.random_state = random_state
        self.niter = niter
        self.verbose = verbose
        self.model = model
        self.n_blocks = n_blocks
        self.scale = scale
        self.tol = tol
        self.solver = solver
        self.missing = missing
        self.n_components = n_components
        self.persist = persist

    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        checkpoint: archive.Path | None = None,
        init: IGTM | None = None,
        callbacks: Sequence[Listener] = (),
    ) -> Self:
        """Fit the map to the rows of X.

        Lazy X is read once for its moments, once an iteration, and once for the final likelihood, on the
        scheduler that Dask would take (an active Client, or `dask.config`). X in memory is worked on by
        threads of this process.

        Parameters
        ----------
        X : table of shape (n, D)
            In memory: an array, data frame, or sparse matrix. Lazy: a dask array (also of sparse chunks) or
            data frame, a `zarr.Array`, or the path or URL of one. Either: an xarray.DataArray.
        y : ignored
        sample_weight : array or dask array of shape (n,), optional
            How often each row counts; not negative.
        checkpoint : path or URL, optional
            A file of kilobytes that holds the state of the fit after every iteration. Where it exists,
            the fit goes on from it, to the bits of a fit that was never cut; `niter` may have grown. It
            stays after the fit.
        init : IGTM, optional
            A fitted map of the same grids, columns and kind of scale, from which the solver sets out instead
            of from the plane of the principal axes. The coordinates of the model, so its column means and
            scales, are those of `init`. `regul="auto"` sets out from the rows, not from its `regul_`.
        callbacks : sequence of callable, optional
            Each is called with an `IterationEvent` after every iteration. One that returns True stops the
            fit there: the map reached is kept, with its `log_likelihood_`, and `converged_` is False unless
            the solver had just stopped by itself.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            If `callbacks` are no functions.
        ValueError
            If a parameter or the data cannot be used, or if the checkpoint belongs to other data or
            settings; the message says what to do.
        KeyboardInterrupt
            By Ctrl-C. What the iterations done have reached is then kept and can be used, with a
            `log_likelihood_` of NaN.

        Notes
        -----
        scikit-learn's own callbacks (`set_callbacks`, from 1.9 on) are not taken, because they belong to the
        estimator and are cloned and saved with it, older releases lack them, and what they are told holds
        neither likelihoods nor rows; the sign by which one stops a fit, True, is the same.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from dask_igtm import IGTM
        >>> igtm = IGTM(k=8, scale="standard")
        >>> igtm.fit(load_iris().data, callbacks=[lambda event: event.elapsed > 3600]).converged_
        True
        """
        before = vars(self).copy()
        try:
            return self._fit(X, sample_weight, checkpoint, init, callbacks)
        except Interrupted as interrupt:
            self._keep(interrupt.fit)
            raise
        except BaseException:
            self.__dict__ = before  # rather than the columns of one X with the model of another
            raise

    def _fit(
        self,
        X: Any,
        sample_weight: Any,
        checkpoint: archive.Path | None,
        init: IGTM | None,
        callbacks: Sequence[Listener],
    ) -> Self:
        settings = self._settings()
        check_listeners(callbacks)
        if init is not None and not isinstance(getattr(init, "model_", None), Model):
            raise TypeError(f"init is {init!r}; give a fitted IGTM.")
        rows = rows_of(self, X, sample_weight, n_blocks=self.n_blocks, reset=True)
        names = getattr(self, "feature_names_in_", None)
        with shown(self.verbose) as listeners:
            fit = fit_map(
                rows,
                settings,
                persist=self.persist,
                feature_names=names,
                checkpoint=checkpoint,
                init=None if init is None else init.model_,
                listeners=(*listeners, *callbacks),
            )
        return self._keep(fit)

    def _keep(self, fit: Fit) -> Self:
        self.model_ = fit.model
        self.n_iter_ = len(fit.history)
        self.n_passes_ = fit.n_passes
        self.converged_ = fit.converged
        self.log_likelihood_ = fit.log_likelihood
        self.deviance_ = fit.likelihood.deviance.quantiles(SHARES) if fit.likelihood else None
        self.kernel_ = fit.kernel
        self.n_samples_seen_ = fit.n_samples
        self.regul_ = fit.regul
        self.history_ = np.array([iteration.log_likelihood for iteration in fit.history])
        self.__dict__.pop("stream_", None)
        return self

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Go on with one more block of a stream: one E-step over it, and one M-step.

        Stepwise EM keeps averages over the stream, in which a block of w rows that follows n others has the
        share (1 + n / w)^-0.6; later blocks replace earlier ones slowly. The first block decides where the
        map starts, and the coordinates of the model: the column means and scales, and what fills gaps. A
        map that was fitted or loaded goes on from there, with the rows of its fit as those before, and for
        `regul="auto"` with its `regul_`.

        Parameters
        ----------
        X, y, sample_weight : as in `fit`
            All of X is one block, chunks or not.

        Returns
        -------
        self
            `history_` and `log_likelihood_` hold the mean of ln p(x) over each block under the map before
            it, `n_iter_` and `n_samples_seen_` count on, and `converged_` is False. A block without weight
            changes nothing.

        Raises
        ------
        ValueError
            As in `fit`; of the first block only where that cannot start a map. If `regul="auto"` and there
            is no fitted map.

        References
        ----------
        O. Cappé, E. Moulines (2009). On-line expectation-maximization algorithm for latent data models.
        J. R. Stat. Soc. B 71, 593-613.
        """
        before = vars(self).copy()
        try:
            return self._partial_fit(X, sample_weight)
        except BaseException:
            self.__dict__ = before
            raise

    def _partial_fit(self, X: Any, sample_weight: Any) -> Self:
        settings = self._settings().with_ridge(getattr(self, "regul_", None))
        new = not hasattr(self, "model_")
        rows = rows_of(self, X, sample_weight, reset=new)
        state = getattr(self, "stream_", None)
        if state is None and not new:
            state = stepwise.begin(self.model_, self.n_samples_seen_)
        names = getattr(self, "feature_names_in_", None)
        state, log_likelihood = advance(rows, settings, state, names)
        if log_likelihood is None:
            return self
        self.stream_, self.regul_ = state, float(settings.regul)
        self.model_, self.n_samples_seen_ = self.stream_.model, self.stream_.weight
        self.n_iter_ = 1 if new else self.n_iter_ + 1
        self.n_passes_, self.converged_, self.kernel_ = 1, False, best_kernel()
        self.log_likelihood_, self.deviance_ = log_likelihood, None
        self.history_ = np.append([] if new else self.history_, log_likelihood)
        return self

    def fit_transform(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Fit the map to X, then return what `transform` does; lazy for lazy X."""
        return self.fit(X, y, sample_weight).transform(X)

    def estimate(self, X: Any) -> Estimate:
        """Say what `fit(X)` would read, hold and take, from the shape of X and a timed tile; reads nothing.

        Raises
        ------
        ValueError
            If the chunk sizes of X are unknown, or a parameter cannot be used.
        """
        settings = self._settings()
        rows = row_blocks(X if is_lazy(X) else check_array(named(X), **LENIENT), n_blocks=self.n_blocks)
        if rows.starts is None:
            raise ValueError("An estimate needs to know how many rows X has; call X.compute_chunk_sizes().")
        return estimate(rows, settings, persist=self.persist)

    def save(self, path: archive.Path) -> None:
        """Write the fitted estimator to one file, without pickle; `dask_igtm.load` reads it.

        Files of this format will be readable by every later release.
        """
        check_is_fitted(self, "model_")
        archive.write(path, archive.MODEL, *saved.pack(self))

    def _settings(self) -> Settings:
        """Check all parameters and return those of a fit."""
        self._output()
        check_whole("n_blocks", self.n_blocks)
        if self.persist not in (True, False, "auto"):
            raise ValueError(f"persist={self.persist!r}; give True, False or 'auto'.")
        parameters = self.get_params(deep=False)
        return Settings(**{field.name: parameters[field.name] for field in dataclasses.fields(Settings)})

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = self.missing != "error"
        return tags
