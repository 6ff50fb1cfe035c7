"""The Chain port without a chain: the contract's rules in memory, for tests and for a node alone on one machine."""

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from hdex.ledger import contract
from hdex.ledger.errors import AnchorAlarm, ChainRefused, ChainUnavailable
from hdex.ledger.ports import Anchor, Chain, ChainRecord, NewGrant, TxRef

MEMORY_CHAIN_ID = 1337


@dataclass(frozen=True, slots=True)
class Node:
    """Who may write for a node, and its newest anchored head."""

    key: str
    log_key_hash: bytes
    size: int = 0
    root: bytes = b""
    shard: int = 0


@dataclass(frozen=True, slots=True)
class Grant:
    """A licence as the contract holds it."""

    node: str
    agreement_digest: bytes
    expires: int
    revoked: bool = False


@dataclass
class MemoryLedger:
    """The contract's state, shared by all accounts' MemoryChain. `admin` deployed it. `up` is whether it answers."""

    admin: str
    operator: str
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    chain_id: int = MEMORY_CHAIN_ID
    up: bool = True
    nodes: dict[str, Node] = field(default_factory=dict)
    products: dict[bytes, tuple[str, bool]] = field(default_factory=dict)  # digest -> node, withdrawn
    grants: dict[str, Grant] = field(default_factory=dict)
    studies: dict[bytes, str] = field(default_factory=dict)
    rounds: dict[tuple[bytes, int], bytes] = field(default_factory=dict)
    facts: list[ChainRecord] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def emit(self, kind: str, fields: Mapping[str, str | int]) -> TxRef:
        """Append one fact in a block of its own."""
        block = len(self.facts) + 1
        tx = hashlib.sha256(f"{kind} {block} {sorted(fields.items())}".encode()).digest()
        now = self.clock().replace(microsecond=0)
        time = max(now, self.facts[-1].time) if self.facts else now
        self.facts.append(ChainRecord(kind, dict(fields), block, time, tx))
        return TxRef(tx, block)

    def find(self, kind: str, fields: Mapping[str, str | int]) -> TxRef:
        """Return where a fact stands."""
        for fact in reversed(self.facts):
            if fact.kind == kind and fields.items() <= fact.fields.items():
                return TxRef(fact.tx, fact.block)
        raise LookupError(f"no {kind} was emitted")

    def find_key(self, fields: Mapping[str, str | int]) -> TxRef:
        """Return where a node's key was enrolled or rotated to."""
        rotated = any(fact.kind == "NodeKeyRotated" and fields.items() <= fact.fields.items() for fact in self.facts)
        return self.find("NodeKeyRotated" if rotated else "NodeEnrolled", fields)


class MemoryChain:
    """The contract as one account uses it."""

    def __init__(self, ledger: MemoryLedger, address: str) -> None:
        self._ledger = ledger
        self._address = address

    def chain_id(self) -> int:
        return self._up().chain_id

    def operator(self) -> str:
        return self._up().operator

    def enroll(self, node_id: str, address: str, log_key_hash: bytes) -> TxRef:
        contract.node_word(node_id)
        contract.digest_word(log_key_hash)
        ledger = self._up()
        fields: dict[str, str | int] = {"node": node_id, "key": address, "logKeyHash": log_key_hash.hex()}
        with ledger.lock:
            if self._is_bound(node_id, address, log_key_hash):
                return ledger.find_key(fields)
            require(self._address == ledger.admin, "NotAdmin")
            require(node_id not in ledger.nodes, "NodeEnrolledOtherwise")
            require(self._node_of(address) is None, "KeyTaken")
            ledger.nodes[node_id] = Node(address, log_key_hash)
            return ledger.emit("NodeEnrolled", fields)

    def rotate(self, node_id: str, address: str, log_key_hash: bytes) -> TxRef:
        """Bind a node to a new account and log key: the node itself or the admin."""
        ledger = self._up()
        fields: dict[str, str | int] = {"node": node_id, "key": address, "logKeyHash": log_key_hash.hex()}
        with ledger.lock:
            known = ledger.nodes.get(node_id)
            if known is None:
                raise refused("NotEnrolled")
            if self._is_bound(node_id, address, log_key_hash):
                return ledger.find_key(fields)
            require(self._address in (known.key, ledger.admin), "NotTheNodesKey")
            require(self._node_of(address) in (None, node_id), "KeyTaken")
            ledger.nodes[node_id] = replace(known, key=address, log_key_hash=log_key_hash)
            return ledger.emit("NodeKeyRotated", fields)

    def anchor(self, node_id: str, size: int, root: bytes, note_hash: bytes) -> TxRef:
        contract.size_word(size)
        node, shard = contract.shard_of(node_id)
        ledger = self._up()
        with ledger.lock:
            for anchor in self.anchors(node_id):
                if anchor.size == size:
                    require_root(anchor, root, node_id)
                    return TxRef(anchor.tx, anchor.block)
            known = self._node(node)
            require(size > 0, "Empty")
            require(shard > known.shard or (shard == known.shard and size > known.size), "SizeMustGrow")
            ledger.nodes[node] = replace(known, size=size, root=contract.digest_word(root), shard=shard)
            note = contract.digest_word(note_hash).hex()
            fields: dict[str, str | int] = {
                "node": node,
                "shard": shard,
                "size": size,
                "root": root.hex(),
                "noteHash": note,
            }
            return ledger.emit("CheckpointAnchored", fields)

    def anchors(self, node_id: str) -> list[Anchor]:
        of_log = contract.shard_of(node_id)
        told = self.records("CheckpointAnchored")
        return [anchor_of(fact) for fact in told if (fact.fields["node"], fact.fields["shard"]) == of_log]

    def list_product(self, node_id: str, digest: bytes) -> TxRef:
        ledger = self._up()
        fields: dict[str, str | int] = {"node": node_id, "digest": contract.digest_word(digest).hex()}
        with ledger.lock:
            self._node(node_id)
            owner, withdrawn = ledger.products.get(digest, (node_id, False))
            require(not withdrawn, "ProductWithdrawnAlready")
            require(owner == node_id, "ProductOfAnother")
            if digest in ledger.products:
                return ledger.find("ProductListed", fields)
            ledger.products[digest] = (node_id, False)
            return ledger.emit("ProductListed", fields)

    def withdraw_product(self, digest: bytes) -> TxRef:
        ledger = self._up()
        with ledger.lock:
            require(digest in ledger.products, "ProductUnknown")
            owner, withdrawn = ledger.products[digest]
            fields: dict[str, str | int] = {"node": owner, "digest": digest.hex()}
            if withdrawn:
                return ledger.find("ProductWithdrawn", fields)
            self._node(owner)
            ledger.products[digest] = (owner, True)
            return ledger.emit("ProductWithdrawn", fields)

    def issue_grant(self, grant_id: str, node_id: str, agreement_digest: bytes, expires: datetime) -> TxRef:
        ledger = self._up()
        grant = Grant(node_id, contract.digest_word(agreement_digest), contract.seconds(expires))
        fields: dict[str, str | int] = {"node": node_id, "grant": contract.name_word(grant_id).hex()}
        with ledger.lock:
            known = ledger.grants.get(grant_id)
            if known is not None and replace(known, revoked=False) == grant:
                return ledger.find("GrantIssued", fields)
            self._node(node_id)
            require(known is None, "GrantDiffers")
            ledger.grants[grant_id] = grant
            more: dict[str, str | int] = {"agreementDigest": agreement_digest.hex(), "expires": grant.expires}
            return ledger.emit("GrantIssued", fields | more)

    def issue_grants(self, node_id: str, grants: Sequence[NewGrant]) -> None:
        for one in grants:
            self.issue_grant(one.grant_id, node_id, one.agreement_digest, one.expires)

    def revoke_grant(self, grant_id: str) -> TxRef:
        ledger = self._up()
        with ledger.lock:
            known = ledger.grants.get(grant_id)
            if known is None:
                raise refused("GrantUnknown")
            fields: dict[str, str | int] = {"node": known.node, "grant": contract.name_word(grant_id).hex()}
            if known.revoked:
                return ledger.find("GrantRevoked", fields)
            self._node(known.node)
            ledger.grants[grant_id] = replace(known, revoked=True)
            return ledger.emit("GrantRevoked", fields)

    def is_granted(self, grant_id: str, at: datetime) -> bool:
        known = self._up().grants.get(grant_id)
        return known is not None and not known.revoked and contract.seconds(at) < known.expires

    def seal_round(self, study: str, round: int, digest: bytes) -> TxRef:
        contract.count(round)
        ledger, word = self._up(), contract.name_word(study)
        with ledger.lock:
            if ledger.rounds.get((word, round)) == digest:
                return ledger.find("RoundSealed", {"study": word.hex(), "round": round})
            node = self._node_of(self._address)
            if node is None:
                raise refused("NotEnrolled")
            require(ledger.studies.get(word, node) == node, "StudyOfAnother")
            require((word, round) not in ledger.rounds, "RoundDiffers")
            ledger.studies[word] = node
            ledger.rounds[word, round] = contract.digest_word(digest)
            return ledger.emit(
                "RoundSealed", {"study": word.hex(), "round": round, "node": node, "digest": digest.hex()}
            )

    def records(self, kind: str) -> list[ChainRecord]:
        contract.require_event(kind)
        return [fact for fact in self._up().facts if fact.kind == kind]

    def _up(self) -> MemoryLedger:
        if not self._ledger.up:
            raise ChainUnavailable("the chain does not answer")
        return self._ledger

    def _node(self, node_id: str) -> Node:
        """Return the node when this account is its key."""
        known = self._ledger.nodes.get(node_id)
        if known is None or known.key != self._address:
            raise refused("NotTheNodesKey")
        return known

    def _is_bound(self, node_id: str, address: str, log_key_hash: bytes) -> bool:
        known = self._ledger.nodes.get(node_id)
        return known is not None and (known.key, known.log_key_hash) == (address, log_key_hash)

    def _node_of(self, address: str) -> str | None:
        return next((node_id for node_id, node in self._ledger.nodes.items() if node.key == address), None)


def refused(rule: str) -> ChainRefused:
    """Return the refusal that the contract's error of this name becomes."""
    return ChainRefused(f"the contract refuses: {rule}", rule=rule)


def require(holds: bool, rule: str) -> None:
    """Raise ChainRefused of this rule unless it holds."""
    if not holds:
        raise refused(rule)


def require_root(anchor: Anchor, root: bytes, node_id: str) -> None:
    """Raise AnchorAlarm when a size stands with another root."""
    if anchor.root != root:
        raise AnchorAlarm(f"the chain holds another root of {node_id} at size {anchor.size}")


def anchor_of(fact: ChainRecord) -> Anchor:
    """Return an anchor from the fact that tells it."""
    told = fact.fields
    root, note_hash = bytes.fromhex(str(told["root"])), bytes.fromhex(str(told["noteHash"]))
    return Anchor(int(told["size"]), root, note_hash, block=fact.block, time=fact.time, tx=fact.tx)


_: type[Chain] = MemoryChain
