"""A key holder, wired."""

from hdex.federated.keyholder import KeyHolder
from hdex.federated.store_sqlite import SqliteStore
from hdex.node.compose.standing import Standing, now
from hdex.node.config import KeyholderConfig
from hdex.node.keyholder import SumDesk, admit_by
from hdex.node.keys import data_key
from hdex.node.sealing import Sealing
from hdex.node.wire.services_keyholder import keyholder_adders


def serve_keyholder(config: KeyholderConfig) -> Standing:
    """Start a key holder and return its ground; `run` waits for its end."""
    standing = Standing(config)
    sealing = Sealing(data_key(standing.keys, "studies"))
    store = SqliteStore(standing.data / "studies.db", seal=sealing.seal, unseal=sealing.unseal)
    holder = KeyHolder(store, admit=admit_by(standing.directory, config.exchange.id), clock=now)
    standing.serving = standing.serve(keyholder_adders(SumDesk(holder, standing.recorder)))
    return standing
