"""How the page looks: light and dark, wide and narrow, on paper; no font, image or script from anywhere."""

from __future__ import annotations

__all__ = ["STYLESHEET"]

STYLESHEET = """
:root {
  color-scheme: light dark;
  --page: #ffffff; --panel: #f6f7f8; --ink: #1a1d21; --muted: #5b636d; --line: #d9dde2; --grid: #eceff2;
  --bar: #7a838e; --failed: #a8321d; --warned: #8a5a00;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171a; --panel: #1d2125; --ink: #e8eaed; --muted: #a0a8b2; --line: #363c43; --grid: #252a2f;
    --bar: #8b949e; --failed: #ff9a85; --warned: #f0c36a;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0 auto; padding: 32px 20px 48px; max-width: 1080px; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, "DejaVu Sans", sans-serif;
}
h1 { margin: 0 0 8px; font-size: 28px; line-height: 1.2; font-weight: 650; overflow-wrap: anywhere; }
h2 { margin: 44px 0 12px; font-size: 19px; line-height: 1.3; font-weight: 650; }
h3 { margin: 20px 0 8px; font-size: 15px; font-weight: 650; }
p { margin: 0 0 12px; max-width: 46em; overflow-wrap: anywhere; }
code, pre { font: 13.5px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.note { color: var(--muted); font-size: 14px; }
.lead { font-size: 17px; }

figure { margin: 28px 0 0; }
figcaption { margin-top: 10px; max-width: 54em; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 28px; font-size: 14px; }
.legend ul { display: flex; flex-wrap: wrap; gap: 2px 16px; margin: 0; padding: 0; list-style: none; }
.legend li, .key li, .entry { display: flex; align-items: center; gap: 6px; }
.swatch { flex: none; overflow: visible; }
.picture { display: block; width: 100%; height: auto; font-family: inherit; }
.picture text { fill: var(--ink); }
.picture .tick, .picture .title { fill: var(--muted); font-variant-numeric: tabular-nums; }
.picture path { fill: none; }
.grid { stroke: var(--grid); }
.axis { stroke: var(--line); stroke-width: 1.5; }
.reference { stroke: var(--muted); stroke-dasharray: 5 4; }
.bar { stroke: var(--bar); stroke-width: 1.25; opacity: .55; }
.leader { stroke: var(--muted); stroke-width: 1; }
.mark { stroke: var(--ink); stroke-width: 1.25; stroke-linejoin: round; fill-opacity: .88; }
.hollow { fill: none; stroke-dasharray: 3 2; }
.sample { fill: none; stroke: var(--muted); stroke-width: 1.25; }
.target { fill: transparent; }
.label { paint-order: stroke; stroke: var(--page); stroke-width: 4px; stroke-linejoin: round; }
.point { transition: opacity .12s; }
.point:hover .mark { stroke-width: 2.5; fill-opacity: 1; }
.point:hover .bar { stroke: var(--ink); stroke-width: 2; opacity: 1; }
.point:hover .label { font-weight: 700; }
.picture:has(.point:hover) .point:not(:hover) { opacity: .22; }
.key { margin: 12px 0 0; padding: 0; list-style: none; font-size: 14px; columns: 15em; column-gap: 24px; }
.key li { break-inside: avoid; padding: 2px 0; overflow-wrap: anywhere; }
.key b { min-width: 1.6em; text-align: right; font-variant-numeric: tabular-nums; }
.picture.narrow, .key.narrow { display: none; }

.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 8px; }
.scroll:focus-visible { outline: 2px solid #56b4e9; outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { padding: 7px 12px; text-align: right; white-space: nowrap; vertical-align: baseline; }
thead th { background: var(--panel); font-weight: 600; vertical-align: bottom; line-height: 1.3; }
thead small { display: block; font-size: 12px; font-weight: 400; color: var(--muted); }
tbody tr { border-top: 1px solid var(--line); }
tbody th { font-weight: 500; }
.words { text-align: left; }
td.error { white-space: normal; min-width: 22em; color: var(--failed); overflow-wrap: anywhere; }
.interval { color: var(--muted); }
.float { color: var(--muted); }
.entry { align-items: baseline; }
.entry .swatch { align-self: center; }
.entry i { min-width: 1.4em; font-style: normal; color: var(--muted); text-align: right; }
sup { color: var(--warned); font-weight: 700; line-height: 0; }
.warnings { margin: 0; padding: 0; list-style: none; }
.warnings li {
  padding: 8px 12px; border-left: 3px solid var(--warned); background: var(--panel); overflow-wrap: anywhere;
}
.warnings li + li { margin-top: 8px; }
.warnings small { display: block; font-size: 13px; color: var(--muted); }

dl { display: grid; grid-template-columns: max-content 1fr; gap: 3px 20px; margin: 0; font-size: 14px; }
dt { color: var(--muted); }
dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.digests dd { font: 13px/1.55 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 340px), 1fr)); gap: 20px 40px; }
.columns h3 { margin-top: 0; }
dl + .columns { margin-top: 20px; }
details { margin-top: 16px; font-size: 14px; }
summary { cursor: pointer; color: var(--muted); }
details .scroll { margin-top: 8px; }
pre { margin: 0 0 16px; padding: 12px 14px; background: var(--panel); border-radius: 8px; white-space: pre-wrap;
  overflow-wrap: anywhere; }
footer { margin-top: 44px; padding-top: 12px; border-top: 1px solid var(--line); }

@media (max-width: 919px) {
  body { padding: 22px 16px 36px; }
  h1 { font-size: 23px; }
  .lead { font-size: 16px; }
  h2 { margin-top: 34px; }
  figure { max-width: 560px; margin-left: auto; margin-right: auto; }
  .picture.wide, .key.wide, .legend { display: none; }
  .picture.narrow { display: block; }
  .key.narrow { display: block; }
  th, td { padding: 7px 9px; }
  dl { column-gap: 14px; grid-template-columns: fit-content(40%) 1fr; }
}
@media print {
  body { max-width: none; padding: 0; }
  .scroll { overflow: visible; }
  section, figure, tr { break-inside: avoid; }
}
@media (prefers-reduced-motion: reduce) { .point { transition: none; } }
"""
