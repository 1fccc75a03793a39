// The page: filters and axes above the picture, and everything that follows them.

const ALL_DEVICES = "";

const FACETS = [
  ["model", "Model"],
  ["architecture", "Architecture"],
  ["alpha", "Alpha"],
  ["resolution", "Resolution"],
  ["scheme", "Scheme"],
  ["format", "Format"],
  ["engine", "Engine"],
  ["threads", "Threads"],
].map(([name, title]) => ({ name, title, values: facetValues(name), hidden: new Set() }));
const MOST_CHIPS = 12;

function facetValues(name) {
  const values = [...new Set(RUNS.map(run => run[name] ?? null))].filter(value => value !== null && value !== "");
  const looks = { scheme: DATA.looks.schemes, engine: DATA.looks.engines }[name];
  if (looks) return Object.keys(looks);
  return values.every(value => typeof value === "number")
    ? values.sort((a, b) => a - b)
    : values.sort((a, b) => String(a).localeCompare(String(b), "en", { numeric: true }));
}

/** Facets that part the runs, without those that say no more than another. */
function shownFacets() {
  const several = FACETS.filter(facet => facet.values.length > 1);
  const models = several.find(facet => facet.name === "model");
  // Many networks are chosen by what they differ in, few by their names.
  const parts = ["architecture", "alpha", "resolution"];
  return several.filter(facet => ((models?.values.length ?? 0) <= MOST_CHIPS ? !parts.includes(facet.name) : true));
}

const MEASURED = METRICS.filter(told);
const first = (...names) => names.map(name => METRIC[name]).find(metric => MEASURED.includes(metric));

const state = {
  axes: [
    { metric: first("p50", "instructions", "throughput", "size") ?? MEASURED[0], log: null },
    { metric: first("top1", "agreement", "size", "memory", "p90") ?? MEASURED[0], log: null },
  ],
  device: DATA.devices[0]?.name ?? ALL_DEVICES,
  selected: null,
};

function passing() {
  const facets = FACETS.filter(facet => facet.hidden.size);
  return RUNS.filter(
    run =>
      (state.device === ALL_DEVICES || run.device === state.device) &&
      facets.every(facet => !facet.hidden.has(run[facet.name])),
  );
}

function chip(type, name, value, label, checked, look, onchange) {
  return make(
    "label",
    { class: "chip" },
    make("input", { type, name, value, checked, onchange }),
    look ? swatch(look) : null,
    make("span", {}, label),
  );
}

function facetField(facet) {
  const look = value =>
    facet.name === "scheme"
      ? { shape: "circle", color: DATA.looks.schemes[value][0], sign: DATA.looks.schemes[value][1] }
      : facet.name === "engine"
        ? { shape: DATA.looks.engines[value], color: null, sign: "none" }
        : null;
  const chips = facet.values.map(value =>
    chip("checkbox", facet.name, value, String(value), true, look(value), event => {
      if (event.target.checked) facet.hidden.delete(value);
      else facet.hidden.add(value);
      update();
    }),
  );
  const all = shown => {
    facet.hidden = new Set(shown ? [] : facet.values);
    for (const input of field.querySelectorAll("input")) input.checked = shown;
    update();
  };
  const both =
    facet.values.length > 3
      ? [
          make("button", { type: "button", class: "plain", onclick: () => all(true) }, "all"),
          make("button", { type: "button", class: "plain", onclick: () => all(false) }, "none"),
        ]
      : null;
  const inner = make("div", { class: "chips" }, chips, both);
  const many = facet.values.length > MOST_CHIPS;
  const field = make(
    "fieldset",
    { class: "facet" },
    make("legend", {}, facet.title),
    many
      ? make("details", {}, make("summary", {}, plural(facet.values.length, facet.title.toLowerCase())), inner)
      : inner,
  );
  return field;
}

/** Times of different devices are no rivals: one device is shown at first. */
function deviceField() {
  const choose = value => () => {
    state.device = value;
    update();
  };
  return make(
    "fieldset",
    { class: "facet" },
    make("legend", {}, "Device"),
    make(
      "div",
      { class: "chips" },
      DATA.devices.map(({ name, emulated }) =>
        chip(
          "radio",
          "device",
          name,
          `${name || "unnamed"}${emulated ? " (emulated)" : ""}`,
          state.device === name,
          null,
          choose(name),
        ),
      ),
      chip("radio", "device", ALL_DEVICES, "all", state.device === ALL_DEVICES, null, choose(ALL_DEVICES)),
    ),
  );
}

function axisField(at, title) {
  const axis = state.axes[at];
  const log = make("input", {
    type: "checkbox",
    "aria-label": `${title}: log scale`,
    onchange: event => {
      axis.log = event.target.checked;
      update();
    },
  });
  axis.box = log;
  const select = make(
    "select",
    {
      "aria-label": title,
      onchange: event => {
        axis.metric = METRIC[event.target.value];
        axis.log = null;
        update();
      },
    },
    MEASURED.map(metric => make("option", { value: metric.name, selected: metric === axis.metric }, metric.title)),
  );
  return make(
    "div",
    { class: "axis-choice" },
    make("label", {}, make("span", {}, title), select),
    make("label", { class: "log" }, log, "log"),
  );
}

function section(id, title, ...children) {
  return make("section", { id, hidden: true }, make("h2", {}, title), ...children);
}

const parts = (() => {
  const facets = shownFacets();
  const count = make("p", { class: "count", role: "status" });
  const reset = make(
    "button",
    {
      type: "button",
      onclick: () => {
        for (const facet of FACETS) facet.hidden.clear();
        for (const input of filters.querySelectorAll("input[type=checkbox]")) input.checked = true;
        update();
      },
    },
    "Show all",
  );
  const fields = [DATA.devices.length > 1 ? deviceField() : null, ...facets.map(facetField)].filter(Boolean);
  const filters = make(
    "details",
    { class: "filters", open: innerWidth >= 720, hidden: !fields.length },
    make("summary", {}, "Filters"),
    make("form", { onsubmit: event => event.preventDefault() }, fields),
  );
  const axes = make("div", { class: "axes" }, axisField(1, "Up"), axisField(0, "Across"));
  const place = make("div", { class: "plot" });
  const caption = make("figcaption", { class: "note" });
  const figure = make("figure", {}, place, caption);
  const nothing = make("p", { class: "nothing", hidden: true });
  const details = make("section", { id: "details", class: "details", hidden: true, "aria-live": "polite" });
  const distributions = section(
    "distributions",
    "How the times are distributed",
    make(
      "p",
      { class: "note" },
      "Each fine line is a fortieth of a run\u2019s inferences, the box the middle half, the bold line the median. " +
        "The slowest fortieth is told by its longest time alone.",
    ),
  );
  const accuracy = section("accuracy", "Accuracy against float");
  const accuracyNote = make("p", { class: "note" });
  accuracy.append(accuracyNote);
  const operators = section("operators", "Operators");
  const states = section(
    "states",
    "The device over time",
    make(
      "p",
      { class: "note" },
      "Before and after each run or launch. A p50 that moves with temperature or frequency tells of the device.",
    ),
  );
  const everyRun = section("every-run", "Every run");
  const drawn = document.getElementById("drawn");
  drawn.append(
    filters,
    make("div", { class: "above" }, axes, make("div", { class: "status" }, count, reset)),
    nothing,
    figure,
    details,
    everyRun,
    distributions,
    accuracy,
    operators,
    states,
  );
  drawn.hidden = false;
  return {
    count,
    reset,
    figure,
    place,
    caption,
    nothing,
    details,
    distributions,
    accuracy,
    accuracyNote,
    operators,
    states,
    everyRun,
  };
})();

const lossMetric = told(METRIC.drop) ? METRIC.drop : METRIC.top1;
const picture = new Picture(parts.place, select);
const table = new Table(parts.everyRun, select);
const distributions = new Rows(parts.distributions, distributionChart);
const accuracy = new Rows(parts.accuracy, (runs, width) => accuracyChart(runs, width, lossMetric));
const operators = new Operators(parts.operators);
const states = new States(parts.states);

function select(run) {
  state.selected = run;
  picture.mark(run);
  showDetails(run);
  operators.show(run);
  for (const row of table.body.rows) row.classList.toggle("selected", RUNS[row.dataset.at] === run);
  table.selected = run;
  drawStates();
}

function showDetails(run) {
  parts.details.hidden = !run;
  if (!run) return;
  const pair = (term, text) => (text ? [make("dt", {}, term), make("dd", {}, text)] : []);
  const launches = DATA.launches[run.position];
  const figures = METRICS.filter(metric => (run[metric.name] ?? null) !== null).map(metric =>
    pair(metric.title, written(run, metric)),
  );
  const facts = [
    pair("device", run.device && run.device + (run.emulated ? " (emulated: its times are those of no device)" : "")),
    pair("model", run.model),
    pair("engine", [run.engine, run.engine_version].filter(Boolean).join(" ")),
    pair("threads", run.threads === null ? "" : String(run.threads)),
    pair("batch", run.batch ? String(run.batch) : ""),
    pair("options", run.options),
    pair("inferences timed", run.samples ? grouped(run.samples) : ""),
    pair("images counted", run.images ? grouped(run.images) : ""),
    pair(
      "p50 of each launch",
      launches ? `${launches.map(value => (value === null ? MISSING : significant(value))).join(", ")} ms` : "",
    ),
    pair("measured", run.reused ? "before this sweep" : ""),
    pair("file", run.file),
    pair("sha256", run.sha256 && `${run.sha256}\u2026`),
    pair("run", run.id),
  ];
  const sentences = [
    run.error && `Failed: ${run.error}`,
    run.invalid && "Not valid: its figures must not be used.",
    ...(run.warnings ?? []).map(at => DATA.words.warnings[at]),
  ].filter(Boolean);
  parts.details.replaceChildren(
    make(
      "h3",
      {},
      swatch(lookOf(run), run.invalid),
      `${run.position} ${nameOf(run, true)}`,
      make("button", { type: "button", class: "plain", onclick: () => select(null) }, "close"),
    ),
    make("div", { class: "columns" }, make("dl", {}, figures), make("dl", {}, facts)),
    sentences.length
      ? make(
          "ul",
          { class: "sentences" },
          sentences.map(text => make("li", {}, text)),
        )
      : "",
  );
}

function drawStates() {
  const devices = state.device === ALL_DEVICES ? DATA.devices.map(device => device.name) : [state.device];
  states.draw(new Set(devices), state.selected);
}

function captionOf(runs, drawn, front) {
  const [across, up] = state.axes.map(axis => axis.metric);
  const side = (metric, less, more) => (metric.better < 0 ? less : more);
  const ofDevice = DATA.devices.length > 1 ? " of the same device" : "";
  const ringed = front.size === 1 ? "is the one run" : `are the ${grouped(front.size)} runs`;
  const absent = runs.length - drawn.length;
  const reference = up.name === "top1" ? referenceOf(drawn) : null;
  const sentences = [
    `Better lies ${side(across, "left", "right")} and ${side(up, "down", "up")}.`,
    drawn.length <= MOST_BARRED
      ? "Bars are 95 % intervals, hidden behind the mark where they are shorter than it."
      : "Bars, the 95 % intervals, are drawn for the front and for the run that is pointed at.",
    `Ringed ${ringed} on the front: no other of them${ofDevice} is shown to be better in one of the two figures and no`,
    "worse in the other. Where intervals overlap, these measurements put no run before the other; the line goes by",
    "the figures alone.",
    reference ? `The dashed line is ${reference.name}, ${percent(reference.top1)} %.` : "",
    up.name === "drop" ? "The dashed line is the float model." : "",
    drawn.length > MOST_SIZED ? "Marks of so many runs are of one size." : "",
    absent ? `${plural(absent, "run")} without both figures ${absent === 1 ? "is" : "are"} in the table only.` : "",
  ];
  return sentences.filter(Boolean).join(" ");
}

/** Draw everything again for the filters and axes as they are. */
function update() {
  const runs = passing();
  const metrics = state.axes.map(axis => axis.metric);
  const drawn = runs.filter(
    run => !run.error && metrics.every(metric => metric && (run[metric.name] ?? null) !== null),
  );
  parts.count.textContent =
    runs.length === RUNS.length
      ? plural(RUNS.length, "run")
      : `${grouped(runs.length)} of ${plural(RUNS.length, "run")}`;
  parts.reset.hidden = !FACETS.some(facet => facet.hidden.size);
  parts.figure.hidden = !drawn.length;
  parts.nothing.hidden = drawn.length > 0;
  parts.nothing.textContent = runs.length
    ? "No run has both figures, so there is no picture."
    : "No run passes the filters.";
  if (state.selected && !runs.includes(state.selected)) {
    state.selected = null;
    showDetails(null);
  }
  const front = drawn.length ? frontOf(drawn, metrics) : new Set();
  if (drawn.length) {
    picture.selected = state.selected;
    picture.draw(drawn, front, state.axes);
    parts.caption.textContent = captionOf(runs, drawn, front);
    picture.axes.forEach((axis, at) => {
      const log = picture.logs[at];
      axis.box.checked = log.log;
      axis.box.disabled = !log.possible;
    });
  }
  parts.everyRun.hidden = !runs.length;
  table.draw(runs, state.selected);
  // Runs of the front come first where only some are shown.
  const ordered = [...runs].sort((a, b) => front.has(b) - front.has(a));
  distributions.draw(ordered.filter(run => run.quantiles && run.p50 && !run.error));
  accuracy.draw(differentlyAccurate(ordered, lossMetric));
  parts.accuracyNote.textContent =
    lossMetric === METRIC.drop
      ? "Counted image by image on the same images, with 95 % intervals: one that holds 0 shows no loss."
      : "With 95 % intervals.";
  operators.draw();
  drawStates();
}

let drawnWidth = 0;
new ResizeObserver(() => {
  if (parts.everyRun.parentElement.clientWidth !== drawnWidth) {
    drawnWidth = parts.everyRun.parentElement.clientWidth;
    update();
  }
}).observe(parts.everyRun.parentElement);
document.documentElement.classList.add("ready");
