"""An exchange, wired: catalogue, contracts, studies, pages."""

import threading
from typing import Any

from hdex.catalog.index import Catalogue
from hdex.catalog.web.app import create_app
from hdex.node.compose.access import exchange_vettings, watch_clock
from hdex.node.compose.dataspace_members import Members, connect, serve_line
from hdex.node.compose.standing import Standing, now
from hdex.node.config import Dataspace, ExchangeConfig
from hdex.node.dsp.messages import PATH
from hdex.node.dsp.store_sqlite import SqliteProcesses
from hdex.node.errors import ConfigInvalid
from hdex.node.exchange.contracts import Contracts
from hdex.node.exchange.dataspace import ExchangeDesk
from hdex.node.exchange.enquiries import Enquiries
from hdex.node.exchange.histories import Histories
from hdex.node.exchange.indexes import open_index
from hdex.node.exchange.journals import open_journal
from hdex.node.exchange.listings import Listings
from hdex.node.exchange.notices import Courier, Outbox
from hdex.node.exchange.public_status import PublicStatus, Sources
from hdex.node.exchange.searches import Searches
from hdex.node.exchange.studies import Coordinator, Studies
from hdex.node.exchange.study_process import StudyProcess
from hdex.node.exchange.study_seals import Seals
from hdex.node.identity import Identity
from hdex.node.keys import data_key, read_secret
from hdex.node.wire.api_app import health_route
from hdex.node.wire.channel_server import ChannelServer
from hdex.node.wire.http_server import HttpServing
from hdex.node.wire.pages import serve_pages
from hdex.node.wire.remote import RemoteHospitals, RemoteKeyHolder
from hdex.node.wire.services_access import vetting_adder
from hdex.node.wire.services_exchange import CatalogueDesk, exchange_adders
from hdex.node.wire.webhooks import Webhooks


def serve_exchange(config: ExchangeConfig) -> Standing:
    """Start an exchange with its pages and return its ground; `run` waits for its end."""
    standing = Standing(config)
    catalogue = Catalogue(open_index(config.catalogue_index, standing.data))
    searches = make_searches(standing, config, catalogue)
    histories = Histories(standing.documents, node=config.id, clock=now)
    listings = Listings(catalogue, standing.directory, standing.recorder, listed=searches, history=histories)
    contracts = Contracts(
        listings,
        standing.documents,
        directory=standing.directory,
        providers=RemoteHospitals(standing.channels),
        recorder=standing.recorder,
    )
    channels = ChannelServer()
    studies = make_studies(standing, config, contracts, channels)
    app = create_app(
        catalogue,
        timeline=histories.timeline,
        versions=histories.versions,
        feed=searches.feed,
        status=public_status(standing, config, catalogue, channels),
        base=config.public_url,
    )
    app.router.routes.append(health_route(standing.is_serving))
    serve_pages(app, config.listen, stop=standing.stop)
    vettings = exchange_vettings(standing, config)
    if config.dsp is not None:
        standing.dsp = serve_dsp(standing, config.dsp, catalogue, contracts)
    desk = CatalogueDesk(listings, searches, Enquiries(listings, now, config.public_url))
    adders = exchange_adders(desk, contracts, studies, channels)
    standing.serving = standing.serve([*adders, vetting_adder(vettings)])
    watch_clock(standing.stop, vettings.expire)
    return standing


def public_status(
    standing: Standing, config: ExchangeConfig, catalogue: Catalogue, channels: ChannelServer
) -> PublicStatus:
    """Return what the exchange tells everybody of itself."""
    sources = Sources(
        log=standing.log,
        published=standing.keeper.published,
        anchoring=standing.anchoring,
        lines=channels.sites,
        directory=standing.directory,
        catalogue=catalogue,
        witnesses=frozenset(peer.id for peer in config.witness_peers),
        needed=config.witnesses,
    )
    return PublicStatus(sources, clock=now)


def serve_dsp(standing: Standing, dsp: Dataspace, catalogue: Catalogue, contracts: Contracts) -> HttpServing:
    """Serve the Dataspace Protocol over catalogue and contracts."""
    config = standing.config
    desk = ExchangeDesk(dsp.address + PATH, catalogue, contracts, standing.directory, now)
    members = Members(config.id, config.trust_domain, config.identity, standing.directory)
    line = connect(members, dsp, desk, SqliteProcesses(standing.data / "dsp.db"), standing.recorder)
    desk.connectors.append(line.connector)
    return serve_line(line, config.listen.host, standing.stop)


def make_searches(standing: Standing, config: ExchangeConfig, catalogue: Catalogue) -> Searches:
    """Return the saved searches of an exchange and start the courier of their notices."""
    outbox = Outbox(standing.documents, now)
    webhooks = Webhooks(frozenset(config.searches.webhook_hosts), loopback=config.searches.webhook_loopback)
    searches = Searches(
        catalogue,
        standing.documents,
        recorder=standing.recorder,
        outbox=outbox,
        door=webhooks,
        key=data_key(standing.keys, "saved searches"),
        clock=now,
        base=config.public_url.rstrip("/"),
    )
    me = Identity(standing.directory.member(config.id).spiffe_id, "exchange", config.id)
    courier = Courier(
        outbox,
        webhooks,
        settle=searches.settle,
        key=searches.webhook_key,
        recorder=standing.recorder,
        me=me,
        clock=now,
    )
    threading.Thread(target=courier.run, args=(standing.stop,), name="courier", daemon=True).start()
    return searches


def make_studies(standing: Standing, config: ExchangeConfig, contracts: Contracts, channels: ChannelServer) -> Studies:
    """Return the studies of an exchange. Raises ConfigInvalid where no key holder is named."""
    if config.keyholder is None:
        raise ConfigInvalid("an exchange names the key holder of its studies: [keyholder]")
    open_journal(config.studies_journal, standing.data)  # said now, not in the middle of a study
    for region in config.regions:
        standing.directory.require(region.id, "region")
    keyholder = RemoteKeyHolder(standing.channels(config.keyholder.id))
    me = Coordinator(config.id, standing.keys.secret("sign"), config.keyholder.id, now)
    return Studies(
        me,
        standing.documents,
        contracts,
        directory=standing.directory,
        keyholder=keyholder,
        runner=StudyProcess(
            channels,
            keyholder,
            standing.data / "studies",
            journal=config.studies_journal,
            people_s=config.studies_people_s,
            regions={region.id: region.sites for region in config.regions},
            superlink=superlink_of(config),
        ),
        recorder=standing.recorder,
        facts=standing.facts,
        seals=Seals(standing.log, standing.shards.past, standing.documents),
    )


def superlink_of(config: ExchangeConfig) -> dict[str, Any] | None:
    """Return what a study's process needs to join a SuperLink; None where hospitals hold streams of their own."""
    if config.superlink is None or config.grid == "stream":
        return None
    named = config.superlink
    read_secret(named.secret_file)  # said now, not in the middle of a study
    files = {"ca": str(named.ca), "secret_file": str(named.secret_file)}
    return {"address": named.address, **files, "nodes": {one.site: one.node for one in config.supernodes}}
