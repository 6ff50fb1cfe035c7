"""A region's end of the coordinator's channel: it asks its own sites and answers with one sum. It holds no key."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from hdex.federated.apps.flower import (
    Grid,
    Message,
    MessageType,
    Run,
    as_task,
    from_frame,
    node_id,
    to_frame,
)
from hdex.federated.apps.records import (
    STANDING_TYPE,
    error_reply,
    question_record,
    read_question,
    read_standing_question,
    read_standings,
    regional_record,
    reply_error,
    standing_question,
    standing_record,
)
from hdex.federated.apps.replies import Members, gather
from hdex.federated.broadcast import Broadcast
from hdex.federated.combine import combine
from hdex.federated.contribution import Contribution
from hdex.federated.errors import FederatedError, StudyInvalid
from hdex.federated.ports import Store
from hdex.federated.regional import NO_REGIONS, RegionalSum, Sign, sign_sum
from hdex.federated.standing import Standing
from hdex.federated.study import Study, parse_envelope
from hdex.federated.waiting import Clock, utc_now

STANDING_S = 5.0  # below the coordinator's first look
# How long a round waits before the coordinator hears which site is missing. It asks again until the study's deadline;
# a quorum it forms anew after its own patience, which is longer than this.
ROUND_S, QUORUM_S, BEFORE_DEADLINE = 45.0, 20.0, 0.9
logger = logging.getLogger(__name__)


class RegionSession:
    """Multiplies its members' ciphertexts: sites, or regions below it, which makes the tree deeper.

    members: who is asked -> the sites it answers for. kept: what its sites sent stays there for receipts, since the
    sum alone cannot be checked against what each site signed.
    """

    def __init__(
        self,
        region: str,
        members: Mapping[str, Sequence[str]],
        grid: Grid,
        *,
        sign: Sign,
        kept: Store,
        round_timeout_s: float = ROUND_S,
        clock: Clock = utc_now,
    ) -> None:
        self.region = region
        self._members: Members = {name: tuple(sorted(sites)) for name, sites in sorted(members.items())}
        self._grid = grid
        self._sign = sign
        self._kept = kept
        self._round_timeout_s = round_timeout_s
        self._clock = clock
        self._run_id = 0

    def handle(self, frame: bytes) -> bytes:
        """Return the reply frame: the region's sum, or the error that a site or this region met.

        Raises FrameInvalid when the bytes are not a whole frame: drop them.
        """
        message = from_frame(frame)
        try:
            if message.metadata.message_type == STANDING_TYPE:
                content = standing_record(self._standings(message))
            else:
                content = regional_record(self._answer(message, *read_question(message.content)))
            reply = Message(content, reply_to=message)
        except FederatedError as error:
            reply = error_reply(error, message)
        except Exception as error:  # a region must answer whatever happens inside; details stay here
            logger.exception("regional round failed", extra={"region": self.region})
            reply = error_reply(FederatedError(f"the region failed inside ({type(error).__name__})"), message)
        return to_frame(reply)

    def _standings(self, message: Message) -> list[Standing]:
        """Return how the members' sites stand, of those that answer soon: the coordinator asks again for the others."""
        envelope = read_standing_question(message.content)
        with self._part_of(message.metadata.run_id):
            messages = [
                self._grid.create_message(standing_question(envelope), STANDING_TYPE, node_id(name), "1")
                for name in self._members
            ]
        names, found = {node_id(name): sites for name, sites in self._members.items()}, list[Standing]()
        for reply in self._grid.send_and_receive(messages, timeout=STANDING_S):
            if reply.has_error():
                raise reply_error(reply, self.region)
            found += [one for one in read_standings(reply.content) if one.site in names[reply.metadata.src_node_id]]
        return found

    def _answer(self, message: Message, envelope: bytes, question: bytes) -> RegionalSum:
        study, asked = parse_envelope(envelope), Broadcast.from_bytes(question)
        if study.secure != "paillier":
            raise StudyInvalid("a region adds ciphertexts; this study has none")
        if study.threshold is not None:
            raise StudyInvalid(NO_REGIONS)
        content = question_record(envelope, question)
        with self._part_of(message.metadata.run_id):
            messages = [
                self._grid.create_message(content, MessageType.TRAIN, node_id(name), message.metadata.group_id)
                for name in self._members
            ]
        replies = self._grid.send_and_receive(messages, timeout=self._patience(study))
        found = gather(study, asked, replies, self._members)
        for reply in found:
            if isinstance(reply, Contribution):
                self._kept.put(_name(study.id, asked.round, reply.header.site), reply.to_bytes())
        return sign_sum(self.region, found, combine(study, found).to_bytes(), sign=self._sign)

    def _patience(self, study: Study) -> float:
        left = (study.expires() - self._clock()).total_seconds() * BEFORE_DEADLINE
        most = min(QUORUM_S, self._round_timeout_s) if study.quorum else self._round_timeout_s
        return max(0.0, min(most, left))

    @contextmanager
    def _part_of(self, run_id: int) -> Iterator[None]:
        """Make messages as a part of the coordinator's run; a region may have several at once."""
        with as_task(run_id):
            if run_id != self._run_id:
                self._grid.set_run(Run.create_empty(run_id))
                self._run_id = run_id
            yield

    def contributions(self, study: Study, round_number: int) -> list[bytes]:
        """Return what this region's own sites sent in a round, by site: the receipt's part that lies here.

        Of the last attempt that asked this region; the round's row says whether that is the one that was summed.
        """
        names = [_name(study.id, round_number, site) for member in self._members.values() for site in member]
        return [data for name in names if (data := self._kept.get(name)) is not None]


def _name(study_id: str, round_number: int, site: str) -> str:
    return f"contribution/{study_id}/{round_number:04}/{site}"
