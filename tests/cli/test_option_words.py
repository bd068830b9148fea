"""What Python says of its parameters, said of options."""

import click
import pytest

from dask_igtm.cli.commands import main
from dask_igtm.cli.option_words import words_of


def words(command):
    return words_of(main.commands[command].get_params(click.Context(main.commands[command])))


@pytest.mark.parametrize(
    ("of_python", "of_options"),
    [
        ("k=-1; give a whole number.", "--k -1; give a whole number."),
        ("tol=-0.5.", "--tol -0.5."),
        ("give regul='auto', or scale=None.", "give --regul auto, or --scale none."),
        ('fit with scale="standard"', "fit with --scale standard"),
        ("keep_empty_rows=True", "--keep-empty-rows true"),
        ("n_components maps axes; a smaller regul", "--n-components maps axes; a smaller --regul"),
        ("the scale of missing noise", "the scale of missing noise"),
        ("columns=['a', 'b'] has 'c'", "--columns a,b has 'c'"),
        ("overwrite=True (--overwrite)", "--overwrite"),
        ("by --index (index=), and --drop (drop=)", "by --index, and --drop"),
        ("fill_unstored=False", "no --fill-unstored"),
        ("nothing at 'k=3.zarr' or runs/k=3", "nothing at 'k=3.zarr' or runs/k=3"),
        ("regul_=3 and top=5", "regul_=3 and top=5"),
    ],
)
def test_parameters_of_a_fit(of_python, of_options):
    assert words("fit")(of_python) == of_options


@pytest.mark.parametrize(
    ("command", "of_python", "of_options"),
    [
        ("convert", "--no-header (header=False) or --header (header=True)", "--no-header or --header"),
        ("transform", "give ids='name'; outputs=('colour',)", "give --index name; --outputs colour"),
        ("info", "k=3 and overwrite=True", "k=3 and overwrite=True"),
    ],
)
def test_a_command_knows_its_own_options(command, of_python, of_options):
    assert words(command)(of_python) == of_options


BAD = [
    ("--k", "-1"),
    ("--k", "100000"),
    ("--k", "10000000000000000000000"),
    ("--m", "-1"),
    ("--m", "100000"),
    ("--s", "-1"),
    ("--s", "nan"),
    ("--regul", "-1"),
    ("--regul", "much"),
    ("--random-state", "many"),
    ("--niter", "-1"),
    ("--niter", "10000000000000000000000"),
    ("--model", "table"),
    ("--n-blocks", "-1"),
    ("--n-blocks", "10000"),
    ("--scale", "minmax"),
    ("--tol", "-1"),
    ("--tol", "inf"),
    ("--solver", "newton"),
    ("--noise", "pink"),
    ("--exposure", "much"),
    ("--exposure", "total"),
    ("--missing", "often"),
    ("--keep-empty-rows", "many"),
    ("--n-components", "0"),
    ("--n-components", "many"),
    ("--n-components", "6"),
    ("--persist", "long"),
    ("--regul", "auto", "--scale", "none"),
    ("--regul", "auto", "--solver", "sampled"),
    ("--regul", "auto", "--noise", "poisson"),
    ("--scale", "standard", "--noise", "poisson"),
    ("--n-components", "2", "--noise", "poisson"),
    ("--n-components", "2", "--noise", "diagonal"),
    ("--n-components", "2", "--missing", "marginalize"),
    ("--missing", "mean", "--noise", "bernoulli"),
    ("--s", "0", "--m", "1"),
    ("--columns", "a", "--drop", "b"),
    ("--init", "none.npz"),
    ("--checkpoint", "none/c.npz"),
    ("--scheduler", "nowhere"),
    ("--scheduler", ""),
    ("--workers", "0"),
]
OF_FILES = {"init", "checkpoint", "output"}  # whose errors name the file


def test_every_option_that_can_be_wrong_is_tried():
    command = main.commands["fit"]
    options = [each for each in command.get_params(click.Context(command)) if isinstance(each, click.Option)]
    free = {each.name for each in options if not each.is_flag} - {
        "output",
        "index",
    }  # of which any name will do
    assert free == {text.strip("-").replace("-", "_") for bad in BAD for text in bad if text.startswith("--")}


@pytest.mark.parametrize("bad", BAD, ids=" ".join)
def test_an_error_names_the_option(cli, bad, folder):
    (folder / "x.csv").write_text("a,b,c\n" + "1,2,3\n" * 50)
    code, _, err = cli("fit", "x.csv" if "--columns" in bad else "x.zarr", "-o", "m.npz", "--quiet", *bad)
    *_, said = err.splitlines()
    assert code in {1, 2}
    assert (bad[0] if bad[0].strip("-") not in OF_FILES else bad[1].partition("/")[0]) in said
    for option in BAD:
        name = option[0].strip("-").replace("-", "_")
        assert f"{name}=" not in said
        assert "_" not in name or name not in said
    assert not (folder / "m.npz").exists()
