"""Replacing a log's signing key, wired: the participant's own log, witnesses and chain, while it does not serve."""

from contextlib import closing

from hdex.node.compose.standing import Config, Standing, now
from hdex.node.errors import AlreadyExists
from hdex.node.keys import read_passphrase
from hdex.node.keystore import KeyStore
from hdex.node.log_key import Replaced, replace_log_key
from hdex.node.wire.probe import is_taken


def replace_key(config: Config, witnesses: int) -> Replaced:
    """Replace the key of a participant that is stopped. Raises AlreadyExists while it runs, AccessDenied."""
    host, _, port = config.listen.grpc.rpartition(":")
    if int(port) and is_taken(host.strip("[]"), int(port)):
        raise AlreadyExists(f"{config.id} still runs on {config.listen.grpc}: stop it first")
    standing = Standing(config)
    files = config.identity
    with closing(standing.log) as log:
        store = KeyStore.open(files.keystore, read_passphrase(files.passphrase_file))
        return replace_log_key(store, log, standing.keeper, now=now(), needed=witnesses)
