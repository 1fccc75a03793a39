// Every run that passes the filters as a table, in the order of the results or by any of its columns.

const FIRST_TABLE_ROWS = 40;

const TEXT_COLUMNS = [
  ["variant", "Variant", run => run.variant],
  ["device", "Device", run => run.device + (run.emulated ? " (emulated)" : "")],
  ["model", "Model", run => run.model],
  ["engine", "Engine", run => [run.engine, run.engine_version].filter(Boolean).join(" ")],
];
const FIGURE_COLUMNS = [
  ["threads", "Threads"],
  ["batch", "Batch"],
];
const WITH_INTERVAL = new Set(["p50", "throughput", "top1", "drop", "agreement"]);
const TABLE_METRICS = [
  ["size", "File"],
  ["p50", "p50, ms"],
  ["p90", "p90, ms"],
  ["throughput", "Images/s"],
  ["instructions", "Instructions"],
  ["top1", "Top-1, %"],
  ["drop", "Lost, pp"],
  ["agreement", "Same as float, %"],
  ["p99", "p99, ms"],
  ["memory", "Peak memory"],
];

class Table {
  constructor(section, onSelect) {
    this.onSelect = onSelect;
    this.shown = FIRST_TABLE_ROWS;
    this.order = null;
    const texts = TEXT_COLUMNS.filter(([name]) => name === "variant" || name === "engine" || different(name));
    const figures = FIGURE_COLUMNS.filter(([name]) => different(name));
    const metrics = TABLE_METRICS.filter(([name]) => told(METRIC[name]));
    this.columns = [
      { title: "Run", of: run => run.position, cell: run => this.runCell(run) },
      ...texts.map(([name, title, text]) => ({
        title,
        words: true,
        of: text,
        cell: run => this.textCell(name, text(run), run),
      })),
      ...figures.map(([name, title]) => ({
        title,
        of: run => run[name] ?? null,
        cell: run => make("td", {}, String(run[name] ?? MISSING)),
      })),
      ...metrics.map(([name, title]) => ({
        title,
        metric: METRIC[name],
        of: run => run[name] ?? null,
        note: WITH_INTERVAL.has(name) && RUNS.some(run => bounds(run, name)) ? "95 % interval" : "",
        cell: run => this.figureCell(run, METRIC[name]),
      })),
    ];
    this.body = make("tbody");
    this.heads = this.columns.map(column =>
      make(
        "th",
        { scope: "col", class: column.words ? "words" : null },
        make("button", { type: "button", onclick: () => this.sortBy(column) }, column.title),
        column.note ? make("small", {}, column.note) : null,
      ),
    );
    this.table = make("table", { class: "runs" }, make("thead", {}, make("tr", {}, this.heads)), this.body);
    this.more = make("button", {
      type: "button",
      onclick: () => {
        this.shown *= 10;
        this.fill();
      },
    });
    this.back = make(
      "button",
      { type: "button", hidden: true, onclick: () => this.sortBy(null) },
      "In the order of the results",
    );
    section.append(
      make("div", { class: "scroll", role: "region", "aria-label": "Every run", tabindex: 0 }, this.table),
      make("p", { class: "buttons" }, this.more, this.back),
    );
    this.body.addEventListener("click", event => {
      const row = event.target.closest("tr");
      if (row && !getSelection().toString()) this.onSelect(RUNS[row.dataset.at]);
    });
  }

  sortBy(column) {
    const same = column && this.order?.column === column;
    this.order = column && { column, sign: same ? -this.order.sign : column.metric?.better > 0 ? -1 : 1 };
    this.back.hidden = !column;
    this.columns.forEach((one, at) => {
      if (one === column) this.heads[at].setAttribute("aria-sort", this.order.sign > 0 ? "ascending" : "descending");
      else this.heads[at].removeAttribute("aria-sort");
    });
    this.fill();
  }

  draw(runs, selected) {
    this.runs = runs;
    this.selected = selected;
    this.fill();
  }

  fill() {
    let runs = this.runs;
    if (this.order) {
      const {
        column: { of },
        sign,
      } = this.order;
      const compare = (a, b) =>
        typeof a === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
      runs = [...runs].sort((a, b) => {
        const [one, other] = [of(a), of(b)];
        if (one === null || other === null) return (one === null) - (other === null);
        return sign * compare(one, other);
      });
    }
    const shown = runs.slice(0, this.shown);
    this.body.replaceChildren(...shown.map(run => this.row(run)));
    this.more.hidden = shown.length === runs.length;
    this.more.textContent = showMore(this.shown * 10, runs.length);
  }

  row(run) {
    const attributes = {
      "data-at": run.position - RUNS[0].position,
      "data-run": run.position,
      class: run === this.selected ? "selected" : null,
      "aria-selected": run === this.selected ? "true" : null,
    };
    if (!run.error)
      return make(
        "tr",
        attributes,
        this.columns.map(column => column.cell(run)),
      );
    const described = this.columns.filter(column => !column.metric);
    return make(
      "tr",
      attributes,
      described.map(column => column.cell(run)),
      make("td", { class: "words error", colspan: this.columns.length - described.length }, `Failed: ${run.error}`),
    );
  }

  runCell(run) {
    return make(
      "td",
      { class: "number" },
      make("button", { type: "button", "aria-label": `Details of run ${run.position}` }, String(run.position)),
    );
  }

  textCell(name, text, run) {
    if (name !== "variant") return make("td", { class: "words" }, text);
    const tags = [
      run.recommended && "recommended",
      run.front && !run.recommended && "front",
      run.invalid && "not valid",
    ]
      .filter(Boolean)
      .map(tag => make("small", { class: "tag" }, tag));
    return make(
      "th",
      { scope: "row", class: "words" },
      make("span", { class: "entry" }, swatch(lookOf(run), run.invalid), make("span", {}, text), tags),
    );
  }

  figureCell(run, metric) {
    const value = run[metric.name] ?? null;
    if (value === null) return make("td", {}, MISSING);
    const interval = WITH_INTERVAL.has(metric.name) ? bounds(run, metric.name) : null;
    return make(
      "td",
      {},
      metric.write(value),
      interval ? make("span", { class: "interval" }, ` [${interval.map(end => metric.write(end)).join(", ")}]`) : null,
    );
  }
}
