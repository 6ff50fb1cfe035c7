"""A key holder, wired."""

from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hdex.federated.keyholder import KeyHolder
from hdex.federated.store_sqlite import SqliteStore
from hdex.node.compose.standing import Standing, now
from hdex.node.config import KeyholderConfig
from hdex.node.keyholder import SumDesk, admit_by
from hdex.node.keys import KeyProvider, data_key
from hdex.node.sealing import Sealing
from hdex.node.wire.services_keyholder import keyholder_adders


def signer(keys: KeyProvider) -> Callable[[bytes], bytes]:
    """Return what signs under the participant's Ed25519 key."""

    def sign(message: bytes) -> bytes:
        return Ed25519PrivateKey.from_private_bytes(keys.secret("sign")).sign(message)

    return sign


def serve_keyholder(config: KeyholderConfig) -> Standing:
    """Start a key holder and return its ground; `run` waits for its end."""
    standing = Standing(config)
    sealing = Sealing(data_key(standing.keys, "studies"))
    store = SqliteStore(standing.data / "studies.db", seal=sealing.seal, unseal=sealing.unseal)
    holder = KeyHolder(
        store,
        admit=admit_by(standing.directory, config.exchange.id),
        bits=config.key_bits,
        regions={name: standing.directory.require(name, "region").sign_key for name in config.regions},
        clock=now,
        sign=signer(standing.keys),
    )
    standing.serving = standing.serve(keyholder_adders(SumDesk(holder, standing.recorder, standing.directory)))
    return standing
