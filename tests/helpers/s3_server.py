"""A server of S3's protocol on this machine, which is now and then too busy: python s3_server.py PORT N."""

import itertools
import sys
import threading

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple


def main():
    """Serve; every N-th request is answered with status 503."""
    port, every = int(sys.argv[1]), int(sys.argv[2])
    server, count, lock = (
        DomainDispatcherApplication(create_backend_app),
        itertools.count(1),
        threading.Lock(),
    )

    def sometimes(environ, start_response):
        with lock:
            busy = every and next(count) % every == 0
        if not busy:
            return server(environ, start_response)
        print("503", environ["REQUEST_METHOD"], environ["PATH_INFO"], flush=True)
        start_response("503 Slow Down", [("Content-Type", "application/xml")])
        return [b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"]

    run_simple("127.0.0.1", port, sometimes, threaded=True)


if __name__ == "__main__":
    main()
