"""A buyer's negotiations over the Dataspace Protocol, wired: it listens for as long as it negotiates."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from hdex.node.bargain import Bargain
from hdex.node.bargains import Bargains, OpenLine
from hdex.node.buyer import Buyer
from hdex.node.compose.client import Caller, caller, folder_of
from hdex.node.compose.dataspace import local_log
from hdex.node.compose.dataspace_members import Line, Members, connect, serve_line
from hdex.node.compose.standing import now
from hdex.node.config import BuyerConfig, Dataspace
from hdex.node.dataspace_market import BuyerDesk, DataspaceMarket
from hdex.node.dsp.store_sqlite import SqliteProcesses
from hdex.node.errors import ConfigInvalid
from hdex.node.holder import Holder
from hdex.node.wire.remote import RemoteHospitals

HOST = "127.0.0.1"
LAST_WORDS_S = 5.0  # for what was said last; what is not sent then goes out with the next command


@dataclass(frozen=True, slots=True)
class Dealing:
    """A buyer with one provider's connector as its market."""

    buyer: Buyer
    market: DataspaceMarket
    bargain: Bargain
    holder: Holder


@contextmanager
def dealing(config: BuyerConfig, provider: str, address: str, *, wait_s: float) -> Iterator[Dealing]:
    """Listen for a provider's messages and yield the buyer that deals with it; its own log and processes are kept."""
    who = caller(config.identity, config.trust_domain, config.limits)
    received = config.data_dir / "received"
    received.mkdir(parents=True, exist_ok=True, mode=0o700)
    counter = RemoteHospitals(who.channels)
    with listening(config, who) as (desk, line, _):
        market = DataspaceMarket(provider, address, line.connector, desk, line.courier, wait_s)
        buyer = Buyer(config.id, who.keys, who.directory, market=market, counter=counter, folder=received, clock=now)
        yield Dealing(
            buyer,
            market,
            Bargain(buyer, who.keys, who.directory, table=market, folder=received),
            Holder(buyer, who.keys, custodian=counter, ending=market, folder=received, clock=now),
        )
        line.outbox.drain(LAST_WORDS_S)


@contextmanager
def listening(config: BuyerConfig, who: Caller) -> Iterator[tuple[BuyerDesk, Line, SqliteProcesses]]:
    """Listen for providers' messages; the buyer's own log and processes are kept. One process of a buyer's does."""
    dsp = require_dsp(config)
    folder = config.data_dir / "dsp"
    log, recorder = local_log(config.id, folder)
    desk = BuyerDesk(who.directory)
    processes = SqliteProcesses(folder / "processes.db")
    members = Members(config.id, config.trust_domain, config.identity, who.directory)
    line = connect(members, dsp, desk, processes, recorder)
    stop = threading.Event()
    try:
        serving = serve_line(line, HOST, stop)
        try:
            yield desk, line, processes
        finally:
            stop.set()
            line.connector.wake.set()
            serving.stop()
    finally:
        processes.close()
        log.close()


def listen_for_desk(config: BuyerConfig, who: Caller, stop: threading.Event) -> Bargains | None:
    """Listen for as long as a desk is served and return its negotiations; None without a table [dsp]."""
    if config.dsp is None:
        return None
    line = ExitStack()
    desk, served, processes = line.enter_context(listening(config, who))

    def close() -> None:
        stop.wait()
        line.close()

    threading.Thread(target=close, name="desk-line", daemon=True).start()
    return Bargains(
        config.id,
        who.keys,
        who.directory,
        OpenLine(served.connector, desk, served.courier, processes.live),
        counter=RemoteHospitals(who.channels),
        folder=folder_of(config, "received"),
        clock=now,
    )


def require_dsp(config: BuyerConfig) -> Dataspace:
    """Return the table [dsp] of a buyer. Raises ConfigInvalid where there is none."""
    if config.dsp is None:
        raise ConfigInvalid("the configuration has no table [dsp]: port, address and hosts (docs/dsp.md)")
    return config.dsp
