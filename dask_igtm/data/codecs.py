"""How numbers are stored in Zarr: codecs by name, written as in Zarr's metadata."""

from __future__ import annotations

from typing import Any

Codecs = list[dict[str, Any]]


def _blosc(compressor: str) -> Codecs:
    return [
        {"name": "blosc", "configuration": {"cname": compressor}},  # shuffles bytes, or bits of single bytes
        {"name": "crc32c"},  # since Blosc reads on past the end of a chunk that was cut, and gives numbers
    ]


CODECS = {
    "blosc-lz4": _blosc("lz4"),
    "blosc-zstd": _blosc("zstd"),
    "zstd": [{"name": "zstd", "configuration": {"level": 0, "checksum": False}}],  # as Zarr does by itself
    "none": [],
}
CODEC = "blosc-lz4"  # what is read in every pass is to be decoded fast, see benchmarks/README.md

BLOSC_BYTES = 2**31 - 17  # in C an int, less the header


def compressors(codec: str, chunk_bytes: int) -> Codecs:
    """Return the codecs of a name for chunks of a size, for `zarr.create_array`."""
    return CODECS["zstd" if codec.startswith("blosc") and chunk_bytes > BLOSC_BYTES else codec]
