// Axes: from figures to pixels, with ticks at round figures.

function roundStep(width, parts) {
  const power = 10 ** Math.floor(Math.log10(width / parts));
  return power * [1, 2, 5, 10, 20].find(factor => width / (power * factor) <= parts);
}

function linearTicks(low, high, most) {
  const step = roundStep(high - low, most);
  const digits = Math.max(0, -Math.floor(Math.log10(step)));
  const ticks = [];
  for (let at = Math.ceil(low / step - 1e-9); at <= Math.floor(high / step + 1e-9); at++) {
    ticks.push(Number((at * step).toFixed(digits)));
  }
  return ticks.map(value => [value, value.toFixed(digits)]);
}

/** 1, 2 and 5 times powers of ten; more on a short axis, fewer on a long one. */
function logTicks(low, high, most) {
  const between = factors => {
    const ticks = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
      for (const factor of factors) {
        const tick = Number(`${factor}e${power}`);
        if (tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9)) ticks.push(tick);
      }
    }
    return ticks;
  };
  let ticks = between([1, 2, 5]);
  if (ticks.length < 3) ticks = between([1, 1.5, 2, 3, 5, 7]);
  if (ticks.length < 3) return linearTicks(low, high, most);
  if (ticks.length > most) {
    const decades = between([1]);
    ticks = decades.length > 1 ? decades.filter((_, at) => at % Math.ceil(decades.length / most) === 0) : ticks;
  }
  return ticks.map(value => [value, String(value)]);
}

/**
 * A scale for figures from `low` to `high` between the pixels `start` and `end`, with `padding` pixels free at either
 * end. `limits` are figures beyond which there are no ticks, `least` the width in figures that it has at least.
 */
function makeScale({
  low,
  high,
  start,
  end,
  padding = 0,
  log = false,
  least = 0,
  limits = [-Infinity, Infinity],
  most,
}) {
  const map = log ? Math.log : value => value;
  const back = log ? Math.exp : value => value;
  if (!log && high - low < least) [low, high] = [(low + high - least) / 2, (low + high + least) / 2];
  if (log && high / low < 1.02) [low, high] = [low / 1.1, high * 1.1];
  const perPixel = (map(high) - map(low)) / Math.max(1, Math.abs(end - start) - 2 * padding);
  const [from, to] = [map(low) - padding * perPixel, map(high) + padding * perPixel];
  const scale = value => start + ((map(value) - from) / (to - from)) * (end - start);
  const shown = [Math.max(back(from), limits[0]), Math.min(back(to), limits[1])];
  scale.ticks = log ? logTicks(...shown, most) : linearTicks(...shown, most);
  scale.log = log;
  scale.ends = [back(from), back(to)];
  return scale;
}

/** Up to three round sizes about the range from `smallest` to `largest`. */
function roundSizes(smallest, largest) {
  const near = [];
  for (let power = Math.floor(Math.log10(smallest)) - 1; power <= Math.ceil(Math.log10(largest)); power++) {
    for (const factor of [1, 2, 5]) {
      const size = Number(`${factor}e${power}`);
      if (size >= 0.5 * smallest && size <= 1.25 * largest) near.push(size);
    }
  }
  return near.length <= 3 ? near : near.length === 4 ? near.slice(1) : [near[0], near[near.length >> 1], near.at(-1)];
}
