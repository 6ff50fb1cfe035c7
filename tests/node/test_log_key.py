"""Replacing the key that signs a log: the old key's last statement names the new one, and both pasts are one."""

import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tests.ledger.evidence_story import NODES, make_event, witness_signer
from tests.node.consortium import consortium, hospital
from tests.node.market_stage import Market
from tests.node.test_keeper import Peer
from tests.node.test_keeper_shards import no_chain

from hdex.ledger.bundle import Evidence, LogEvidence, WitnessEvidence, write_evidence
from hdex.ledger.errors import StoreCorrupt
from hdex.ledger.event import Action, canonical, format_time, parse
from hdex.ledger.log import Log
from hdex.ledger.note import Signer, parse_checkpoint
from hdex.ledger.shard import origin_of
from hdex.ledger.shard_sqlite import Shards
from hdex.ledger.store_memory import MemoryWitnessStore
from hdex.ledger.trust import trust_from_document
from hdex.ledger.verify import AuditReport, verify_evidence
from hdex.ledger.witness import Witness
from hdex.node.compose.log_key import replace_key
from hdex.node.compose.standing import Standing
from hdex.node.config import Listen
from hdex.node.errors import AccessDenied, AlreadyExists
from hdex.node.keeper import Keeper
from hdex.node.keystore import KeyStore
from hdex.node.log_key import Replaced, replace_log_key, retired_keys

A, B, C = NODES
START = datetime(2026, 12, 31, 23, 50, tzinfo=UTC)


class Rotation:
    """hospital-a, its keystore and its witnesses, who learn of its new key when the directory says so."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.now = folder, START
        self.meter = Market(folder / "market").grounds[A].meter
        self.store = KeyStore.create(folder / "keystore.json", b"pass")
        self.known = {origin_of(A, year): self.store.public("log") for year in (2026, 2027)}
        self.mirrors = {name: MemoryWitnessStore() for name in (B, C)}
        self.log = self.open()

    def open(self) -> Log:
        def signer(origin: str) -> Signer:
            return Signer(origin, self.store.secret("log"))

        return Shards(
            self.folder, A, signer=signer, clock=lambda: self.now, retired=lambda: retired_keys(self.store)
        ).open()

    def keeper(self, names: tuple[str, ...] = (B, C)) -> Keeper:
        peers = [
            Peer(name, Witness(witness_signer(name), self.mirrors[name], logs=self.known, clock=lambda: self.now))
            for name in names
        ]
        return Keeper(self.log, peers, anchoring=no_chain, flush=lambda: None, meter=self.meter, period_s=1)

    def write(self, number: int) -> None:
        event = replace(make_event(A, number, Action.AUDIT_READ), time=format_time(self.now))
        self.log.append(canonical(event))

    def rotate(self) -> Replaced:
        """Replace the key, restart, and have the directory name the new one."""
        done = replace_log_key(self.store, self.log, self.keeper(), now=self.now, needed=2)
        self.log.close()
        self.now += timedelta(minutes=4)
        self.known.update(dict.fromkeys(self.known, self.store.public("log")))
        self.log = self.open()
        return done

    def audit(self, trusted: dict[str, Any]) -> AuditReport:
        log = LogEvidence(A, self.log.origin, tuple(self.log.entries(0, self.log.size)), tuple(self.log.cosigned()))
        told = [WitnessEvidence(name, A, str(kept.latest(log.origin)), ()) for name, kept in self.mirrors.items()]
        write_evidence(self.folder / "e.zip", Evidence(self.now, {}, (log,), tuple(told)))
        witnesses = [{"name": name, "key": witness_signer(name).public_key.hex()} for name in (B, C)]
        document = {"policy": {"witnesses": 2}, "logs": [trusted], "witnesses": witnesses}
        return verify_evidence(self.folder / "e.zip", trust_from_document(document))


@pytest.fixture
def rotation(tmp_path: Path) -> Iterator[Rotation]:
    made = Rotation(tmp_path)
    yield made
    made.log.close()


def test_an_auditor_who_is_told_follows_the_log_from_one_key_to_the_next(rotation: Rotation) -> None:
    old = rotation.store.public("log")
    rotation.write(0)
    rotation.keeper().keep()
    done = rotation.rotate()
    rotation.write(1)
    rotation.keeper().keep()
    event = parse(rotation.log.entries(done.index, done.index + 1)[0])
    assert (event.action, event.request_digest) == (Action.KEY_ROTATE, sha256(old).hexdigest())
    assert event.result_digest == sha256(rotation.log.public_key).hexdigest()
    assert rotation.log.public_key == done.new_key != old
    report = rotation.audit(done.document()["trust"])
    assert report.verified, report.first_offence
    assert f"{A}: entry 1 names the key that signs now, under the key before" in report.checked


def test_the_new_key_alone_does_not_vouch_for_what_the_old_one_signed(rotation: Rotation) -> None:
    rotation.write(0)
    rotation.keeper().keep()
    done = rotation.rotate()
    rotation.write(1)
    rotation.keeper().keep()
    assert not rotation.audit({"node": A, "log_key": done.new_key.hex()}).verified
    assert not rotation.audit({"node": A, "log_key": done.old_key.hex()}).verified


def test_a_key_that_the_old_one_never_named_is_said(rotation: Rotation) -> None:
    rotation.write(0)
    rotation.keeper().keep()
    fresh = bytes(range(32))
    rotation.store.replace("log", fresh, retired="log@lost")  # in the file only: no statement
    old = rotation.log.public_key
    rotation.log.close()
    rotation.log = rotation.open()
    rotation.known.update(dict.fromkeys(rotation.known, rotation.log.public_key))
    rotation.write(1)
    rotation.keeper().keep()
    earlier = [{"key": old.hex(), "until": format_time(rotation.now)}]
    report = rotation.audit({"node": A, "log_key": rotation.log.public_key.hex(), "earlier": earlier})
    assert f"{A}: no entry under an earlier key names the key that signs now" in report.not_checked


def test_below_the_witnesses_that_are_asked_the_old_key_stays(rotation: Rotation) -> None:
    old = rotation.store.public("log")
    with pytest.raises(AccessDenied, match="1 witnesses cosigned the statement, 2 are asked"):
        replace_log_key(rotation.store, rotation.log, rotation.keeper((B,)), now=rotation.now, needed=2)
    assert (rotation.store.public("log"), retired_keys(rotation.store)) == (old, [])


def test_after_new_year_the_year_under_the_old_key_is_still_read_and_linked(rotation: Rotation) -> None:
    rotation.write(0)
    rotation.rotate()
    size = rotation.log.size
    rotation.now = datetime(2027, 1, 1, tzinfo=UTC)
    rotation.write(1)
    rotation.log.close()
    rotation.log = rotation.open()  # checks the link to 2026
    assert rotation.log.origin == origin_of(A, 2027)
    with closing(Shards(
        rotation.folder, A, signer=lambda origin: Signer(origin, rotation.store.secret("log")),
        clock=lambda: rotation.now, retired=lambda: retired_keys(rotation.store),
    ).read(2026)) as past:  # fmt: skip
        assert (past.size, parse_checkpoint(past.checkpoint()).size) == (size, size)


def test_a_log_under_a_key_that_was_never_ours_does_not_open(rotation: Rotation) -> None:
    rotation.write(0)
    rotation.log.close()
    shards = Shards(rotation.folder, A, signer=lambda origin: Signer(origin, bytes(32)), clock=lambda: rotation.now)
    with pytest.raises(StoreCorrupt, match="not signed by this log's key"):
        shards.open()
    rotation.log = rotation.open()


def test_the_command_s_parts_replace_the_key_of_a_stopped_participant_only(tmp_path: Path) -> None:
    config = replace(hospital(consortium(tmp_path / "consortium")), data_dir=tmp_path / "data")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = replace(config, listen=Listen(grpc_port=taken.getsockname()[1]))
        with pytest.raises(AlreadyExists, match="still runs"):
            replace_key(busy, 0)
    with pytest.raises(AccessDenied, match="0 witnesses cosigned"):  # nobody else runs
        replace_key(config, 1)
    done = replace_key(config, 0)
    standing = Standing(config)
    assert (standing.log.public_key, standing.log.size) == (done.new_key, 2)
    standing.log.close()
