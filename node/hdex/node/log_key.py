"""Replacing the key that signs a participant's log, while the participant does not run."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hdex.ledger.event import format_time
from hdex.ledger.log import Log
from hdex.ledger.note import parse_checkpoint, parse_note
from hdex.ledger.rotation import statement
from hdex.ledger.shard import parse_origin
from hdex.node.errors import AccessDenied
from hdex.node.keeper import Keeper
from hdex.node.keys import KeyKind, KeyProvider, generate, public_of
from hdex.node.keystore import KeyStore

LOG_KEY, RETIRED = "log", "log@"


@dataclass(frozen=True, slots=True)
class Replaced:
    """What others must be told: the entry that says it, and both keys."""

    node: str
    index: int  # of the statement in the log
    old_key: bytes
    new_key: bytes
    until: datetime
    cosigners: int  # witnesses that cosigned the statement

    def document(self) -> dict[str, Any]:
        """Return the JSON form; `trust` is the participant's entry in trust files from now on."""
        earlier = [{"key": self.old_key.hex(), "until": format_time(self.until)}]
        trust = {"node": self.node, "log_key": self.new_key.hex(), "earlier": earlier}
        return {"entry": self.index, "witnesses": self.cosigners, "log_key": self.new_key.hex(), "trust": trust}


def retired_keys(keys: KeyProvider) -> list[bytes]:
    """Return the public keys that signed this participant's log before."""
    return [keys.public(name) for name in keys.names() if name.startswith(RETIRED)]


def replace_log_key(store: KeyStore, log: Log, keeper: Keeper, *, now: datetime, needed: int) -> Replaced:
    """Name a new key in the log under the old one, have that witnessed, then put the new key in the old one's place.

    A crash before the last step leaves the old key in force and an entry that names a key which never came.
    needed: raises AccessDenied below so many cosignatures; the old key stays.
    """
    old, fresh = store.public(LOG_KEY), generate(KeyKind.ED25519)
    new = public_of(KeyKind.ED25519, fresh)
    node, _ = parse_origin(log.origin)
    receipt = log.append(statement(node, old, new, now))
    note = keeper.keep()
    cosigners = len(parse_note(note).signatures) - 1
    if cosigners < needed or parse_checkpoint(note).size <= receipt.index:
        told = f"{cosigners} witnesses cosigned the statement, {needed} are asked for: nothing was replaced"
        raise AccessDenied("log-key.witnesses", "start the witnesses and repeat, or ask for fewer", told)
    store.replace(LOG_KEY, fresh, retired=f"{RETIRED}{format_time(now)}")
    return Replaced(node, receipt.index, old, new, now, cosigners)
