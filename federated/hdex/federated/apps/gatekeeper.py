"""A site's gatekeeper between a stock SuperNode (`--isolation process`) and the installed ClientApp.

It takes the place of Flower's SuperExec, which would unpack and run whatever code a run carries. The gatekeeper holds
the run's bundle against an allow-list and hands the message to the installed app: shipped code is never unpacked.
"""

import logging
import threading
from collections.abc import Callable, Sequence

from flwr.common.serde import context_from_proto
from flwr.proto.node_pb2 import Node
from flwr.proto.runtime_pb2 import PullAppMessagesRequest, PullTaskInputRequest, PushTaskOutputRequest
from flwr.supercore.heartbeat import HeartbeatSender, make_task_heartbeat_fn_http
from flwr.supercore.inflatable.inflatable_protobuf_utils import (
    make_confirm_message_received_fn_protobuf,
    make_pull_object_fn_protobuf,
)
from flwr.supercore.inflatable.inflatable_utils import pull_and_inflate_object_from_tree
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supernode.runtime.run_clientapp import push_message

from hdex.federated.apps.flower import Message, from_frame, set_message_id, to_frame
from hdex.federated.apps.records import error_reply
from hdex.federated.apps.superlink import (
    CLIENT_TASK,
    Endpoint,
    acquire,
    bundle_digest,
    installed_bundle,
    require_allowed,
    task_client,
)
from hdex.federated.channel_memory import Handler
from hdex.federated.errors import FederatedError, FrameInvalid, SiteLost

logger = logging.getLogger(__name__)
Refused = Callable[[FederatedError], None]


class Gatekeeper:
    """Answers the tasks of one SuperNode until `stop`. `handle` is the site's `SiteSession.handle`.

    allowed: digests of bundles whose runs are answered; by default the one of what is installed here.
    """

    def __init__(
        self,
        supernode: Endpoint,
        secret: bytes,
        handle: Handler,
        *,
        stop: threading.Event,
        allowed: Sequence[str] | None = None,
        poll_s: float = 0.5,
    ) -> None:
        self._supernode = supernode
        self._secret = secret
        self._handle = handle
        self._stop = stop
        self._allowed = (bundle_digest(installed_bundle()),) if allowed is None else tuple(allowed)
        self._poll_s = poll_s

    def run(self) -> None:
        """Take one task after the other; a SuperNode that does not answer is asked again."""
        while not self._stop.is_set():
            try:
                token = acquire(self._supernode, self._secret, CLIENT_TASK)
                if token is not None:
                    self._serve(token)
                    continue
            except Exception as error:  # Flower's errors are its own; a loop that ends would be a site in silence
                logger.warning("a task of the SuperNode failed", extra={"reason": type(error).__name__})
            self._stop.wait(self._poll_s)

    def _serve(self, token: str) -> None:
        client = task_client(self._supernode, token, "flwr-clientapp")
        heart = HeartbeatSender(make_task_heartbeat_fn_http(client))
        heart.start()  # a task that is not heard of for a minute is given up
        try:
            given = client.PullTaskInput(PullTaskInputRequest())
            message = _pull_message(client, given.context.node_id, given.run.run_id)
            reply = self._answer(message, given.run.fab_hash, given.fab.content)
            push_message(client, reply, context_from_proto(given.context))
            status = "failed" if reply.has_error() else "completed"
            client.PushTaskOutput(PushTaskOutputRequest(context=given.context, sub_status=status, details=""))
        finally:
            heart.stop()
            client.close()

    def _answer(self, message: Message, digest: str, content: bytes) -> Message:
        try:
            require_allowed(digest, content, self._allowed)
            return from_frame(self._handle(to_frame(message)))
        except FrameInvalid:
            return error_reply(FederatedError("the site cannot read the message"), message)
        except FederatedError as refusal:
            logger.warning("a bundle was refused", extra={"digest": digest})
            return error_reply(refusal, message)


def _pull_message(client: RuntimeHttpClient, node: int, run_id: int) -> Message:
    """Return the task's message, as Flower's own process does, which also takes on the identity of the task."""
    pulled = client.PullMessages(PullAppMessagesRequest())
    if not pulled.message_object_trees:
        raise SiteLost("the SuperNode has no message for its task")
    tree = pulled.message_object_trees[0]
    own = Node(node_id=node), run_id
    pull = make_pull_object_fn_protobuf(client.PullObject, *own)
    confirm = make_confirm_message_received_fn_protobuf(client.ConfirmMessageReceived, *own)
    message: Message = pull_and_inflate_object_from_tree(tree, pull, confirm, return_type=Message)
    set_message_id(message, tree.object_id)
    return message
