"""The report page in a real browser: it lays out at both widths, stays readable, and asks for nothing but itself."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import zlib
from pathlib import Path
from typing import Any

import pytest

from edge_dwsep.report import render

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH (Debian: apt-get install chromium)")

SECONDS = 120
"""A start of the browser takes a second or two; this is for a machine that is busy with something else."""

MEASURE = """<script>
addEventListener("load", () => {
  const shown = [...document.querySelectorAll("svg.picture")].filter(e => e.getBoundingClientRect().width > 0);
  const drawn = svg => svg ? svg.getBoundingClientRect().width / svg.viewBox.baseVal.width : 1;
  const texts = [...document.querySelectorAll("h1,p,td,th,small,dd,dt,li,figcaption,svg text")]
    .filter(e => e.getClientRects().length);
  parent.postMessage(JSON.stringify({
    width: innerWidth, content: document.documentElement.scrollWidth, pictures: shown.map(e => e.classList[1]),
    smallest: Math.min(...texts.map(e => parseFloat(getComputedStyle(e).fontSize) * drawn(e.closest("svg")))),
    table: document.querySelector(".runs").offsetWidth, container: document.querySelector(".scroll").clientWidth,
    clipped: shown.flatMap(s => [...s.querySelectorAll("text")].filter(t => {
      const a = s.getBoundingClientRect(), b = t.getBoundingClientRect();
      return b.left < a.left - 1 || b.right > a.right + 1 || b.top < a.top - 1 || b.bottom > a.bottom + 1;
    }).map(t => t.textContent)),
  }), "*");
});
</script>"""

FRAME = """<!doctype html><pre></pre><script>
addEventListener("message", event => { document.querySelector("pre").textContent = event.data; });
</script><iframe src="report.html" style="border: 0; width: WIDTHpx; height: 900px"></iframe>"""
"""A frame is as narrow as it is told; a window of the browser may not be."""


def results() -> dict[str, Any]:
    """Return ten runs at nearly one accuracy, one of which failed."""
    schemes = {"float32": (876_000, 0.9155), "float16": (446_200, 0.915), "w8-dynamic": (289_400, 0.914)}
    schemes["w8a8"] = (314_168, 0.9125)
    plan = [
        *(("tflite", scheme, engine) for scheme in schemes for engine in ("tflite", "litert")),
        ("onnx", "float32", "onnxruntime"),
        ("onnx", "w8a8", "onnxruntime"),
    ]
    runs = []
    for at, (format_, scheme, engine) in enumerate(plan):
        file_bytes, top1 = schemes[scheme]
        p50 = 0.042 * 1.17**at
        runs.append(
            {
                "variant": f"{format_}-{scheme}",
                "scheme": scheme,
                "engine": engine,
                "engine_version": "2.3.0",
                "threads": 1,
                "file": f"{scheme}.{format_}",
                "file_bytes": file_bytes,
                "sha256": f"{at:02x}" * 32,
                "status": "ok",
                "latency": {"p50_ms": p50, "p50_interval_ms": [0.98 * p50, 1.03 * p50], "p90_ms": 1.2 * p50},
                "accuracy": {"top1": top1, "top1_interval": [top1 - 0.013, top1 + 0.012]},
                "agreement": {"top1": 0.995, "interval": [0.991, 0.998]},
                "warnings": ["The device was busy: load 1.9 on 2 cores."] if at == 3 else [],
                "state": {"before": {"load_1min": 0.5}, "after": {"load_1min": 0.9}},
            }
        )
    runs[4] |= {"status": "failed", "error": "<b>FULLY_CONNECTED</b> version 12 is unknown", "latency": None}
    return {
        "created": "2026-11-22T19:00:00Z",
        "command": "edge-dwsep demo",
        "versions": {"edge-dwsep": "0.1.0"},
        "models": [{"name": "mobilenet_v1 0.25", "input_shape": [32, 32, 1], "weights_sha256": "ab" * 32}],
        "data": {"name": "fashion-mnist-test-sample", "count": 2000, "sha256": "cd" * 32},
        "reference": {"name": "keras float32", "top1": 0.9155},
        "devices": [{"name": "local", "cpu": "a CPU with rather a long name @ 2.70GHz", "cores": 2}],
        "settings": {"threads": 1},
        "runs": runs,
    }


def browse(page: Path, *options: str) -> str:
    """Open ``page`` in a fresh headless browser without a network and return what it prints."""
    if CHROMIUM is None:
        pytest.skip("no chromium")
    command = [
        CHROMIUM,
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--user-data-dir={page.parent / 'profile'}",
        "--virtual-time-budget=2000",
        *options,
        page.as_uri(),
    ]
    browser = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    )
    try:
        printed, _ = browser.communicate(timeout=SECONDS)
    finally:
        if browser.poll() is None:
            os.killpg(browser.pid, signal.SIGKILL)
            browser.communicate()
    assert browser.returncode == 0
    return printed


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "report.html"
    path.write_text(render(results()), encoding="utf-8")
    return path


def page_requests(log: Path) -> list[str]:
    """Return the URLs that a page, rather than the browser for itself, began to load over the network."""
    record = json.loads(log.read_text(encoding="utf-8"))
    begun = record["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    starts = [
        event["params"] for event in record["events"] if event["type"] == begun and "url" in event.get("params", {})
    ]
    return [start["url"] for start in starts if start.get("initiator") != "not an origin"]


def distinct_rows(png: bytes) -> tuple[int, int, int]:
    """Return width, height and the number of different rows of a PNG image (RFC 2083, not interlaced)."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", png[16:24])
    data, at = b"", 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        if png[at + 4 : at + 8] == b"IDAT":
            data += png[at + 8 : at + 8 + length]
        at += length + 12
    pixels = zlib.decompress(data)
    row = len(pixels) // height
    return width, height, len({pixels[start : start + row] for start in range(0, len(pixels), row)})


def test_the_browser_builds_the_table_and_the_points(page: Path) -> None:
    dom = browse(page, "--dump-dom")
    table = re.search(r'<table class="runs">.*?</table>', dom, re.DOTALL)
    assert table is not None
    assert table[0].count("<tr") == 1 + 10 + 1
    assert "Failed: &lt;b&gt;FULLY_CONNECTED&lt;/b&gt; version 12 is unknown" in table[0]
    for name in ("wide", "narrow"):
        picture = re.search(rf'<svg class="picture {name}".*?</svg>', dom, re.DOTALL)
        assert picture is not None
        assert picture[0].count('class="point"') == 9


@pytest.mark.parametrize("width", [1280, 390])
def test_a_screenshot_shows_a_page(page: Path, width: int) -> None:
    image = page.with_suffix(".png")
    browse(page, f"--window-size={width},1400", f"--screenshot={image}")
    shown_width, height, rows = distinct_rows(image.read_bytes())
    assert (shown_width, height) == (width, 1400)
    assert rows > 300


@pytest.mark.parametrize(("width", "picture"), [(1280, "wide"), (930, "wide"), (800, "narrow"), (390, "narrow")])
def test_the_layout_fits_the_screen_and_stays_legible(page: Path, width: int, picture: str) -> None:
    source = re.sub(r"<meta http-equiv[^>]*>", "", page.read_text(encoding="utf-8"))
    page.write_text(source.replace("</body>", f"{MEASURE}</body>"), encoding="utf-8")
    frame = page.with_name("frame.html")
    frame.write_text(FRAME.replace("WIDTH", str(width)), encoding="utf-8")
    found = re.search(r"<pre>(.*?)</pre>", browse(frame, "--window-size=1400,1000", "--dump-dom"))
    assert found is not None
    measured = json.loads(html.unescape(found[1]))
    assert measured["width"] == width
    assert measured["content"] <= width
    assert measured["pictures"] == [picture]
    assert measured["smallest"] >= 12
    assert measured["clipped"] == []
    assert width == 390 or measured["table"] >= measured["container"] - 2
    assert width != 390 or measured["table"] > measured["container"]


def test_the_page_requests_nothing(page: Path) -> None:
    log = page.with_suffix(".json")
    browse(page, f"--log-net-log={log}", "--dump-dom")
    assert page_requests(log) == []


def test_the_log_would_show_a_request(page: Path) -> None:
    """The control of the test above: an image from elsewhere, and a page that may load it."""
    page.write_text('<!doctype html><img src="http://127.0.0.1:9/pixel.png">', encoding="utf-8")
    log = page.with_suffix(".json")
    browse(page, f"--log-net-log={log}", "--dump-dom")
    assert page_requests(log) == ["http://127.0.0.1:9/pixel.png"]


def test_the_policy_of_the_page_stops_what_might_slip_in(page: Path) -> None:
    source = page.read_text(encoding="utf-8")
    page.write_text(source.replace("</main>", '<img src="http://127.0.0.1:9/pixel.png"></main>'), encoding="utf-8")
    log = page.with_suffix(".json")
    browse(page, f"--log-net-log={log}", "--dump-dom")
    assert page_requests(log) == []
