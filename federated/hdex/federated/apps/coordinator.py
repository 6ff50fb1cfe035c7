"""The coordinator's Flower ServerApp: rounds of a strategy over a Grid, each committed before the next is sent."""

import threading
from collections.abc import Callable
from datetime import timedelta

from hdex.federated.apps.flower import ArrayRecord, ConfigRecord, Context, Grid, Message, ServerApp, node_id
from hdex.federated.apps.replies import lost_regions
from hdex.federated.apps.roll_call import RollCall
from hdex.federated.journal import Attempt, RoundRecord
from hdex.federated.ports import Journal
from hdex.federated.strategy import EncryptedSum
from hdex.federated.waiting import Patience, site_lost

Progress = Callable[[RoundRecord], None]
ASK_AGAIN_S = 1.0


def server_app(
    strategy: EncryptedSum, journal: Journal, *, progress: Progress, patience: Patience, roll: RollCall | None = None
) -> ServerApp:
    """Return a ServerApp whose main loop runs `strategy` to its end or raises what ended it.

    roll: called before the first round, and again before each round of a quorum that has left sites out.
    """
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        records = journal.rounds(strategy.study.id)
        strategy.resume(records)
        strategy.summary()
        for record in records:  # who seals them may have died between
            progress(record)
        while not strategy.settled:
            shrinks = strategy.study.quorum or (strategy.study.dropout_allowed and strategy.round == 1)
            held = journal.gathered(strategy.study.id, strategy.round) if shrinks else None
            if held is not None:  # it may have been opened before a crash, and is opened over no other sites
                found = strategy.take_up(held)
            else:
                if roll is not None:
                    strategy.approved = roll.now(grid, patience, strategy.round)
                gather = gather_attempts if shrinks else gather_population
                found = strategy.read(gather(strategy, journal, grid, patience))
                if shrinks:
                    journal.gather(strategy.hold(found))
            strategy.open(found)
            journal.commit(strategy.last_record)
            progress(strategy.last_record)

    return app


def gather_population(strategy: EncryptedSum, journal: Journal, grid: Grid, patience: Patience) -> list[Message]:
    """Return the replies of the whole population, or a refusal among them. Raises SiteLost when patience ends.

    A region's own patience ends sooner: it says which site it misses, and is asked again until the study's deadline.
    """
    ends, replies = patience.clock() + timedelta(seconds=patience.left()), list[Message]()
    while True:
        left = max(0.0, (ends - patience.clock()).total_seconds())
        replies = _ask(strategy, grid, replies, left)
        lost = lost_regions(replies, strategy.asked)
        missing = _missing(strategy, replies)
        if not lost:
            if missing:
                raise site_lost(strategy.round, missing, patience, fewest=0)
            return replies
        if not missing or patience.deadline is None or patience.clock() >= ends:
            return replies  # with a refusal, or with what the region said
        replies = [reply for reply in replies if reply.metadata.src_node_id not in lost]
        threading.Event().wait(ASK_AGAIN_S)  # a region that gives up at once must not keep two processes busy


def gather_attempts(strategy: EncryptedSum, journal: Journal, grid: Grid, patience: Patience) -> list[Message]:
    """Return the replies of everybody asked, in an attempt that asks no fewer than the study needs.

    Each attempt is declared in the journal before it is sent: after a crash the same sites are asked the same, so that
    what they kept serves. A round that misses somebody is asked anew of those who answered: masks cancel only over
    exactly the sites that were asked. What comes late of an earlier attempt is never summed. A region is asked with all
    of its sites or not at all; one that says that it misses a site is left out of the next attempt, if enough are
    left.
    """
    study, ends = strategy.study, patience.clock() + timedelta(seconds=patience.left())
    attempt = journal.declared(study.id, strategy.round)
    attempt = attempt or Attempt(study.id, strategy.round, 1, _reached(strategy, grid))
    replies: list[Message] = []
    while True:
        journal.declare(attempt)
        strategy.ask(attempt.attempt, attempt.sites)
        left = (ends - patience.clock()).total_seconds()
        replies = _ask(strategy, grid, replies, max(0.0, min(patience.straggler_s, left)))
        missing = _missing(strategy, replies)
        if not missing:
            return replies
        if left <= patience.straggler_s:
            raise site_lost(strategy.round, missing, patience, fewest=study.fewest)
        sites = _next_sites(strategy, grid, replies)
        if not sites:
            return replies  # with what the region said
        if sites != attempt.sites:
            attempt, replies = Attempt(study.id, strategy.round, attempt.attempt + 1, sites), []


def _next_sites(strategy: EncryptedSum, grid: Grid, replies: list[Message]) -> tuple[str, ...]:
    """Return whom to ask after an attempt that misses somebody; nobody when a region's loss leaves too few."""
    fewest, lost = strategy.study.fewest, lost_regions(replies, strategy.asked)
    if lost:  # the grid ended the attempt then: who else is silent has only not been heard yet
        asked = {node_id(name) for name in strategy.asked}
        left = strategy.behind(asked - lost)
        return left if len(left) >= fewest else ()
    there = strategy.behind(reply.metadata.src_node_id for reply in replies)
    return there if len(there) >= fewest else _reached(strategy, grid)


def _reached(strategy: EncryptedSum, grid: Grid) -> tuple[str, ...]:
    """Return the sites that approved and are connected, if they are a quorum; else all that approved, to wait for.

    A shared key asks all that approved: who is left out of its first round is left out of the study.
    """
    found = tuple(site for site in strategy.behind(grid.get_node_ids()) if site in strategy.approved)
    return found if 0 < strategy.study.quorum <= len(found) else strategy.approved


def _ask(strategy: EncryptedSum, grid: Grid, replies: list[Message], timeout_s: float) -> list[Message]:
    """Return the replies of this attempt that are there, and those that come in time of whom is still awaited."""
    heard = {reply.metadata.src_node_id for reply in replies}
    messages = strategy.configure_train(strategy.round, ArrayRecord(), ConfigRecord(), grid)
    awaited = [message for message in messages if message.metadata.dst_node_id not in heard]
    return [*replies, *grid.send_and_receive(awaited, timeout=timeout_s)]


def _missing(strategy: EncryptedSum, replies: list[Message]) -> list[str]:
    """Return whom the round still waits for; nobody when somebody refused, for that ends it."""
    lost = lost_regions(replies, strategy.asked)
    heard = {reply.metadata.src_node_id: reply for reply in replies if reply.metadata.src_node_id not in lost}
    if any(reply.has_error() for reply in heard.values()):
        return []
    return [name for name in strategy.asked if node_id(name) not in heard]
