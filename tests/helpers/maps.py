"""Maps that no fit has made: of any size and width, among rows or far from them, blurred or sharp."""

import numpy as np
from hypothesis import strategies as st

from dask_igtm.model.affine import Affine
from dask_igtm.model.basis import make_basis
from dask_igtm.model.gaps import REFUSED
from dask_igtm.model.model import Model
from dask_igtm.noise.isotropic import ISOTROPIC


def bent_map(k, m, s, beta_inv, n_columns, seed=0, gaps=REFUSED):
    """Return a map whose centres lie some 1 apart from the mean, as near to a random sheet as RBFs allow."""
    rng = np.random.default_rng(seed)
    basis = make_basis(k, m, s)
    sheet = basis.nodes @ rng.normal(size=(2, n_columns)) + np.sin(
        3 * basis.nodes @ rng.normal(size=(2, n_columns))
    )
    weights = np.linalg.lstsq(basis.phi, sheet, rcond=1e-6)[0]
    affine = Affine(rng.normal(size=n_columns), np.exp(rng.normal(size=n_columns)))
    return Model(basis, affine, weights, beta_inv, ISOTROPIC, gaps)


def rows_near(model, n_rows, noise=None, seed=0):
    """Return rows as the map makes them, with its own noise or another, in the user's units."""
    rng = np.random.default_rng(seed)
    centers = model.centers[rng.integers(len(model.centers), size=n_rows)]
    noise = np.sqrt(model.beta_inv) if noise is None else noise
    return model.affine.inverse(centers + noise * rng.normal(size=centers.shape))


@st.composite
def maps(draw, beta_inv):
    """Draw maps of all sizes, more RBFs than nodes among them, whose noise is drawn from `beta_inv`."""
    return bent_map(
        draw(st.integers(1, 12)),
        draw(st.integers(1, 6)),
        10.0 ** draw(st.floats(-6, 6)),
        draw(beta_inv),
        draw(st.integers(1, 6)),
        draw(st.integers(0, 2**32 - 1)),
    )


def powers_of_ten(low, high):
    return st.floats(low, high).map(lambda power: 10.0**power)


def sums_of(statistics):
    """Return the sums of an E-step that the noise asks for, by name."""
    return {name: value for name, value in vars(statistics).items() if value is not None}
