"""One real browser for many pages, told over a pipe (Chrome DevTools Protocol); no driver is needed beside it."""

import fcntl
import json
import os
import select
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.catalog.test_browser import CHROMIUM, QUIET

PATIENCE_S = 60.0
LOUD = {"error", "warning"}


class BrowserWrong(Exception):
    """The browser refused a command, ended, or does not answer."""


class Browser:
    """A page that goes from address to address. Not for two threads at once."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._number, self._rest = 0, b""
        self._session = self._address = ""
        self._events: list[dict[str, Any]] = []
        target = self.tell("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.tell("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.tell(f"{domain}.enable")

    def tell(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return the answer to one command; events that come before it are kept."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") != self._number:
                self._events.append(answer)
            elif "error" in answer:
                raise BrowserWrong(f"{method}: {answer['error']['message']}")
            else:
                return dict(answer["result"])

    def open(self, address: str) -> str:
        """Go to an address; return the document as it was served, once everything it names is loaded."""
        self._events.clear()
        self._address = address
        went = self.tell("Page.navigate", url=address)
        if "errorText" in went:
            raise BrowserWrong(f"{address}: {went['errorText']}")
        self._until("Page.loadEventFired")
        served = next(
            event["params"]["requestId"]
            for event in reversed(self._events)
            if event.get("method") == "Network.responseReceived" and event["params"]["type"] == "Document"
        )
        return str(self.tell("Network.getResponseBody", requestId=served)["body"])

    def console(self) -> list[str]:
        """Return what the console said since the last address was opened: a refused style, a missing file.

        The status of the page itself is no complaint about it: that of a page that is not there says so.
        """
        entries = [event["params"]["entry"] for event in self._events if event.get("method") == "Log.entryAdded"]
        return [str(one["text"]) for one in entries if one["level"] in LOUD and one.get("url") != self._address]

    def look(self, *, width: int, dark: bool = False) -> None:
        """Show pages at a width, in one of the two schemes."""
        self.tell("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.tell("Emulation.setEmulatedMedia", features=scheme)

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression of the page, awaited; the page's content policy does not bind it."""
        done = self.tell("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in done:
            raise BrowserWrong(str(done["exceptionDetails"].get("exception", {}).get("description", "it threw")))
        return done["result"].get("value")

    def picture(self) -> str:
        """Return the whole page as it looks, PNG in base64."""
        return str(self.tell("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"])

    def _until(self, method: str) -> None:
        while not any(event.get("method") == method for event in self._events):
            self._events.append(self._receive())

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            if not select.select([self._answers], [], [], PATIENCE_S)[0]:
                raise BrowserWrong(f"no answer within {PATIENCE_S:g} s")
            read = os.read(self._answers, 1 << 20)
            if not read:
                raise BrowserWrong("the browser has ended")
            self._rest += read
        message, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(message))


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Yield a browser of our own with a fresh profile; it ends with the block."""
    with TemporaryDirectory() as profile:
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        process = started(Path(profile), theirs_in, theirs_out)
        try:
            yield Browser(ours_out, ours_in)
        finally:
            os.close(ours_out)  # the end of its commands ends it
            process.wait(PATIENCE_S)
            os.close(ours_in)


def started(profile: Path, commands: int, answers: int) -> "subprocess.Popen[bytes]":
    """Start chromium with its commands at descriptor 3 and its answers at 4, as the protocol asks."""
    high = [fcntl.fcntl(one, fcntl.F_DUPFD, 10) for one in (commands, answers)]  # beyond 3 and 4
    script = f'exec "$0" "$@" 3<&{high[0]} 4>&{high[1]} {high[0]}<&- {high[1]}>&-'
    options = [*QUIET.split(), "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"]
    command = ["bash", "-c", script, str(CHROMIUM), *options]
    process = subprocess.Popen(command, pass_fds=high, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for descriptor in (*high, commands, answers):
        os.close(descriptor)
    return process
