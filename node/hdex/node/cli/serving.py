"""How a participant's process begins and ends: quiet libraries, no egress, logs on stderr, an orderly stop."""

import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

STOP_ON_EOF = "HDEX_STOP_ON_EOF"
STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class Lines(logging.Formatter):
    """One JSON object a line: constant message, named fields."""

    def format(self, record: logging.LogRecord) -> str:
        named = {key: value for key, value in vars(record).items() if key not in STANDARD_FIELDS}
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": time, "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
        return json.dumps({**line, **named}, default=str, ensure_ascii=False)


def prepare(data_dir: Path, endpoints: list[str]) -> None:
    """Set this process up before any heavy library is imported: logs, telemetry off, only these hosts reachable.

    What it writes is for its own user: the databases take their mode from the umask, and a data folder that an operator
    or a service manager has made may be open to others.
    """
    from hdex.node.egress import quiet, refuse_egress
    from hdex.node.handshakes import explain_handshakes

    os.umask(0o077)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for noisy in ("flwr", "httpx", "presidio-analyzer", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    quiet(data_dir)
    refuse_egress([host for host in map(host_of, endpoints) if host])
    explain_handshakes()


def host_of(endpoint: str) -> str:
    """Return the host of host:port or of a URL."""
    return urlsplit(endpoint if "//" in endpoint else f"//{endpoint}").hostname or ""


def stop_on_signals(stop: threading.Event) -> None:
    """Set `stop` on SIGTERM and SIGINT; under HDEX_STOP_ON_EOF=1 also when whoever started this process has gone."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if os.environ.get(STOP_ON_EOF) == "1":
        threading.Thread(target=wait_for_eof, args=(stop,), name="starter", daemon=True).start()


def until_stopped(serve: Callable[[threading.Event], str]) -> None:
    """Serve pages, say at which address, and wait until this process is told to stop."""
    stop = threading.Event()
    stop_on_signals(stop)
    talk("pages", serve(stop))
    stop.wait()


def wait_for_eof(stop: threading.Event) -> None:
    """Set `stop` once standard input ends: the kernel closes a pipe whose other end has died."""
    while os.read(sys.stdin.fileno(), 4096):  # not by sys.stdin: its lock would abort the end of Python
        pass
    stop.set()


def talk(step: str, text: str) -> None:
    """Say a step of long work on stderr."""
    print(f"{plain(step):<12} {plain(text)}", file=sys.stderr)


def plain(value: object) -> str:
    """Return words of others as a terminal may show them: a peer's text must not move its cursor or colour it."""
    return "".join(mark if mark.isprintable() else "\N{REPLACEMENT CHARACTER}" for mark in str(value))


def show(document: object, *, as_json: bool) -> None:
    """Print a result on stdout: JSON, or one line per field."""
    if as_json or not isinstance(document, dict):
        print(json.dumps(document, ensure_ascii=False))
        return
    for key, value in document.items():
        if not isinstance(value, dict | list):
            print(f"{key}: {plain(value)}")
        elif isinstance(value, list) and all(not isinstance(item, dict | list) for item in value):
            print(f"{key}: {', '.join(map(plain, value)) or 'none'}")
        else:
            print(f"{key}: {json.dumps(value, ensure_ascii=False)}")
