"""A headless Chromium that tests and scripts can control."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.requirements import need

AXE = Path(__file__).parent.parent / "node_modules" / "axe-core" / "axe.min.js"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
SCHEMES = {"dark": 0, "light": 1}


def axe() -> str:
    """The JavaScript of axe-core, which checks the accessibility of a page."""
    need("axe-core", AXE.is_file(), "npm install --no-save axe-core@4")
    return AXE.read_text(encoding="utf-8")


class Browser:
    """A page in a browser, controlled through a pipe with Chromium's DevTools protocol."""

    def __init__(self, chromium: str, folder: Path, *, width: int = 1200, scheme: str = "light") -> None:
        command_end, self._commands = map(_high, os.pipe())
        self._answers, answer_end = map(_high, os.pipe())
        # Chromium reads descriptor 3 and writes 4.
        shell = ["bash", "-c", f'exec "$@" 3<&{command_end} 4>&{answer_end}', "bash"]
        settings = [
            "--remote-debugging-pipe",
            f"--user-data-dir={folder / 'profile'}",
            f"--window-size={width},1600",
            f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}",
        ]
        ends = (command_end, answer_end)
        with (folder / "chromium.log").open("wb") as log:
            self._process = subprocess.Popen(
                [*shell, chromium, *FLAGS, *settings, "about:blank"], pass_fds=ends, stdout=log, stderr=log
            )
        for end in ends:
            os.close(end)
        self._received = b""
        self._events: list[dict[str, Any]] = []
        self._n_sent = 0
        self._session: str | None = None
        targets = self._send("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        self._session = self._send("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Network"):
            self._send(f"{domain}.enable")

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait()
        os.close(self._commands)
        os.close(self._answers)

    @property
    def requested(self) -> list[str]:
        """The addresses that were requested since the last `open`."""
        return [
            event["params"]["request"]["url"]
            for event in self._events
            if event["method"] == "Network.requestWillBeSent"
        ]

    def show(self, width: int, scheme: str) -> None:
        """Change the width of the window and the colour scheme that the user prefers."""
        self._send("Emulation.setDeviceMetricsOverride", width=width, height=1600, deviceScaleFactor=1, mobile=False)
        self._send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def open(self, url: str) -> None:
        """Open an address and wait until the page is loaded."""
        self._events.clear()
        self._send("Page.navigate", url=url)
        self._wait_for_page()

    def type(self, text: str) -> None:
        """Type a text into the element that has the focus."""
        self._send("Input.insertText", text=text)

    def press(self, key: str, code: int, *, opens_page: bool = False) -> None:
        """Press a key. opens_page: wait for the page that this opens."""
        text = {"text": "\r"} if key == "Enter" else {}
        about: dict[str, Any] = {"key": key, "code": key, "windowsVirtualKeyCode": code, **text}
        self._send("Input.dispatchKeyEvent", type="keyDown", **about)
        self._send("Input.dispatchKeyEvent", type="keyUp", **about)
        if opens_page:
            self._wait_for_page()

    def picture(self) -> bytes:
        """A screenshot of the window, as PNG."""
        return base64.b64decode(self._send("Page.captureScreenshot")["data"])

    def look(self, script: str) -> Any:
        """The value of a JavaScript expression in the page; a promise is awaited."""
        found = self._send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def _wait_for_page(self) -> None:
        n_before = len(self._events)
        while not any(event["method"] == "Page.loadEventFired" for event in self._events[n_before:]):
            self._receive()

    def _send(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._n_sent += 1
        message = {"id": self._n_sent, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while (answer := self._receive()).get("id") != self._n_sent:
            pass
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._received:
            part = os.read(self._answers, 1 << 16)
            assert part, "the browser has ended"
            self._received += part
        first, _, self._received = self._received.partition(b"\0")
        message = json.loads(first)
        if "method" in message:
            self._events.append(message)
        return message


def _high(descriptor: int) -> int:
    """A copy of a file descriptor, with a number that the browser does not use."""
    copy = fcntl.fcntl(descriptor, fcntl.F_DUPFD, 10)
    os.close(descriptor)
    return copy
