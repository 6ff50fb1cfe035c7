"""A small consortium of real processes: chain, exchange, key holder, three hospitals, and everybody who calls them.

Each test says how far the story must have gone; what was told is not told again, so the order of tests is free.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from hdex.ledger.chain_web3 import Web3Chain
from hdex.ledger.errors import ChainUnavailable
from hdex.node.compose.client import caller
from hdex.node.config import KEY_BITS, BuyerConfig, DeliveryPace, HospitalConfig, KeyholderConfig, dump, load
from hdex.node.demo import acts_access, acts_data, acts_market, cast, rows
from hdex.node.demo.memory import SUBCOHORT, Memory
from hdex.node.demo.setting import AUDITOR, CHAIN_ID, HOSPITALS, Setting, build
from hdex.node.demo.supervisor import Supervisor
from hdex.node.errors import NodeError, PeerUnavailable
from hdex.node.hospital.released import release_name
from hdex.node.steward import Steward
from hdex.node.synthetic import generate
from hdex.node.wire.channels import Channels
from hdex.node.wire.remote import RemoteLogs

T = TypeVar("T")
PATIENTS = 300
SEED = 7
PATIENCE_S = 150.0  # a bound for a loaded machine, not a wait
POLL_S = 0.1
LEVEL_5_HOME = acts_data.SUBCOHORT_HOME
Play = Callable[[Memory], None]
# Each participant dies at its first failpoint, comes back, dies at its next one, and so on. A stage has the deaths of
# the acts that its tests are about: each instant is tried once.
DEATHS: dict[str, dict[str, tuple[str, ...]]] = {
    "market": {
        HOSPITALS[0]: ("ingest.stored", "delivery.range.logged", "delivery.chunk:2"),
        HOSPITALS[1]: ("release.stored", "hospital.agreement.signed", "hospital.grant.issued"),
        HOSPITALS[2]: ("publish.signed",),
        "exchange": ("exchange.request.kept", "exchange.agreement.verified"),
    },
    "studies": {
        HOSPITALS[2]: ("site.round.kept", "site.round.submit"),
        "exchange": ("exchange.sum.received", "exchange.round.logged:2"),
        "keyholder": ("keyholder.sum.kept", "keyholder.sum.opened"),
    },
}
ACTS: dict[str, Play] = {
    "ingest": acts_data.ingest,
    "classify": acts_data.classify,
    "deidentify": acts_data.deidentify,
    "publish": acts_data.publish,
    "vetting": acts_access.vet,
    "contract": acts_market.contract,
    "deliver": acts_market.deliver,
    "federate": acts_market.federate,
}


@dataclass
class Stage:
    """The processes, who calls them, and what the story has seen so far."""

    setting: Setting
    supervisor: Supervisor
    memory: Memory
    said: list[str]
    told: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def reach(self, last: str) -> Memory:
        """Tell the story up to this act; an act interrupted by a kill is told again."""
        with self.lock:
            for name, play in ACTS.items():
                if name not in self.told:
                    patiently(lambda play=play: play(self.memory))  # type: ignore[misc]  # bound now
                    self.told.add(name)
                if name == last:
                    break
        return self.memory

    def steward(self, hospital: str) -> Steward:
        return self.memory.cast.stewards[hospital]

    def officer(self, hospital: str) -> Steward:
        return self.memory.cast.officers[hospital]

    def channels(self, participant: str) -> Channels:
        """Return the channels of somebody who only calls: a buyer or the auditor."""
        config = load(self.setting.config_file(participant), BuyerConfig)
        return caller(config.identity, config.trust_domain, config.limits).channels

    def logs(self) -> RemoteLogs:
        """Return the logs as the auditor reads them."""
        return RemoteLogs(self.channels(AUDITOR))

    def agree(self, hospital: str, mode: str, name: str) -> str:
        """Return the id of a new finalized contract of the buyer for a hospital's cohort."""
        memory = self.reach("vetting")
        product = str(memory.products[hospital]["product"])
        return acts_market.agree(memory, memory.cast.buyer, product, mode, version=f".{name}")

    def events(self, node: str) -> list[dict[str, Any]]:
        """Return every event of a participant's log, oldest first."""
        return [json.loads(entry) for entry in self.logs().read(node).entries]

    def actions(self, node: str, **facts: str) -> list[str]:
        """Return the actions of a log whose events say these facts; alerts aside, which come when they come."""
        done = [event for event in self.events(node) if event["action"] != "alert.raise"]
        return [event["action"] for event in done if facts.items() <= event.items()]

    def chain(self) -> Web3Chain:
        """Return the chain as anybody may read it."""
        return Web3Chain(self.setting.chain_url, self.setting.contract, None, CHAIN_ID)

    def hospital(self, name: str) -> HospitalConfig:
        return load(self.setting.config_file(name), HospitalConfig)

    def log_lines(self, participant: str) -> list[dict[str, Any]]:
        """Return what a participant's process has logged; a line it is still writing is not one yet."""
        text = (self.setting.folder / "logs" / f"{participant}.log").read_text(encoding="utf-8", errors="replace")
        return [json.loads(line) for line in text.splitlines(keepends=True) if line[0] == "{" and line[-1] == "\n"]

    def stored(self, hospital: str) -> dict[str, int]:
        """Return {file: size} of a hospital's vault and reports: a refused request must not change it."""
        data = self.setting.home(hospital) / "data"
        files = [path for name in ("vault", "reports") for path in (data / name).rglob("*") if path.is_file()]
        return {str(path.relative_to(data)): path.stat().st_size for path in files}

    def has_release(self, hospital: str, dataset: str) -> bool:
        """Return whether anything of a first version of a data set is kept: its file or its report."""
        reports = self.setting.home(hospital) / "data" / "reports"
        kept = rows.vault(self.setting, hospital).contains(dataset, release_name("1.0.0"))
        return kept or any(reports.glob(f"{dataset}-*"))

    def list_level_5(self) -> str:
        """Publish the level 5 subcohort of one hospital and return the product's id."""
        if SUBCOHORT not in self.memory.products:
            steward, folder = self.steward(LEVEL_5_HOME), self.memory.folders[LEVEL_5_HOME]
            steward.ingest(SUBCOHORT, folder, "hiv_subcohort", silent)
            acts_data.propose_and_sign(self.memory, LEVEL_5_HOME, SUBCOHORT)
            facts = steward.desk.deidentify(SUBCOHORT, self.order(), silent)
            offer = acts_data.offer(self.memory, LEVEL_5_HOME, "hiv_subcohort")
            steward.assess(SUBCOHORT, str(facts["version"]), offer, silent)
            officer = self.officer(LEVEL_5_HOME)
            self.memory.products[SUBCOHORT] = officer.publish(SUBCOHORT, str(facts["version"]), offer, silent)
        return str(self.memory.products[SUBCOHORT]["product"])

    def order(self) -> dict[str, str]:
        """Return what the story's releases are for."""
        plot = self.memory.plot
        return {"preset": acts_data.PRESET, "purpose": plot.purpose, "recipient_class": plot.recipient_class}


@contextmanager
def raised(folder: Path, deaths: dict[str, tuple[str, ...]]) -> Iterator[Stage]:
    """Yield a stage whose story has been told, its deaths survived; its processes end with the block."""
    setting, supervisor = build(folder), Supervisor(folder / "logs")
    said: list[str] = []
    try:
        supervisor.start([cast.chain_program(setting)])
        cast.deploy_contract(setting)
        cut_finely(setting)
        cut_keys(setting)
        programs = [replace(one, failpoints=deaths.get(one.name, ())) for one in cast.programs(setting)]
        with ThreadPoolExecutor(2) as runners:
            enrolled = runners.submit(cast.enrol_all, setting)
            exports = runners.submit(generate, folder / "exports", seed=SEED, patients=PATIENTS)
            supervisor.start(programs)
            enrolled.result()
            exports.result()
        memory = Memory(
            setting,
            cast.gather(setting),
            lambda step, text: said.append(f"{step}: {text}"),
            folders={name: folder / "exports" / name for name in HOSPITALS},
            truth=None,  # the hypertension story: enough events for a regression over few patients
            pages=f"http://127.0.0.1:{setting.ports['exchange'][1]}/",
        )
        stage = Stage(setting, supervisor, memory, said)
        stage.reach("federate")  # so everybody has died and come back before any test, whatever their order
        died = {name: supervisor.restarts_of(name) for name in deaths}
        if died != {name: len(points) for name, points in deaths.items()}:
            raise AssertionError(f"what never happened proves nothing: asked for {deaths}, restarted {died}")
        yield stage
    finally:
        supervisor.stop()


def cut_finely(setting: Setting) -> None:
    """Let the hospitals deliver in the smallest chunks, so that a small release has several ranges."""
    for name in HOSPITALS:
        config = load(setting.config_file(name), HospitalConfig)
        finer = replace(config, delivery=DeliveryPace(chunk_bytes=4096, chunks_per_range=2))
        setting.config_file(name).write_text(dump(finer), encoding="utf-8")


def cut_keys(setting: Setting) -> None:
    """Let studies have the smallest keys that are allowed: to deal one of 3072 bits to sites takes up to a minute."""
    config = load(setting.config_file("keyholder"), KeyholderConfig)
    setting.config_file("keyholder").write_text(dump(replace(config, key_bits=KEY_BITS[0])), encoding="utf-8")


def patiently(play: Callable[[], T], *, seconds: float = PATIENCE_S) -> T:
    """Return what `play` returns once everybody it needs is back; raise its error after the deadline."""
    gives_up = time.monotonic() + seconds
    while True:
        try:
            return play()
        except (PeerUnavailable, ChainUnavailable):
            if time.monotonic() >= gives_up:
                raise
        time.sleep(POLL_S)


def eventually(holds: Callable[[], bool], what: str, *, seconds: float = PATIENCE_S) -> None:
    """Return once `holds`; fail with `what` after the deadline."""

    def look() -> None:
        if not holds():
            raise PeerUnavailable(f"not within {seconds:g} s: {what}")

    patiently(look, seconds=seconds)


def refusal(play: Callable[[], object]) -> NodeError:
    """Return the refusal that `play` ends with."""
    try:
        play()
    except PeerUnavailable:
        raise
    except NodeError as error:
        return error
    raise AssertionError("it was not refused")


def silent(_step: str, _text: str) -> None:
    """Say nothing."""


def alive(pid: int) -> bool:
    """Return whether a process runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
