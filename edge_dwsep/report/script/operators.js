// What each operator of a run takes.

/** The section's chart of one run, in the order of execution, and the sums of each kind below it. */
function operatorChart(run, width) {
  const { whole, rows } = DATA.operators[run.position];
  const name = index => DATA.operator_names[index];
  const told = rows.map(([title, type, kind, time, low, high, macs, sure], at) => ({
    label: `${at} ${name(title)}`,
    type: name(type),
    kind: name(kind),
    time,
    low: low ?? time,
    high: high ?? time,
    macs,
    sure,
  }));
  const sums = new Map();
  for (const one of told) sums.set(one.kind, (sums.get(one.kind) ?? 0) + one.time);
  const high = Math.max(...told.map(one => one.high));
  const share = time => `${((100 * time) / whole).toFixed(1)} %`;
  const chart = rowChart({
    width,
    title: "time, \u00b5s",
    described: `Time of each operator of ${nameOf(run, true)}`,
    zero: 0,
    scaleOf: (start, end) =>
      makeScale({
        low: Math.min(0, ...told.map(one => one.low)),
        high,
        start,
        end,
        padding: 4,
        least: 0.001,
        most: width < 640 ? 5 : 8,
      }),
    rows: told.map(one => ({
      label: one.label,
      text: `${one.type}  ${duration(one.time)}, ${share(one.time)}`,
      draw: (scale, y) => {
        const [from, to] = [scale(Math.min(0, one.time)), scale(Math.max(0, one.time))].map(short);
        return [
          draw("rect", {
            class: `operator${one.sure ? "" : " unsure"}`,
            x: from,
            y: y - 7,
            width: Math.max(0.5, short(to - from)),
            height: 14,
          }),
          draw("path", { class: "interval", d: `M${short(scale(one.low))} ${y}H${short(scale(one.high))}` }),
        ];
      },
    })),
  });
  const kinds = [...sums]
    .sort((a, b) => b[1] - a[1])
    .map(([kind, time]) => `${kind} ${share(time)}`)
    .join(", ");
  return [make("p", {}, `Of ${duration(whole)}: ${kinds}.`), chart];
}

class Operators {
  constructor(section) {
    this.runs = RUNS.filter(run => DATA.operators[run.position]);
    section.hidden = !this.runs.length;
    if (!this.runs.length) return;
    this.section = section;
    this.choice = make(
      "select",
      { onchange: () => this.draw() },
      this.runs.map(run => make("option", { value: run.position }, `${run.position} ${nameOf(run, true)}`)),
    );
    this.place = make("div", { class: "chart-place" });
    const left = DATA.operators_left_out;
    section.append(
      make("label", { class: "choice" }, "Run ", this.choice),
      this.place,
      make(
        "p",
        { class: "note" },
        "Bars are the shortest times of a device left alone, lines 95 % intervals. Hollow bars may be 0." +
          (left ? ` The operators of ${plural(left, "more run")} are in the results.` : ""),
      ),
    );
  }

  /** Show a run's operators, if it has any. */
  show(run) {
    if (this.section && DATA.operators[run?.position]) this.choice.value = run.position;
    this.draw();
  }

  draw() {
    if (!this.section) return;
    const run = this.runs.find(one => String(one.position) === this.choice.value);
    this.place.replaceChildren(...operatorChart(run, Math.max(280, this.section.clientWidth)));
  }
}
