"""A refused handshake is explained in the server's log, though the peer only sees a closed connection."""

import subprocess
import sys

import pytest

from hdex.node.handshakes import reason

SERVER = """
import logging, socket, sys, tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from hdex.node.handshakes import explain_handshakes

seen = []
class Keep(logging.Handler):
    def emit(self, record):
        seen.append(record.reason)
        arrived.release()
import threading
arrived = threading.Semaphore(0)
logging.getLogger("hdex").addHandler(Keep())
explain_handshakes()

import grpc
from concurrent.futures import ThreadPoolExecutor
from hdex.node import pki
folder = Path(tempfile.mkdtemp())
ca, foreign = pki.init(folder / "ca", "hdex.test"), pki.init(folder / "foreign", "hdex.test")
certificate, key = pki.issue(ca, "exchange/exchange")
server = grpc.server(ThreadPoolExecutor(2))
port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)], ca.pem, True))
server.start()

def attempt(pair):
    credentials = grpc.ssl_channel_credentials(ca.pem, *(reversed(pair) if pair else ()))
    options = [("grpc.ssl_target_name_override", "exchange.hdex.test"), ("grpc.use_local_subchannel_pool", 1)]
    with grpc.secure_channel(f"127.0.0.1:{port}", credentials, options) as channel:
        try:
            channel.unary_unary("/x/y")(b"", timeout=5)
        except grpc.RpcError:
            pass
    assert arrived.acquire(timeout=10)

attempt(None)
attempt(pki.issue(foreign, "hospital/hospital-a"))
attempt(pki.issue(ca, "hospital/hospital-a", now=datetime.now(UTC) - timedelta(minutes=4, days=1), days=1))
with socket.create_connection(("127.0.0.1", port)) as rubbish:
    rubbish.sendall(b"garbage" * 9)
    assert arrived.acquire(timeout=10)
server.stop(0).wait()
print("own words", file=sys.stderr)
print("\\n".join(seen))
"""


def test_the_server_says_why() -> None:
    done = subprocess.run([sys.executable, "-c", SERVER], capture_output=True, text=True, timeout=60, check=False)
    reasons = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert set(reasons) == {
        "the peer showed no certificate",
        "the peer's certificate does not verify: unable to get local issuer certificate",
        "the peer's certificate does not verify: certificate has expired",
        "the peer does not speak TLS",
    }
    assert done.stderr == "own words\n"


EXPIRED = (
    b"I1121 22:33:56.258619   20130 ssl_transport_security.cc:2563] Handshake failed with error SSL_ERROR_SSL: "
    b"error:1000007d:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED: certificate has expired\n"
)


def test_the_reason_is_in_words() -> None:
    assert reason(EXPIRED) == "the peer's certificate does not verify: certificate has expired"
    assert reason(EXPIRED.replace(b"CERTIFICATE_VERIFY_FAILED", b"SOMETHING_NEW")) == "something new"


@pytest.mark.parametrize("line", [b"", b"Traceback (most recent call last):", b"Handshake failed"])
def test_other_lines_have_no_reason(line: bytes) -> None:
    assert reason(line) is None
