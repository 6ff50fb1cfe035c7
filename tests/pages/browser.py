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
PAGES_ON_THE_WAY = 5  # that may come and go while one waits for something
GONE = ("navigated or closed", "context was destroyed", "Cannot find context")  # the page that was asked
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
        while not self._loaded(went["loaderId"]):  # a page before it may still be on its way
            self._events.append(self._receive())
        served = next(
            event["params"]["requestId"]
            for event in self._events
            if event.get("method") == "Network.responseReceived" and event["params"]["loaderId"] == went["loaderId"]
        )
        del self._events[: self._came(went["loaderId"])]  # what the page before said is no word of this one
        return str(self.tell("Network.getResponseBody", requestId=served)["body"])

    def console(self) -> list[str]:
        """Return what the console said since the last address was opened: a refused style, a missing file.

        The status of the page itself is no complaint about it: that of a page that is not there says so.
        """
        told = {"Log.entryAdded": logged, "Runtime.exceptionThrown": thrown, "Runtime.consoleAPICalled": called}
        found = (told[event["method"]](event["params"]) for event in self._events if event.get("method") in told)
        return [text for level, text, url in found if level in LOUD and url != self._address]

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

    def until(self, condition: str) -> None:
        """Wait until an expression of the page is true; the page looks itself, again and again."""
        loop = f"const look = () => {{ try {{ if ({condition}) return done(true) }} catch {{}} setTimeout(look, 25) }};"
        late = f"setTimeout(() => done(false), {PATIENCE_S * 500:g});"
        for _ in range(PAGES_ON_THE_WAY):
            try:
                if self.evaluate(f"new Promise(done => {{ {loop} {late} look() }})"):
                    return
                break
            except BrowserWrong as error:
                if not any(said in str(error) for said in GONE):
                    raise
        raise BrowserWrong(f"this has not come true: {condition}")

    def type(self, text: str) -> None:
        """Type into the field that has the focus."""
        self.tell("Input.insertText", text=text)

    def click(self, selector: str) -> None:
        """Give an element the focus and press it, as the keyboard does."""
        self.evaluate(f"(one => {{ one.focus(); one.click() }})(document.querySelector({json.dumps(selector)}))")

    def text(self, selector: str) -> str:
        """Return the words of the first element that matches."""
        return str(self.evaluate(f"document.querySelector({json.dumps(selector)}).textContent.trim()"))

    def picture(self) -> str:
        """Return the whole page as it looks, PNG in base64."""
        return str(self.tell("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"])

    def _loaded(self, loader: str) -> bool:
        """Return whether the page of a navigation has come and everything that it names is loaded."""
        return any(event.get("method") == "Page.loadEventFired" for event in self._events[self._came(loader) :])

    def _came(self, loader: str) -> int:
        """Return where in what was told a navigation's page came; the end where it has not."""
        for place, event in enumerate(self._events):
            if event.get("method") == "Page.frameNavigated" and event["params"]["frame"]["loaderId"] == loader:
                return place
        return len(self._events)

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


Said = tuple[str, str, str]  # level, text, the address it is about


def logged(told: dict[str, Any]) -> Said:
    """Return what the browser itself said: a refused style, a file that is not there."""
    return told["entry"]["level"], str(told["entry"]["text"]), told["entry"].get("url", "")


def thrown(told: dict[str, Any]) -> Said:
    """Return what a script threw and nobody caught."""
    details = told["exceptionDetails"]
    return "error", str(details.get("exception", {}).get("description", details["text"])), ""


def called(told: dict[str, Any]) -> Said:
    """Return what a script wrote to the console."""
    return told["type"], " ".join(str(one.get("value", one.get("description", ""))) for one in told["args"]), ""


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
