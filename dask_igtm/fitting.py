"""The order of a fit: one pass for the moments, one per iteration, one for the final likelihood."""

from __future__ import annotations

import dataclasses
import logging
import numbers
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dask_igtm import __version__, accelerate, archive, block, blocks, em
from dask_igtm.basis import make_basis
from dask_igtm.checkpoint import Checkpoint
from dask_igtm.initialize import Start, initialize
from dask_igtm.inputs import RowBlocks
from dask_igtm.model import Model
from dask_igtm.progress import State
from dask_igtm.softmax import best_kernel
from dask_igtm.source import keep, prepare
from dask_igtm.statistics import Moments, SufficientStatistics
from dask_igtm.workers import worth_keeping

logger = logging.getLogger("dask_igtm")

SOLVERS: dict[str, Any] = {"em": em, "accelerated": accelerate}  # modules with a State and a fit
SCALES = (None, "center", "standard")
REMEDY = 'fit with scale="standard", or with a smaller regul'


@dataclass(frozen=True)
class Settings:
    """What a user asks of a fit, checked.

    Attributes
    ----------
    k, m : int
        Nodes and RBFs along one side of the map; 0 chooses from the number of rows.
    s : float
        RBF variance in squared spacings of the RBFs; see `make_basis`.
    regul : float
        Ridge on the weights.
    niter : int
        Largest number of iterations.
    tol : float
        Change that counts as none; 0 never stops early.
    scale : {None, "center", "standard"}
    solver : {"em", "accelerated"}
    n_components : int, float in (0, 1), or None
        Principal axes to keep, see `initialize`.
    """

    k: int
    m: int
    s: float
    regul: float
    niter: int
    tol: float
    scale: str | None
    solver: str = "em"
    n_components: float | None = None

    def __post_init__(self) -> None:
        for name in ("k", "m", "niter"):
            check_whole(name, getattr(self, name))
        for name in ("s", "regul", "tol"):
            value = getattr(self, name)
            if not isinstance(value, (int, float, np.number)) or not 0 <= value < np.inf:
                raise ValueError(f"{name}={value!r}; give a finite number >= 0.")
        if self.scale not in SCALES:
            raise ValueError(f"scale={self.scale!r}; give one of {SCALES}.")
        if self.solver not in SOLVERS:
            raise ValueError(f"solver={self.solver!r}; give one of {tuple(SOLVERS)}.")
        n_axes = self.n_components
        if n_axes is None or (isinstance(n_axes, (int, float)) and 0 < n_axes < 1):
            return
        if not isinstance(n_axes, numbers.Integral) or n_axes < 1:
            raise ValueError(f"n_components={n_axes!r}; give a whole number of axes, a share below 1, or -1.")

    def sides(self, weight: float) -> tuple[int, int]:
        """Return `k` and `m`, chosen for that many rows where they are 0."""
        k = self.k or int(np.sqrt(5.0 * np.sqrt(weight))) + 2
        return k, self.m or int(np.sqrt(k))


def check_whole(name: str, value: object, least: int = 0) -> None:
    """Raise ValueError unless a parameter is a whole number of at least `least`."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name}={value!r}; give a whole number >= {least}.")


@dataclass(frozen=True)
class Fit:
    """A fitted model and how it came about.

    Attributes
    ----------
    model : Model
    log_likelihood : float
        Mean of ln p(x) over the rows, in the user's units, for `model`; NaN after an interruption.
    history : tuple of em.Iteration
    converged : bool
        Whether the solver stopped by its tolerance, on a map that has not collapsed.
    n_passes : int
        Passes over the data, without the one for the moments.
    kernel : str
        Name of the softmax that computed it.
    """

    model: Model
    log_likelihood: float
    history: tuple[em.Iteration, ...]
    converged: bool
    n_passes: int
    kernel: str


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a fit; `fit` is what was reached."""

    def __init__(self, fit: Fit) -> None:
        super().__init__(f"interrupted after iteration {len(fit.history)}")
        self.fit = fit


def fit_map(
    rows: RowBlocks,
    settings: Settings,
    *,
    persist: bool | str = "auto",
    feature_names: Sequence[str] | None = None,
    checkpoint: archive.Path | None = None,
    on_iteration: Callable[[State], None],
) -> Fit:
    """Fit a map to the rows of all blocks.

    Parameters
    ----------
    rows : RowBlocks
    settings : Settings
    persist : {"auto", True, False}
        Whether to keep the blocks in the workers' memory, see `worth_keeping`.
    feature_names : sequence of str, optional
        Names of the columns, for messages.
    checkpoint : path or URL, optional
        Where to write the state after every iteration, and to go on from where there is a file.
    on_iteration : callable
        See `em.run`.

    Raises
    ------
    ValueError
        If X holds NaN or infinity, if no row has weight, if all rows are equal, or if the checkpoint
        belongs to another fit.
    Interrupted
        By Ctrl-C, once there is a model.
    """
    kernel = best_kernel()
    saved = None if checkpoint is None else Checkpoint(checkpoint, _fingerprint(rows, settings, kernel))
    if saved:
        saved.check()  # before the first pass, which may take hours
    source = prepare(rows)
    if worth_keeping(rows, persist):
        logger.info("keeping the blocks of X in the workers' memory during the fit")
        source = keep(source)
    moments = blocks.reduce(source, block.moments, label="igtm-moments")
    start = _start(moments, settings, feature_names)
    solver = SOLVERS[settings.solver]
    state: State = solver.State(start.model)
    if saved:
        saved = saved.of(moments)
        state = saved.resume(state)

    def tell(after: State) -> None:
        nonlocal state
        state = after
        if saved:
            saved.write(after)
        on_iteration(after)

    def e_step(model: Model) -> SufficientStatistics:
        total: SufficientStatistics = blocks.reduce(
            source, block.statistics, model, kernel, label="igtm-estep"
        )
        return total

    try:
        solver.fit(state, start.prior, e_step, niter=settings.niter, tol=settings.tol, on_iteration=tell)
        total, weight = blocks.reduce(
            source, block.log_likelihood_sum, state.result, kernel, label="igtm-likelihood"
        )
    except KeyboardInterrupt as interrupt:
        raise Interrupted(_fit(state, start, np.nan, kernel)) from interrupt
    except Exception as error:
        if saved:
            error.add_note(saved.remedy(state))
        raise
    return _fit(state, start, float(total / weight), kernel)


def _fit(state: State, start: Start, log_likelihood: float, kernel: str) -> Fit:
    whole = not np.isnan(log_likelihood)
    return Fit(
        model=state.result,
        log_likelihood=log_likelihood,
        history=state.history,
        converged=whole and state.converged and not _collapsed(state.result, start),
        n_passes=len(state.history) + whole,
        kernel=kernel,
    )


def _fingerprint(rows: RowBlocks, settings: Settings, kernel: str) -> dict[str, Any]:
    """Name what decides the bits of a fit, beside the values of X."""
    chosen = {name: value for name, value in dataclasses.asdict(settings).items() if name != "niter"}
    return {**rows.layout, **chosen, "kernel": kernel, "version": __version__}


def _start(moments: Moments, settings: Settings, feature_names: Sequence[str] | None) -> Start:
    """Initialise; refuse what cannot be mapped, and warn of what will collapse."""
    if moments.invalid.any():
        raise ValueError(block.invalid_message(moments.invalid, feature_names))
    if moments.weight == 0:
        raise ValueError(
            "X has no rows, or every sample_weight is zero; give two rows that differ a positive weight."
        )
    if not np.isfinite(moments.scatter).all():
        raise ValueError("X has values too large to square in float64; divide X by a constant first.")
    basis = make_basis(*settings.sides(moments.weight), settings.s)
    start = initialize(
        moments, basis, regul=settings.regul, scale=settings.scale, n_components=settings.n_components
    )
    if start.growth < 1 and len(basis.nodes) > 1:
        warnings.warn(
            "The map will collapse onto one point: the ridge shrinks it faster than the data spread it "
            f"(growth {start.growth:.2g} per iteration, below 1); {REMEDY}.",
            stacklevel=5,
        )
    return start


def _collapsed(model: Model, start: Start) -> bool:
    """Whether the noise explains all of the variance, so that every row lies at the same place."""
    collapsed = len(model.basis.nodes) > 1 and model.beta_inv >= 0.99 * start.variance
    if collapsed:
        warnings.warn(
            "The map has collapsed onto one point: its noise explains all of the variance, and every row "
            f"gets the same position; {REMEDY}.",
            stacklevel=6,
        )
    return collapsed
