"""Has the sample saturated? Likelihoods of rows held out of fits to growing shares of the others."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from dask_igtm.data.frames import frame
from dask_igtm.data.own_inputs import refuse_own_input
from dask_igtm.data.whole_outputs import Path
from dask_igtm.estimators.base_map import BaseMap
from dask_igtm.fitting.checkpoint_file import sole_writer
from dask_igtm.fitting.fit_many import Candidate, fit_many, open_checkpoint
from dask_igtm.fitting.progress import Around, PassListener, check_listeners, shown, teller_of_many
from dask_igtm.fitting.row_parts import in_parts
from dask_igtm.model.checks import check_number
from dask_igtm.projection.validate import rows_of, seed_of

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Saturation:
    """What fits to growing shares of the rows say of rows that none of them saw; likelihoods per row.

    Attributes
    ----------
    share : ndarray of shape (S,)
        Of the rows that are not held out, each share within the next.
    n_samples : ndarray of shape (S,)
        Rows of each fit, times their weights.
    training : ndarray of shape (S,)
        Mean of ln p(x) over the rows of the fit, in the units of X,
    held_out : ndarray of shape (S,)
        and over the rows held out, which are the same for all.
    n_iter : ndarray of shape (S,)
    converged : ndarray of shape (S,)
    tol : float
        In nats per row: what counts as no gain.
    n_passes : float
        Passes over the data, without the one for the moments, and with those for the axes of wide rows and
        the curvature of the fit that takes most.
    """

    share: Array
    n_samples: Array
    training: Array
    held_out: Array
    n_iter: NDArray[np.int64]
    converged: NDArray[np.bool_]
    tol: float
    n_passes: float

    @property
    def enough(self) -> float:
        """Smallest share from which on no fit is worse than the last by more than `tol`, on rows held out."""
        worse = np.flatnonzero(~(self.held_out >= self.held_out[-1] - self.tol))
        return float(self.share[worse[-1] + 1 if len(worse) else 0])

    def to_frame(self) -> Any:
        """Return a pandas.DataFrame with one row a fit; raise ImportError if pandas is not installed."""
        names = ("share", "n_samples", "training", "held_out", "n_iter", "converged")
        return frame({name: getattr(self, name) for name in names}, names)

    def __str__(self) -> str:
        lines = [f"{'share':>8} {'rows':>12} {'training':>12} {'held out':>12} {'iterations':>10}"]
        for i, share in enumerate(self.share):
            likelihoods = f"{self.training[i]:12.4f} {self.held_out[i]:12.4f}"
            ended = "" if self.converged[i] else "  not converged"
            lines.append(
                f"{_written(share):>8} {self.n_samples[i]:12,.0f} {likelihoods} {self.n_iter[i]:10d}{ended}"
            )
        lines.append(self.verdict)
        return "\n".join(lines)

    @property
    def verdict(self) -> str:
        """Whether more rows would pay, in a sentence."""
        if self.enough == self.share[-1]:
            return f"No smaller share comes within {self.tol:g} of the last: more rows may still pay."
        enough = _written(self.enough)
        return f"From share {enough} on all come within {self.tol:g} of the last: more rows do not pay."


def saturation(
    igtm: BaseMap,
    X: Any,
    sample_weight: Any = None,
    *,
    shares: Sequence[float] = (1 / 64, 1 / 16, 1 / 4, 1),
    held_out: float = 0.1,
    tol: float = 0.01,
    random_state: Any = None,
    checkpoint: Path | None = None,
    callbacks: Sequence[PassListener] = (),
) -> Saturation:
    """Fit the same settings to growing shares of the rows, all in the same passes, and judge them.

    Parameters
    ----------
    igtm : IGTM
        Its parameters; it is not fitted itself. `k` and `m` of 0 are chosen for each share.
    X, sample_weight
        As in `IGTM.fit`, of known chunk sizes. Which rows a share has is drawn from their numbers, so across
        all blocks, and does not depend on chunks.
    shares : sequence of float
        Growing, in (0, 1], of the rows that are not held out.
    held_out : float
        Share of all rows, in (0, 1), to judge by.
    tol : float
        Difference of mean log-likelihoods that counts as none.
    random_state : int, RandomState or None
        Draws the rows; None takes that of `igtm`.
    checkpoint : path or URL, optional
        A file that holds the states of all fits after every pass. Where it exists, they go on from it, to the
        bits of fits that were never cut. It stays. One call at a time writes to it.
    callbacks : sequence of callable, optional
        Each is called with a `PassEvent` after every pass that is an iteration. One that returns True stops
        all fits there, and what they have reached is judged.

    Raises
    ------
    TypeError
        If `igtm` is not an IGTM, or `callbacks` are no functions.
    ValueError
        If a parameter or the data cannot be used, with a note of the share, or if the checkpoint belongs to
        other data, shares or settings, or another call writes to it.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from dask_igtm import IGTM, saturation
    >>> saturation(IGTM(k=6, scale="center"), load_digits().data, shares=(1 / 4, 1)).enough
    1.0
    """
    if not isinstance(igtm, BaseMap):
        raise TypeError(f"igtm is {igtm!r}; give an IGTM.")
    check_listeners(callbacks)
    refuse_own_input(checkpoint, X)
    igtm, chosen_shares = clone(igtm), _checked(shares, held_out, tol)
    settings = igtm._settings(alone=False)
    rows = rows_of(igtm, X, sample_weight, n_blocks=igtm.n_blocks, reset=True)
    edges = [held_out, *(held_out + (1 - held_out) * chosen_shares)]
    chosen = igtm.random_state if random_state is None else random_state
    candidates = [
        Candidate(
            f"share {_written(share)}",
            settings,
            train=tuple(range(1, number + 2)),
            held_out=(0,),
            share=float(share * (1 - held_out)),
        )
        for number, share in enumerate(chosen_shares)
    ]
    seed, names = seed_of(chosen), getattr(igtm, "feature_names_in_", None)
    rows, saved = in_parts(rows, edges, seed, "saturation"), None
    with sole_writer(checkpoint), shown(igtm.verbose) as listeners:
        if checkpoint is not None:
            drawn = f"shares {edges} of rows drawn by {seed}"
            saved = open_checkpoint(checkpoint, rows, candidates, drawn, names)
        told = (*listeners, *callbacks)
        tell = teller_of_many(told, settings.niter, int(rows.X.shape[0]), Around(), time.perf_counter())
        judged, n_passes = fit_many(
            rows,
            candidates,
            persist=igtm.persist,
            feature_names=names,
            training=True,
            saved=saved,
            tell=tell,
        )
    fits = [one.fit for one in judged]
    return Saturation(
        share=chosen_shares,
        n_samples=np.array([fit.n_samples for fit in fits]),
        training=np.array([fit.log_likelihood for fit in fits]),
        held_out=np.array([one.held_out for one in judged]),
        n_iter=np.array([len(fit.history) for fit in fits]),
        converged=np.array([fit.converged for fit in fits]),
        tol=tol,
        n_passes=n_passes,
    )


def _checked(shares: Sequence[float], held_out: float, tol: float) -> Array:
    found = np.array(shares, dtype=np.float64)
    bounded = np.concatenate([[0.0], found.ravel(), [1.0]])
    if found.ndim != 1 or len(found) == 0 or not (np.diff(bounded)[:-1] > 0).all() or found[-1] > 1:
        raise ValueError(f"shares={shares!r}; give growing shares above 0, the last of at most 1.")
    if not 0 < held_out < 1:
        raise ValueError(f"held_out={held_out!r}; give a share between 0 and 1.")
    check_number("tol", tol)
    return found


def _written(share: float) -> str:
    """Return a share as a fraction where it is a simple one."""
    fraction = Fraction(float(share)).limit_denominator(1024)
    return str(fraction) if abs(fraction - Fraction(float(share))) < 1e-12 else f"{share:.4g}"
