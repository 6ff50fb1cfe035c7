"""The coordinator's Flower ServerApp: rounds of a strategy over a Grid, each committed before the next is sent."""

from collections.abc import Callable

from hdex.federated.apps.flower import ArrayRecord, ConfigRecord, Context, Grid, ServerApp
from hdex.federated.journal import RoundRecord
from hdex.federated.ports import Journal
from hdex.federated.strategy import EncryptedSum

Progress = Callable[[RoundRecord], None]


def server_app(
    strategy: EncryptedSum, journal: Journal, *, progress: Progress | None = None, round_timeout_s: float = 60.0
) -> ServerApp:
    """Return a ServerApp whose main loop runs `strategy` to its end or raises what ended it."""
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        strategy.resume(journal.rounds(strategy.study.id))
        strategy.summary()
        while not strategy.settled:
            number = strategy.round
            messages = strategy.configure_train(number, ArrayRecord(), ConfigRecord(), grid)
            replies = grid.send_and_receive(messages, timeout=round_timeout_s)
            strategy.aggregate_train(number, replies)
            journal.commit(strategy.last_record)
            if progress is not None:
                progress(strategy.last_record)

    return app
