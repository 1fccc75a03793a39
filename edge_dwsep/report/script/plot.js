// What a picture is made of besides its marks: axes, the legend of sizes, bars, and the steps of the front.

const FRONT_DASHES = ["", "7 4", "2 3", "10 3 2 3"];

/** The scale of an axis, for the figures of `runs` and the intervals of `barred`; it knows its metric and unit. */
function axisScale({ metric, log }, runs, barred, [start, end], padding, most) {
  const values = runs.map(run => run[metric.name]);
  const ends = metric.exact ? [] : barred.flatMap(run => bounds(run, metric.name) ?? []);
  const level =
    metric.name === "drop" ? [0] : metric.name === "top1" && referenceOf(runs) ? [referenceOf(runs).top1] : [];
  const every = [...values, ...ends, ...level];
  let [low, high] = [Infinity, -Infinity];
  for (const value of every) [low, high] = [Math.min(low, value), Math.max(high, value)];
  const [, factor, unit] = metric.units.findLast(([from]) => high >= from) ?? metric.units[0];
  let [least, greatest] = [Infinity, -Infinity];
  for (const value of values) [least, greatest] = [Math.min(least, value), Math.max(greatest, value)];
  const possible = !metric.share && low > 0;
  const logarithmic = possible && (log ?? greatest / least > 3);
  const scale = makeScale({
    low: low * factor,
    high: high * factor,
    start,
    end,
    padding,
    log: logarithmic,
    most,
    least: metric.share ? 1 : 0.1 * greatest * factor || 1,
    limits: metric.name === "drop" ? [-100, 100] : metric.share ? [0, 100] : [0, Infinity],
  });
  return Object.assign(value => scale(value), {
    ticks: scale.ticks,
    log: logarithmic,
    possible,
    metric,
    unit,
    of: run => factor * run[metric.name],
    interval: run => (metric.exact ? null : (bounds(run, metric.name)?.map(value => factor * value) ?? null)),
    level: value => factor * value,
  });
}

/** The float model, where all runs are of one. */
function referenceOf(runs) {
  const references = new Set(runs.map(run => MODELS[run.model ?? ""]?.reference).filter(Boolean));
  return references.size === 1 ? [...references][0] : null;
}

function axisParts(across, up, frame, height, font) {
  const parts = [];
  for (const [value, text] of up.ticks) {
    const y = short(up(value));
    parts.push(
      draw("path", { class: "grid", d: `M${frame.left} ${y}H${frame.right}` }),
      draw("text", { class: "tick", x: frame.left - 8, y: y + 0.3 * font, "text-anchor": "end" }, text),
    );
  }
  for (const [value, text] of across.ticks) {
    const x = short(across(value));
    parts.push(
      draw("path", { class: "grid", d: `M${x} ${frame.top}V${frame.bottom}` }),
      draw("text", { class: "tick", x, y: frame.bottom + font + 7, "text-anchor": "middle" }, text),
    );
  }
  const title = scale => `${scale.metric.title}, ${scale.unit}${scale.log ? ", log scale" : ""}`;
  parts.push(
    draw("path", { class: "axis", d: `M${frame.left} ${frame.top}V${frame.bottom}H${frame.right}` }),
    draw(
      "text",
      { class: "title", x: (frame.left + frame.right) / 2, y: height - 8, "text-anchor": "middle" },
      title(across),
    ),
    // Upright words above the axis are read faster than a title on its side, and leave more of a small screen.
    draw("text", { class: "title", x: 0, y: frame.top - 12 }, title(up)),
  );
  return parts;
}

function sizeLegend(runs, perByte, frame, largest, font) {
  const sizes = runs.map(run => run.size).filter(Boolean);
  const parts = [];
  let x = frame.right;
  const y = largest + 4;
  for (const size of roundSizes(Math.min(...sizes), Math.max(...sizes)).reverse()) {
    const text = bytes(size).replace(/\.0+ /, " ");
    const radius = Math.sqrt((size * perByte) / Math.PI);
    x -= textWidth(text, font);
    parts.push(draw("text", { class: "tick", x: short(x), y: y + 0.3 * font }, text));
    x -= radius + 6;
    parts.push(draw("circle", { class: "sample", cx: short(x), cy: y, r: short(radius) }));
    x -= radius + 14;
  }
  parts.push(draw("text", { class: "tick", x: short(x), y: y + 0.3 * font, "text-anchor": "end" }, "File size:"));
  return [draw("g", { class: "sizes" }, parts)];
}

/** Intervals of a point as flat boxes, in pixels. */
function barsOf({ run, x, y }, across, up) {
  const bars = [];
  const [wide, high] = [across.interval(run), up.interval(run)];
  if (wide && !(across.log && wide[0] <= 0)) {
    const [left, right] = wide.map(across);
    bars.push({ left, right, top: y, bottom: y });
  }
  if (high && !(up.log && high[0] <= 0)) {
    const [bottom, top] = high.map(up);
    bars.push({ left: x, right: x, top, bottom });
  }
  return bars;
}

function barParts({ run, bars }) {
  return bars.map(bar =>
    draw("path", {
      class: "bar",
      "data-run": run.position,
      d: `M${short(bar.left)} ${short(bar.top)}L${short(bar.right)} ${short(bar.bottom)}`,
    }),
  );
}

/** For each device the steps of what its runs reach, by their figures as measured; added to `lines`, too. */
function frontLines(runs, across, up, frame, font, lines) {
  const devices = [...new Set(runs.map(run => run.device))];
  return devices.flatMap((device, at) => {
    const ours = staircase(
      runs.filter(run => run.device === device && run.usable),
      [across.metric, up.metric],
    );
    if (!ours.length) return [];
    const worst = [
      across.metric.better < 0 ? frame.right : frame.left,
      up.metric.better < 0 ? frame.top : frame.bottom,
    ];
    const corners = [[across(across.of(ours[0])), worst[1]]];
    for (const run of ours) {
      const x = across(across.of(run));
      corners.push([x, corners.at(-1)[1]], [x, up(up.of(run))]);
    }
    corners.push([worst[0], corners.at(-1)[1]]);
    for (const [at, [x, y]] of corners.slice(1).entries()) {
      const [x0, y0] = corners[at];
      lines.push({
        left: Math.min(x, x0),
        right: Math.max(x, x0),
        top: Math.min(y, y0),
        bottom: Math.max(y, y0),
      });
    }
    const path = `M${corners.map(corner => corner.map(short).join(" ")).join("L")}`;
    // Named where the line begins, at the edge: one below the other, for lines may begin at one place.
    const begin = Math.min(corners[0][0] + 6, frame.right - textWidth(device, font));
    const y = worst[1] === frame.bottom ? frame.bottom - 8 - at * (font + 3) : frame.top + font + at * (font + 3);
    const name =
      devices.length > 1
        ? [draw("text", { class: "device-name", x: short(begin), y: short(y), "font-size": font - 1 }, device)]
        : [];
    return [draw("path", { class: "front-line", d: path, "stroke-dasharray": FRONT_DASHES[at % 4] || null }), ...name];
  });
}
