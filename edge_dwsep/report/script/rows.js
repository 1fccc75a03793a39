// Charts of a row for each run: how its times are distributed, and what it loses against the float model.

const ROW_FONT = 13;
const FIRST_ROWS = 16;

/**
 * A chart of rows that share one axis.
 *
 * `rows` have a label, a text for the right edge, an optional look, and `draw(x, y, height)`, which gives elements; the
 * scale is made by `scaleOf(start, end)`.
 */
function rowChart({ width, rows, scaleOf, title, described, zero = null }) {
  const narrow = width < 640;
  const pad = rows.some(row => row.look) ? 24 : 0;
  const labelWidth = narrow
    ? 0
    : Math.min(0.4 * width, pad + 14 + Math.max(...rows.map(row => textWidth(row.label, ROW_FONT))));
  const textRoom = 12 + Math.max(...rows.map(row => textWidth(row.text, ROW_FONT)));
  const [start, end] = [labelWidth + 4, width - (narrow ? 8 : textRoom)];
  const step = narrow ? 46 : 26;
  const bottom = 8 + rows.length * step;
  const scale = scaleOf(start, end);
  const parts = [];
  for (const [value, text] of scale.ticks) {
    const x = short(scale(value));
    parts.push(
      draw("path", { class: "grid", d: `M${x} 4V${bottom}` }),
      draw("text", { class: "tick", x, y: bottom + 18, "text-anchor": "middle" }, text),
    );
  }
  if (zero !== null) parts.push(draw("path", { class: "reference", d: `M${short(scale(zero))} 4V${bottom}` }));
  parts.push(
    draw("path", { class: "axis", d: `M${start} ${bottom}H${end}` }),
    draw("text", { class: "title", x: (start + end) / 2, y: bottom + 40, "text-anchor": "middle" }, title),
  );
  rows.forEach((row, at) => {
    const top = 8 + at * step;
    const y = narrow ? top + 31 : top + step / 2;
    const labelY = narrow ? top + 14 : y + 0.34 * ROW_FONT;
    const room = narrow ? width - textRoom - pad : labelWidth - pad - 8;
    const mark = row.look ? swatch(row.look) : null;
    if (mark) fill(mark, { x: 0, y: labelY - 13.5 }, []);
    parts.push(
      draw(
        "g",
        { class: "row", "data-run": row.run?.position },
        mark,
        draw(
          "text",
          { class: "name", x: pad, y: labelY },
          fitting(row.label, room, ROW_FONT),
          draw("title", {}, row.label),
        ),
        draw("text", { class: "figure", x: width, y: labelY, "text-anchor": "end" }, row.text),
        row.draw(scale, y),
      ),
    );
  });
  const height = bottom + 48;
  return chart(width, height, described, parts);
}

const showMore = (next, all) =>
  next < all ? `Show ${grouped(next)} of ${plural(all, "run")}` : `Show all ${plural(all, "run")}`;

/** A list that shows its first rows, and the rest when it is asked to. */
class Rows {
  constructor(section, chart) {
    this.section = section;
    this.chart = chart;
    this.shown = FIRST_ROWS;
    this.place = make("div", { class: "chart-place" });
    this.more = make("button", {
      type: "button",
      onclick: () => {
        this.shown *= 4;
        this.draw(this.runs);
      },
    });
    section.append(this.place, this.more);
  }

  draw(runs) {
    this.runs = runs;
    this.section.hidden = !runs.length;
    if (!runs.length) return;
    const shown = runs.slice(0, this.shown);
    this.place.replaceChildren(this.chart(shown, Math.max(280, this.section.clientWidth)));
    this.more.hidden = shown.length === runs.length;
    this.more.textContent = showMore(this.shown * 4, runs.length);
  }
}

const severalDevices = runs => new Set(runs.map(run => run.device)).size > 1;

/** Every fortieth of a run's times, the middle half as a box, the median as a bold line. */
function distributionChart(runs, width) {
  const at = (run, quantile) => (run.p50 * run.quantiles[quantile]) / 1000;
  const low = Math.min(...runs.map(run => at(run, 0)));
  const high = Math.max(...runs.map(run => at(run, 39)));
  return rowChart({
    width,
    title: `latency of one inference, ms${high / low > 3 ? ", log scale" : ""}`,
    described: `Distribution of the latency of ${plural(runs.length, "run")}`,
    scaleOf: (start, end) =>
      makeScale({
        low,
        high,
        start,
        end,
        padding: 10,
        log: high / low > 3,
        least: 0.1 * high,
        limits: [0, Infinity],
        most: width < 640 ? 5 : 8,
      }),
    rows: runs.map(run => ({
      run,
      look: lookOf(run),
      label: `${run.position} ${nameOf(run, severalDevices(runs))}`,
      text: `p50 ${significant(run.p50)}, longest ${significant(at(run, 40))}`,
      draw: (scale, y) => {
        const x = quantile => short(scale(at(run, quantile)));
        const ticks = run.quantiles
          .slice(0, 40)
          .map((_, quantile) => `M${x(quantile)} ${y - 5}v10`)
          .join("");
        return [
          draw("path", { class: "reach", d: `M${x(0)} ${y}H${x(39)}` }),
          draw("path", { class: "fortieth", d: ticks }),
          draw("rect", { class: "half", x: x(10), y: y - 6, width: short(Math.max(1, x(30) - x(10))), height: 12 }),
          draw("path", { class: "median", d: `M${x(20)} ${y - 8}v16` }),
        ];
      },
    })),
  });
}

/** What runs lose against the float model, or, where that is not known image by image, how often they are right. */
function accuracyChart(runs, width, metric) {
  const ends = runs.flatMap(run => bounds(run, metric.name) ?? [run[metric.name]]);
  const values = [...ends, ...runs.map(run => run[metric.name]), ...(metric.name === "drop" ? [0] : [])].map(
    value => 100 * value,
  );
  const drop = metric.name === "drop";
  return rowChart({
    width,
    zero: drop ? 0 : null,
    title: drop ? "top-1 lost, percentage points" : "top-1 accuracy, %",
    described: `${metric.title} of ${plural(runs.length, "run")}`,
    scaleOf: (start, end) =>
      makeScale({
        low: Math.min(...values),
        high: Math.max(...values),
        start,
        end,
        padding: 10,
        least: 1,
        limits: drop ? [-100, 100] : [0, 100],
        most: width < 640 ? 5 : 8,
      }),
    rows: runs.map(run => ({
      run,
      look: lookOf(run),
      label: `${run.position} ${nameOf(run, severalDevices(runs))}`,
      text: written(run, metric),
      draw: (scale, y) => {
        const interval = bounds(run, metric.name)?.map(value => short(scale(100 * value)));
        const { shape, color, sign } = lookOf(run);
        const x = scale(100 * run[metric.name]);
        return [
          interval
            ? draw("path", {
                class: "interval",
                d: `M${interval[0]} ${y}H${interval[1]}M${interval[0]} ${y - 4}v8M${interval[1]} ${y - 4}v8`,
              })
            : null,
          draw("path", { class: "mark", d: shapePath(shape, x, y, 90), fill: color }),
          draw("path", { class: "sign", d: signPath(sign, x, y, 90) }),
        ].filter(Boolean);
      },
    })),
  });
}

/** Runs that compute the same, for threads do not change what is right, once each. */
function differentlyAccurate(runs, metric) {
  const seen = new Set();
  return runs.filter(run => {
    if ((run[metric.name] ?? null) === null) return false;
    const key = [run.model, run.variant, run.engine, run.device, run.options, run.file, run[metric.name]].join("\n");
    return !seen.has(key) && seen.add(key);
  });
}
