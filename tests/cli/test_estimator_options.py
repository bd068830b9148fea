"""Every parameter of the estimator is an option of the command line."""

import inspect
import json

import pytest

from dask_igtm import IGTM, IGTMAtlas, load
from dask_igtm.cli.estimator_options import OF_MAPS, SHOWN_OTHERWISE, atlas_options, estimator_options

SMALL = ("--k", "4", "--m", "2", "--niter", "5", "--tol", "0")


def test_every_parameter_is_an_option_with_its_default():
    given = {
        name: parameter.default
        for name, parameter in inspect.signature(IGTM).parameters.items()
        if name not in SHOWN_OTHERWISE
    }
    assert {
        option.name: option.callback(None, option, option.default) for option in estimator_options()
    } == given
    for option in estimator_options():
        assert option.help, option.name
        assert option.show_default
    assert {"verbose"} == SHOWN_OTHERWISE


def test_what_an_atlas_has_beside_its_maps_is_an_option():
    assert {option.name: option.callback(None, option, option.default) for option in atlas_options()} == {
        name: parameter.default
        for name, parameter in inspect.signature(IGTMAtlas).parameters.items()
        if name not in OF_MAPS
    }
    assert all(option.help for option in atlas_options())
    assert {"estimator", "child", "random_state"} == OF_MAPS


@pytest.mark.parametrize("command", ["fit", "estimate", "atlas"])
def test_help_names_every_option(cli, command):
    code, out, _ = cli(command, "--help")
    assert code == 0
    for option in estimator_options():
        assert f"--{option.name.replace('_', '-')} " in out
    assert "[none|center|standard|auto]" in out
    assert "[default: 200]" in " ".join(out.split())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--persist", "false"], {"persist": False}),
        (["--persist", "auto"], {"persist": "auto"}),
        (["--keep-empty-rows", "true"], {"keep_empty_rows": True}),
        (["--scale", "none", "--n-components", "2"], {"scale": None, "n_components": 2}),
        (["--n-components", "0.9", "--regul", "1e-2"], {"n_components": 0.9, "regul": 0.01}),
        (["--random-state", "none", "--missing", "median"], {"random_state": None, "missing": "median"}),
        (["--solver", "accelerated", "--model", "modes"], {"solver": "accelerated", "model": "modes"}),
    ],
)
def test_values_of_parameters(cli, arguments, expected):
    code, out, _ = cli("fit", "x.zarr", "-o", "m.npz", *SMALL, "--json", *arguments)
    assert code == 0
    given = IGTM(k=4, m=2, niter=5, tol=0, **expected).get_params()
    assert json.loads(out)["parameters"] == load("m.npz").get_params() == given
