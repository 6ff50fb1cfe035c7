"""A regional aggregator, wired: its hospitals dial it, and it dials the exchange."""

from hdex.federated.store_sqlite import SqliteStore
from hdex.node.compose.keyholder import signer
from hdex.node.compose.standing import Standing, now
from hdex.node.config import RegionConfig
from hdex.node.identity import Identity
from hdex.node.region import Region, RegionDesk
from hdex.node.wire.channel_client import ChannelClient
from hdex.node.wire.channel_server import ChannelServer
from hdex.node.wire.services_exchange import channel_adders


def serve_region(config: RegionConfig) -> Standing:
    """Start a region, dial out to the exchange for studies, and return its ground; `run` waits for its end."""
    standing, channels = Standing(config), ChannelServer()
    for site in config.sites:
        standing.directory.require(site, "hospital")
    exchange = standing.directory.require(config.exchange.id, "exchange")
    desk = RegionDesk(
        Region(config.id, config.sites, signer(standing.keys)),
        channels,
        directory=standing.directory,
        coordinator=Identity(exchange.spiffe_id, exchange.kind, exchange.id),
        recorder=standing.recorder,
        kept=SqliteStore(standing.data / "contributions.db"),
        clock=now,
    )
    standing.serving = standing.serve(channel_adders(channels))
    ChannelClient(lambda: standing.channels(config.exchange.id), stop=standing.stop, by_study=desk.handle).start()
    return standing
