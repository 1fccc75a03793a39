// One figure against another: a mark for each run, bars for the intervals, the front, and what a pointer is told.

const MOST_NAMED = 16;
const MOST_BARRED = 60;
const MOST_SIZED = 300;

/** Radius of the largest mark; a crowd has smaller ones. */
const largestRadius = (count, narrow) =>
  [
    [16, narrow ? 12 : 16],
    [60, 11],
    [300, 8],
    [1500, 5.5],
    [Infinity, 4.5],
  ].find(([most]) => count <= most)[1];

class Picture {
  /** Draws into `figure`; `onSelect` is told the run that was chosen, or null. */
  constructor(figure, onSelect) {
    this.figure = figure;
    this.onSelect = onSelect;
    this.points = [];
    this.pointed = null;
    this.selected = null;
    this.svg = draw("svg", {
      class: "picture",
      tabindex: 0,
      role: "img",
      "aria-describedby": "picture-keys",
      onpointermove: event => this.point(this.nearest(event)),
      onpointerleave: () => this.point(null),
      onpointerdown: event => this.point(this.nearest(event)),
      onclick: event => this.onSelect(this.nearest(event)?.run ?? null),
      onkeydown: event => this.key(event),
      onblur: () => this.point(null),
    });
    this.tip = make("div", { class: "tip", role: "tooltip", hidden: true });
    this.said = make("p", { class: "unseen", "aria-live": "polite" });
    this.key_ = make("ol", { class: "key" });
    const keys = "Arrow keys go from mark to mark, Enter tells more of one, Escape closes that.";
    figure.append(this.svg, make("p", { class: "unseen", id: "picture-keys" }, keys), this.tip, this.key_, this.said);
  }

  /** Draw runs that have both figures of `axes`, an array of two {metric, log}; `log` null decides by their range. */
  draw(runs, front, axes) {
    this.front = front;
    this.axes = axes;
    const width = Math.max(280, this.figure.clientWidth);
    const narrow = (this.narrow = width < 640);
    const font = narrow ? 13 : 15;
    const height = narrow ? 430 : Math.min(600, Math.max(440, 0.57 * width));
    const largest = largestRadius(runs.length, narrow);
    const frame = { left: narrow ? 46 : 56, right: width - 14, top: narrow ? 70 : 54, bottom: height - 56 };
    const sized =
      runs.length <= MOST_SIZED && runs.some(run => run.size) && !axes.some(axis => axis.metric.name === "size");
    const barred = runs.length <= MOST_BARRED;
    const [across, up] = axes.map((axis, at) =>
      axisScale(
        axis,
        runs,
        barred ? runs : [...front],
        at ? [frame.bottom, frame.top] : [frame.left, frame.right],
        largest + 8,
        narrow ? (at ? 7 : 5) : 8,
      ),
    );
    this.logs = [across, up];
    const perByte = sized ? (Math.PI * largest ** 2) / Math.max(...runs.map(run => run.size ?? 0)) : 0;
    this.points = runs.map(run => {
      const [x, y] = [across(across.of(run)), up(up.of(run))];
      const of = runs.length > MOST_SIZED && front.has(run) ? 2 : 1;
      const area =
        sized && run.size ? Math.max(16, run.size * perByte) : Math.PI * (sized ? 36 : 0.7 * of * largest ** 2);
      const look = lookOf(run);
      return {
        run,
        x,
        y,
        area,
        look,
        radius: 0.95 * circumradius(look.shape, area) + 1,
        bars: [],
        sized: sized && run.size,
      };
    });
    for (const point of this.points) point.bars = barred || front.has(point.run) ? barsOf(point, across, up) : [];
    this.points.sort((a, b) => front.has(a.run) - front.has(b.run) || b.area - a.area);
    const reference = this.reference(runs, up, frame);
    this.lines = reference.length
      ? [{ left: frame.left, right: frame.right, top: up(this.referenceLevel), bottom: up(this.referenceLevel) }]
      : [];
    const steps = frontLines(runs, across, up, frame, font, this.lines);
    const parts = [
      axisParts(across, up, frame, height, font),
      reference,
      sized ? sizeLegend(runs, perByte, frame, largest, font) : [],
      steps,
      this.points.map(point => barParts(point)),
      this.marks(),
      this.labels(runs, frame, font, narrow),
    ];
    this.over = draw("g", { class: "over" });
    fill(
      this.svg,
      {
        viewBox: `0 0 ${width} ${height}`,
        width,
        height,
        "font-size": font,
        "data-scales": `${across.log ? "log" : "linear"} ${up.log ? "log" : "linear"}`,
        "aria-label":
          `${axes[1].metric.title} against ${axes[0].metric.title} of ${plural(runs.length, "run")}, ` +
          `${front.size} on the front; the table has the figures`,
      },
      [],
    );
    this.svg.replaceChildren(...parts.flat(3), this.over);
    this.points.sort((a, b) => a.x - b.x || a.y - b.y);
    this.pointed = null;
    this.tip.hidden = true;
    this.mark(this.selected);
  }

  reference(runs, up, frame) {
    const found = referenceOf(runs);
    const name = up.metric.name;
    if (name !== "drop" && !(name === "top1" && found)) return [];
    this.referenceLevel = up.level(name === "drop" ? 0 : found.top1);
    const y = short(up(this.referenceLevel));
    return [draw("path", { class: "reference", d: `M${frame.left} ${y}H${frame.right}` })];
  }

  /** Neighbors in the order of drawing that look alike are one path: thousands of marks are a few elements. */
  marks() {
    const crowded = this.points.length > MOST_SIZED;
    const order = crowded
      ? [...this.points].sort(
          (a, b) =>
            this.front.has(a.run) - this.front.has(b.run) ||
            a.look.color.localeCompare(b.look.color) ||
            a.look.shape.localeCompare(b.look.shape),
        )
      : this.points;
    const parts = [];
    let last = null;
    for (const point of order) {
      const on = this.front.has(point.run);
      const classes = [
        "mark",
        !point.run.usable && "invalid",
        crowded && !on && "crowded",
        !point.sized && !crowded && this.points.some(other => other.sized) && "hollow",
        on && "front",
      ]
        .filter(Boolean)
        .join(" ");
      const key = crowded ? `${classes} ${point.look.color} ${point.look.shape}` : String(point.run.position);
      if (last?.key !== key) {
        last = {
          key,
          classes,
          color: point.look.color,
          shapes: [],
          signs: [],
          run: crowded ? null : point.run.position,
        };
        parts.push(last);
      }
      last.shapes.push(shapePath(point.look.shape, point.x, point.y, point.area));
      if (point.area > 40) last.signs.push(signPath(point.look.sign, point.x, point.y, point.area));
    }
    const halo = this.points
      .filter(point => this.front.has(point.run))
      .map(point => shapePath("circle", point.x, point.y, Math.PI * (point.radius + 2.5) ** 2))
      .join("");
    return [
      draw("path", { class: "halo", d: halo }),
      ...parts.map(part => [
        draw("path", { class: part.classes, d: part.shapes.join(""), fill: part.color, "data-run": part.run }),
        draw("path", { class: `sign${part.classes.includes("crowded") ? " crowded" : ""}`, d: part.signs.join("") }),
      ]),
    ];
  }

  /** Names of a few runs, numbers where they would not fit; of many runs, of the front alone. */
  labels(runs, frame, font, narrow) {
    const all = runs.length <= MOST_NAMED;
    const named = this.points.filter(point => all || this.front.has(point.run));
    if (named.length > 2 * MOST_NAMED) {
      this.key_.replaceChildren();
      return [];
    }
    const several = new Set(runs.map(run => run.device)).size > 1;
    const numbered = narrow || named.length > MOST_NAMED;
    for (const point of named) {
      const name = nameOf(point.run, several);
      point.label = numbered ? String(point.run.position) : name.length > 60 ? `${name.slice(0, 59)}\u2026` : name;
      point.width = textWidth(point.label, font) + 2;
      point.height = font + 2;
    }
    const crowd = this.points.length <= MOST_SIZED ? this.points.filter(point => !named.includes(point)) : [];
    const found = placeLabels(
      named,
      crowd,
      { left: frame.left + 3, right: frame.right - 2, top: frame.top + 2, bottom: frame.bottom - 3 },
      this.lines,
    );
    this.key_.replaceChildren(
      ...(numbered ? [...named].sort((a, b) => a.run.position - b.run.position) : []).map(point =>
        make(
          "li",
          {},
          make("b", {}, String(point.run.position)),
          swatch(point.look),
          make("span", {}, nameOf(point.run, several)),
        ),
      ),
    );
    return named.map((point, at) => {
      const place = found[at];
      if (!place) return [];
      const { box, line, far } = place;
      const [x, anchor] =
        box.left >= point.x
          ? [box.left, "start"]
          : box.right <= point.x
            ? [box.right, "end"]
            : [(box.left + box.right) / 2, "middle"];
      return [
        far
          ? draw("path", { class: "leader", d: `M${line.slice(0, 2).map(short)}L${line.slice(2).map(short)}` })
          : null,
        draw(
          "text",
          {
            class: "label",
            x: short(x),
            y: short((box.top + box.bottom) / 2 + 0.3 * point.height),
            "text-anchor": anchor,
          },
          point.label,
        ),
      ].filter(Boolean);
    });
  }

  nearest(event) {
    const box = this.svg.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    let [best, least] = [null, Infinity];
    for (const point of this.points) {
      const distance = Math.hypot(point.x - x, point.y - y) - point.radius;
      if (distance < least) [best, least] = [point, distance];
    }
    return least <= 24 ? best : null;
  }

  /** Tell of a run what is to be known of it, beside its mark. */
  point(point) {
    if (point?.run === this.pointed?.run) return;
    this.pointed = point;
    this.mark(this.selected);
    this.tip.hidden = !point;
    if (!point) return;
    // A phone has no room for all of them; they are told below the picture when a mark is touched.
    const metrics = this.narrow ? this.axes.map(axis => axis.metric) : METRICS.filter(metric => metric.name !== "macs");
    const rows = metrics
      .filter(metric => (point.run[metric.name] ?? null) !== null)
      .map(metric => [make("dt", {}, metric.title), make("dd", {}, written(point.run, metric))]);
    this.tip.replaceChildren(
      make(
        "p",
        {},
        swatch(point.look, point.run.invalid),
        make("b", {}, `${point.run.position} ${nameOf(point.run, true)}`),
      ),
      make("dl", {}, rows),
      ...(point.run.invalid ? [make("p", { class: "error" }, "Not valid: its figures must not be used.")] : []),
    );
    const width = this.figure.clientWidth,
      own = this.tip.offsetWidth;
    const below = point.y + point.radius + 12;
    const fits = below + this.tip.offsetHeight <= this.svg.height.baseVal.value - 4;
    this.tip.style.left = `${Math.max(0, Math.min(width - own, point.x - own / 2))}px`;
    this.tip.style.top = `${fits ? below : Math.max(0, point.y - point.radius - 12 - this.tip.offsetHeight)}px`;
  }

  /** Set off a selected run, and the one that is pointed at. */
  mark(selected) {
    this.selected = selected;
    const shown = new Set([this.points.find(point => point.run === selected), this.pointed].filter(Boolean));
    this.over?.replaceChildren(
      ...[...shown].flatMap(point => [
        ...(this.pointed === point ? point.bars : []).map(bar =>
          draw("path", {
            class: "bar strong",
            d: `M${short(bar.left)} ${short(bar.top)}L${short(bar.right)} ${short(bar.bottom)}`,
          }),
        ),
        draw("circle", { class: "ring", cx: short(point.x), cy: short(point.y), r: short(point.radius + 6) }),
        draw("path", {
          class: "mark pointed",
          d: shapePath(point.look.shape, point.x, point.y, point.area),
          fill: point.look.color,
        }),
        draw("path", { class: "sign", d: signPath(point.look.sign, point.x, point.y, point.area) }),
      ]),
    );
  }

  key(event) {
    const at = this.points.indexOf(this.pointed);
    const last = this.points.length - 1;
    const next = {
      ArrowRight: Math.min(last, at + 1),
      ArrowLeft: at < 0 ? last : Math.max(0, at - 1),
      Home: 0,
      End: last,
    }[event.key];
    if (next !== undefined && last >= 0) {
      this.point(this.points[next]);
      const run = this.points[next].run;
      this.said.textContent = `Run ${run.position}, ${nameOf(run, true)}: ${this.axes
        .map(({ metric }) => `${metric.title} ${written(run, metric)}`)
        .join(", ")}${this.front.has(run) ? ", on the front" : ""}`;
    } else if (event.key === "Enter" || event.key === " ") this.onSelect(this.pointed?.run ?? null);
    else if (event.key === "Escape") {
      this.point(null);
      this.onSelect(null);
    } else return;
    event.preventDefault();
  }
}
