"""Exact questions over encrypted sums as a Flower Strategy: it asks a round's members, opens their sum, goes on.

The coordinator runs it and has no key: it multiplies ciphertexts and sees what the key holder opens.
"""

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence

from hdex.federated.apps.flower import (
    ArrayRecord,
    ConfigRecord,
    Grid,
    Message,
    MessageType,
    MetricRecord,
    Strategy,
    node_id,
)
from hdex.federated.apps.records import question_record
from hdex.federated.apps.replies import Members, asked_of, gather, members_of
from hdex.federated.broadcast import Broadcast
from hdex.federated.combine import combine
from hdex.federated.contribution import Contribution
from hdex.federated.contributor import ciphertexts_in
from hdex.federated.errors import JournalConflict
from hdex.federated.journal import Gathered, ReplyRecord, RoundRecord, sum_digest
from hdex.federated.kinds.kind import require_length
from hdex.federated.kinds.table import kind_of
from hdex.federated.opened import proven_sum, require_sum
from hdex.federated.paillier import CipherVector
from hdex.federated.ports import Decryptor
from hdex.federated.regional import Part, Reply, parse_reply, parts_of
from hdex.federated.result import Crossed, StudyResult
from hdex.federated.statistics import Floats
from hdex.federated.study import Study, parse_envelope

logger = logging.getLogger(__name__)


class EncryptedSum(Strategy):
    """One study's question, of any kind. `resume` with the journal's rows first; then rounds until `settled`.

    regions: who is asked in place of its sites, id -> sites; a site in no region is asked itself.
    """

    def __init__(
        self, envelope: bytes, decryptor: Decryptor, *, regions: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        self.study: Study = parse_envelope(envelope)
        self._envelope = envelope
        self._decryptor = decryptor
        self._kind = kind_of(self.study)
        self._inquiry = self._kind.inquire(self.study)
        self._records: list[RoundRecord] = []
        self._members = members_of(self.study, regions or {})
        self._attempt, self._population = 1, self.study.sites
        self.approved = self.study.sites  # of whom a round may ask; a roll call says otherwise

    @property
    def settled(self) -> bool:
        """Whether the result is there."""
        return self._inquiry.settled

    @property
    def round(self) -> int:
        """The round to run next, from 1."""
        return self._inquiry.round

    @property
    def last_record(self) -> RoundRecord:
        """The row of the round that was aggregated last."""
        return self._records[-1]

    def resume(self, records: Sequence[RoundRecord]) -> None:
        """Replay committed rounds; raise JournalConflict when they are not this study's."""
        for record in records:
            self.ask(record.attempt, [reply.site for reply in record.replies])
            if (record.study_digest, record.broadcast_digest) != (self.study.digest(), self._question().digest()):
                raise JournalConflict(f"round {record.round} in the journal is not this study's")
            self._take(record, record.sums())

    def ask(self, attempt: int, sites: Sequence[str]) -> None:
        """Choose whom the next round asks; without a word it is attempt 1 of the whole roster.

        Where the key is shared, it is the population of the round before: share holders open no other.
        """
        self._attempt, self._population = attempt, tuple(sites)

    @property
    def asked(self) -> Members:
        """Whom this round asks, and the sites each answers for. Raises StudyInvalid when it asks half a region."""
        return asked_of(self._members, self._population)

    @property
    def members(self) -> Members:
        """Who can be asked, and the sites each answers for."""
        return self._members

    def behind(self, nodes: Iterable[int]) -> tuple[str, ...]:
        """Return the sites that these node ids answer for, sorted."""
        found = set(nodes)
        return tuple(sorted(site for name, sites in self._members.items() if node_id(name) in found for site in sites))

    def _question(self) -> Broadcast:
        asks = self._inquiry
        population = () if self._population == self.study.sites else self._population
        return Broadcast(
            self.study.id, self.study.digest(), asks.round, self._attempt, asks.step, asks.point, population
        )

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Return the round's question to everybody that it asks, sites or regions, connected or not."""
        question = self._question().to_bytes()
        return [
            grid.create_message(
                question_record(self._envelope, question), MessageType.TRAIN, node_id(site), str(server_round)
            )
            for site in self.asked
        ]

    def aggregate_train(self, server_round: int, replies: Iterable[Message]) -> tuple[None, MetricRecord]:
        """Take the replies of everybody asked one step further, or raise what a site or the key holder refused."""
        self.open(self.read(replies))
        return None, MetricRecord({"round": self.last_record.round, "sites": len(self.last_record.replies)})

    def read(self, replies: Iterable[Message]) -> list[Reply]:
        """Return one reply of everybody asked, in their order, or raise what a site refused."""
        return gather(self.study, self._question(), replies, self.asked)

    def take_up(self, held: Gathered) -> list[Reply]:
        """Return replies that were kept before a crash, after asking again what they answer: nobody else is asked.

        Raises JournalConflict when they are no answer to this round.
        """
        found = [parse_reply(data) for data in held.replies]
        parts = parts_of(found)
        self.ask(held.attempt, sorted(part.header.site for part in parts))
        if {(part.header.round, part.header.broadcast) for part in parts} != {(self.round, self._question().digest())}:
            raise JournalConflict(f"what was gathered for round {held.round} answers another question")
        return found

    def hold(self, found: Sequence[Reply]) -> Gathered:
        """Return this round's replies as the journal keeps them until the round is committed."""
        return Gathered(self.study.id, self.round, self._attempt, tuple(reply.to_bytes() for reply in found))

    def open(self, found: Sequence[Reply]) -> None:
        """Have the sum of a round's replies opened and go a step further. The sum is the proven one.

        Raises DecryptRefused, and OpeningInvalid when the key holder proves no sum, or says another.
        """
        question = self._question()
        product = combine(self.study, found) if self.study.secure == "paillier" else None
        opened = self._decryptor.open_sum(self.study.id, question.round, [reply.to_bytes() for reply in found])
        total = opened.values
        parts = sorted(parts_of(found), key=lambda part: part.header.site)
        if product is not None:
            total = proven_sum(self.study, product, opened.proof, contributors=len(parts))
            require_sum(opened.values, total)
        record = RoundRecord(
            study_id=self.study.id,
            study_digest=self.study.digest(),
            round=question.round,
            attempt=question.attempt,
            step=question.step,
            broadcast_digest=question.digest(),
            replies=tuple(self._reply_record(part) for part in parts),
            aggregate_digest=_aggregate_digest(product, found),
            sum_digest=sum_digest(total),
            state=tuple(total.tolist()),
        )
        self._take(record, total)

    def _take(self, record: RoundRecord, total: Floats) -> None:
        self._records.append(record)
        self.ask(1, self._population if self.study.dropout_allowed else self.study.sites)
        require_length(total, self._kind.length(self.study, record.step), record.step)
        self._inquiry.absorb(total)

    def _reply_record(self, part: Part) -> ReplyRecord:
        return ReplyRecord(
            site=part.header.site,
            digest=part.digest,
            ciphertexts=ciphertexts_in(self.study, part.payload_bytes),
            payload_bytes=part.payload_bytes,
            total_bytes=part.total_bytes,
        )

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Return nothing: a fit on pooled sums has no separate evaluation."""
        return []

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> None:
        """Return nothing."""

    def summary(self) -> None:
        """Log what runs."""
        logger.info("study starts", extra={"study": self.study.id, "sites": len(self.study.sites)})

    def result(self) -> StudyResult:
        """Return the answer of a settled study."""
        return StudyResult(
            study_id=self.study.id,
            study_digest=self.study.digest(),
            kind=self.study.kind,
            answer=self._inquiry.answer(),
            rounds=len(self._records),
            sites=self._population,
            crossed={site: self._crossed(site) for site in self._population},
            contributors=tuple(tuple(reply.site for reply in record.replies) for record in self._records),
        )

    def _crossed(self, site: str) -> Crossed:
        replies = [reply for record in self._records for reply in record.replies if reply.site == site]
        payload = sum(reply.payload_bytes for reply in replies)
        total = sum(reply.total_bytes for reply in replies)
        return Crossed(sum(reply.ciphertexts for reply in replies), payload, total - payload)


def _aggregate_digest(product: CipherVector | None, replies: Sequence[Reply]) -> str:
    if product is not None:
        return hashlib.sha256(product.to_bytes()).hexdigest()
    payloads = [reply.payload for reply in replies if isinstance(reply, Contribution)]  # regions sum ciphertexts only
    return hashlib.sha256(b"".join(payloads)).hexdigest()
