// The runs that no other is shown to be better than, in two figures. The rule is that of edge_dwsep.choice.front.

/**
 * The runs on the front of two metrics, each device and batch by itself. One run dominates another if its interval lies
 * wholly on the better side in one figure and in neither on the worse one; a run is off the front if one that is on the
 * front dominates it. Figures without an interval tell nothing apart.
 */
function frontOf(runs, metrics) {
  const groups = new Map();
  for (const run of runs) {
    if (!run.usable || metrics.some(metric => (run[metric.name] ?? null) === null)) continue;
    const key = `${run.device}\n${run.batch ?? 1}`;
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(run);
  }
  return new Set([...groups.values()].flatMap(group => kernel(group, metrics)));
}

function kernel(runs, metrics) {
  // Each figure as an interval of which less is better.
  const scales = metrics.map(metric =>
    runs.map(run => {
      const value = run[metric.name];
      const reach = 1 + (DATA.scatter[metric.name] ?? 0);
      const [low, high] = metric.exact
        ? [value / reach, value * reach]
        : (bounds(run, metric.name) ?? [-Infinity, Infinity]);
      return metric.better > 0 ? [-high, -low] : [low, metric.time ? high * (1 + DATA.least_difference) : high];
    }),
  );
  const dominates = (one, other) => {
    let better = false;
    for (const scale of scales) {
      if (scale[other][1] < scale[one][0]) return false;
      better ||= scale[one][1] < scale[other][0];
    }
    return better;
  };
  // Those that dominate many come first, so that most of the others are found to be dominated at once.
  const rank = runs.map(() => 0);
  for (const [at, metric] of metrics.entries()) {
    const order = runs.map((_, index) => index);
    order.sort((a, b) => -metrics[at].better * (runs[a][metric.name] - runs[b][metric.name]));
    order.forEach((index, place) => {
      rank[index] += place;
    });
  }
  let undecided = runs.map((_, index) => index).sort((a, b) => rank[a] - rank[b]);
  const front = [];
  while (undecided.length) {
    let found = undecided.filter(other => !undecided.some(one => dominates(one, other)));
    if (!found.length) found = undecided;
    front.push(...found);
    const taken = new Set(found);
    undecided = undecided.filter(other => !taken.has(other) && !found.some(one => dominates(one, other)));
  }
  return front.map(index => runs[index]);
}

/** Of runs of one device, those that no point estimate beats in both figures, from the best in the first on. */
function staircase(runs, [across, up]) {
  const sorted = [...runs].sort(
    (a, b) => across.better * (b[across.name] - a[across.name]) || up.better * (b[up.name] - a[up.name]),
  );
  let best = -Infinity;
  return sorted.filter(run => {
    const height = up.better * run[up.name];
    if (height <= best) return false;
    best = height;
    return true;
  });
}
