"""The story, act by act. Each act may be told again after a participant was killed: nothing happens twice."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from hdex.ledger.errors import ChainUnavailable
from hdex.node.demo import acts_access, acts_data, acts_market, acts_money, acts_proof, cast
from hdex.node.demo.closing import Details, Figures
from hdex.node.demo.conclusion import conclude
from hdex.node.demo.memory import Memory
from hdex.node.demo.setting import HOSPITALS, build
from hdex.node.demo.stage import DemoOptions, Teller
from hdex.node.demo.supervisor import Supervisor
from hdex.node.errors import PeerUnavailable
from hdex.node.synthetic import Truth, generate

T = TypeVar("T")
PATIENCE_S = 120.0  # a killed participant is back in seconds; its peers dial it again within 3 s
BREATH_S = 0.5
RUNNERS = 2  # two cores


class Story:
    """One run of the demo."""

    def __init__(self, folder: Path, options: DemoOptions, teller: Teller) -> None:
        self.folder = folder
        self._options = options
        self._teller = teller
        self._supervisor = Supervisor(folder / "logs")
        self._stay = threading.Event()
        self.pages = ""

    def tell(self) -> tuple[Figures, Details]:
        """Play every act and return what was measured."""
        began = time.monotonic()
        memory = self._set_stage()
        self._teller.done("setting", began)
        for name, play in (
            ("identity", acts_market.foreign_peer),
            ("ingest", acts_data.ingest),
            ("classify", acts_data.classify),
            ("de-identify", acts_data.deidentify),
            ("publish", acts_data.publish),
            ("browse", acts_market.browse),
            ("vetting", acts_access.vet),
            ("contract", acts_market.contract),
            ("deliver", acts_market.deliver),
            ("invoice", acts_money.bill),
            ("federate", acts_market.federate),
            ("withdraw", acts_market.withdraw),
            ("revoke", acts_market.revoke),
            ("audit", acts_proof.audit),
            ("forge", acts_proof.forge),
            ("search", acts_proof.search),
        ):
            self._act(name, lambda play=play: play(memory))  # type: ignore[misc]  # bound now
        return self._persist("closing", lambda: self._conclude(memory))

    def _conclude(self, memory: Memory) -> tuple[Figures, Details]:
        seconds = time.monotonic() - self._teller.began
        return conclude(memory, steps=self._teller.steps, seconds=seconds, restarts=self._supervisor.restarts())

    def wait(self) -> None:
        """Return when the user ends it."""
        try:
            self._stay.wait()
        except KeyboardInterrupt:
            self._teller.say("end", "stopping")

    def end(self) -> None:
        """Stop every process of the story."""
        self._supervisor.stop()

    def _set_stage(self) -> Memory:
        began = time.monotonic()
        setting = build(self.folder)
        with ThreadPoolExecutor(RUNNERS) as runners:
            exports = runners.submit(self._exports)
            self._supervisor.start([cast.chain_program(setting)])
            self._persist("chain", lambda: cast.deploy_contract(setting))
            enrolling = runners.submit(self._persist, "enrol", lambda: cast.enrol_all(setting))
            self._supervisor.start(cast.programs(setting))
            enrolling.result()
            folders, truth = exports.result()
        http = setting.ports["exchange"][1]
        self.pages = f"http://127.0.0.1:{http}/"
        self._teller.say("setting", f"CA, keys, chain and {len(self._supervisor.pids())} processes in "
                                    f"{time.monotonic() - began:.1f} s; pages at {self.pages}")  # fmt: skip
        return Memory(setting, cast.gather(setting), self._teller.say, folders=folders, truth=truth, pages=self.pages)

    def _exports(self) -> tuple[dict[str, Path], Truth | None]:
        """Return the three exports: generated, or those the user named, by their order."""
        if self._options.data:
            return dict(zip(HOSPITALS, self._options.data, strict=True)), None
        folder = self.folder / "exports"
        truth = generate(folder, seed=self._options.seed, patients=self._options.patients)
        return {name: folder / name for name in HOSPITALS}, truth

    def _act(self, name: str, play: Callable[[], T]) -> T:
        """Play one act and note how long it took."""
        began = time.monotonic()
        result = self._persist(name, play)
        self._teller.done(name, began)
        return result

    def _persist(self, name: str, play: Callable[[], T]) -> T:
        """Play until it succeeds: when a participant has died, wait until it is back, then once more from the start."""
        gives_up = 0.0
        while True:
            try:
                return play()
            except (PeerUnavailable, ChainUnavailable) as error:
                gives_up = gives_up or time.monotonic() + PATIENCE_S
                if time.monotonic() >= gives_up:
                    raise
                self._teller.say(name, f"interrupted ({error}); once more")
                time.sleep(BREATH_S)
                self._supervisor.wait_all()
