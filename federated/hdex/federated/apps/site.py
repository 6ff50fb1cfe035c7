"""The site's Flower ClientApp, and the session that runs it on frames: node/wire only moves bytes."""

import logging

from hdex.federated.apps.flower import ClientApp, Context, Message, RecordDict, from_frame, node_id, to_frame
from hdex.federated.apps.records import (
    contribution_record,
    error_reply,
    part_record,
    read_opening,
    read_question,
    read_standing_question,
    standing_record,
)
from hdex.federated.contributor import Clock, Contributor, OnBreach, OnRefusal, forget_refusal, refuse_breach, utc_now
from hdex.federated.disclosure import Limits
from hdex.federated.errors import FederatedError
from hdex.federated.ports import SiteHooks, Store
from hdex.federated.share_holder import ShareHolder
from hdex.federated.store_memory import MemoryStore
from hdex.federated.study import parse_envelope

logger = logging.getLogger(__name__)


def client_app(contributor: Contributor, holder: ShareHolder) -> ClientApp:
    """Return the installed ClientApp: it answers a round, and opens with others. No code ever comes with a message."""
    app = ClientApp()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        try:
            envelope, question = read_question(message.content)
            contribution = contributor.answer(envelope, question)
        except FederatedError as error:
            return error_reply(error, message)
        return Message(contribution_record(contribution, parse_envelope(envelope).secure), reply_to=message)

    @app.query("standing")
    def standing(message: Message, context: Context) -> Message:
        try:
            said = contributor.standing(read_standing_question(message.content))
        except FederatedError as error:
            return error_reply(error, message)
        return Message(standing_record([said]), reply_to=message)

    @app.query("opening")
    def opening(message: Message, context: Context) -> Message:
        try:
            return Message(part_record(holder.answer(*read_opening(message.content))), reply_to=message)
        except FederatedError as error:
            return error_reply(error, message)

    return app


class SiteSession:
    """A site's end of a channel: `handle` turns one received frame into the frame to send back."""

    def __init__(
        self,
        site_id: str,
        hooks: SiteHooks,
        *,
        replies: Store | None = None,
        limits: Limits | None = None,
        clock: Clock = utc_now,
        sums_allowed: tuple[str, ...] = ("paillier",),
        on_breach: OnBreach = refuse_breach,
        on_refusal: OnRefusal = forget_refusal,
    ) -> None:
        kept = MemoryStore() if replies is None else replies
        contributor = Contributor(
            site_id,
            hooks,
            replies=kept,
            limits=limits,
            clock=clock,
            sums_allowed=sums_allowed,
            on_breach=on_breach,
            on_refusal=on_refusal,
        )
        self.site_id = site_id
        self._app = client_app(
            contributor,
            ShareHolder(
                site_id,
                hooks,
                replies=kept,
                limits=limits,
                clock=clock,
                on_breach=on_breach,
                on_refusal=on_refusal,
            ),
        )

    def handle(self, message_bytes: bytes) -> bytes:
        """Return the reply frame. Raises FrameInvalid when the bytes are not a whole frame: drop them.

        Refusals and failures come back as typed error frames; an unforeseen one tells its type only.
        """
        message = from_frame(message_bytes)
        context = Context(message.metadata.run_id, node_id(self.site_id), {}, RecordDict(), {})
        try:
            reply = self._app(message, context)
        except Exception as error:  # a site must answer whatever happens inside; details stay here
            logger.exception("round failed", extra={"site": self.site_id})
            reply = error_reply(FederatedError(f"the site failed inside ({type(error).__name__})"), message)
        return to_frame(reply)
