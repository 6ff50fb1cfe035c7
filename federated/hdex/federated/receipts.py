"""A study's receipt: what was asked, what each site signed, what was summed. Replayed by anyone, without any key.

The file is a zip: study.json (the signed envelope), rounds/0001/record.json (the journal's row), rounds/0001/<n>.bin
(the contributions in roster order: masked ciphertexts under the sites' signatures), rounds/0001/proof (what the key
holder showed of the sum: the randomness of its ciphertexts, which proves it). `replay` holds it against the
events of the participants' logs, given as plain values; whether those logs are whole is `hdex audit verify`'s matter.
"""

import hashlib
import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic_core import from_json

from hdex.federated.combine import combine
from hdex.federated.contribution import Contribution
from hdex.federated.errors import CiphertextInvalid, FederatedError, StudyInvalid
from hdex.federated.journal import RoundRecord, sum_digest
from hdex.federated.opened import proven_sum, require_sum, split_parts
from hdex.federated.paillier import CipherVector
from hdex.federated.plain import plain_sum
from hdex.federated.regional import Part, RegionalSum, Reply, parse_reply, parts_of
from hdex.federated.statistics import Floats
from hdex.federated.study import Study, parse_envelope

Event = Mapping[str, Any]
Logs = Mapping[str, Sequence[Event]]  # participant -> its events, oldest first
_EPOCH = (1980, 1, 1, 0, 0, 0)
MOST_BYTES = 1 << 30  # of one member
# of a damaged zip: what zipfile and zlib raise, for members that are encrypted or packed in a way it does not know too
UNREADABLE = (zipfile.BadZipFile, zlib.error, ValueError, OSError, EOFError, RuntimeError)  # NotImplementedError is one


@dataclass(frozen=True, slots=True)
class RoundReceipt:
    """One round."""

    record: RoundRecord
    contributions: tuple[bytes, ...]  # in roster order
    proof: bytes = b""  # that the opened sum is theirs; empty in a plain study


@dataclass(frozen=True, slots=True)
class Receipt:
    """One study, whole."""

    envelope: bytes
    rounds: tuple[RoundReceipt, ...]

    @property
    def study(self) -> Study:
        """The study; its signatures are not verified here."""
        return parse_envelope(self.envelope)

    def to_bytes(self) -> bytes:
        """Return the file, the same bytes for the same receipt."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, data in self._members():
                archive.writestr(zipfile.ZipInfo(name, _EPOCH), data)
        return buffer.getvalue()

    def _members(self) -> list[tuple[str, bytes]]:
        found = [("study.json", self.envelope)]
        for number, one in enumerate(self.rounds, start=1):
            found.append((f"rounds/{number:04}/record.json", one.record.to_bytes()))
            found += [(f"rounds/{number:04}/{at:04}.bin", data) for at, data in enumerate(one.contributions)]
            if one.proof:
                found.append((f"rounds/{number:04}/proof", one.proof))
        return found

    @classmethod
    def from_bytes(cls, data: bytes) -> "Receipt":
        """Return the receipt of a file. Raises StudyInvalid on a damaged one."""
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                if any(info.file_size > MOST_BYTES for info in archive.infolist()):
                    raise StudyInvalid("a member of the receipt is too large")
                names = [info.filename for info in archive.infolist()]
                members = {info.filename: archive.read(info) for info in archive.infolist()}
        except UNREADABLE as error:
            raise StudyInvalid("the receipt is not a whole zip file") from error
        receipt = _of_members(members)
        if len(set(names)) != len(names) or dict(receipt._members()) != members:
            raise StudyInvalid("the receipt holds a member twice, one that is none, or one in another form")
        return receipt


def _of_members(members: Mapping[str, bytes]) -> Receipt:
    numbers = sorted({name.split("/")[1] for name in members if name.startswith("rounds/") and name.count("/") == 2})
    try:
        rounds = tuple(
            RoundReceipt(
                RoundRecord.from_bytes(members[f"rounds/{number}/record.json"]),
                tuple(
                    members[name]
                    for name in sorted(members)
                    if name.startswith(f"rounds/{number}/") and name.endswith(".bin")
                ),
                members.get(f"rounds/{number}/proof", b""),
            )
            for number in numbers
        )
        receipt = Receipt(members["study.json"], rounds)
        parse_envelope(receipt.envelope)
        if rfc8785.dumps(from_json(receipt.envelope)) != receipt.envelope:
            raise StudyInvalid("the study in the receipt is not in canonical form")
    except (KeyError, TypeError, ValueError) as error:
        raise StudyInvalid("the receipt misses a member, or one cannot be read") from error
    return receipt


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replay found. `verified` only without an offence, with every aggregate recomputed and every sum proven."""

    study_id: str
    study_digest: str
    rounds: int
    recomputed: int  # aggregate digests that came out the same
    proven: int  # sums that follow from the contributions, whatever the key holder says
    epsilon: Mapping[str, float]  # site -> charged in its log
    offences: tuple[str, ...]
    regions: tuple[str, ...] = ()  # whose products are believed: what their sites sent lies with them

    @property
    def verified(self) -> bool:
        """Whether everything holds."""
        return not self.offences and self.recomputed == self.proven == self.rounds > 0

    def document(self) -> dict[str, Any]:
        """Return the JSON document."""
        return {
            "study": self.study_id,
            "study_digest": self.study_digest,
            "verified": self.verified,
            "rounds": self.rounds,
            "aggregate_digests": {"recomputed": self.recomputed, "of": self.rounds},
            "sums": {"proven": self.proven, "of": self.rounds},
            "epsilon": dict(self.epsilon),
            "offences": list(self.offences),
            **({"regions": list(self.regions)} if self.regions else {}),
        }


def replay(receipt: Receipt, logs: Logs) -> Replay:
    """Return what holds of a study: every signature, digest, sum and event of every round."""
    study = receipt.study
    offences: list[str] = []
    recomputed = proven = 0
    for number, one in enumerate(receipt.rounds, start=1):
        same, follows = _replayed(study, one, offences)
        recomputed, proven = recomputed + same, proven + follows
        offences += _record_offences(study, one, number)
        offences += _event_offences(study, one, logs)
    populations = {tuple(reply.site for reply in one.record.replies) for one in receipt.rounds}
    if len(populations) > 1 and not study.quorum:
        offences.append("the rounds were opened over different sites")
    charged = {site: _charged(study, logs.get(site, ())) for site in study.sites}
    offences += _study_offences(study, len(receipt.rounds), charged, logs)
    spent = {site: float(epsilon) for site, epsilon in charged.items()}
    regions = tuple(sorted({name for one in receipt.rounds for name in _regions_of(one)}))
    return Replay(study.id, study.digest(), len(receipt.rounds), recomputed, proven, spent, tuple(offences), regions)


def _replayed(study: Study, one: RoundReceipt, offences: list[str]) -> tuple[bool, bool]:
    """Return whether the journal's aggregate, and its sum, follow from the signed contributions."""
    number = one.record.round
    try:
        replies = [parse_reply(data) for data in one.contributions]
        contributions = [reply for reply in replies if isinstance(reply, Contribution)]
        parts = parts_of(replies)
        if len(contributions) < len(replies):  # a region's sites stand together, whatever their place on the roster
            parts.sort(key=lambda part: part.header.site)
        offences += [f"round {number}: {found}" for found in _signature_offences(study, one.record, parts)]
        if study.secure == "paillier":
            product = combine(study, replies)
            data = product.to_bytes()
        else:
            product, data = None, b"".join(contribution.payload for contribution in contributions)
    except (FederatedError, IndexError) as error:
        offences.append(f"round {number}: the contributions cannot be summed ({error})")
        return False, False
    same = hashlib.sha256(data).hexdigest() == one.record.aggregate_digest
    if not same:
        offences.append(f"round {number}: the sum of the contributions is not the one in the journal")
    try:
        require_sum(one.record.sums(), _sum_of(study, product, replies, one.proof))
    except FederatedError as error:
        offences.append(f"round {number}: {error}")
        return same, False
    return same, True


def _sum_of(study: Study, product: CipherVector | None, replies: Sequence[Reply], proof: bytes) -> Floats:
    if product is None:
        return plain_sum([reply for reply in replies if isinstance(reply, Contribution)])
    return proven_sum(study, product, proof, contributors=len(parts_of(replies)))


def _signature_offences(study: Study, record: RoundRecord, parts: Sequence[Part]) -> list[str]:
    found = []
    sites = [part.header.site for part in parts]
    if sites != sorted(set(sites) & set(study.sites)) or len(sites) < study.fewest:
        found.append("the contributors are not exactly the roster, or too few of it")
    for one in parts:
        head = one.header
        asked = (head.study_digest, head.round, head.attempt, head.step, head.broadcast)
        if asked != (study.digest(), record.round, record.attempt, record.step, record.broadcast_digest):
            found.append(f"{head.site} answers another question")
        entry = study.entry(head.site)
        try:
            key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(entry.sign_key if entry else ""))
            key.verify(one.signature, head.signed_bytes())
        except (InvalidSignature, ValueError):
            found.append(f"the signature of {head.site} does not verify")
    return found


def _record_offences(study: Study, one: RoundReceipt, number: int) -> list[str]:
    record, found = one.record, []
    if (record.round, record.study_digest, record.study_id) != (number, study.digest(), study.id):
        found.append(f"round {number}: the journal's row is of another round or study")
    if sum_digest(record.sums()) != record.sum_digest:
        found.append(f"round {number}: the opened sum does not have its digest")
    if {reply.site: reply.digest for reply in record.replies} != _digests_of(one):
        found.append(f"round {number}: the journal names other replies")
    return found


def _regions_of(one: RoundReceipt) -> set[str]:
    try:
        return {reply.region for reply in map(parse_reply, one.contributions) if isinstance(reply, RegionalSum)}
    except CiphertextInvalid:
        return set()  # an offence of its own


def _digests_of(one: RoundReceipt) -> dict[str, str]:
    """Return what each site sent, by digest; a region's statement names it for its own sites."""
    try:
        return {part.header.site: part.digest for part in parts_of(map(parse_reply, one.contributions))}
    except CiphertextInvalid:
        return {}


def _event_offences(study: Study, one: RoundReceipt, logs: Logs) -> list[str]:
    record, found = one.record, _part_offences(study, one, logs)
    for reply in record.replies:
        said = {"action": "round.submit", "policy_digest": study.digest(), "request_digest": record.broadcast_digest}
        if not _holds(logs.get(reply.site, ()), **said, result_digest=reply.digest):
            found.append(f"round {record.round}: {reply.site} has not logged what it sent")
    if not _holds(logs.get(study.coordinator.id, ()), action="round.seal", result_digest=record.digest()):
        found.append(f"round {record.round}: {study.coordinator.id} has not sealed this row")
    return found


def _part_offences(study: Study, one: RoundReceipt, logs: Logs) -> list[str]:
    """Of a shared key: every part that opened the sum stands in its party's log."""
    if study.threshold is None:
        return []
    said = {hashlib.sha256(part).hexdigest() for part in _parts_of(one.proof)}
    logged = {
        str(event.get("result_digest"))
        for party in study.threshold.parties
        for event in logs.get(party, ())
        if _is(event, action="round.submit", policy_digest=study.digest())
    }
    return [] if said <= logged else [f"round {one.record.round}: a share holder has not logged its part"]


def _parts_of(proof: bytes) -> list[bytes]:
    try:
        return split_parts(proof)
    except CiphertextInvalid:
        return []  # an offence of its own


def _study_offences(study: Study, rounds: int, charged: Mapping[str, Fraction], logs: Logs) -> list[str]:
    found = []
    opened = [event for event in logs.get(study.keyholder.id, ()) if _is(event, action="aggregate.decrypt")]
    alone = study.threshold is None
    if alone and sum(event.get("request_digest") == study.digest() for event in opened) < rounds:
        found.append(f"{study.keyholder.id} has logged fewer sums than rounds")
    approved = {"action": "study.approve", "request_digest": study.digest()}
    if not any(_is(event, **approved) and event.get("policy_digest") for event in logs.get(study.coordinator.id, ())):
        found.append(f"{study.coordinator.id} has logged no disclosure verdict")
    promised = Fraction(study.privacy.get("epsilon", 0.0))
    found += [f"{site} was charged more epsilon than promised" for site, one in charged.items() if one > promised]
    return found


def _charged(study: Study, events: Sequence[Event]) -> Fraction:
    joined = [event for event in events if _is(event, action="round.join", policy_digest=study.digest())]
    return sum((Fraction(event.get("epsilon") or 0.0) for event in joined), Fraction(0))


def _holds(events: Sequence[Event], **facts: str) -> bool:
    return any(_is(event, **facts) for event in events)


def _is(event: Event, **facts: str) -> bool:
    return event.get("decision") == "allow" and all(event.get(name) == value for name, value in facts.items())


def parse_events(entries: Sequence[bytes]) -> list[Event]:
    """Return a log's entries as plain values; one that is no JSON object says nothing."""
    found: list[Event] = []
    for entry in entries:
        try:
            event = from_json(entry)
        except ValueError:
            continue
        if isinstance(event, dict):
            found.append(event)
    return found
