"""The identifying side of events: who acted and the salt that opens the commitment, each row under a key of its own.

The log never holds these. A row's key is drawn for it alone and kept in another table, wrapped under the participant's
master key; whoever destroys that one row has erased the detail, in every copy of the other table too.
"""

import hmac
import json
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hdex.ledger.document import load
from hdex.ledger.errors import DetailErased, StoreCorrupt
from hdex.ledger.event import Action, Event, commit
from hdex.ledger.ports import DetailRow, DetailStore

KEY_BYTES, NONCE_BYTES = 32, 12


@dataclass(frozen=True, slots=True)
class Detail:
    """What stands behind one event's commitment."""

    actor: str  # SPIFFE id
    salt: bytes

    def __repr__(self) -> str:
        return "Detail(...)"


class Details:
    """A participant's details. What `remember` returned from is on disk."""

    def __init__(self, store: DetailStore, master: bytes) -> None:
        """Seal under `master`, 32 secret bytes."""
        self._store = store
        self._wrapping = AESGCM(hmac.digest(master, b"hdex detail keys", sha256))
        self._tagging = hmac.digest(master, b"hdex detail tags", sha256)

    def __repr__(self) -> str:
        return "Details(...)"

    def remember(self, event: Event, detail: Detail) -> None:
        """Seal and keep the detail of one event, durably on return; the same event again replaces nothing."""
        self.remember_all([(event, detail)])

    def remember_all(self, pairs: Iterable[tuple[Event, Detail]]) -> None:
        """Keep many at once."""
        self._store.put([self._sealed(event, detail) for event, detail in pairs])

    def open(self, event_id: str) -> Detail:
        """Return the detail of one event. Raises DetailErased when there is none any more, or never was."""
        row = self._store.get(event_id)
        if row is None:
            raise DetailErased("the detail of this event was erased, or is not kept here")
        if row.event_id != event_id:  # a damaged index of the store leads to another row: whole, and of another person
            raise StoreCorrupt("the store answers with the detail of another event")
        return self._opened(row)

    def of_actor(self, actor: str) -> list[DetailRow]:
        """Return the rows of one actor, oldest first. Raises StoreCorrupt."""
        tag = self.tag(actor)
        rows = self._store.find(tag)
        if any(row.tag != tag for row in rows):
            raise StoreCorrupt("the store answers with the details of another actor")
        return rows

    def commitments(self, actor: str) -> tuple[str, ...]:
        """Return the commitments under which an actor stands in the log: what to search for."""
        return tuple(commit(actor, self._opened(row).salt) for row in self.of_actor(actor))

    def row(self, event_id: str) -> DetailRow | None:
        """Return one row, None when it is erased."""
        return self._store.get(event_id)

    def destroy(self, rows: Sequence[DetailRow]) -> None:
        """Destroy the keys of these rows: nobody opens them again, whatever copy of them he holds."""
        self._store.destroy([row.event_id for row in rows])

    def tag(self, actor: str) -> bytes:
        """Return the keyed digest under which an actor's rows are found; it goes with their keys."""
        return hmac.digest(self._tagging, actor.encode(), sha256)

    def seal_note(self, name: str, value: object) -> bytes:
        """Return a JSON value sealed under the master key, bound to its name: what names people but is no event's."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._wrapping.encrypt(
            nonce, json.dumps(value, sort_keys=True).encode(), b"note:" + name.encode()
        )

    def open_note(self, name: str, sealed: bytes) -> object:
        """Return the value. Raises StoreCorrupt."""
        return load(_decrypt(self._wrapping, sealed, b"note:" + name.encode()))

    def holds(self) -> Iterator[tuple[str, object]]:
        """Yield name and scope of every legal hold."""
        for name, sealed in self._store.holds():
            yield name, self.open_note(name, sealed)

    def place_hold(self, name: str, scope: object) -> None:
        """Keep a hold, in place of one of the same name."""
        self._store.put_hold(name, self.seal_note(name, scope))

    def lift_hold(self, name: str) -> None:
        """Forget a hold."""
        self._store.drop_hold(name)

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def _sealed(self, event: Event, detail: Detail) -> DetailRow:
        bound = event.event_id.encode()
        key, nonces = secrets.token_bytes(KEY_BYTES), secrets.token_bytes(2 * NONCE_BYTES)
        text = json.dumps({"actor": detail.actor, "salt": detail.salt.hex()}).encode()
        first, second = nonces[:NONCE_BYTES], nonces[NONCE_BYTES:]
        return DetailRow(
            event_id=event.event_id,
            time=event.time,
            action=event.action.value,
            product=event.product,
            contract=event.contract,
            sealed=first + AESGCM(key).encrypt(first, text, bound),
            key=second + self._wrapping.encrypt(second, key, bound),
            tag=self.tag(detail.actor),
        )

    def _opened(self, row: DetailRow) -> Detail:
        bound = row.event_id.encode()
        key = _decrypt(self._wrapping, row.key, bound)
        found = load(_decrypt(AESGCM(key), row.sealed, bound))
        if not isinstance(found, dict):
            raise StoreCorrupt("a detail is of another form than it was written in")
        return Detail(str(found["actor"]), bytes.fromhex(str(found["salt"])))


def action_of(row: DetailRow) -> Action:
    """Return the action a row belongs to. Raises StoreCorrupt for one that is not known."""
    try:
        return Action(row.action)
    except ValueError as error:
        raise StoreCorrupt("a detail names an action that is not known") from error


def _decrypt(cipher: AESGCM, sealed: bytes, bound: bytes) -> bytes:
    try:
        return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound)
    except (InvalidTag, ValueError) as error:
        raise StoreCorrupt("a detail does not open: it was altered, or is another participant's") from error
