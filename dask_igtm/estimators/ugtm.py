"""ugtm's estimators, by its names and with its defaults for ever: `eIGTM` and `runIGTM`."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm.estimators.base_map import BaseMap
from dask_igtm.projection.ugtm_names import OptimizedGTM
from dask_igtm.projection.validate import fitted_map, rows_of


class eIGTM(BaseMap):  # noqa: N801 - ugtm's name
    """Incremental Generative Topographic Mapping with the defaults of ugtm 2.3.

    Scripts that were written for ugtm change their import only, and get ugtm's answer.

    Parameters
    ----------
    k, m, s, regul, random_state, niter, verbose, model, n_blocks
        As in `IGTM`; as in ugtm's class of the same name.
    scale, tol, solver, noise, exposure, missing, keep_empty_rows, n_components, persist
        As in `IGTM`; by default as ugtm does.

    Attributes
    ----------
    model_, nodes_, centers_, ... : as in `IGTM`
    optimizedModel : OptimizedGTM
        The fitted model under ugtm's names.

    References
    ----------
    H. A. Gaspar et al. (2015). Chemical data visualization and analysis with incremental generative
    topographic mapping: big data challenge. J. Chem. Inf. Model. 55, 84-94.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from dask_igtm import eIGTM
    >>> eIGTM(k=8).fit(load_iris().data).optimizedModel.matY.shape
    (4, 64)
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
        noise: str = "isotropic",
        exposure: str | None = None,
        missing: str = "error",
        keep_empty_rows: bool = False,
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
        self.noise = noise
        self.exposure = exposure
        self.missing = missing
        self.keep_empty_rows = keep_empty_rows
        self.n_components = n_components
        self.persist = persist

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Return the names of the columns that `transform` returns: igtm0, igtm1, as of `IGTM`."""
        names = super().get_feature_names_out(input_features)
        return np.array([name.replace("eigtm", "igtm", 1) for name in names], dtype=object)


def runIGTM(  # noqa: N802 - ugtm's name and signature
    data: Any,
    k: int = 16,
    m: int = 4,
    s: float = 0.3,
    regul: float = 0.1,
    n_blocks: int = 0,
    doPCA: bool = False,
    n_components: float = -1,
    missing: bool = True,
    missing_strategy: str = "median",
    random_state: int = 1234,  # noqa: ARG001
    niter: int = 200,
    verbose: bool = False,
) -> OptimizedGTM:
    """Fit a map to standardised rows, and project them.

    Parameters
    ----------
    data : as X of `IGTM.fit`; shape (n, D)
    k, m, s, regul, n_blocks, niter, verbose
        As in `IGTM`.
    doPCA : bool
        Rotate the standardised columns to their principal axes, from the same pass over the data.
    n_components : int or float
        Axes to keep; a share of the variance below 1; or -1 for 80 % of the variance.
    missing : bool
        Fill gaps (NaN) instead of refusing them.
    missing_strategy : {"median", "mean", "most_frequent", "constant"}
        By what; as in scikit-learn's SimpleImputer. Medians of lazy data come from a histogram, see
        `IGTM`.
    random_state : int
        For ugtm's signature; nothing here is random.

    Returns
    -------
    OptimizedGTM
        With `matMeans` and `matModes`, which are lazy dask arrays where `data` is lazy. `matW` and
        `matY` are in standardised coordinates (principal ones with `doPCA`).

    Raises
    ------
    ValueError
        If a parameter or the data cannot be used; the message says what to do.
    """
    igtm = eIGTM(
        k,
        m,
        s,
        regul,
        niter=niter,
        verbose=verbose,
        n_blocks=n_blocks,
        scale="standard",
        missing=missing_strategy if missing else "error",
        n_components=n_components if doPCA else None,
    )
    settings = igtm._settings()
    rows = rows_of(igtm, data, n_blocks=n_blocks, reset=True)
    fitted = fitted_map(igtm._fit(rows, settings))
    means, modes = fitted.project(rows, fitted.outputs(("means", "modes")))
    return dataclasses.replace(igtm.optimizedModel, matMeans=means, matModes=modes)
