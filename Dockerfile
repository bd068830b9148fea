# One image for scheduler, workers and driver, so that all have the same packages and the same BLAS.
ARG BASE=python:3.12-slim
FROM ${BASE}

# An environment of its own, because Debian's Python refuses to be installed into.
RUN python3 -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1

COPY pyproject.toml README.md LICENSE /src/
COPY dask_igtm /src/dask_igtm
ARG PIP_INDEX_URL=https://pypi.org/simple
RUN pip install --no-cache-dir '/src[fast,s3,dashboard]'
COPY examples /examples

RUN useradd --create-home igtm && mkdir /data && chown igtm /data
USER igtm
WORKDIR /data
