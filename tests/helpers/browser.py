"""Chromium without a window, and what it made of a page."""

import re
import shutil
import subprocess

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

# Goes over every mark, as a mouse would, and writes down what the tooltips were.
HOVER = """<script>setTimeout(() => {
const told = new Set();
for (const item of document.querySelectorAll(".mark-symbol path")) {
  const box = item.getBoundingClientRect();
  const at = {clientX: box.x + box.width / 2, clientY: box.y + box.height / 2, bubbles: true};
  for (const kind of ["pointerover", "pointermove", "mousemove"])
    item.dispatchEvent(new PointerEvent(kind, at));
  const tooltip = document.querySelector("#vg-tooltip-element");
  if (tooltip) told.add(tooltip.innerHTML);
}
document.body.setAttribute("data-tooltips", told.size);
document.body.setAttribute("data-images", [...told].filter((html) => html.includes("<img")).length);
}, 1000)</script>"""


def shown(path, profile):
    """Return the page at a path once its scripts have run, and the lines of the console."""
    page = path.read_text()
    end = page.rindex("</body>")
    path.write_text(page[:end] + HOVER + page[end:])
    command = [
        *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"),
        *("--enable-logging=stderr", "--v=0", "--virtual-time-budget=5000", "--dump-dom", path.as_uri()),
    ]
    done = subprocess.run(command, capture_output=True, check=True, timeout=120)
    console = [line for line in done.stderr.decode().splitlines() if "CONSOLE" in line]
    return done.stdout.decode(), console


def attribute(page, name):
    """Return a number that `HOVER` wrote down."""
    return int(re.search(rf'{name}="(\d+)"', page)[1])
