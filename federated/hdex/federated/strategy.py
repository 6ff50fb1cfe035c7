"""Exact questions over encrypted sums as a Flower Strategy: it asks the whole roster, opens the sum, goes on.

The coordinator runs it and has no key: it multiplies ciphertexts and sees what the key holder opens.
"""

import hashlib
import logging
from collections.abc import Iterable, Sequence

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
from hdex.federated.apps.records import question_record, read_contribution, reply_error
from hdex.federated.broadcast import Broadcast
from hdex.federated.contribution import Contribution
from hdex.federated.contributor import count_ciphertexts
from hdex.federated.decrypt_policy import combine
from hdex.federated.errors import CiphertextInvalid, JournalConflict, SiteLost
from hdex.federated.journal import ReplyRecord, RoundRecord, sum_digest
from hdex.federated.kinds.kind import require_length
from hdex.federated.kinds.table import kind_of
from hdex.federated.opened import proven_sum, require_sum
from hdex.federated.paillier import CipherVector
from hdex.federated.ports import Decryptor
from hdex.federated.result import Crossed, StudyResult
from hdex.federated.statistics import Floats
from hdex.federated.study import Study, parse_envelope

logger = logging.getLogger(__name__)


class EncryptedSum(Strategy):
    """One study's question, of any kind. `resume` with the journal's rows first; then rounds until `settled`."""

    def __init__(self, envelope: bytes, decryptor: Decryptor) -> None:
        self.study: Study = parse_envelope(envelope)
        self._envelope = envelope
        self._decryptor = decryptor
        self._kind = kind_of(self.study)
        self._inquiry = self._kind.inquire(self.study)
        self._records: list[RoundRecord] = []
        self._present: tuple[str, ...] = self.study.sites  # who takes part: settled by the first round
        self._site_of = {node_id(site): site for site in self.study.sites}

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
            if (record.study_digest, record.broadcast_digest) != (self.study.digest(), self._question().digest()):
                raise JournalConflict(f"round {record.round} in the journal is not this study's")
            self._present = tuple(reply.site for reply in record.replies)
            self._take(record, record.sums())

    def _question(self) -> Broadcast:
        asks = self._inquiry
        return Broadcast(self.study.id, self.study.digest(), asks.round, 1, asks.step, asks.point)

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Return the round's question to every site that takes part, connected or not."""
        question = self._question().to_bytes()
        return [
            grid.create_message(
                question_record(self._envelope, question), MessageType.TRAIN, node_id(site), str(server_round)
            )
            for site in self._present
        ]

    def aggregate_train(self, server_round: int, replies: Iterable[Message]) -> tuple[None, MetricRecord]:
        """Take the replies of all who take part one step further, or raise what a site or the key holder refused.

        The sum is the proven one: OpeningInvalid when the key holder proves none, or says another.
        """
        contributions = self._collect(replies)
        question = self._question()
        product = combine(self.study, contributions) if self.study.secure == "paillier" else None
        opened = self._decryptor.open_sum(
            self.study.id, question.round, [contribution.to_bytes() for contribution in contributions]
        )
        total = opened.values
        if product is not None:
            total = proven_sum(self.study, product, opened.proof, contributors=len(contributions))
            require_sum(opened.values, total)
        record = RoundRecord(
            study_id=self.study.id,
            study_digest=self.study.digest(),
            round=question.round,
            attempt=question.attempt,
            step=question.step,
            broadcast_digest=question.digest(),
            replies=tuple(self._reply_record(contribution) for contribution in contributions),
            aggregate_digest=_aggregate_digest(product, contributions),
            sum_digest=sum_digest(total),
            state=tuple(total.tolist()),
        )
        self._present = tuple(reply.site for reply in record.replies)
        self._take(record, total)
        return None, MetricRecord({"round": question.round, "sites": len(contributions)})

    def _take(self, record: RoundRecord, total: Floats) -> None:
        self._records.append(record)
        require_length(total, self._kind.length(self.study, record.step), record.step)
        self._inquiry.absorb(total)

    def _collect(self, replies: Iterable[Message]) -> list[Contribution]:
        found: dict[str, Contribution] = {}
        for message in replies:
            site = self._site_of.get(message.metadata.src_node_id, "a stranger")
            if message.has_error():
                raise reply_error(message, site)
            found[site] = self._checked(read_contribution(message.content, self.study.secure), site)
        missing = [site for site in self._present if site not in found]
        if missing and not (self.study.dropout_allowed and self.round == 1 and len(found) >= self.study.min_sites):
            raise SiteLost(f"no answer to round {self.round} from {', '.join(missing)}; no smaller roster is used")
        return [found[site] for site in self._present if site in found]

    def _checked(self, contribution: Contribution, site: str) -> Contribution:
        header, question = contribution.header, self._question()
        if (header.site, header.broadcast, header.round) != (site, question.digest(), question.round):
            raise CiphertextInvalid(f"the reply of {site} answers another question")
        return contribution

    def _reply_record(self, contribution: Contribution) -> ReplyRecord:
        return ReplyRecord(
            site=contribution.header.site,
            digest=contribution.digest(),
            ciphertexts=count_ciphertexts(self.study, contribution),
            payload_bytes=len(contribution.payload),
            total_bytes=len(contribution.to_bytes()),
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
            sites=self._present,
            crossed={site: self._crossed(site) for site in self._present},
        )

    def _crossed(self, site: str) -> Crossed:
        replies = [reply for record in self._records for reply in record.replies if reply.site == site]
        payload = sum(reply.payload_bytes for reply in replies)
        total = sum(reply.total_bytes for reply in replies)
        return Crossed(sum(reply.ciphertexts for reply in replies), payload, total - payload)


def _aggregate_digest(product: CipherVector | None, contributions: Sequence[Contribution]) -> str:
    if product is not None:
        return hashlib.sha256(product.to_bytes()).hexdigest()
    return hashlib.sha256(b"".join(contribution.payload for contribution in contributions)).hexdigest()
