"""`python -m dask_igtm` is `dask-igtm`."""

from dask_igtm.cli.commands import main

main(prog_name="dask-igtm")
