"""Axes found by products alone are those of the whole spectrum."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from dask_igtm.solvers.leading_axes import (
    BLOCK,
    MOST_AXES,
    MOST_PASSES,
    find_together,
    leading_axes,
    random_block,
    width_for,
)
from dask_igtm.solvers.spectrum import principal_axes

WIDE = 400


def found_of(covariance, n_components=None, *, known=False):
    """Find the axes of a covariance, of the first block's image too if that is `known`."""
    block = random_block(len(covariance), width_for(n_components))
    image = covariance @ block if known else None
    search = leading_axes(float(np.trace(covariance)), block, image, n_components)
    return find_together([search], lambda blocks: [covariance @ block for block in blocks.values()])[0]


def spread_by(eigenvalues, n_columns=WIDE):
    """Covariance with these eigenvalues, and 0 for the rest, and its axes in columns."""
    axes = np.linalg.qr(np.random.default_rng(1).normal(size=(n_columns, len(eigenvalues))))[0]
    return (axes * eigenvalues) @ axes.T, axes


def turn(one, other):
    """Sine of the largest angle between two spaces, each spanned by orthonormal columns."""
    return np.linalg.norm(one - other @ (other.T @ one), 2)


def assert_leading(covariance, n_components=None):
    """Hold the axes against those of all eigenpairs, and each against the bound of its gap."""
    found, all_ = found_of(covariance, n_components), np.linalg.eigh(covariance)
    eigenvalues, axes = np.maximum(all_[0][::-1], 0), all_[1][:, ::-1]
    kept = 3 if n_components is None else n_components
    assert found.axes.shape == (len(covariance), kept)
    assert_allclose(found.eigenvalues, eigenvalues[:kept], rtol=2e-10, atol=1e-12 * eigenvalues[0])
    assert_allclose(found.mean, np.trace(covariance) / len(covariance), rtol=1e-12)
    assert_allclose(found.axes.T @ found.axes, np.eye(kept), atol=1e-12)
    used = min(np.count_nonzero(found.eigenvalues), 2 if n_components is None else kept)
    gap = eigenvalues[used - 1] - eigenvalues[used]
    assert turn(axes[:, :used], found.axes[:, :used]) <= 2e-10 * eigenvalues[0] / gap + 1e-12
    assert (found.axes.max(axis=0) >= (1 - 1e-6) * np.abs(found.axes).max(axis=0)).all()
    return found


@settings(deadline=None, max_examples=25)
@given(
    leading=st.lists(st.integers(1, 1000), min_size=1, max_size=20, unique=True),
    tail=st.sampled_from([0, 1, 300]),
    n_components=st.sampled_from([None, 1, 2]),
    unit=st.sampled_from([1e-190, 1.0, 1e190]),
)
def test_few_axes_are_those_of_the_whole_spectrum(leading, tail, n_components, unit):
    eigenvalues = unit * np.concatenate([sorted(leading, reverse=True), 0.5 * 0.99 ** np.arange(tail)])
    assert_leading(spread_by(eigenvalues)[0], n_components)


@pytest.mark.parametrize("known", [False, True])
def test_a_known_image_saves_a_pass_and_changes_nothing_else(known):
    covariance, _ = spread_by(0.9 ** np.arange(WIDE))
    plain, other = found_of(covariance), found_of(covariance, known=known)
    assert other.n_passes == plain.n_passes - known
    assert_allclose(other.axes, plain.axes, atol=1e-9)


def test_a_known_image_of_a_block_of_which_little_is_left_is_asked_for_anew():
    covariance, _ = spread_by(0.9 ** np.arange(WIDE))
    block = random_block(WIDE, BLOCK)
    block[:, 1] = block[:, 0] + 1e-8 * block[:, 1]
    searches = [
        leading_axes(float(np.trace(covariance)), block, image) for image in (None, covariance @ block)
    ]
    one, other = find_together(searches, lambda blocks: [covariance @ block for block in blocks.values()])
    assert_array_equal(other.axes, one.axes)


def test_searches_share_their_passes_and_end_by_themselves():
    covariances = [spread_by(decay ** np.arange(WIDE))[0] for decay in (0.5, 0.97)]
    asked = []

    def images_of(blocks):
        asked.append(list(blocks))
        return [covariances[number] @ block for number, block in blocks.items()]

    block = random_block(WIDE, BLOCK)
    found = find_together([leading_axes(float(np.trace(c)), block) for c in covariances], images_of)
    assert [spectrum.n_passes for spectrum in found] == [sum(n in a for a in asked) for n in (0, 1)]
    assert found[0].n_passes < found[1].n_passes == len(asked)
    for covariance, spectrum in zip(covariances, found, strict=True):
        assert_array_equal(spectrum.axes, found_of(covariance).axes)


@pytest.mark.parametrize("kind", ["bits", "counts", "fast", "slow"])
def test_rows_of_many_kinds_take_few_passes(kind):
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(900, 6)) @ rng.normal(size=(6, WIDE))
    noise = rng.normal(size=(900, WIDE))
    rows = {
        "bits": (0.7 * hidden + noise > 1.5).astype(float),
        "counts": np.log1p(rng.poisson(np.exp(0.4 * hidden - 1.0))),
        "fast": noise * 0.8 ** np.arange(WIDE),
        "slow": noise * (1.0 + np.arange(WIDE)) ** -0.5,
    }[kind]
    assert assert_leading(np.cov(rows.T)).n_passes <= 12


@pytest.mark.parametrize("third", [1.99, 1.9999])  # beside the second, and beside the fourth
def test_a_third_eigenvalue_near_another_is_not_waited_for(third):
    tail = np.linspace(0.5, 0.0, 300)
    for leading in ([4.0, 2.0, third], [4.0, 3.0, 2.0, third]):
        found = assert_leading(spread_by(np.concatenate([leading, tail]))[0])
        assert found.n_passes <= 12
        assert found.angle <= 1e-10 * 4.0 / (leading[1] - leading[2])


def test_noise_ends_at_the_cap_and_tells_its_angle():
    rows = np.random.default_rng(0).normal(size=(4000, 1200))
    covariance = np.cov(rows.T)
    found = found_of(covariance)
    assert found.n_passes == MOST_PASSES
    eigenvalues, axes = np.linalg.eigh(covariance)
    turned = turn(axes[:, -2:], found.axes[:, :2])
    assert 1e-10 < turned <= 3 * found.angle
    # What the plane explains is hardly less for it.
    assert_allclose(found.eigenvalues, eigenvalues[:-4:-1], rtol=1e-4)


@pytest.mark.parametrize(
    "eigenvalues",
    [np.ones(WIDE), 1 + 1e-9 * np.arange(WIDE)[::-1], np.repeat([3.0, 1.0], [2, WIDE - 2])],
    ids=["equal", "nearly equal", "two beyond the rest"],
)
def test_equal_eigenvalues_have_any_of_their_axes(eigenvalues):
    covariance, _ = spread_by(eigenvalues)
    found = found_of(covariance)
    assert_allclose(found.eigenvalues, eigenvalues[:3], rtol=1e-6)
    assert_allclose(covariance @ found.axes, found.axes * found.eigenvalues, atol=1e-6)


@pytest.mark.parametrize("varying", [1, 2, 4, 14, 32, 44])
def test_steps_past_the_end_of_a_space_stay_orthogonal(varying):
    found = assert_leading(spread_by(np.linspace(2, 1, varying))[0])
    assert np.count_nonzero(found.eigenvalues) == min(varying, 3)


def test_no_variance_takes_no_more_than_one_pass():
    found = found_of(np.zeros((WIDE, WIDE)))
    assert_array_equal(found.eigenvalues, np.zeros(3))
    assert found.n_passes == 1
    assert found_of(np.zeros((WIDE, WIDE)), known=True).n_passes == 0


@pytest.mark.parametrize("n_columns", [5, 16, 17, 40])  # less than a block, and than two or three
def test_all_dimensions_end_a_search(n_columns):
    covariance, _ = spread_by(0.9 ** np.arange(n_columns), n_columns)
    found, all_ = found_of(covariance), principal_axes(covariance)
    assert_allclose(found.eigenvalues, all_.eigenvalues, rtol=1e-10)
    assert_allclose(found.axes, all_.axes, atol=1e-8)


@pytest.mark.parametrize("n_components", [14, 0.65])
def test_equal_eigenvalues_are_all_found(n_components):
    found = found_of(np.diag(np.repeat([1.0, 0.9, 0.0], [14, 8, WIDE - 22])), n_components)
    assert_allclose(found.eigenvalues, np.ones(14), rtol=1e-11)
    assert_allclose(found.axes[14:], 0, atol=1e-9)


@pytest.mark.parametrize("n_components", [20, 100, MOST_AXES])
def test_as_many_axes_as_are_asked_for(n_components):
    found = assert_leading(spread_by(0.98 ** np.arange(WIDE))[0], n_components)
    assert found.eigenvalues.shape == (n_components,)


def test_more_axes_than_are_found_are_refused():
    with pytest.raises(ValueError, match=f"n_components=257 is more than the {MOST_AXES} axes"):
        width_for(MOST_AXES + 1)


@pytest.mark.parametrize("share", [0.55, 0.8, 0.97, -1])
@pytest.mark.parametrize("decay", [0.5, 0.98])
def test_a_share_takes_as_many_axes_as_explain_it(share, decay):
    eigenvalues = decay ** np.arange(WIDE)
    covariance, axes = spread_by(eigenvalues)
    explained = np.cumsum(eigenvalues) / eigenvalues.sum()
    kept = np.count_nonzero(explained <= (0.8 if share == -1 else share)) + 1
    for found in (found_of(covariance, share), principal_axes(covariance, share)):
        assert_allclose(found.eigenvalues, eigenvalues[:kept], rtol=1e-9)
        assert_allclose(np.abs(np.sum(axes[:, :kept] * found.axes, axis=0)), 1, rtol=1e-9)


def test_a_share_beyond_the_most_axes_is_refused_early_with_what_they_explain():
    n_columns, passes = 1300, 0
    covariance = np.diag(np.linspace(1.0, 0.5, n_columns))
    explained = np.linspace(1.0, 0.5, n_columns)[:MOST_AXES].sum() / np.trace(covariance)

    def images_of(blocks):
        nonlocal passes
        passes += 1
        return [covariance @ block for block in blocks.values()]

    search = leading_axes(np.trace(covariance), random_block(n_columns, width_for(0.8)), None, 0.8)
    with pytest.raises(
        ValueError, match=r"n_components=0.8 .*explain at most 0\.\d+; give a smaller"
    ) as caught:
        find_together([search], images_of)
    assert passes < MOST_PASSES
    said = float(str(caught.value).split("at most ")[1].split(";")[0])
    assert explained - 1e-3 <= said < 0.8


def test_bits_are_the_same_each_time():
    covariance = np.cov(np.random.default_rng(3).normal(size=(500, WIDE)).T)
    assert_array_equal(found_of(covariance).axes, found_of(covariance).axes)
