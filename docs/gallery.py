"""Run docs/gallery.md from top to bottom, and draw its pictures.

    python docs/gallery.py [--output DIR]

A picture is what `chart` is when the page comes to it. They go to docs/_static/gallery, or to DIR.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from PIL import Image

DOCS = Path(__file__).parent
STEP = re.compile(
    r"^```python\n(?P<code>.*?)^```$|\]\((?P<picture>_static/gallery/\S+)\)", re.MULTILINE | re.DOTALL
)


def main() -> None:
    """Run each block, and save a chart wherever the page shows one."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=DOCS / "_static" / "gallery")
    output = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)
    names: dict[str, Any] = {"__name__": "gallery"}
    for step in STEP.finditer((DOCS / "gallery.md").read_text()):
        if step["code"]:
            exec(compile(step["code"], "gallery.md", "exec"), names)
        else:
            path = output / Path(step["picture"]).name
            names["chart"].save(path)
            whole = Image.open(path).convert("RGB")
            few = whole.quantize(method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
            few.save(path, optimize=True)  # at a tenth of its size, and hardly another colour
            print(path.name, f"{path.stat().st_size / 1024:.0f} KB")


if __name__ == "__main__":
    main()
