"""`IGTMAtlas`: maps within maps."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np
import zarr
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, clone
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from dask_igtm.atlas.growth import Plan, Run, Trial, grow
from dask_igtm.data import npz_io
from dask_igtm.data.containers import is_lazy
from dask_igtm.data.frames import frame
from dask_igtm.data.own_inputs import refuse_own_input
from dask_igtm.data.row_blocks import RowBlocks
from dask_igtm.data.user_warnings import warn
from dask_igtm.data.whole_outputs import Path, beside
from dask_igtm.estimators import atlas_file
from dask_igtm.estimators.base_map import BaseMap
from dask_igtm.estimators.rollback import unchanged_on_error
from dask_igtm.estimators.set_output import FramesForMemoryOnlyMixin
from dask_igtm.fitting.checkpoint_file import sole_writer
from dask_igtm.fitting.checkpoint_many import CheckpointMany
from dask_igtm.fitting.fit_many import Candidate, check_side_by_side, open_checkpoint
from dask_igtm.fitting.progress import Around, check_listeners, shown, teller_of_many
from dask_igtm.fitting.row_parts import in_parts
from dask_igtm.fitting.settings import Settings
from dask_igtm.model.checks import check_number, check_whole
from dask_igtm.model.map_tree import MapTree
from dask_igtm.posterior.tree_posterior import LEAST
from dask_igtm.projection.blocks import project_blocks
from dask_igtm.projection.fitted_tree import FittedTree
from dask_igtm.projection.labelled_results import columns_of, labelled
from dask_igtm.projection.to_zarr import project_to_zarr
from dask_igtm.projection.validate import rows_of, seed_of, take_columns_of
from dask_igtm.projection.written import write_table

WHO = "An atlas"
OUTPUTS = ("means", "leaf", "log_likelihood")


class IGTMAtlas(
    ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]
    FramesForMemoryOnlyMixin,
    BaseEstimator,  # type: ignore[misc]
):
    """Maps within maps: a map of all rows, whose regions have maps of their own, and so on.

    The root is fitted first. Then its nodes are divided into regions, and a map is fitted to each, in which a
    row counts by the root's responsibilities for the region; all maps of a level advance in the same passes.
    A map is kept where rows that no fit has seen say that it pays. The density is the mixture of what stands
    for regions: the map of each, or the nodes of the one above where it has none.

    Parameters
    ----------
    estimator : IGTM
        What the root is to be; it is not fitted itself. Densities have to compare, so without `n_components`.
    child : IGTM, optional
        What all other maps are to be, with noise of the same kind; by default as the root, with the solver
        "accelerated" for "auto", since maps that share passes have no sample. `n_blocks`, `persist` and
        `verbose` are those of `estimator` all the same.
    n_regions : int or "auto", default="auto"
        Of each map; see `divide` in the documentation. There are fewer where rows do not suffice.
    max_depth : int, default=2
        How many maps may lie above one; 0 leaves the root alone.
    min_samples : float, default=1000
        The least weight of the rows of a region.
    validation_fraction : float, default=0.1
        Share of the rows that are held out of all fits, to judge splits by. They are drawn by their numbers.
    random_state : int, RandomState or None, default=None
        Draws these rows; None takes that of `estimator`.

    Attributes
    ----------
    tree_ : MapTree
        The maps by their numbers, 0 being the root, with regions and shares.
    maps_ : list of IGTM
        Each map by itself, fitted.
    trials_ : list of Trial
        All maps that were tried, with the gain of each; `table` shows them.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Only where X had column names.

    References
    ----------
    P. Tino, I. Nabney (2002). Hierarchical GTM: constructing localized nonlinear projection manifolds in a
    principled way. IEEE Trans. Pattern Anal. Mach. Intell. 24, 639-656.

    Examples
    --------
    >>> import numpy as np
    >>> from dask_igtm import IGTM, IGTMAtlas
    >>> towns = np.random.default_rng(0).normal(size=(3000, 4)) + np.repeat(9 * np.eye(3, 4), 1000, axis=0)
    >>> atlas = IGTMAtlas(IGTM(k=6, m=3, solver="em"), max_depth=1, min_samples=300).fit(towns)
    >>> atlas.tree_.names[0], atlas.transform(towns).shape
    ('root', (3000, 2))
    """

    model = "means"  # what `transform` returns

    tree_: MapTree
    maps_: list[BaseMap]
    trials_: list[Trial]

    def __init__(
        self,
        estimator: Any,
        *,
        child: Any = None,
        n_regions: int | str = "auto",
        max_depth: int = 2,
        min_samples: float = 1000,
        validation_fraction: float = 0.1,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.child = child
        self.n_regions = n_regions
        self.max_depth = max_depth
        self.min_samples = min_samples
        self.validation_fraction = validation_fraction
        self.random_state = random_state

    def fit(
        self,
        X: Any,
        y: Any = None,  # noqa: ARG002 - scikit-learn passes it
        sample_weight: Any = None,
        *,
        checkpoint: Path | None = None,
        callbacks: Sequence[Any] = (),
    ) -> Self:
        """Fit the root to the rows of X, and then level after level.

        Parameters
        ----------
        X : as in `IGTM.fit`; shape (n, D)
            Of known chunk sizes, for rows are held out by their numbers.
        y : ignored
        sample_weight : array or dask array of shape (n,), optional
            How often each row counts.
        checkpoint : path or URL, optional
            A file that holds the state of the root's fit, and beside it one for each level, with "level-1"
            and so on in their names. Where they exist, the fit goes on from them, to the bits of one that was
            never cut. They stay. One fit at a time writes to them.
        callbacks : sequence of callable, optional
            Each is called with an `IterationEvent` after every iteration of the root, and with a `PassEvent`
            after every pass of a level. One that returns True ends the fit with what it has reached.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            If `estimator` or `child` is no IGTM, or `callbacks` are no functions.
        ValueError
            If a parameter or the data cannot be used, if chunk sizes are unknown, or if the checkpoint
            belongs to other data or settings, or another fit writes to it.
        """
        with unchanged_on_error(self):
            check_listeners(callbacks)
            refuse_own_input(checkpoint, X)
            root, child, settings, plan = self._plan()
            rows = rows_of(self, X, sample_weight, n_blocks=root.n_blocks, reset=True)
            check_side_by_side(plan.settings, rows)
            seed = seed_of(root.random_state if self.random_state is None else self.random_state)
            rows = in_parts(rows, [self.validation_fraction], seed, WHO)
            names = getattr(self, "feature_names_in_", None)
            n_rows = int(rows.X.shape[0])
            run = Run(rows, (1.0 - self.validation_fraction) * n_rows, root.persist, names)
            take_columns_of(root, self)
            found = root._find(run.for_fits, settings, checkpoint, None, callbacks)
            if found.stopped_by == "callback":
                plan = dataclasses.replace(plan, max_depth=0)
            levels = None if checkpoint is None else beside(checkpoint, "level-1")
            with sole_writer(levels), shown(root.verbose) as listeners:
                told, niter = (*listeners, *callbacks), plan.settings.niter
                tell = teller_of_many(told, niter, n_rows, Around(), time.perf_counter())
                saved = (
                    None
                    if checkpoint is None
                    else self._saved(checkpoint, f"{self.validation_fraction} of an atlas drawn by {seed}")
                )
                grown = grow(dataclasses.replace(run, saved=saved, tell=tell), found, plan)
            self.tree_, self.trials_ = grown.tree, list(grown.trials)
            children = [clone(child)._keep(one) for one in grown.fits[1:]]
            self.maps_ = [root._keep(found), *children]
            for one in children:
                take_columns_of(one, self)
            if len(self.maps_) == 1 and len(self.trials_) > 1:
                warn(
                    f"None of {len(self.trials_) - 1} maps of regions pays on the rows held out: the atlas "
                    "is its root alone; table() says more."
                )
            return self

    def _plan(self) -> tuple[BaseMap, BaseMap, Settings, Plan]:
        """Check all parameters; return root and child, not fitted, settings of the root, and what to grow."""
        given = {"estimator": self.estimator, "child": self.estimator if self.child is None else self.child}
        for name, one in given.items():
            if not isinstance(one, BaseMap):
                raise TypeError(f"{name} is {one!r}; give an IGTM.")
        root, child = map(clone, given.values())
        settings, of_child = root._settings(), child._settings(alone=False)
        for whose, one in zip(given, (settings, of_child), strict=True):
            if one.n_components is not None:
                raise ValueError(
                    f"{whose} has n_components={one.n_components!r}, and densities of principal coordinates "
                    "do not compare from map to map; give n_components=None."
                )
        for name in ("measure", "exposure", "missing"):
            first, second = getattr(settings, name), getattr(of_child, name)
            if first != second:
                told = "noise" if name == "measure" else name
                raise ValueError(
                    f"estimator has {told}={getattr(settings, told)!r} and child "
                    f"{getattr(of_child, told)!r}, and their densities do not compare; give both the same."
                )
        if root.keep_empty_rows != child.keep_empty_rows:
            raise ValueError(
                f"estimator has keep_empty_rows={root.keep_empty_rows} and child {child.keep_empty_rows}; "
                "give both the same."
            )
        check_whole("max_depth", self.max_depth)
        if self.n_regions != "auto":
            check_whole("n_regions", self.n_regions, least=2)
        check_number("min_samples", self.min_samples)
        check_number("validation_fraction", self.validation_fraction)
        if not 0 < self.validation_fraction < 1:
            raise ValueError(
                f"validation_fraction={self.validation_fraction!r}; give a share between 0 and 1."
            )
        return root, child, settings, Plan(of_child, self.n_regions, self.max_depth, self.min_samples)

    def _saved(self, path: Path, drawn: str) -> Any:
        """Return what opens the checkpoint of a level."""
        names = getattr(self, "feature_names_in_", None)

        def opened(level: int, rows: RowBlocks, candidates: Sequence[Candidate]) -> CheckpointMany:
            file = open_checkpoint(beside(path, f"level-{level}"), rows, candidates, drawn, names)
            return dataclasses.replace(file, given=path)

        return opened

    def table(self) -> Any:
        """Return a pandas.DataFrame of all maps that were tried, the root first.

        Its columns: "map", the name; "parent" and "region", of which it is a map; "number" in the tree, -1 of
        those that were not kept; "rows", the weight of those it was fitted to; "passes" of its fit; "gain",
        by how much the mean of ln p(x) of rows held out grows with it at least, and "gain_error", the
        standard error of that; and "outcome", "kept" or why it was not.
        """
        numbers = {name: number for number, name in enumerate(self._tree.names)}
        columns = {
            "map": [trial.name for trial in self.trials_],
            "parent": [trial.parent for trial in self.trials_],
            "region": [trial.region for trial in self.trials_],
            "number": [numbers.get(trial.name, -1) for trial in self.trials_],
            "rows": [trial.n_rows for trial in self.trials_],
            "passes": [trial.n_passes for trial in self.trials_],
            "gain": [trial.gain for trial in self.trials_],
            "gain_error": [trial.gain_error for trial in self.trials_],
            "outcome": [trial.outcome for trial in self.trials_],
        }
        return frame(columns, list(columns))

    def transform(self, X: Any) -> Any:
        """Return the position of each row on its leaf, the likeliest map, which `apply` tells.

        Parameters
        ----------
        X : as in `fit`; shape (n, D)

        Returns
        -------
        array of shape (n, 2)
            Mean over the nodes with which that map stands in the mixture. Lazy for lazy X.
        """
        return self._output(X, "means")

    def apply(self, X: Any) -> Any:
        """Return the number of the map of each row, (n,): the likeliest one; lazy for lazy X."""
        return self._output(X, "leaf")

    def decision_path(self, X: Any) -> Any:
        """Return the probability that a row belongs to each map or to one below it; 1 for the root.

        Parameters
        ----------
        X : as in `fit`; shape (n, D)

        Returns
        -------
        csr_array of shape (n, M)
            By the numbers of the maps, without probabilities of less than 2e-16; a dask array of such for
            lazy X.
        """
        paths = self._output(X, "paths")
        if not is_lazy(paths):
            return _sparse(paths)
        return paths.map_blocks(_sparse, dtype=paths.dtype, meta=csr_array((0, 0)))

    def score_samples(self, X: Any) -> Any:
        """Return ln p(x) of each row, (n,); lazy for lazy X."""
        return self._output(X, "log_likelihood")

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:  # noqa: ARG002
        """Return the mean of ln p(x) over rows, times their weights; computes.

        Raises
        ------
        ValueError
            If no row has weight.
        """
        return self._fitted.mean_log_likelihood(rows_of(self, X, sample_weight))

    def describe(self, X: Any, outputs: Sequence[str] = OUTPUTS) -> dict[str, Any]:
        """Return several things about each row, from one pass.

        Parameters
        ----------
        X : as in `fit`; shape (n, D)
        outputs : sequence of str
            - "means", (n, 2): what `transform` returns;
            - "leaf", (n,), int32: the number of the likeliest map;
            - "node", (n,), int32: the likeliest node of that map, among those with which it stands in the
              mixture;
            - "probability", (n,): of the leaf;
            - "log_likelihood", (n,): ln p(x);
            - "paths", (n, M): what `decision_path` returns, dense.

        Returns
        -------
        dict of str to array
            As of `IGTM.describe`.
        """
        fitted = self._fitted
        chosen = fitted.outputs(outputs)
        arrays = fitted.project(rows_of(self, X), chosen)
        return {
            output.name: labelled(X, array, output.name, columns_of(output))
            for output, array in zip(chosen, arrays, strict=True)
        }

    def transform_blocks(self, X: Any, block_size: int | None = None) -> Iterator[Any]:
        """Yield what `transform` returns, computed, a block at a time; see `IGTM.transform_blocks`."""
        fitted = self._fitted
        if block_size is not None:
            check_whole("block_size", block_size, least=1)
        rows = rows_of(self, X, n_rows=block_size)
        blocks = project_blocks(fitted, rows, fitted.outputs(("means",)), block_size)
        return (means for (means,) in blocks)

    def project_to_zarr(
        self, X: Any, path: Path, outputs: Sequence[str] = OUTPUTS, *, resume: bool = True
    ) -> zarr.Group:
        """Write what `describe` returns of all rows to Zarr; see `IGTM.project_to_zarr`."""
        fitted = self._fitted
        refuse_own_input(path, X)
        return project_to_zarr(fitted, rows_of(self, X), path, fitted.outputs(outputs), resume=resume)

    def write_table(
        self,
        X: Any,
        path: Path,
        outputs: Sequence[str] = OUTPUTS,
        *,
        ids: Any = None,
        resume: bool = True,
        overwrite: bool = False,
    ) -> None:
        """Write what `describe` returns of each row with its id; see `IGTM.write_table`."""
        write_table(self, X, path, outputs, ids=ids, resume=resume, overwrite=overwrite)

    def save(self, path: Path) -> None:
        """Write the fitted atlas to one file, without pickle; `dask_igtm.load` reads it."""
        self._tree  # noqa: B018 - which is to be there
        npz_io.write(path, npz_io.MODEL, *atlas_file.pack(self))

    @property
    def _tree(self) -> MapTree:
        return self._fitted.model

    @property
    def _fitted(self) -> FittedTree:
        check_is_fitted(self, "tree_")
        return FittedTree(self.tree_)

    @property
    def _n_features_out(self) -> int:
        return 2

    def _output(self, X: Any, name: str) -> Any:
        return self.describe(X, (name,))[name]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags = get_tags(self.estimator).input_tags
        return tags


def _sparse(paths: NDArray[np.float64]) -> csr_array:
    return csr_array(np.where(paths > LEAST, paths, 0.0))
