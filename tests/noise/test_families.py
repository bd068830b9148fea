"""Families by their names, and out of files."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from dask_igtm.noise.families import FAMILIES, family, unpack
from dask_igtm.noise.isotropic import ISOTROPIC
from dask_igtm.noise.poisson import Poisson


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_has_its_name(name):
    found = family(name)
    assert type(found) is FAMILIES[name]
    assert found.name == name
    assert found == family(name)
    assert not found.exposed
    assert found.mean_exposure == 1.0


def test_families_that_differ_are_not_equal():
    found = [family(name) for name in FAMILIES] + [family("poisson", "total"), Poisson("total", 2.0)]
    equal = np.array([[one == other for one in found] for other in found])
    assert_array_equal(equal, np.eye(len(found), dtype=bool))


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        (("gamma",), r"noise='gamma'; give one of \('isotropic', 'diagonal', 'bernoulli', 'poisson'\)"),
        (("poisson", "sum"), r"exposure='sum'; give one of \(None, 'total'\)"),
        (
            ("bernoulli", "total"),
            "exposure='total' is for counts, and noise='bernoulli'; give noise='poisson'",
        ),
        (("isotropic", "total"), "exposure='total' is for counts.*or exposure=None"),
        (("diagonal", "total"), "exposure='total' is for counts"),
    ],
)
def test_what_is_no_family_is_refused(given_, message):
    with pytest.raises(ValueError, match=message):
        family(*given_)


@pytest.mark.parametrize("noise", [*map(family, FAMILIES), Poisson("total", 12.5), Poisson("total")])
def test_families_come_back_out_of_files(noise, tmp_path):
    np.savez(tmp_path / "map.npz", **noise.pack())
    with np.load(tmp_path / "map.npz", allow_pickle=False) as arrays:
        found = unpack(dict(arrays))
    assert found == noise
    assert found.mean_exposure == noise.mean_exposure


def test_older_files_are_of_isotropic_noise():
    assert unpack({}) == ISOTROPIC
    assert ISOTROPIC.pack() == {}
