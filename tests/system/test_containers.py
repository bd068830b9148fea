"""The cluster of docker-compose.yml, brought up, broken and healed, and closed by TLS.

Needs a Docker engine, Compose, and an image to build on: BASE, where the default cannot be pulled. With
CONTAINERS=required, their absence is a failure.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = "igtm-test"
ROWS, NITER = 400_000, 40
with socket.create_server(("127.0.0.1", 0)) as free:
    DASHBOARD_PORT = str(free.getsockname()[1])  # 8787 may be another cluster's
MAIN_JOB = ["python", "/examples/cluster.py"]


def docker(*arguments, check=True, timeout=300):
    run = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False, timeout=timeout)
    assert not check or run.returncode == 0, (arguments, run.stdout, run.stderr)
    return run.stdout.strip()


def missing():
    """Say what is not here, or nothing."""
    if not shutil.which("docker"):
        return "there is no docker"
    engine = subprocess.run(["docker", "info"], capture_output=True, text=True, check=False)
    if engine.returncode:
        return f"there is no Docker engine: {engine.stderr.strip()}"
    return "" if compose_command() else "there is no Compose"


def compose_command():
    for command in (["docker", "compose"], ["docker-compose"]):
        version = [*command, "version"]
        if (
            shutil.which(command[0])
            and not subprocess.run(version, capture_output=True, check=False).returncode
        ):
            return command
    return None


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(missing()) and os.environ.get("CONTAINERS") != "required", reason=missing() or "all is here"
    ),
]


class Compose:
    """One project of Compose."""

    def __init__(self, *files):
        self.prefix = [*compose_command(), "-p", PROJECT]
        for file in files or ("docker-compose.yml",):
            self.prefix += ["-f", str(ROOT / file)]

    def __call__(self, *arguments, check=True, timeout=600):
        run = subprocess.run(
            [*self.prefix, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            cwd=ROOT,
            env=os.environ | {"DASHBOARD_PORT": DASHBOARD_PORT},
        )
        assert not check or run.returncode == 0, (arguments, run.stdout[-5000:], run.stderr[-5000:])
        return run

    def start_driver(self, name, *arguments):
        """Run the driver in the background; return its container."""
        self("run", "-d", "--no-deps", "--name", name, "driver", *MAIN_JOB, *arguments)
        return name

    def containers(self, service):
        return self("ps", "-q", service).stdout.split()


@pytest.fixture(scope="module")
def image():
    Compose()("build", "scheduler", timeout=1200)


@pytest.fixture
def compose(image):
    compose = Compose()
    compose("down", "-v", "--remove-orphans", check=False)
    yield compose
    remove_drivers()
    compose("down", "-v", "--remove-orphans")


def remove_drivers():
    left = docker("ps", "-aq", "--filter", f"name={PROJECT}-driver").split()
    if left:
        docker("rm", "-f", *left)


def wait_for(name, pattern, timeout=240):
    """Return the first match in the log of a container."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        run = subprocess.run(["docker", "logs", name], capture_output=True, text=True, check=True)
        found = re.search(pattern, run.stdout + run.stderr)
        if found:
            return found
        state = json.loads(docker("inspect", name))[0]["State"]
        assert state["Running"] or found, (pattern, run.stdout[-3000:] + run.stderr[-3000:])
        time.sleep(0.2)
    raise TimeoutError((pattern, run.stdout[-3000:] + run.stderr[-3000:]))


def said(name):
    run = subprocess.run(["docker", "logs", name], capture_output=True, text=True, check=True)
    return run.stdout + run.stderr


def iterations(text):
    return [int(number) for number in re.findall(r"^iteration +(\d+) ", text, re.MULTILINE)]


def test_the_cluster_is_broken_and_heals(compose):
    what = ["--rows", str(ROWS), "--niter", str(NITER)]
    compose("up", "-d", "--scale", "worker=3", "scheduler", "worker")
    alone = compose(
        "run", "--rm", "driver", "python", "/examples/cluster.py", "--here", "--run", "here", *what
    )
    digest = re.search(r"digest (\w{64})", alone.stdout).group(1)

    driver = compose.start_driver(f"{PROJECT}-driver-1", *what)
    wait_for(driver, r"iteration +3 ")
    killed, cut_off, _ = compose.containers("worker")
    docker("kill", killed)  # SIGKILL
    wait_for(driver, r"iteration +8 ")
    docker("network", "disconnect", f"{PROJECT}_default", cut_off)
    time.sleep(20)
    docker("network", "connect", "--alias", "worker", f"{PROJECT}_default", cut_off)
    done = max(iterations(said(driver)))
    wait_for(driver, rf"iteration +{done + 3} ")
    docker("restart", "-t", "0", *compose.containers("scheduler"))
    assert int(docker("wait", driver)) != 0
    assert "call fit again with it to go on" in said(driver)
    done = max(iterations(said(driver)))
    assert done < NITER

    compose("up", "-d", "--scale", "worker=3", "scheduler", "worker")  # brings back the one that was killed
    again = compose.start_driver(f"{PROJECT}-driver-2", *what)
    assert wait_for(again, r"digest (\w{64})").group(1) == digest
    assert f"going on after iteration {done}" in said(again)
    assert iterations(said(again)) == list(range(done + 1, NITER + 1))
    print(said(driver), said(again), f"alone: {digest}", sep="\n")


def test_only_this_machine_reaches_the_dashboard_and_nobody_the_scheduler(compose):
    compose("up", "-d", "scheduler")
    (scheduler,) = compose.containers("scheduler")
    ports = json.loads(docker("inspect", scheduler))[0]["NetworkSettings"]["Ports"]
    published = {port: bindings for port, bindings in ports.items() if bindings}
    assert published == {"8787/tcp": [{"HostIp": "127.0.0.1", "HostPort": DASHBOARD_PORT}]}


ASK = """
from distributed import Client
with Client(timeout=10) as client:
    client.wait_for_workers(1, timeout=60)
    print("sum", client.submit(sum, [1, 2]).result())
"""

# What a client of its own making would do, which does not check itself first.
KNOCK = """
import socket, ssl
context = ssl.create_default_context(cafile="/certificates/authority.crt")
context.check_hostname = False
with context.wrap_socket(socket.create_connection(("scheduler", 8786), 10)) as connection:
    connection.settimeout(10)
    print("read", connection.recv(1))
"""


def make_certificates(folder):
    script = ROOT / "deploy" / "make_certificates.sh"
    subprocess.run(["sh", script, folder], check=True, capture_output=True)


def test_tls_refuses_whoever_has_no_certificate(image, tmp_path):
    ours, theirs = ROOT / "deploy" / "certificates", tmp_path / "theirs"
    kept = ours.exists()
    if not kept:
        make_certificates(ours)
    make_certificates(theirs)
    for folder in (tmp_path.parent, tmp_path):
        folder.chmod(0o755)  # for the user in the container
    compose = Compose("docker-compose.yml", "docker-compose.tls.yml")
    client = "DASK_DISTRIBUTED__COMM__TLS__CLIENT"
    foreign = ["-v", f"{theirs}:/theirs:ro"]
    foreign += ["-e", f"{client}__CERT=/theirs/cluster.crt", "-e", f"{client}__KEY=/theirs/cluster.key"]
    plain = ["-e", "DASK_SCHEDULER_ADDRESS=tcp://scheduler:8786"]
    plain += ["-e", "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION=False"]
    try:
        compose("down", "-v", "--remove-orphans", check=False)
        compose("up", "-d", "scheduler", "worker")

        def run(code, *options):
            return compose("run", "--rm", *options, "driver", "python", "-c", code, check=False)

        assert "sum 3" in run(ASK).stdout
        for refused in (run(KNOCK), run(ASK, *plain), run(ASK, *foreign)):
            assert refused.returncode != 0, refused.stdout + refused.stderr
            assert "sum" not in refused.stdout
            assert "read" not in refused.stdout
        assert (
            "CERTIFICATE_REQUIRED" in run(KNOCK).stderr.upper().replace(" ", "_") + run(KNOCK).stdout.upper()
        )
        assert "sum 3" in run(ASK).stdout  # and it still serves those who may
    finally:
        compose("down", "-v", "--remove-orphans")
        if not kept:
            shutil.rmtree(ours)
