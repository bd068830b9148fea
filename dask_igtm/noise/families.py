"""The families by their names."""

from __future__ import annotations

from typing import Any

from dask_igtm.model import stored
from dask_igtm.model.model import Noise
from dask_igtm.model.stored import Arrays
from dask_igtm.noise.bernoulli import Bernoulli
from dask_igtm.noise.diagonal import Diagonal
from dask_igtm.noise.isotropic import Isotropic
from dask_igtm.noise.poisson import EXPOSURES, Poisson

FAMILIES: dict[str, type[Any]] = {
    "isotropic": Isotropic,
    "diagonal": Diagonal,
    "bernoulli": Bernoulli,
    "poisson": Poisson,
}
EXPOSED = "poisson"


def family(name: str, exposure: str | None = None) -> Noise:
    """Return the family of that name.

    Raises ValueError if there is none, or none with such an exposure.
    """
    if name not in FAMILIES:
        raise ValueError(f"noise={name!r}; give one of {tuple(FAMILIES)}.")
    if exposure not in EXPOSURES:
        raise ValueError(f"exposure={exposure!r}; give one of {EXPOSURES}.")
    if exposure is None:
        return FAMILIES[name]()  # type: ignore[no-any-return]
    if name != EXPOSED:
        raise ValueError(
            f"exposure={exposure!r} is for counts, and noise={name!r}; give noise={EXPOSED!r}, or "
            "exposure=None."
        )
    return Poisson(exposure)


def unpack(arrays: Arrays) -> Noise:
    """Return what `Noise.pack` named; older files have none, of isotropic noise.

    Raises ValueError if there is no such noise.
    """
    name = stored.text(arrays, "noise") if "noise" in arrays else "isotropic"
    found = family(name, stored.text(arrays, "exposure") if "exposure" in arrays else None)
    if "mean_exposure" not in arrays:
        return found
    return found.with_exposure(float(stored.positive(arrays, "mean_exposure")))
