"""Chromium without a window, and what it made of a page."""

import html
import json
import re
import shutil
import subprocess

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

# Goes over every mark, as a mouse would, and writes down what the tooltips were.
HOVER = """
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
"""

# Writes down where the frame of a map is, and the names in it.
BOXES = """
const sides = ({left, top, right, bottom}) => [left, top, right, bottom];
const ends = (item) => sides(item.getBoundingClientRect());
const names = document.querySelectorAll('.mark-text.role-mark text[fill="#222"]');
const frame = document.querySelector(".mark-group.role-frame.root .background");
document.body.setAttribute("data-boxes", JSON.stringify([frame, ...names].map(ends)));
"""

# Does as a user of a report does, and writes down after each step what the page tells then.
USE = r"""
const maps = document.getElementById("maps"), told = [];
const wait = () => new Promise((done) => setTimeout(done, 100));
const facts = JSON.parse(document.getElementById("nodes").textContent);
const side = () => facts[document.querySelector("[data-map]:not([hidden])").dataset.map].k; // of the open map
const frames = () => [...maps.querySelectorAll('[class*=" map"][class$="_group"] > g > .background')];
// The squares that mark the node, by the map that they are in and the place of their middles there.
const marks = () => frames().map((frame) => {
  const box = frame.getBoundingClientRect(), k = side();
  const paths = [...frame.parentNode.querySelectorAll('path[stroke="black"]')];
  const own = paths.filter((path) => path.getAttribute("stroke-width") === "2");
  return own.map((path) => path.getBoundingClientRect()).map((mark) => [
    Math.floor((mark.x + mark.width / 2 - box.left) / box.width * k),
    Math.floor((box.bottom - mark.y - mark.height / 2) / box.height * k),
  ]);
});
const region = () => [...document.querySelectorAll(".region_brush path")].some((path) => {
  const box = path.getBoundingClientRect();
  return box.width * box.height > 100;
});
const state = () => ({
  panel: document.getElementById("node").innerText,
  told: document.getElementById("told").textContent,
  title: document.title,
  images: document.querySelectorAll("body img, #node b, #node script").length,
  marks: marks(),
  region: region(),
  columns: new Set(frames().map((frame) => Math.round(frame.getBoundingClientRect().left))).size,
  focused: document.activeElement.id,
  ring: getComputedStyle(maps).outlineStyle,
  path: document.getElementById("path")?.innerText.replace(/\s+/g, "/"),
  current: document.querySelector("#tree [aria-current=page]")?.textContent,
  hash: location.hash,
  glance: document.querySelector("[data-map]:not([hidden]) dl").innerText,
  regions: frames().map((frame) => {
    const texts = [...frame.parentNode.querySelectorAll(".mark-text.role-mark text")];
    return [...new Set(texts.map((text) => text.textContent))];
  }),
});
const at = (map, i, j) => {
  const box = frames()[map].getBoundingClientRect(), k = side();
  return {clientX: box.left + (i + 0.5) * box.width / k, clientY: box.bottom - (j + 0.5) * box.height / k};
};
const send = (kind, place) => {
  const [x, y] = [place.clientX, place.clientY], target = document.elementFromPoint(x, y) || maps;
  const Event = kind.startsWith("pointer") ? PointerEvent : MouseEvent;
  target.dispatchEvent(new Event(kind, {...place, bubbles: true, cancelable: true, view: window}));
};
const actions = {
  click: (...place) => {
    const kinds = ["pointerdown", "mousedown", "pointerup", "mouseup", "click"];
    for (const kind of kinds) send(kind, at(...place));
  },
  drag: (map, from, to) => {
    for (const kind of ["pointerdown", "mousedown"]) send(kind, at(map, ...from));
    for (const kind of ["pointermove", "mousemove"]) send(kind, at(map, ...to));
    for (const kind of ["pointerup", "mouseup", "click"]) send(kind, at(map, ...to));
  },
  focus: () => maps.focus({focusVisible: true}),
  key: (key) => document.activeElement.dispatchEvent(
    new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true})),
  narrow: (pixels) => {
    document.body.style.maxWidth = `${pixels}px`;
    dispatchEvent(new Event("resize"));
  },
  press: (selector) => document.querySelector(selector).click(),
  go: (steps) => history.go(steps),
};
for (const [name, ...given] of STEPS) {
  actions[name](...given);
  await wait();
  told.push(state());
}
document.body.setAttribute("data-states", JSON.stringify(told));
"""

# Writes down the colours that the page has.
LOOK = """
const of = (selector) => getComputedStyle(document.querySelector(selector));
document.body.setAttribute("data-look", JSON.stringify({
  ground: of("body").backgroundColor, text: of("body").color, charts: of("#maps svg").filter,
  history: of(".history svg").filter, panel: of("#node").backgroundColor,
}));
"""


def shown(path, profile, script=HOVER, *flags, hash=""):  # noqa: A002 - the word of browsers
    """Return the page at a path once its scripts and `script` have run, and the lines of the console."""
    page = path.read_text()
    end = page.rindex("</body>")
    acting = f"<script>setTimeout(async () => {{{script}}}, 1000)</script>"
    path.write_text(page[:end] + acting + page[end:])
    command = [
        *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}", *flags),
        *("--window-size=1400,3000", "--enable-logging=stderr", "--v=0"),
        *("--virtual-time-budget=5000", "--dump-dom", path.as_uri() + hash),
    ]
    done = subprocess.run(command, capture_output=True, check=True, timeout=120)
    console = [line for line in done.stderr.decode().splitlines() if "CONSOLE" in line]
    return done.stdout.decode(), console


def attribute(page, name):
    """Return what a script wrote down as JSON."""
    return json.loads(html.unescape(re.search(rf'{name}="([^"]*)"', page)[1]))


def used(path, profile, steps, hash=""):  # noqa: A002
    """Return what a report tells after each of some steps, and the lines of the console."""
    script = USE.replace("STEPS", json.dumps(steps).replace("<", "\\u003c"))
    page, console = shown(path, profile, script, hash=hash)
    return attribute(page, "data-states"), console
