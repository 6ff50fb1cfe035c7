"""Why a TLS handshake was refused, in the server's own log: the peer only ever sees a closed connection.

gRPC's C core says it on standard error, and only when it is asked to before gRPC is loaded. So this module imports
no gRPC and is called first.
"""

import atexit
import logging
import os
import re
import sys
import threading
from contextlib import suppress
from queue import SimpleQueue

logger = logging.getLogger(__name__)
_FAILED = re.compile(rb"Handshake failed with error .*?:([A-Z0-9_]+)(?:: ?(.*))?$")
_NOISE = re.compile(rb"^[IW]\d{4} \d\d:\d\d:\d\d|^WARNING: All log messages before absl")
_REASONS = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the peer showed no certificate",
    "CERTIFICATE_VERIFY_FAILED": "the peer's certificate does not verify",
    "WRONG_VERSION_NUMBER": "the peer does not speak TLS",
    "HTTP_REQUEST": "the peer does not speak TLS",
    "UNSUPPORTED_PROTOCOL": "the peer offers only old versions of TLS",
    "NO_SHARED_CIPHER": "no cipher in common",
    "TLSV1_ALERT_UNKNOWN_CA": "the peer does not trust this server's certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the peer refused this server's certificate",
}


def explain_handshakes() -> None:
    """Log a warning with the reason for every handshake this process refuses. Call once, before gRPC is imported."""
    if "grpc" in sys.modules:
        raise RuntimeError("explain_handshakes must be called before grpc is imported")
    os.environ["GRPC_VERBOSITY"] = "info"
    own, (reading, writing) = os.dup(2), os.pipe()
    os.set_inheritable(own, False)
    os.dup2(writing, 2)
    os.close(writing)
    reasons: SimpleQueue[str] = SimpleQueue()
    pump = threading.Thread(target=_pump, args=(reading, own, reasons), name="stderr", daemon=True)
    pump.start()
    threading.Thread(target=_log, args=(reasons,), name="handshakes", daemon=True).start()
    atexit.register(_restore, own, pump)


def reason(line: bytes) -> str | None:
    """Return why a handshake failed when the line says so, in words."""
    found = _FAILED.search(line.rstrip())
    if found is None:
        return None
    code, detail = found[1].decode(), (found[2] or b"").decode("ascii", "replace")
    said = _REASONS.get(code, code.lower().replace("_", " "))
    return f"{said}: {detail}" if detail and code == "CERTIFICATE_VERIFY_FAILED" else said


def _pump(reading: int, own: int, reasons: "SimpleQueue[str]") -> None:
    """Pass standard error on, line by line. It never logs: a log may write to the very pipe that it empties."""
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        waiting = b""
        while piece := pipe.read(65536):
            *lines, waiting = (waiting + piece).split(b"\n")
            for line in lines:
                _tell(line + b"\n", own, reasons)
        if waiting:
            _tell(waiting, own, reasons)


def _tell(line: bytes, own: int, reasons: "SimpleQueue[str]") -> None:
    why = reason(line)
    if why is not None:
        reasons.put(why)
    elif not _NOISE.match(line):
        with suppress(OSError):  # a full disk under the log file must not end the pump, and with it all logging
            os.write(own, line)


def _log(reasons: "SimpleQueue[str]") -> None:
    while True:
        logger.warning("handshake refused", extra={"reason": reasons.get()})


def _restore(own: int, thread: threading.Thread) -> None:
    """Give standard error back and wait for what is still in the pipe: the last words must not be lost."""
    sys.stderr.flush()
    os.dup2(own, 2)  # closes the pipe's last writing end, so the pump ends
    thread.join(timeout=2)
