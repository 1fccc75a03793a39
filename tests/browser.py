"""A headless Chromium that is told what to do over a pipe, and tells what its pages did."""

from __future__ import annotations

__all__ = ["CHROMIUM", "Browser", "Page"]

import base64
import json
import os
import select
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium")
SECONDS = 120
"""A start of the browser takes a second or two; this is for a machine that is busy with something else."""

OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"),
    *("--host-resolver-rules=MAP * ~NOTFOUND", "--force-color-profile=srgb", "--remote-debugging-pipe"),
)


class Browser:
    """A browser of its own, without a network; the Chrome DevTools Protocol over file descriptors 3 and 4."""

    def __init__(self, folder: Path, *options: str) -> None:
        if CHROMIUM is None:
            raise FileNotFoundError("no chromium on PATH")
        theirs, self._out = os.pipe()
        self._in, answers = os.pipe()
        silent = os.open(os.devnull, os.O_RDWR)
        # Copies far from 3 and 4, so that neither descriptor is overwritten before it was copied.
        high = [os.dup2(theirs, 200), os.dup2(answers, 201)]
        moved = [(os.POSIX_SPAWN_DUP2, silent, fd) for fd in (0, 1, 2)]
        moved += [(os.POSIX_SPAWN_DUP2, high[0], 3), (os.POSIX_SPAWN_DUP2, high[1], 4)]
        command = [CHROMIUM, *OPTIONS, f"--user-data-dir={folder / 'profile'}", *options, "about:blank"]
        self.pid = os.posix_spawn(CHROMIUM, command, dict(os.environ), file_actions=moved, setsid=True)
        for one in (theirs, answers, silent, *high):
            os.close(one)
        self._read = b""
        self._count = 0
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its answer; events that come meanwhile are kept in ``events``."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._count:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result

    def wait(self, method: str, session: str) -> None:
        """Wait for an event that has not been waited for before."""
        while True:
            for event in self.events:
                if event["method"] == method and event.get("sessionId") == session and not event.get("seen"):
                    event["seen"] = True
                    return
            self._next()

    def _next(self) -> dict[str, Any]:
        limit = time.monotonic() + SECONDS
        while b"\0" not in self._read:
            ready, _, _ = select.select([self._in], [], [], max(0.0, limit - time.monotonic()))
            part = os.read(self._in, 1 << 20) if ready else b""
            if not part:
                raise RuntimeError("the browser said nothing more")
            self._read += part
        line, _, self._read = self._read.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        if "method" in message:
            self.events.append(message)
        return message

    @contextmanager
    def page(self, path: Path, width: int = 1280, height: int = 900, **media: str) -> Iterator[Page]:
        """Open a file in a window of this size; ``media`` are features such as prefers_color_scheme."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable", session)
        page = Page(self, session)
        page.resize(width, height)
        features = [{"name": name.replace("_", "-"), "value": value} for name, value in media.items()]
        self.call("Emulation.setEmulatedMedia", session, features=features)
        self.call("Page.navigate", session, url=path.as_uri())
        self.wait("Page.loadEventFired", session)
        page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        yield page
        self.call("Target.closeTarget", targetId=target)

    def close(self) -> None:
        """End the browser and all of its processes."""
        os.killpg(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._in)
        os.close(self._out)


class Page:
    """One open page."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self.session = session

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command about this page."""
        return self._browser.call(method, self.session, **parameters)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, awaited if it is a promise.

        Raises:
            RuntimeError: it throws.
        """
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"])[:2000])
        return answer["result"].get("value")

    def resize(self, width: int, height: int) -> None:
        """Make the window this large; narrow ones are a phone's, as far as the layout is concerned."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def move(self, x: float, y: float) -> None:
        """Move the pointer."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def click(self, x: float, y: float) -> None:
        """Press and release the first button."""
        self.move(x, y)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str) -> None:
        """Press and release a key."""
        codes = {"Enter": ("\r", 13), " ": (" ", 32), "Tab": ("\t", 9)}
        text, code = codes.get(key, ("", 0))
        extra = {"text": text, "windowsVirtualKeyCode": code} if code else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **extra)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def screenshot(self, path: Path | None = None, *, whole: bool = False) -> bytes:
        """A PNG image of what is seen, or of the whole page."""
        png = base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"])
        if path is not None:
            path.write_bytes(png)
        return png

    @property
    def complaints(self) -> list[str]:
        """Errors and warnings of the page so far, uncaught exceptions included."""
        found = []
        for event in self._browser.events:
            told = event.get("params", {})
            if event.get("sessionId") != self.session:
                continue
            if event["method"] == "Runtime.exceptionThrown":
                found.append(json.dumps(told["exceptionDetails"])[:1000])
            elif event["method"] == "Log.entryAdded" and told["entry"]["level"] in {"error", "warning"}:
                found.append(told["entry"]["text"])
            elif event["method"] == "Runtime.consoleAPICalled":
                found.append(json.dumps(told["args"])[:1000])
        return found

    @property
    def requests(self) -> list[str]:
        """What the page asked for, itself left out."""
        return [
            event["params"]["request"]["url"]
            for event in self._browser.events
            if event["method"] == "Network.requestWillBeSent"
            and event.get("sessionId") == self.session
            and event["params"].get("type") != "Document"
        ]
