"""Many sites in one process, each on a gRPC stream of its own with its own certificate: a part of the 50 streams.

    python federated_sites.py FOLDER PORT COUNT FIRST

FOLDER holds ca.pem, <site>.pem and <site>.key. Prints the roster entries as one line of JSON, then dials; on the end
of its input it prints the CPU seconds that it used since the line "go", and ends.
"""

import json
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import polars as pl

from hdex.federated.apps.site import SiteSession
from hdex.federated.simulate import FrameSite
from hdex.node.wire.channel_client import ChannelClient
from hdex.node.wire.client import channel
from hdex.node.wire.tls import Tls

DOMAIN, ROWS, FEATURES = "hdex.bench", 200, 13
STREAM_S = 3_000.0


def table(number: int) -> pl.DataFrame:
    """Return one site's rows."""
    random = np.random.default_rng(number)
    x = random.normal(size=(ROWS, FEATURES))
    y = random.random(ROWS) < 1 / (1 + np.exp(-x[:, :4].sum(axis=1) / 2))
    names = [f"x{column}" for column in range(FEATURES)]
    return pl.DataFrame(x, schema=names).with_columns(y=pl.Series(y.astype(float)))


def site_name(number: int) -> str:
    return f"site-{number:03}"


def main() -> None:
    folder, port, count, first = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    names = [site_name(number) for number in range(first, first + count)]
    sites = {name: FrameSite(table(first + at)) for at, name in enumerate(names)}
    print(json.dumps([asdict(site.entry(name)) for name, site in sites.items()]), flush=True)
    stop = threading.Event()
    for name, site in sites.items():
        session = SiteSession(name, site, on_breach=lambda who, breach: None)
        tls = Tls(*((folder / file).read_bytes() for file in (f"{name}.pem", f"{name}.key", "ca.pem")))
        ChannelClient(lambda tls=tls: dial(port, tls), session.handle, stop=stop).start()
    sys.stdin.readline()
    began = time.process_time()
    sys.stdin.readline()
    print(json.dumps(time.process_time() - began), flush=True)
    stop.set()


def dial(port: str, tls: Tls) -> object:
    address = f"127.0.0.1:{port}"
    return channel(address, tls=tls, server="exchange", trust_domain=DOMAIN, stream_timeout_s=STREAM_S)


if __name__ == "__main__":
    main()
