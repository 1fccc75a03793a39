// Elements, made without markup, and the marks that stand for runs: shape by engine, color and sign by scheme.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat(2).filter(child => child !== null && child !== undefined && child !== ""));
  return element;
}

const make = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
const draw = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
const short = pixels => Math.round(pixels * 100) / 100;

const CORNERS = { square: [4, 45], diamond: [4, 0], triangle: [3, 30], hexagon: [6, 0] };

/** Radius of the circle around a shape of `area`: n corners on radius r cover n/2 r^2 sin(2 pi/n). */
function circumradius(shape, area) {
  if (!CORNERS[shape]) return Math.sqrt(area / Math.PI);
  const [corners] = CORNERS[shape];
  return Math.sqrt((2 * area) / (corners * Math.sin((2 * Math.PI) / corners)));
}

/** Path of a shape of `area` square pixels about (x, y). */
function shapePath(shape, x, y, area) {
  const radius = circumradius(shape, area);
  if (!CORNERS[shape]) {
    const r = short(radius);
    const half = `a${r} ${r} 0 1 0`;
    return `M${short(x - radius)} ${short(y)}${half} ${short(2 * radius)} 0${half} ${short(-2 * radius)} 0Z`;
  }
  const [corners, first] = CORNERS[shape];
  const points = Array.from({ length: corners }, (_, corner) => {
    const angle = Math.PI * (first / 180 + (2 * corner) / corners);
    return `${short(x + radius * Math.cos(angle))} ${short(y + radius * Math.sin(angle))}`;
  });
  return `M${points.join("L")}Z`;
}

/** Path of a scheme's sign inside a mark of `area`, so that schemes are told apart without color. */
function signPath(sign, x, y, area) {
  const r = 0.3 * Math.sqrt(area);
  const line = (dx, dy) => `M${short(x - dx * r)} ${short(y - dy * r)}L${short(x + dx * r)} ${short(y + dy * r)}`;
  switch (sign) {
    case "horizontal":
      return line(1, 0);
    case "vertical":
      return line(0, 1);
    case "plus":
      return line(1, 0) + line(0, 1);
    case "cross":
      return line(0.8, 0.8) + line(0.8, -0.8);
    case "rising":
      return line(0.8, -0.8);
    case "falling":
      return line(0.8, 0.8);
    case "dot":
      return shapePath("circle", x, y, 0.12 * area);
    default:
      return "";
  }
}

function lookOf(run) {
  const [color, sign] = DATA.looks.schemes[run.scheme] ?? ["#999999", "none"];
  return { shape: DATA.looks.engines[run.engine] ?? "circle", color, sign };
}

/** A small drawing of one mark, for filters, table and charts; without `color` an outline. */
function swatch({ shape, color, sign }, invalid = false) {
  const y = shape === "triangle" ? 10 : 9;
  return draw(
    "svg",
    { class: "swatch", viewBox: "0 0 18 18", width: 18, height: 18, "aria-hidden": "true" },
    draw("path", { class: `mark${invalid ? " invalid" : ""}`, d: shapePath(shape, 9, y, 130), fill: color ?? "none" }),
    draw("path", { class: "sign", d: signPath(sign, 9, y, 130) }),
  );
}

const measuring = document.createElement("canvas").getContext("2d");

/** Width of a text in pixels, in the font of the page. */
function textWidth(text, size) {
  measuring.font = `${size}px ${getComputedStyle(document.body).fontFamily}`;
  return measuring.measureText(text).width;
}

/** A text cut to a width, with dots for what is missing; all of it where it fits. */
function fitting(text, width, size) {
  if (textWidth(text, size) <= width) return text;
  let low = 0,
    high = text.length;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (textWidth(`${text.slice(0, middle)}\u2026`, size) <= width) low = middle;
    else high = middle - 1;
  }
  return `${text.slice(0, low).trimEnd()}\u2026`;
}

/** A drawing of its own below the picture, with what it shows in words. */
function chart(width, height, described, parts) {
  return draw(
    "svg",
    {
      class: "chart",
      viewBox: `0 0 ${width} ${height}`,
      width,
      height,
      "font-size": ROW_FONT,
      role: "img",
      "aria-label": described,
    },
    parts,
  );
}
