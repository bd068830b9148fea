"""What a user asks of a fit, checked."""

from __future__ import annotations

import dataclasses
import numbers
from dataclasses import dataclass

import numpy as np

from dask_igtm.model.checks import check_number, check_whole
from dask_igtm.model.gaps import STRATEGIES
from dask_igtm.model.model import Model, Noise
from dask_igtm.noise.families import family
from dask_igtm.solvers import accelerated, em, evidence, sampled
from dask_igtm.solvers.leading_axes import width_for
from dask_igtm.solvers.sample import Sample
from dask_igtm.solvers.wide_spectrum import is_wide

SOLVERS = ("em", "accelerated", "sampled")
SCALES = (None, "center", "standard", "auto")


def solver_for(solver: str, regul: float | str, *, alone: bool) -> str:
    """Return the solver that "auto" stands for, any other as it is.

    Parameters
    ----------
    solver, regul
        As in `Settings`, and "auto".
    alone : bool
        Whether the fit has its passes for itself; those that share them, as of a search, have no sample.
    """
    if solver != "auto":
        return solver
    return "sampled" if alone and regul != "auto" else "accelerated"


@dataclass(frozen=True)
class Settings:
    """The parameters that decide a fit.

    Attributes
    ----------
    k, m : int
        Nodes and RBFs along one side of the map; 0 chooses from the number of rows.
    s : float
        RBF variance in squared spacings of the RBFs; see `make_basis`.
    regul : float or "auto"
        Ridge on the weights; the evidence chooses it for "auto".
    niter : int
        Largest number of iterations.
    tol : float
        Change that counts as none; 0 never stops early.
    scale : {None, "center", "standard", "auto"}
    solver : {"em", "accelerated", "sampled"}
    n_components : int, float in (0, 1), or None
        Principal axes to keep, see `initialize`; -1 for those of 80 % of the variance.
    missing : str
        What to do with gaps, see `Gaps`.
    noise, exposure : str, and str or None
        What rows are drawn from, see `families`.
    seed : int
        Of the sample of rows, if the solver asks for one.
    """

    k: int
    m: int
    s: float
    regul: float | str
    niter: int
    tol: float
    scale: str | None
    solver: str = "em"
    n_components: float | None = None
    missing: str = "error"
    noise: str = "isotropic"
    exposure: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("k", "m", "niter"):
            check_whole(name, getattr(self, name))
        check_number("s", self.s)
        check_number("tol", self.tol)
        if not isinstance(self.regul, str) or self.regul != "auto":
            check_number("regul", self.regul, ", or 'auto'")
        if self.scale not in SCALES:
            raise ValueError(f"scale={self.scale!r}; give one of {SCALES}.")
        if self.solver not in SOLVERS:
            raise ValueError(f"solver={self.solver!r}; give one of {(*SOLVERS, 'auto')}.")
        if self.missing not in STRATEGIES:
            raise ValueError(f"missing={self.missing!r}; give one of {STRATEGIES}.")
        self.family.check(self)
        if self.regul == "auto":
            self._check_evidence()
        if self.n_components is not None:
            self._check_axes(self.n_components)

    def _check_evidence(self) -> None:
        if self.scale is None:
            raise ValueError(
                "regul='auto' weighs how far a map reaches from its prior mean, with scale=None from "
                "wherever X has its origin; give scale='auto', 'center' or 'standard'."
            )
        if self.solver == "sampled":
            raise ValueError(
                "regul='auto' counts the weights that the rows determine, and those of a sample determine "
                "fewer; give solver='accelerated', or fit with that first and go on with regul=regul_."
            )

    def _check_axes(self, n_axes: object) -> None:
        if self.missing == "marginalize":
            raise ValueError(
                "missing='marginalize' takes a row by the columns that it has, and n_components mixes them; "
                "give missing='median', or n_components=None."
            )
        if isinstance(n_axes, float) and 0 < n_axes < 1:
            return
        if not isinstance(n_axes, numbers.Integral) or (n_axes < 1 and n_axes != -1):
            raise ValueError(f"n_components={n_axes!r}; give a whole number of axes, a share below 1, or -1.")

    @property
    def family(self) -> Noise:
        """The noise of the map."""
        return family(self.noise, self.exposure)

    @property
    def measure(self) -> str:
        """What likelihoods are of: of different things they do not compare."""
        return "counting" if self.family.natural else "volume"

    @property
    def plane_scale(self) -> str | None:
        """Scale of the plane on which a map begins: bits and counts have one unit."""
        return "center" if self.family.natural else self.scale

    @property
    def ridge(self) -> float | None:
        """`regul` as a number; None where the evidence chooses."""
        return None if self.regul == "auto" else float(self.regul)

    def standardised(self, init: Model) -> bool:
        """Whether a map such as `init` has to have standardised columns; for "auto" what it has."""
        return init.affine.standardised if self.scale == "auto" else self.scale == "standard"

    def with_ridge(self, found: float | None) -> Settings:
        """Return the same with a ridge that is a number: for "auto" the one that a fit has `found`."""
        if self.ridge is not None:
            return self
        if found is None:
            raise ValueError(
                "regul='auto' needs all rows in every iteration, and a stream shows each block once; fit a "
                "sample first, whose ridge partial_fit then keeps, or give regul a number."
            )
        return dataclasses.replace(self, regul=found)

    def begin(self, model: Model, rows: Sample | None = None, *, search: bool = True) -> em.State:
        """Return the state of the solver that sets out from `model`.

        Parameters
        ----------
        model : Model
        rows : Sample, optional
            What the solver can learn more from than from passes.
        search : bool
            Whether it may set out from elsewhere too.
        """
        if self.solver == "sampled":
            return sampled.begin(model, rows, search=search)
        if self.solver == "accelerated":
            kind = evidence.Accelerated if self.ridge is None else accelerated.State
            return kind(model, rows=rows)
        return evidence.State(model) if self.ridge is None else em.State(model)

    def check_columns(self, n_columns: int) -> None:
        """Raise ValueError if there are fewer columns than axes to keep, or too many to find these."""
        if is_wide(n_columns, self.n_components):
            width_for(self.n_components)
        if self.n_components is not None and self.n_components > n_columns:
            raise ValueError(
                f"n_components={self.n_components} is more than the {n_columns} columns of X; give at most "
                f"{n_columns}, or -1."
            )

    def sides(self, weight: float) -> tuple[int, int]:
        """Return `k` and `m`, chosen for that many rows where they are 0."""
        k = self.k or int(np.sqrt(5.0 * np.sqrt(weight))) + 2
        return k, self.m or int(np.sqrt(k))
