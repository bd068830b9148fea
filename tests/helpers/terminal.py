"""A process whose stderr is a terminal, and what that terminal got."""

import contextlib
import os
import pty
import subprocess
import threading


def run(*command, **environment):
    """Run a command; return its exit code, its stdout, and what it wrote to the terminal."""
    driver, terminal = pty.openpty()
    shown = []

    def read():
        with contextlib.suppress(OSError):  # the other end is closed
            while piece := os.read(driver, 4096):
                shown.append(piece)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=terminal, env=os.environ | environment, check=False
        )
    finally:
        os.close(terminal)
        reader.join()
        os.close(driver)
    return done.returncode, done.stdout.decode(), b"".join(shown).decode()
