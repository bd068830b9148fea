// Texts of the user enter the page by textContent alone, and charts by their specification.

const held = (id) => JSON.parse(document.getElementById(id).textContent);
const charts = held("charts"), facts = held("nodes"), places = held("places");
const maps = document.getElementById("maps"), panel = document.getElementById("node");
const told = document.getElementById("told"), tree = document.getElementById("tree");
const title = document.title;
let here = 0, nodes = facts[0], k = nodes.k; // the map that is open, what is told of it, nodes along a side
let chosen = null; // the number of a node, x1 slowest
let view = null; // of the charts

// Charts

const options = {
  ast: true,
  renderer: "svg",
  actions: {export: true, source: false, compiled: false, editor: false},
};

let wide = 500; // pixels of a map and its legend, about, until some are drawn

// How many maps stand side by side: a little may hang over, and is scrolled to.
function columns() {
  const fitting = Math.floor(maps.clientWidth / wide + 0.2);
  return Math.max(1, Math.min(3, charts[here].maps.concat.length, fitting));
}

let drawn = {}; // the map and columns of the charts

async function draw(map, inside) {
  drawn = {map, inside};
  if (view) view.finalize();
  view = (await vegaEmbed(maps, {...charts[map].maps, columns: inside}, options)).view;
  wide = maps.querySelector("svg").clientWidth / inside;
  outline();
}

async function fit() {
  while (drawn.map !== here || drawn.inside !== columns()) await draw(here, columns());
}

// Of itself a click ends a region in some maps and not in others.
function unmark() {
  view.data("region_store", []);
}

function outline() {
  if (drawn.map === here) view.data("chosen", chosen === null ? [] : [place(chosen)]).run();
}

// Which node

const place = (node) => ({x1: nodes.axis[Math.floor(node / k)], x2: nodes.axis[node % k]});

function choose(node) {
  chosen = node;
  outline();
  tell();
}

// A map fills its square evenly with the squares of its nodes, and x2 points upwards.
function nodeAt(x, y) {
  for (const frame of maps.querySelectorAll('[class*=" map"][class$="_group"] > g > .background')) {
    const box = frame.getBoundingClientRect();
    const across = (x - box.left) / box.width, up = (box.bottom - y) / box.height;
    if (across >= 0 && across < 1 && up >= 0 && up < 1)
      return Math.floor(across * k) * k + Math.floor(up * k);
  }
  return null;
}

let pressed = null; // where the pointer went down: who drags marks a region, and chooses nothing
maps.addEventListener("pointerdown", (event) => (pressed = event), true);
maps.addEventListener("click", (event) => {
  const moved = pressed && Math.hypot(event.clientX - pressed.clientX, event.clientY - pressed.clientY);
  const node = nodeAt(event.clientX, event.clientY);
  if (node === null || moved > 4 || drawn.map !== here) return;
  if (!event.target.closest(".region_brush")) unmark();
  choose(node);
});

const fullest = () => nodes.rows.reduce((best, rows, node) => (rows > nodes.rows[best] ? node : best), 0);

const steps = {
  ArrowLeft: ([i, j]) => [i - 1, j],
  ArrowRight: ([i, j]) => [i + 1, j],
  ArrowDown: ([i, j]) => [i, j - 1],
  ArrowUp: ([i, j]) => [i, j + 1],
  Home: ([, j]) => [0, j],
  End: ([, j]) => [k - 1, j],
};

maps.addEventListener("keydown", (event) => {
  if (event.target !== maps || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === "Escape") {
    unmark();
    return choose(null);
  }
  if (event.key === "Enter" && below() !== null) return open(below());
  if (event.key === "Backspace" && here !== 0) {
    event.preventDefault();
    return open(places[here].above);
  }
  if (!Object.hasOwn(steps, event.key)) return;
  event.preventDefault();
  if (chosen === null) return choose(fullest());
  const within = (step) => Math.max(0, Math.min(k - 1, step));
  const [i, j] = steps[event.key]([Math.floor(chosen / k), chosen % k]).map(within);
  choose(i * k + j);
});

// Which map

// The map of the region of the chosen node; null where there is none.
function below() {
  const number = chosen === null ? -1 : places[here].below[chosen] ?? -1;
  return number < 0 ? null : number;
}

// The address says which map is open, so that it can be kept, and the browser can go back.
const open = (number) => (location.hash = places[number].name);

const lastChosen = {}; // of each map

function show(number) {
  lastChosen[here] = chosen;
  here = number;
  nodes = facts[here];
  k = nodes.k;
  chosen = lastChosen[here] ?? null;
  for (const part of document.querySelectorAll("[data-map]")) part.hidden = part.dataset.map !== `${here}`;
  tell();
  told.textContent = ""; // which is for what happens
  if (tree) tellPlace();
  fitted = fitted.then(fit);
  const history = document.querySelector(`[data-map="${here}"] .history`);
  if (!history.hasChildNodes()) vegaEmbed(history, charts[here].history, options);
}

const addressed = () => Math.max(0, places.findIndex(({name}) => `#${name}` === location.hash));

function follow() {
  if (addressed() === here) return;
  show(addressed());
  const {name, rows, above} = places[here];
  const back = here === 0 ? "" : ` Backspace goes back to ${places[above].name}.`;
  told.textContent = `Map ${name} is open: ${rows} rows.${back}`;
  if (!tree.contains(document.activeElement)) maps.focus({preventScroll: true});
}

function link(number, text) {
  const made = element("a", text);
  made.href = `#${places[number].name}`;
  made.setAttribute("aria-label", places[number].name);
  return made;
}

function tellPlace() {
  const path = [];
  for (let number = here; number >= 0; number = places[number].above) path.unshift(number);
  const entries = path.map((number) => {
    const entry = element("li"), made = link(number, places[number].name.split("/").at(-1));
    if (number === here) made.setAttribute("aria-current", "page");
    entry.append(made);
    return entry;
  });
  document.getElementById("path").replaceChildren(...entries);
  for (const each of tree.querySelectorAll("a")) {
    if (each.dataset.number === `${here}`) each.setAttribute("aria-current", "page");
    else each.removeAttribute("aria-current");
  }
  const {name, above} = places[here], back = document.getElementById("back");
  back.hidden = here === 0;
  back.textContent = here === 0 ? "" : `Back to ${places[above].name}`;
  maps.setAttribute("aria-label", `Nodes of ${name}`);
  document.title = here === 0 ? title : `${name} · ${title}`;
}

// What is told of a node

function number(value, digits = 4) {
  if (value === null) return "unknown";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e9)) return value.toExponential(digits - 1);
  const whole = Math.max(digits, Math.ceil(Math.log10(size + 1)));
  return value.toLocaleString("en", {maximumSignificantDigits: Math.min(21, whole)}).replace("-", "−");
}

function percent(share) {
  if (share === null) return "unknown";
  return share > 0 && share < 1e-4 ? "< 0.01 %" : `${number(100 * share, 3)} %`;
}

const signed = (value) => (value > 0 ? "+" : "") + number(value, 3);

function rowsAt(node) {
  const rows = nodes.rows[node];
  if (rows < 0.01) return rows > 0 ? "next to no rows" : "no rows";
  return rows === 1 ? "1 row" : `${number(rows, 3)} rows`;
}

function element(tag, text, kind) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

// The entries of a row are [text, kind]; the first one names it.
function table(title, head, rows, note) {
  const made = element("table"), line = made.createTHead().insertRow(), body = made.createTBody();
  for (const [text, kind] of head) line.append(Object.assign(element("th", text, kind), {scope: "col"}));
  for (const row of rows) {
    const entries = body.insertRow();
    row.forEach(([text, kind, part], place) => {
      const entry = element(place === 0 ? "th" : "td", text, kind);
      if (place === 0) entry.scope = "row";
      if (part !== undefined) entry.style.setProperty("--part", `${100 * part}%`);
      entries.append(entry);
    });
  }
  const heading = element("h3", title);
  made.setAttribute("aria-label", title);
  return note ? [heading, made, element("small", note)] : [heading, made];
}

const entries = (of, node) => {
  const numbers = [];
  for (let entry = of.start[node]; entry < of.start[node + 1]; entry++) numbers.push(entry);
  return numbers;
};

function opening() {
  if (below() === null) return [];
  const {name, rows} = places[below()], made = element("button", `Open ${name}`, "open");
  made.type = "button";
  made.addEventListener("click", () => open(below()));
  return [made, element("small", `The map of this region: ${rows} rows.`)];
}

function classes(node) {
  if (!nodes.classes) return [];
  const {names, which, share} = nodes.classes;
  const rows = which[node].map((name, rank) => [names[name], share[node][rank]]);
  const shown = rows.filter(([, part], rank) => rank === 0 || part >= 0.0005);
  const lines = shown.map(([name, part]) => [[name, "name"], [percent(part), "number share", part]]);
  return table("Classes", [["class"], ["probability", "number"]], lines);
}

function means(node) {
  if (!nodes.means.length) return [];
  const rows = nodes.means.map(({name, mean, std}) => [
    [name, "name"], [number(mean[node]), "number"], [number(std[node], 3), "number"],
  ]);
  return table("Means", [["value"], ["mean", "number"], ["std", "number"]], rows);
}

function members(node) {
  const {names, ids, probability} = nodes.members;
  const found = entries(nodes.members, node);
  if (!found.length) return [];
  const rows = found.map((entry) => [
    ...ids.map((id) => [id[entry], "name"]), [percent(probability[entry]), "number"],
  ]);
  return table("Likeliest rows", [...names.map((name) => [name]), ["lies here", "number"]], rows);
}

function markers(node) {
  const {names, which, value, rest, difference} = nodes.markers;
  const found = entries(nodes.markers, node);
  if (!found.length) return [];
  const rows = found.map((entry) => [
    [names[which[entry]], "name"], [number(value[entry], 3), "number"], [number(rest[entry], 3), "number"],
    [signed(difference[entry]), "number"],
  ]);
  const head = [["column"], ["here", "number"], ["rest", "number"], ["difference", "number"]];
  const note = "Columns that set the node most apart; the difference is in standard deviations of the noise.";
  return table("Markers", head, rows, note);
}

function tell() {
  if (chosen === null) {
    told.textContent = "No node is chosen.";
    panel.replaceChildren(
      element("h2", "No node is chosen"),
      element("p", "Click one on any map: its rows, classes, likeliest members and markers appear here."),
    );
    return;
  }
  const {x1, x2} = place(chosen), at = `x1 ${number(x1, 3)}, x2 ${number(x2, 3)}`;
  const head = element("h2", `Node ${chosen}`), release = element("button", "let go");
  release.type = "button";
  release.addEventListener("click", () => {
    choose(null);
    maps.focus();
  });
  head.append(release);
  const where = element("p", `${at} · ${rowsAt(chosen)}`);
  const tables = [opening, classes, means, members, markers].flatMap((of) => of(chosen));
  panel.replaceChildren(head, where, ...tables);
  const best = nodes.classes ? nodes.classes.names[nodes.classes.which[chosen][0]] : null;
  const likely = best === null ? "" : `; ${best}, ${percent(nodes.classes.share[chosen][0])}`;
  const further = below() === null ? "" : ` Enter opens ${places[below()].name}.`;
  told.textContent = `Node ${chosen} at ${at}: ${rowsAt(chosen)}${likely}.${further}`;
}

let fitted = Promise.resolve();
show(addressed());
addEventListener("resize", () => (fitted = fitted.then(fit)));
if (tree) {
  addEventListener("hashchange", follow);
  document.getElementById("back").addEventListener("click", () => open(places[here].above));
}
