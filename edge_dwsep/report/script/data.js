// The runs of the page, the figures that they have, and how these are written.

const DATA = JSON.parse(document.getElementById("data").textContent);
const MISSING = "\u2013";

/** Three significant digits, as everywhere in edge-dwsep, and no exponent. */
function significant(number, digits = 3) {
  if (number === 0 || !Number.isFinite(number)) return String(number);
  const exponent = Number(number.toExponential(digits - 1).split("e")[1]);
  const decimals = digits - 1 - exponent;
  return decimals >= 0 ? number.toFixed(decimals) : String(Math.round(number / 10 ** -decimals) * 10 ** -decimals);
}

const grouped = number => Math.round(number).toLocaleString("en");
const percent = share => (100 * share).toFixed(1).replace(/^-0\.0$/, "0.0");
const counted = number => (number >= 1e6 ? `${significant(number / 1e6)} M` : grouped(number));

function bytes(number) {
  const unit = ["B", "kB", "MB", "GB"].findIndex((_, at, all) => number < 999.5 * 1000 ** at || at === all.length - 1);
  return unit ? `${significant(number / 1000 ** unit)} ${["B", "kB", "MB", "GB"][unit]}` : `${number} B`;
}

/** A duration that is given in microseconds. */
const duration = time => (Math.abs(time) < 1000 ? `${significant(time)} \u00b5s` : `${significant(time / 1000)} ms`);

const plural = (amount, noun) => `${grouped(amount)} ${noun}${amount === 1 ? "" : "s"}`;

/**
 * What a run is measured by. `better` is -1 where less is better and 1 where more is; `exact` figures need no interval;
 * `time` ones are told apart from a least difference on; `units` are [from which figure on, factor, name] of the axis.
 */
const METRICS = [
  ...["p50", "p90", "p99"].map(name => ({
    name,
    title: `${name} latency`,
    better: -1,
    time: true,
    write: significant,
    suffix: " ms",
    units: [[0, 1, "ms"]],
  })),
  {
    name: "throughput",
    title: "throughput",
    better: 1,
    write: grouped,
    suffix: " images/s",
    units: [[0, 1, "images/s"]],
  },
  {
    name: "size",
    title: "file size",
    better: -1,
    exact: true,
    write: bytes,
    suffix: "",
    units: [
      [0, 1e-3, "kB"],
      [2e6, 1e-6, "MB"],
    ],
  },
  { name: "memory", title: "peak memory", better: -1, exact: true, write: bytes, suffix: "", units: [[0, 1e-6, "MB"]] },
  {
    name: "top1",
    title: "top-1 accuracy",
    better: 1,
    share: true,
    write: percent,
    suffix: " %",
    units: [[0, 100, "%"]],
  },
  {
    name: "drop",
    title: "top-1 lost against float",
    better: -1,
    share: true,
    write: percent,
    suffix: " pp",
    units: [[0, 100, "percentage points"]],
  },
  {
    name: "agreement",
    title: "same as float",
    better: 1,
    share: true,
    write: percent,
    suffix: " %",
    units: [[0, 100, "%"]],
  },
  { name: "macs", title: "MACs", better: -1, exact: true, write: counted, suffix: "", units: [[0, 1e-6, "millions"]] },
  {
    name: "instructions",
    title: "instructions",
    better: -1,
    exact: true,
    write: counted,
    suffix: "",
    units: [[0, 1e-6, "millions"]],
  },
];
const METRIC = Object.fromEntries(METRICS.map(metric => [metric.name, metric]));

const MODELS = Object.fromEntries(DATA.models.map(model => [model.name, model]));
const DEVICES = Object.fromEntries(DATA.devices.map(device => [device.name, device]));

/** Runs as objects, words in place of their numbers; what a run does not tell is null. */
const RUNS = Array.from({ length: DATA.count }, (_, at) => {
  const run = {};
  for (const [name, column] of Object.entries(DATA.runs)) {
    const words = name === "warnings" ? null : DATA.words[name];
    run[name] = words ? words[column[at]] : (column[at] ?? null);
  }
  const model = MODELS[run.model ?? ""];
  run.macs = model?.macs ?? null;
  run.architecture = model?.architecture ?? "";
  run.alpha = model?.alpha ?? null;
  run.resolution = model?.resolution ?? "";
  run.device ??= "";
  run.usable = !run.error && !run.invalid;
  run.quantiles = run.quantiles?.length ? run.quantiles : null;
  return run;
});

const told = metric => RUNS.some(run => (run[metric.name] ?? null) !== null);
const different = name => new Set(RUNS.map(run => run[name])).size > 1;

/** The interval of a figure, or null. */
function bounds(run, name) {
  const low = run[`${name}_low`] ?? null;
  return low === null ? null : [low, run[`${name}_high`]];
}

/** A figure with its unit and interval: "3.10 ms [3.05, 3.16]". */
function written(run, metric) {
  const value = run[metric.name] ?? null;
  if (value === null) return MISSING;
  const interval = metric.exact ? null : bounds(run, metric.name);
  return (
    metric.write(value) + metric.suffix + (interval ? ` [${interval.map(end => metric.write(end)).join(", ")}]` : "")
  );
}

/** What tells a run from the others: variant, and model, engine and threads where there are several. */
const NAME_PARTS = (() => {
  const seen = new Map();
  for (const run of RUNS) {
    if (!seen.has(run.variant)) seen.set(run.variant, new Set());
    seen.get(run.variant).add(run.engine);
  }
  return {
    model: different("model"),
    engine: run => seen.get(run.variant).size > 1,
    threads: different("threads"),
    batch: different("batch"),
    options: different("options"),
    device: different("device"),
  };
})();

/** Words that all models' names end with, "_32_fashion_mnist" of two sizes of one network; each keeps a word at least. */
const MODEL_ENDING = (() => {
  const names = [...new Set(RUNS.map(run => run.model || ""))].map(name => name.split("_").reverse());
  if (names.length < 2) return "";
  const least = Math.min(...names.map(words => words.length)) - 1;
  let alike = 0;
  while (alike < least && names.every(words => words[alike] === names[0][alike])) alike += 1;
  return alike ? `_${names[0].slice(0, alike).reverse().join("_")}` : "";
})();

function nameOf(run, withDevice = false) {
  const model = run.model && MODEL_ENDING ? run.model.slice(0, -MODEL_ENDING.length) : run.model;
  const parts = [NAME_PARTS.model && model, run.variant, NAME_PARTS.engine(run) && run.engine];
  if (NAME_PARTS.threads && run.threads !== null) parts.push(plural(run.threads, "thread"));
  if (NAME_PARTS.batch) parts.push(`batch ${run.batch ?? 1}`);
  if (NAME_PARTS.options && run.options) parts.push(run.options);
  if (NAME_PARTS.device && withDevice) parts.push(run.device);
  return parts.filter(Boolean).join(" \u00b7 ");
}
