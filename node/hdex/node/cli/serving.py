"""How a participant's process begins and ends: quiet libraries, no egress, logs on stderr, an orderly stop."""

import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

STOP_ON_EOF = "HDEX_STOP_ON_EOF"
CENTS = "_cents"
WIDTH = 100  # characters of a nested document that still stands in the line of its name
Lining = Callable[[Mapping[str, Any]], Iterator[str]]  # how one item of a list reads
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
    """Print a result on stdout: JSON, or lines for people."""
    if as_json or not isinstance(document, dict):
        print(json.dumps(document, ensure_ascii=False))
        return
    for line in lines_of(document):
        print(line)


def show_each(
    name: str, rows: Sequence[Mapping[str, Any]], *, as_json: bool, none: str, lines: Lining | None = None
) -> None:
    """Print a list: one JSON object under `name`, or its items, an empty line between two; `none` says it is empty."""
    if as_json:
        show({name: list(rows)}, as_json=True)
        return
    print("\n\n".join("\n".join((lines or lines_of)(row)) for row in rows), end="\n" if rows else "")
    if not rows:
        print(f"none: {none}", file=sys.stderr)


def lines_of(document: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Yield a document as `name: value`, a line each; what is too long for one goes on indented below its name."""
    for name, value in in_money(document).items():
        head, said = f"{indent}{plain(name)}:", in_line(value)
        if isinstance(value, Mapping) and len(said) > WIDTH:
            yield head
            yield from lines_of(value, f"{indent}  ")
        elif isinstance(value, list | tuple) and (any(isinstance(one, Mapping) for one in value) or sentences(value)):
            yield head
            yield from (f"{indent}  - {in_line(one)}" for one in value)
        else:
            yield f"{head} {said}"


def in_money(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a document with its amounts as people write them, where it names their currency: CNY 880.00, not 88000."""
    from hdex.catalog import money
    from hdex.catalog.errors import PriceInvalid

    currency, cents = document.get("currency"), [name for name in document if name.endswith(CENTS)]
    if not cents or not isinstance(currency, str):
        return document
    try:
        said = {name: money.say(document[name], currency, "en") for name in cents if type(document[name]) is int}
    except PriceInvalid:  # no currency that we know: the numbers stay as they are
        return document
    return {name.removesuffix(CENTS) if name in said else name: said.get(name, one) for name, one in document.items()}


def in_line(value: object) -> str:
    """Return a value in one line: what is empty is `none`, the parts of a document stand between commas."""
    if isinstance(value, Mapping):
        return ", ".join(f"{plain(name)} {in_brackets(one)}" for name, one in in_money(value).items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(in_brackets, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    return "none" if value is None or value == "" else plain(value)


def sentences(values: Sequence[object]) -> bool:
    """Return whether these words would run into each other in one line: they have commas of their own."""
    return len(values) > 1 and any(", " in str(one) for one in values)


def in_brackets(value: object) -> str:
    """Return a part of a line; where it has parts of its own, between brackets."""
    inner = in_line(value)
    return f"({inner})" if isinstance(value, Mapping | list | tuple) and len(value) > 1 else inner
