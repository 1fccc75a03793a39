// Room for a label beside each point of a crowded picture.
//
// Labelling points without overlap is NP-hard (Formann and Wagner, 1991); a greedy start and a few rounds in which each
// label in turn moves to its cheapest place are near enough for a few dozen points, and always give the same answer.

const LABEL_GAPS = [3, 11, 22, 36, 52, 72, 98, 128];
const LABEL_DIRECTIONS = 20;
const LEADER_FROM = 9;
const LABELS_APART = 5;

function overlap(a, b, margin = 0) {
  const width = Math.min(a.right, b.right + margin) - Math.max(a.left, b.left - margin);
  const height = Math.min(a.bottom, b.bottom + margin) - Math.max(a.top, b.top - margin);
  return width > 0 && height > 0 ? width * height : 0;
}

const nearestIn = (box, x, y) => [
  Math.min(Math.max(x, box.left), box.right),
  Math.min(Math.max(y, box.top), box.bottom),
];

/** How many pixels of a line lie in a box (Liang and Barsky, 1984). */
function lengthInside([x, y, x2, y2], box) {
  let enter = 0,
    leave = 1;
  for (const [start, step, low, high] of [
    [x, x2 - x, box.left, box.right],
    [y, y2 - y, box.top, box.bottom],
  ]) {
    if (step === 0) {
      if (start <= low || start >= high) return 0;
      continue;
    }
    const [first, last] = [(low - start) / step, (high - start) / step].sort((a, b) => a - b);
    enter = Math.max(enter, first);
    leave = Math.min(leave, last);
    if (enter >= leave) return 0;
  }
  return (leave - enter) * Math.hypot(x2 - x, y2 - y);
}

function crossing(a, b) {
  const side = (l, x, y) => (l[2] - l[0]) * (y - l[1]) > (l[3] - l[1]) * (x - l[0]);
  return side(a, b[0], b[1]) !== side(a, b[2], b[3]) && side(b, a[0], a[1]) !== side(b, a[2], a[3]);
}

/** Each place for the label of a point inside `limits`, with what it costs whatever the other labels do. */
function places(point, others, limits, lines) {
  const found = [];
  for (const gap of LABEL_GAPS) {
    for (let step = 0; step < LABEL_DIRECTIONS; step++) {
      const angle = (2 * Math.PI * step) / LABEL_DIRECTIONS;
      const [right, down] = [Math.cos(angle), Math.sin(angle)];
      // The label is shifted along the ray's side, so that it is its rim and not its middle that lies on the ray.
      const x = point.x + right * (point.radius + gap) + (Math.max(-1, Math.min(1, 1.6 * right)) * point.width) / 2;
      const y = point.y + down * (point.radius + gap) + (Math.max(-1, Math.min(1, 1.6 * down)) * point.height) / 2;
      const box = {
        left: x - point.width / 2,
        right: x + point.width / 2,
        top: y - point.height / 2,
        bottom: y + point.height / 2,
      };
      if (box.left < limits.left || box.right > limits.right || box.top < limits.top || box.bottom > limits.bottom)
        continue;
      const [endX, endY] = nearestIn(box, point.x, point.y);
      const length = Math.hypot(endX - point.x, endY - point.y) || 1;
      const share = point.radius / length;
      const line = [point.x + (endX - point.x) * share, point.y + (endY - point.y) * share, endX, endY];
      const far = length - point.radius >= LEADER_FROM;
      const place = { box, line, far };
      let cost = gap + (far ? 6 : 0);
      for (const bar of [...lines, ...point.bars]) cost += overlap(box, bar, 1) ? 24 : 0;
      for (const other of others) {
        const covered = overlap(box, other.box, 1);
        if (covered) cost += 60 + 4 * covered;
        for (const bar of other.bars) cost += overlap(box, bar, 1) ? 24 : 0;
        if (far) cost += 10 * lengthInside(line, other.box);
        else {
          const [nearX, nearY] = nearestIn(box, other.x, other.y);
          if (Math.hypot(nearX - other.x, nearY - other.y) - other.radius < length - point.radius + 3) cost += 60;
        }
      }
      found.push([cost, place]);
    }
  }
  return found.sort((a, b) => a[0] - b[0]).slice(0, 80);
}

function together(one, other) {
  const covered = overlap(one.box, other.box, LABELS_APART);
  let cost = covered ? 400 + 10 * covered : 0;
  if (one.far && lengthInside(one.line, other.box)) cost += 150;
  if (other.far && lengthInside(other.line, one.box)) cost += 150;
  if (one.far && other.far && crossing(one.line, other.line)) cost += 120;
  return cost;
}

/**
 * A place for the label of each point, null where it would cover another one.
 *
 * Points have x, y, radius, width and height of their label, and bars; `crowd` are further points that have none.
 */
function placeLabels(points, crowd, limits, lines) {
  for (const point of [...points, ...crowd]) {
    point.box = {
      left: point.x - point.radius,
      right: point.x + point.radius,
      top: point.y - point.radius,
      bottom: point.y + point.radius,
    };
  }
  const choices = points.map(point =>
    places(
      point,
      [...points, ...crowd].filter(other => other !== point),
      limits,
      lines,
    ),
  );
  const order = points.map((_, at) => at).sort((a, b) => (choices[b][0]?.[0] ?? 1e9) - (choices[a][0]?.[0] ?? 1e9));
  const taken = points.map(() => null);
  for (let round = 0; round < 8; round++) {
    let moved = false;
    for (const at of order) {
      let [best, least] = [null, Infinity];
      for (const [cost, place] of choices[at]) {
        if (cost >= least) break;
        let total = cost;
        for (let other = 0; other < taken.length && total < least; other++) {
          if (other !== at && taken[other]) total += together(place, taken[other]);
        }
        if (total < least) [best, least] = [place, total];
      }
      moved ||= best !== taken[at];
      taken[at] = best;
    }
    if (!moved) break;
  }
  return taken.map((place, at) =>
    place && taken.some((other, index) => index < at && other && overlap(place.box, other.box)) ? null : place,
  );
}
