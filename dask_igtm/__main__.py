"""`python -m dask_igtm` is `dask-igtm`."""

import logging
import signal
import sys


def run() -> None:
    """Run the command line as a process of its own, which ends as it says wherever Ctrl-C meets it."""
    try:
        from dask_igtm.cli.commands import main  # noqa: PLC0415 - which takes long enough to be interrupted

        main(prog_name="dask-igtm")
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        # There is nothing left to be stopped, or to be told: reads that another one failed beside end here.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)


if __name__ == "__main__":
    run()
