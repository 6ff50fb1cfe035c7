"""The embedded chain as a server's threads use it."""

import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from hdex.ledger.evm.methods import METHODS, Json, require_method
from hdex.ledger.evm.miner import Miner
from hdex.ledger.evm.rpc import responder

DEFAULT_CHAIN_ID = 40426


class EmbeddedChain:
    """An EVM chain in one SQLite file. A transaction whose hash was returned is on disk; kill -9 does not undo it.

    Thread-safe; one process per file. `genesis_accounts` are funded when the file is made and ignored afterwards;
    gas is free, so an account that is not among them can transact too. None: the file must be there already.
    """

    def __init__(
        self,
        path: Path,
        genesis_accounts: Sequence[str] | None,
        clock: Callable[[], datetime],
        *,
        chain_id: int = DEFAULT_CHAIN_ID,
    ) -> None:
        self._lock = threading.Lock()
        self._miner = Miner(path, genesis_accounts, clock, chain_id=chain_id)
        self.chain_id = chain_id
        self.respond = responder(self.dispatch)  # one JSON-RPC body in, its answer out

    def dispatch(self, method: str, params: Sequence[Json]) -> Json:
        """Return the JSON result of one JSON-RPC call, or raise RpcError."""
        run = METHODS[require_method(method)]
        with self._lock:  # owns the miner: py-evm and its SQLite connection know one thread at a time
            return run(self._miner, params)

    def close(self) -> None:
        """Let go of the file, after the transaction that is being mined."""
        with self._lock:
            self._miner.close()
