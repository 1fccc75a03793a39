// Devices over time: what their sensors said while they were measured, and launches beside the median of their run.

const SENSORS = [
  ["temperature, \u00b0C", 1, 5],
  ["frequency, MHz", 2, 100],
  ["load of a minute", 3, 0.5],
];

/** Charts of one device, one below the other, on one axis of time. */
function stateChart(device, width, selected) {
  const panels = SENSORS.map(([title, column, least]) => ({
    title,
    least,
    rows: device.states.filter(row => row[column] !== null).map(row => [row[0], row[column]]),
  }));
  const launches = device.launches.filter(row => row[1] !== null);
  panels.push({
    title: "p50 of a launch, % of its run\u2019s",
    least: 5,
    dots: true,
    rows: launches.map(([time, ratio, run]) => [time, 100 * ratio, run]),
  });
  const shown = panels.filter(panel => panel.rows.length > 1);
  if (!shown.length) return null;
  const seconds = Math.max(...shown.flatMap(panel => panel.rows.map(row => row[0])));
  const [unit, each] = seconds > 7200 ? ["hours", 3600] : seconds > 120 ? ["minutes", 60] : ["seconds", 1];
  const [start, end] = [56, width - 8];
  const [panelHeight, gap] = [78, 36];
  const time = makeScale({
    low: 0,
    high: seconds / each || 1,
    start,
    end,
    padding: 4,
    least: 0.001,
    limits: [0, Infinity],
    most: width < 640 ? 5 : 10,
  });
  const bottom = shown.length * (panelHeight + gap);
  const parts = [];
  shown.forEach((panel, at) => {
    const top = at * (panelHeight + gap) + gap - 8;
    const values = panel.rows.map(row => row[1]);
    let [low, high] = [Infinity, -Infinity];
    for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
    const scale = makeScale({
      low,
      high,
      start: top + panelHeight,
      end: top,
      padding: 4,
      least: panel.least,
      limits: [0, Infinity],
      most: 3,
    });
    for (const [value, text] of scale.ticks) {
      parts.push(
        draw("path", { class: "grid", d: `M${start} ${short(scale(value))}H${end}` }),
        draw("text", { class: "tick", x: start - 8, y: short(scale(value) + 4), "text-anchor": "end" }, text),
      );
    }
    for (const [value] of time.ticks) {
      parts.push(draw("path", { class: "grid", d: `M${short(time(value))} ${top}v${panelHeight}` }));
    }
    const points = panel.rows.map(([moment, value, run]) => [short(time(moment / each)), short(scale(value)), run]);
    const dot = ([x, y], r) => `M${short(x - r)} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`;
    parts.push(
      draw("text", { class: "title", x: 0, y: top - 8 }, panel.title),
      draw("path", { class: "axis", d: `M${start} ${top}v${panelHeight}H${end}` }),
    );
    if (panel.dots) {
      const own = points.filter(point => point[2] !== null && point[2] === selected?.position);
      parts.push(
        draw("path", { class: "dots", d: points.map(point => dot(point, 2)).join("") }),
        draw("path", { class: "dots own", d: own.map(point => dot(point, 4)).join("") }),
      );
    } else
      parts.push(draw("path", { class: "line", d: `M${points.map(point => `${point[0]} ${point[1]}`).join("L")}` }));
  });
  for (const [value, text] of time.ticks) {
    parts.push(draw("text", { class: "tick", x: short(time(value)), y: bottom + 10, "text-anchor": "middle" }, text));
  }
  parts.push(
    draw(
      "text",
      { class: "title", x: (start + end) / 2, y: bottom + 32, "text-anchor": "middle" },
      `${unit} since the beginning`,
    ),
  );
  const height = bottom + 40;
  const described = `State of ${device.name || "the device"} over time: ${shown.map(panel => panel.title).join(", ")}`;
  return chart(width, height, described, parts);
}

class States {
  constructor(section) {
    this.section = section;
    this.place = make("div", { class: "chart-place" });
    section.append(this.place);
  }

  draw(devices, selected) {
    this.section.hidden = false;
    const width = Math.max(280, this.section.clientWidth);
    const charts = DATA.devices
      .filter(device => devices.has(device.name))
      .map(device => [device, stateChart(device, width, selected)]);
    const shown = charts.filter(([, chart]) => chart);
    this.section.hidden = !shown.length;
    this.place.replaceChildren(
      ...shown.flatMap(([device, chart]) => (DATA.devices.length > 1 ? [make("h3", {}, device.name), chart] : [chart])),
    );
  }
}
