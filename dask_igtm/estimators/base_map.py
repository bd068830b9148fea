"""What `IGTM` and `eIGTM` share: all but their defaults. It validates, calls the engine, keeps the result."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np
import zarr
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, clone
from sklearn.utils.validation import check_is_fitted

from dask_igtm.data import npz_io
from dask_igtm.data.containers import array_in, is_lazy
from dask_igtm.data.own_inputs import refuse_own_input
from dask_igtm.data.row_arrays import sizes_message
from dask_igtm.data.row_blocks import RowBlocks, row_blocks
from dask_igtm.data.whole_outputs import Path
from dask_igtm.estimators import saving
from dask_igtm.estimators.fitted_html import FittedHtmlMixin
from dask_igtm.estimators.rollback import unchanged_on_error
from dask_igtm.estimators.row_tables import RowTablesMixin
from dask_igtm.estimators.set_output import FramesForMemoryOnlyMixin
from dask_igtm.fitting.checkpoint_file import sole_writer
from dask_igtm.fitting.cost import Estimate, estimate
from dask_igtm.fitting.fit import fit
from dask_igtm.fitting.fit_stream import advance
from dask_igtm.fitting.progress import Listener, check_listeners, shown
from dask_igtm.fitting.region_rows import rows_in_region
from dask_igtm.fitting.result import CONVERGED, Fit, Interrupted
from dask_igtm.fitting.settings import Settings, solver_for
from dask_igtm.landscape.regions import node_mask
from dask_igtm.model.checks import check_whole
from dask_igtm.model.model import Model
from dask_igtm.posterior.row_outputs import Output
from dask_igtm.projection.blocks import project_blocks
from dask_igtm.projection.columns import centers_table
from dask_igtm.projection.fitted_map import FittedMap
from dask_igtm.projection.labelled_results import as_given, columns_of, labelled
from dask_igtm.projection.to_zarr import project_to_zarr
from dask_igtm.projection.ugtm_names import OptimizedGTM, optimized
from dask_igtm.projection.validate import (
    fitted_map,
    in_order_of_fit,
    random_numbers,
    rows_of,
    take_columns_of,
)
from dask_igtm.solvers import stepwise
from dask_igtm.statistics.log_histogram import NOTHING, SHARES, Histogram

Array = NDArray[np.float64]

OUTPUTS = ("means", "modes", "responsibilities", "complete")
COMPLETE = {"matR": "responsibilities", "matMeans": "means", "matModes": "modes", "matP": "relative"}
SLACK = 1e-6  # of a deviance: another block size or precision may round it so much


class BaseMap(
    ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]
    FramesForMemoryOnlyMixin,
    RowTablesMixin,
    FittedHtmlMixin,
    BaseEstimator,  # type: ignore[misc]
):
    """A map as an estimator of scikit-learn; the parameters are those of `IGTM`."""

    model: str
    niter: int
    n_blocks: int
    verbose: bool
    missing: str
    keep_empty_rows: bool
    persist: bool | str
    random_state: Any
    model_: Model
    stopped_by_: str
    deviance_: Array | None

    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        checkpoint: Path | None = None,
        init: BaseMap | None = None,
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
            data frame, a `zarr.Array`, a dataset of h5py, or the path or URL of Zarr, Parquet or CSV, of
            which `open_table` chooses columns. Either: an xarray.DataArray of rows and columns, or an
            xarray.Dataset, whose variables are the columns and share their dimensions; each point of these
            is a row.
        y : ignored
        sample_weight : array or dask array of shape (n,), optional
            How often each row counts; not negative. Of a Dataset a DataArray on some of its dimensions.
        checkpoint : path or URL, optional
            A file of kilobytes that holds the state of the fit after every iteration. Where it exists,
            the fit goes on from it, to the bits of a fit that was never cut; `niter` may have grown. It
            stays after the fit. One fit at a time writes to it, and another is refused.
        init : IGTM, optional
            A fitted map of the same grids, columns and kind of scale, from which the solver sets out instead
            of from the plane of the principal axes. The coordinates of the model, so its column means and
            scales, are those of `init`. `regul="auto"` sets out from the rows, not from its `regul_`.
        callbacks : sequence of callable, optional
            Each is called with an `IterationEvent` after every iteration. One that returns True stops the
            fit there: the map reached is kept, with its `log_likelihood_`, and `stopped_by_` is "callback"
            unless the solver had just stopped by itself.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            If `callbacks` are no functions.
        ValueError
            If a parameter or the data cannot be used, if the checkpoint belongs to other data or settings or
            lies in X, or if another fit writes to it; the message says what to do.
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
        with unchanged_on_error(self, but=Interrupted):
            settings = self._settings()
            check_listeners(callbacks)
            refuse_own_input(checkpoint, X)
            if init is not None and not isinstance(getattr(init, "model_", None), Model):
                raise TypeError(f"init is {init!r}; give a fitted IGTM.")
            rows = rows_of(self, X, sample_weight, n_blocks=self.n_blocks, reset=True)
            return self._fit(rows, settings, checkpoint, init, callbacks)

    def _fit(
        self,
        rows: RowBlocks,
        settings: Settings,
        checkpoint: Path | None = None,
        init: BaseMap | None = None,
        callbacks: Sequence[Listener] = (),
    ) -> Self:
        try:
            return self._keep(self._find(rows, settings, checkpoint, init, callbacks))
        except Interrupted as interrupt:
            self._keep(interrupt.fit)
            raise

    def _find(
        self,
        rows: RowBlocks,
        settings: Settings,
        checkpoint: Path | None = None,
        init: BaseMap | None = None,
        callbacks: Sequence[Listener] = (),
    ) -> Fit:
        with sole_writer(checkpoint), shown(self.verbose) as listeners:
            return fit(
                rows,
                settings,
                persist=self.persist,
                feature_names=getattr(self, "feature_names_in_", None),
                checkpoint=checkpoint,
                init=None if init is None else init.model_,
                listeners=(*listeners, *callbacks),
            )

    def _keep(self, found: Fit) -> Self:
        self.model_ = found.model
        self.n_iter_ = found.n_iter
        self.n_passes_ = found.n_passes
        self.stopped_by_ = found.stopped_by
        self.log_likelihood_ = found.log_likelihood
        self.deviance_ = found.likelihood.deviance.quantiles(SHARES) if found.likelihood else None
        self.kernel_ = found.kernel
        self.n_samples_seen_ = found.n_samples
        self.regul_ = found.regul
        self.history_ = np.array([iteration.log_likelihood for iteration in found.history])
        self.history_shares_ = np.array([iteration.share for iteration in found.history])
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
            it, `n_iter_` and `n_samples_seen_` count on, and `stopped_by_` is "iterations". `deviance_` is an
            average over the stream as well: of each block under the map before it, which had not learnt from
            it, with the share that the block has in the map. A block without weight changes nothing.

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
        with unchanged_on_error(self):
            settings = self._settings().with_ridge(getattr(self, "regul_", None))
            new = not hasattr(self, "model_")
            rows = rows_of(self, X, sample_weight, reset=new)
            state = getattr(self, "stream_", None)
            if state is None and not new:
                quantiles = self.deviance_
                known = NOTHING if quantiles is None else Histogram.of_quantiles(quantiles, SHARES)
                state = stepwise.begin(self.model_, self.n_samples_seen_, known)
            names = getattr(self, "feature_names_in_", None)
            state, log_likelihood = advance(rows, settings, state, names)
            if log_likelihood is None:
                return self
            self.stream_, self.regul_ = state, float(settings.regul)
            self.model_, self.n_samples_seen_ = self.stream_.model, self.stream_.weight
            self.n_iter_ = 1 if new else self.n_iter_ + 1
            self.n_passes_, self.stopped_by_, self.kernel_ = 1, "iterations", self._map.kernel
            self.log_likelihood_, self.deviance_ = log_likelihood, state.deviance.quantiles(SHARES)
            self.history_ = np.append([] if new else self.history_, log_likelihood)
            self.history_shares_ = np.append([] if new else self.history_shares_, 1.0)
            return self

    def zoom(
        self,
        X: Any,
        region: Any,
        sample_weight: Any = None,
        *,
        checkpoint: Path | None = None,
        callbacks: Sequence[Listener] = (),
        **settings: Any,
    ) -> Self:
        """Return a map of a region: fitted to the rows of X, each of which counts by how much it lies there.

        It is what `fit` finds with the sum of the row's responsibilities over the region as its
        `sample_weight`, times the one given. Rows with less than 1e-9 of the mean weight there are left
        out, and the others are kept in memory where they take at most half of it (see `persist`), so that of
        a small region of large data X is read twice.

        Parameters
        ----------
        X : as in `fit`; shape (n, D)
            Rows of this map, as a rule those of its fit.
        region : int, sequence of int, (K,) bools, four floats, or (P, 2) numbers
            Nodes of this map, as in `landscape.members`: numbers, a mask, a box, or a polygon.
        sample_weight, checkpoint, callbacks
            As in `fit`.
        **settings
            Parameters in which the map of the region is to differ from this one.

        Returns
        -------
        IGTM
            Of the class of this one, and fitted. `n_passes_` counts the pass that weighs the region too.

        Raises
        ------
        KeyboardInterrupt
            By Ctrl-C. What was reached is in the checkpoint, if there is one, and else lost.
        ValueError
            As `fit`, and if the region is none, has no node in it, or no rows.

        References
        ----------
        P. Tino, I. Nabney (2002). Hierarchical GTM: constructing localized nonlinear projection manifolds in
        a principled way. IEEE Trans. Pattern Anal. Mach. Intell. 24, 639-656.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from dask_igtm import IGTM
        >>> X = load_iris().data
        >>> whole = IGTM(k=8, solver="em").fit(X)
        >>> corner = whole.zoom(X, (-1.0, 0.0, -1.0, 1.0), k=6)
        >>> corner.nodes_.shape, corner.n_samples_seen_ < 150
        ((36, 2), True)
        """
        fitted, mask = self._map, node_mask(self.nodes_, region)
        child: Self = clone(self).set_params(**settings)
        chosen = child._settings()
        check_listeners(callbacks)
        refuse_own_input(checkpoint, X)
        take_columns_of(child, self)
        rows = rows_of(child, X, sample_weight, n_blocks=child.n_blocks)
        child._fit(rows_in_region(rows, fitted.model, mask), chosen, checkpoint, None, callbacks)
        child.n_passes_ += 1
        return child

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
        rows = rows_of(clone(self), X, n_blocks=self.n_blocks, reset=True)
        if rows.starts is None:
            raise ValueError(sizes_message("An estimate", rows.remedy, "store X in Zarr first"))
        return estimate(rows, settings, persist=self.persist)

    def transform(self, X: Any) -> Any:
        """Return the position of each row on the map.

        Parameters
        ----------
        X : as in `fit`; shape (n, D)

        Returns
        -------
        array
            What `model` says, (n, 2) or (n, K): a lazy dask array for lazy X, an ndarray otherwise. An
            `OptimizedGTM` of such arrays for "complete". For X of xarray a DataArray on the dimensions and
            coordinates of the rows, and "igtm" (x1, x2) or "igtm_node"; but not for "complete".

        Raises
        ------
        ValueError
            If X has other columns than in `fit`, or holds infinities, or NaN that `missing` does not allow
            (for lazy X when computed).
        """
        fitted = self._map
        outputs = self._outputs()
        return self._result(fitted.project(rows_of(self, X), outputs), X, outputs)

    def transform_blocks(self, X: Any, block_size: int | None = None) -> Iterator[Any]:
        """Yield what `transform` returns, computed, for one block of rows after the other.

        Parameters
        ----------
        X : as in `fit`; shape (n, D)
        block_size : int, optional
            Rows of a block; by default 5,000 of an array in memory, and the chunks of lazy X.

        Yields
        ------
        ndarray or OptimizedGTM
            Of `block_size` rows, the last one of what is left. What is in memory at a time is one block
            of X, and what it and the block yielded have in common. Those of a lazy Dataset of xarray are its
            chunks.
        """
        fitted, outputs = self._map, self._outputs()
        if block_size is not None:
            check_whole("block_size", block_size, least=1)
        rows = rows_of(self, X, n_rows=block_size)
        blocks = project_blocks(fitted, rows, outputs, block_size)
        return (self._result(arrays, None, outputs) for arrays in blocks)

    def project_to_zarr(
        self,
        X: Any,
        path: Path,
        outputs: Sequence[str] = ("means", "modes", "log_likelihood"),
        *,
        top: int = 5,
        resume: bool = True,
    ) -> zarr.Group:
        """Write the positions of all rows to Zarr; what was cut short goes on where it was.

        Parameters
        ----------
        X : as in `fit`; shape (n, D)
            Blocks of several sizes are divided anew into ones of one size.
        path : path or URL
            Of the Zarr group to write, with one array for each output. Every worker must see it. It belongs
            to one run at a time: another of the same projection takes over what is not complete, and the
            earlier one stops.
        outputs : sequence of str
            Those that `describe` knows; float64, or int32 for indices of nodes.
        top : int, default=5
            As in `describe`.
        resume : bool, default=True
            Go on with an earlier projection at `path`, writing what any output lacks; False refuses one. Up
            to 16 blocks of X, spread evenly, are read once more for digests, by which X is known again.

        Returns
        -------
        zarr.Group
            Opened for reading. Its attribute "dask_igtm" names the model, and has `complete` once every chunk
            of every output is there; until then, rows that are missing are NaN, or -1 for indices of nodes.

        Raises
        ------
        FileExistsError
            If something else is at `path`, or another run takes over. Symbolic links are followed.
        FileNotFoundError
            If a chunk is not there after all are written.
        ValueError
            If the projection at `path` is that of another model, of other rows or with another `top`, if
            another array has the name of an output, if `path` is that of X, in it or around it, if chunk
            sizes of X are unknown, if an output is, or if X has other columns than in `fit` or holds NaN or
            infinity.
        """
        fitted = self._map
        refuse_own_input(path, X)
        return project_to_zarr(fitted, rows_of(self, X), path, fitted.outputs(outputs, top), resume=resume)

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
            - "log_likelihood", (n,): ln p(x), a density in the units of X, or of bits and counts a
              probability;
            - "deviance", (n,): how far that lies below the largest that a row with the same gaps can have,
              which all centres at x would give; 0 is perfect.
        top : int, default=5
            How many nodes the "top" outputs name.

        Returns
        -------
        dict of str to array
            In the order of `outputs`: ndarrays, or lazy dask arrays for lazy X. Computed together, by
            `dask.compute(described)`, these share one E-step a block. For X of xarray these are DataArrays,
            as of `transform`, with "igtm_rank" for the "top" outputs, and `xarray.Dataset(described)` holds
            them.

        Raises
        ------
        ValueError
            If an output is unknown, `top` is more than K, or X is not as `transform` wants it.
        """
        fitted = self._map
        chosen = fitted.outputs(outputs, top)
        arrays = fitted.project(rows_of(self, X), chosen)
        return {
            output.name: labelled(X, array, output.name, columns_of(output))
            for output, array in zip(chosen, arrays, strict=True)
        }

    def score_samples(self, X: Any) -> Any:
        """Return ln p(x) of each row, (n,), the "log_likelihood" of `describe`."""
        return self.describe(X, ("log_likelihood",))["log_likelihood"]

    def applicability(
        self, X: Any, quantile: float = 0.95, reference: Any = None, reference_weight: Any = None
    ) -> Any:
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
            Rows that make the domain, from one pass over them; by default those of `fit`, and the blocks of
            `partial_fit` by their share in the map, each as the map before it saw it. Either way quantiles
            come from a histogram with bins of 0.5 % of a deviance, and are interpolated.
        reference_weight : array or dask array of shape (n_reference,), optional
            How often each row of the reference counts.

        Returns
        -------
        array of bool of shape (n,)
            Lazy for lazy X, a DataArray for X of xarray; a pass over `reference` is computed.

        Raises
        ------
        ValueError
            If nothing is known of the rows of the map, because its fit was cut short or it was loaded from a
            file of an older release, and no block of `partial_fit` has followed; if there are weights and no
            reference; or if X is not as `transform` wants it.
        """
        fitted = self._map
        if not 0 < quantile <= 1:
            raise ValueError(f"quantile={quantile!r}; give a share above 0 and at most 1.")
        if reference is None and reference_weight is not None:
            raise ValueError("reference_weight is given without a reference; give the rows that it weighs.")
        if reference is not None:
            rows = rows_of(self, reference, reference_weight)
            quantiles: Any = fitted.likelihood(rows).deviance.quantiles(SHARES)
        else:
            quantiles = self.deviance_
        if quantiles is None:
            raise ValueError(
                "This map does not know how well it fits the rows of its fit: that was interrupted, or its "
                "file is of an older release; give those rows, or a sample of them, as reference=."
            )
        largest = float(np.interp(quantile, SHARES, quantiles)) * (1.0 + SLACK)
        (deviance,) = fitted.project(rows_of(self, X), fitted.outputs(("deviance",)))
        return labelled(X, deviance <= largest, "applicability")

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return the mean of ln p(x) over the rows that have an entry; computes."""
        return self._map.likelihood(rows_of(self, X, sample_weight)).mean

    def sample(self, n_samples: int = 1) -> Array:
        """Draw rows from the model: a node, all being equally likely, then a row of its noise.

        Parameters
        ----------
        n_samples : int, default=1

        Returns
        -------
        ndarray of shape (n_samples, D)
            In the units of X, seeded by `random_state`: the same in every call where that is a number.
            With `n_components`, rows lie in the span of the principal axes; with `exposure="total"` rows have
            the mean sum of the rows of `fit`, but for chance.
        """
        return self._map.sample(n_samples, random_numbers(self.random_state))

    def centers_table(self) -> Any:
        """Return the nodes with where they lie, on the map and in data space; needs no data.

        Returns
        -------
        pandas.DataFrame
            With one row a node, whose index is "node": x1 and x2, its place on the map, then its centre in
            the columns of X, in their units. Columns have the names of the fit, or numbers where there were
            none; where one of them is called x1 or x2 itself, the place is in map_x1 and map_x2.

        Raises
        ------
        ImportError
            If pandas is not installed.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from dask_igtm import IGTM
        >>> iris = load_iris(as_frame=True).data
        >>> IGTM(k=8, scale="standard", solver="em").fit(iris).centers_table().columns[:3].tolist()
        ['x1', 'x2', 'sepal length (cm)']
        """
        return centers_table(self)

    def inverse_transform(self, R: Any) -> Any:
        """Return the points of data space to which responsibilities belong.

        Parameters
        ----------
        R : array or dask array of shape (n, K)

        Returns
        -------
        array of shape (n, D)
            `R @ centers_`, lazy for lazy R.
        """
        centers = self.centers_
        R = array_in(R, "R", table=False)  # which has a shape of its own to be checked
        R = row_blocks(R).X if is_lazy(R) else np.asarray(R)
        if R.ndim != 2 or R.shape[1] != len(centers):
            raise ValueError(
                f"R has shape {R.shape}; give responsibilities of shape (n, {len(centers)}), "
                'as transform returns them with model="responsibilities".'
            )
        return R @ centers

    def impute(self, X: Any) -> Any:
        """Return X with its gaps (NaN) filled; lazy for lazy X.

        A gap gets its expectation under the map, given what is observed of its row: the centres of the
        nodes, averaged over their posterior. That holds for every map over columns, whatever `missing` was.

        Parameters
        ----------
        X : as in `fit`; shape (n, D)

        Returns
        -------
        array of shape (n, D)
            float64, unchanged where X was observed. Of xarray where X is, with what else that has.

        Raises
        ------
        ValueError
            If the map is one of principal axes (`n_components`), or X holds infinities (for lazy X when
            computed).
        """
        X = in_order_of_fit(self, X)
        return as_given(X, self._map.impute(rows_of(self, X)))

    def save(self, path: Path) -> None:
        """Write the fitted estimator to one file, without pickle; `dask_igtm.load` reads it.

        Files of this format will be readable by every later release. A file that is there is replaced, and
        so is what a symbolic link leads to, once the new one is whole.

        Raises
        ------
        OSError
            If the folder is not there, or there is something at `path` that is no file.
        """
        check_is_fitted(self, "model_")
        npz_io.write(path, npz_io.MODEL, *saving.pack(self))

    @property
    def converged_(self) -> bool:
        """Whether the solver stopped by its tolerance, on a map that has not collapsed."""
        check_is_fitted(self, "model_")
        return self.stopped_by_ in CONVERGED

    @property
    def nodes_(self) -> Array:
        """Latent grid, (K, 2)."""
        return self._map.nodes

    @property
    def centers_(self) -> Array:
        """Nodes in data space, (K, D), in the units of X."""
        return self._map.centers

    @property
    def weights_(self) -> Array:
        """Coefficients of the map, (M + 1, D), in the units of X."""
        return self._map.weights

    @property
    def beta_inv_(self) -> Any:
        """Noise variance in the units of the model: a number, or (Q,) where it is one a column."""
        return self._map.model.beta_inv

    @property
    def noise_variance_(self) -> Array:
        """Noise variance of each column, (D,), in squared units of X."""
        return self._map.noise_variance

    @property
    def scale_(self) -> Array:
        """Units of the model, (D,), in those of X."""
        return self._map.model.affine.scale

    @property
    def optimizedModel(self) -> OptimizedGTM:  # noqa: N802 - ugtm's name
        """The fitted model under ugtm's names, without a projection."""
        return self._optimized()

    @property
    def _n_features_out(self) -> int:
        return len(self._map.nodes) if self.model == "responsibilities" else 2

    @property
    def _map(self) -> FittedMap:
        return fitted_map(self)

    def _optimized(self, **projection: Any) -> OptimizedGTM:
        return optimized(self._map.model, converged=self.converged_, **projection)

    def _output(self) -> str:
        if self.model not in OUTPUTS:
            raise ValueError(f"model={self.model!r}; give one of {OUTPUTS}.")
        return self.model

    def _outputs(self) -> tuple[Output, ...]:
        """Describe what `transform` has to know of a row."""
        name = self._output()
        return self._map.outputs(tuple(COMPLETE.values()) if name == "complete" else (name,))

    def _result(self, arrays: tuple[Any, ...], X: Any, outputs: tuple[Output, ...]) -> Any:
        """Return those outputs of the rows of X as `transform` does."""
        if self.model != "complete":
            return labelled(X, arrays[0], outputs[0].name, columns_of(outputs[0]))
        return self._optimized(**dict(zip(COMPLETE, arrays, strict=True)))

    def _settings(self, *, alone: bool = True) -> Settings:
        """Check all parameters and return those of a fit, `alone` or beside others."""
        self._output()
        check_whole("n_blocks", self.n_blocks)
        if self.persist not in (True, False, "auto"):
            raise ValueError(f"persist={self.persist!r}; give True, False or 'auto'.")
        if self.keep_empty_rows not in (True, False):
            raise ValueError(f"keep_empty_rows={self.keep_empty_rows!r}; give True or False.")
        parameters = self.get_params(deep=False)
        parameters["solver"] = solver_for(self.solver, self.regul, alone=alone)
        names = [field.name for field in dataclasses.fields(Settings) if field.name != "seed"]
        draws = parameters["solver"] != "em"
        seed = int(random_numbers(self.random_state).randint(2**31)) if draws else 0
        return Settings(**{name: parameters[name] for name in names}, seed=seed)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = self.missing != "error" or self.keep_empty_rows
        return tags
