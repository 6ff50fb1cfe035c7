"""The conformance profile: a file says which ids exist and how this connector reacts, so that an outside kit drives it.

callback_hosts = ["localhost", "127.0.0.1"]   # where callbacks may go; these and ::1 when absent
delay_s = 0.4                                 # before a reaction

[datasets]
ACN0101 = ["CD123:ACN0101:456"]               # data set -> its offers

[agreements]
ATP0101 = "ACN0101"                           # agreement -> its data set

[reactions.provider.ACN0101]                  # role, then data set (negotiations) or agreement (transfers)
REQUESTED = ["offer", "terminate"]            # the first time, the second time; "" does nothing
OFFERED = [{ do = "terminate", after_s = 1.0 }]
"""

import logging
import threading
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from hdex.catalog.contract import Party, State, TransferState
from hdex.catalog.dsp import CONTEXT
from hdex.node.dsp.connector import Connector
from hdex.node.dsp.messages import ACTS
from hdex.node.dsp.ports import Desk
from hdex.node.dsp.process import Document, Process
from hdex.node.errors import AccessDenied, ConfigInvalid, NotFound, describe

logger = logging.getLogger(__name__)
LOOPBACK = ("localhost", "127.0.0.1", "::1")
WORDS = frozenset(word for acts in ACTS.values() for word in acts) | {""}
STATES = frozenset({*State, *TransferState})
KEYS = frozenset({"callback_hosts", "delay_s", "participant", "page", "datasets", "agreements", "reactions"})
LONGEST_DELAY_S = 60.0
Later = Callable[[float, Callable[[], None]], None]


@dataclass(frozen=True, slots=True)
class Reaction:
    """What to do once a state was entered, and after how long."""

    do: str
    after_s: float


Reactions = Mapping[tuple[Party, str], Mapping[str, Sequence[Reaction]]]  # (role, id) -> state -> n-th time


@dataclass(frozen=True, slots=True)
class Profile:
    """What the file says."""

    datasets: Mapping[str, Sequence[str]]
    agreements: Mapping[str, str]
    reactions: Reactions
    callback_hosts: Sequence[str] = LOOPBACK
    participant: str = "connector-under-test"
    page: int = 50


def load_profile(path: Path) -> Profile:
    """Return the profile in a file. Raises ConfigInvalid with file, key and what is known there."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigInvalid(f"the profile {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"{path} is not TOML: {error}") from error
    try:
        return profile_of(table)
    except ConfigInvalid as error:
        raise ConfigInvalid(f"{path}: {error}") from error


def profile_of(table: Mapping[str, Any]) -> Profile:
    """Return the profile that a table states. Raises ConfigInvalid."""
    if unknown := sorted(set(table) - KEYS):
        raise ConfigInvalid(f"unknown key {unknown[0]}; known are {', '.join(sorted(KEYS))}")
    delay_s = seconds(table.get("delay_s", 0.4), "delay_s")
    datasets = {name: texts(offers, f"datasets.{name}") for name, offers in tables(table, "datasets").items()}
    agreements = tables(table, "agreements")
    for name, target in agreements.items():
        if not isinstance(target, str):
            raise ConfigInvalid(f"agreements.{name} must be text: the id of its data set")
    page = table.get("page", 50)
    if type(page) is not int or not 1 <= page <= 1000:
        raise ConfigInvalid("page must be a whole number from 1 to 1000")
    return Profile(
        datasets,
        agreements,
        reactions_of(tables(table, "reactions"), delay_s),
        texts(table.get("callback_hosts", list(LOOPBACK)), "callback_hosts"),
        str(table.get("participant", "connector-under-test")),
        page,
    )


def reactions_of(table: Mapping[str, Any], delay_s: float) -> Reactions:
    """Return reactions by role and id. Raises ConfigInvalid for an unknown role, state or word."""
    found: dict[tuple[Party, str], Mapping[str, Sequence[Reaction]]] = {}
    for role in table:
        if role not in set(Party):
            raise ConfigInvalid(f"reactions.{role}: a role is provider or consumer")
        for name, states in tables(table, role, "reactions.").items():
            where = f"reactions.{role}.{name}"
            if not isinstance(states, dict) or (wrong := sorted(set(states) - STATES)):
                told = f"{where}.{wrong[0]} is no state" if isinstance(states, dict) else f"{where} must be a table"
                raise ConfigInvalid(f"{told}; states are {', '.join(sorted(STATES))}")
            found[Party(role), name] = {s: reaction_list(one, delay_s, f"{where}.{s}") for s, one in states.items()}
    return found


def reaction_list(value: object, delay_s: float, where: str) -> list[Reaction]:
    """Return the reactions to the first, second, ... time that a state is entered."""
    if not isinstance(value, list):
        raise ConfigInvalid(f"{where} must be a list: what to do the first time, the second time")
    found = []
    for one in value:
        table = {"do": one} if isinstance(one, str) else one
        if not isinstance(table, dict) or not set(table) <= {"do", "after_s"} or table.get("do") not in WORDS:
            known = ", ".join(sorted(WORDS - {""}))
            raise ConfigInvalid(f"{where}: a reaction is one of {known}, or a table with do and after_s")
        found.append(Reaction(str(table["do"]), seconds(table.get("after_s", delay_s), where)))
    return found


def tables(table: Mapping[str, Any], key: str, where: str = "") -> Mapping[str, Any]:
    """Return the table under a key; empty when absent. Raises ConfigInvalid."""
    found = table.get(key, {})
    if not isinstance(found, dict):
        raise ConfigInvalid(f"{where}{key} must be a table")
    return found


def texts(value: object, where: str) -> list[str]:
    """Return a list of texts. Raises ConfigInvalid."""
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise ConfigInvalid(f"{where} must be a list of texts")
    return list(value)


def seconds(value: object, where: str) -> float:
    """Return a number of seconds. Raises ConfigInvalid."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LONGEST_DELAY_S:
        raise ConfigInvalid(f"{where} must be 0 to {LONGEST_DELAY_S:g} seconds")
    return float(value)


@dataclass(slots=True)
class ConformanceDesk:
    """A desk that offers what the profile says and does what it says. `later` runs something after some seconds."""

    profile: Profile
    address: str
    clock: Callable[[], datetime]
    later: Later
    connectors: list[Connector] = field(default_factory=list)  # the one that is served, once it is made

    def datasets(self, after: str, count: int) -> Sequence[Document]:
        names = sorted(name for name in self.profile.datasets if name > after)
        return [self.dataset(name) for name in names[:count]]

    def dataset(self, dataset_id: str) -> Document:
        offers = self.profile.datasets.get(dataset_id)
        if offers is None:
            raise NotFound("no such data set is offered here")
        service = {"@id": f"{self.address}#service", "@type": "DataService", "endpointURL": self.address}
        one = {"@type": "Distribution", "format": "HttpData-PULL", "accessService": service}
        return {
            "@context": [CONTEXT],
            "@id": dataset_id,
            "@type": "Dataset",
            "hasPolicy": [offer_of(name) for name in offers],
            "distribution": [one],
        }

    def require_request(self, process: Process) -> None:
        if process.role is Party.CONSUMER:
            return
        if process.offer.get("@id") not in self.profile.datasets.get(process.dataset, ()):
            raise AccessDenied("offer.unknown", "ask for an offer of the catalogue", "this offer is not made here")

    def require_transfer(self, process: Process) -> None:
        if process.agreement_id not in self.profile.agreements:
            raise AccessDenied("agreement.unknown", "agree on a contract first", "no such agreement stands here")

    def require_paper(self, process: Process) -> None:
        """The profile signs nothing."""

    def offer(self, process: Process) -> Document:
        offers, name = self.profile.datasets.get(process.dataset, ()), str(process.offer.get("@id", "offer"))
        if offers and process.role is Party.PROVIDER and name not in offers:
            name = offers[0]
        return offer_of(name) | {"target": process.dataset}

    def agreement(self, process: Process) -> Document:
        return {
            "@id": f"urn:hdex:agreement:{process.pid.removeprefix('urn:uuid:')}",
            "@type": "Agreement",
            "target": process.dataset,
            "assigner": self.profile.participant,
            "assignee": process.peer,
            "timestamp": f"{self.clock():%Y-%m-%dT%H:%M:%SZ}",
            "permission": [{"action": "use"}],
        }

    def entered(self, process: Process) -> None:
        states = self.profile.reactions.get((process.role, process.about), {})
        visit = process.visits.get(process.state, 0)
        reactions = states.get(process.state, ())
        if not 0 < visit <= len(reactions) or not reactions[visit - 1].do:
            return
        self.later(reactions[visit - 1].after_s, lambda: self._react(process, reactions[visit - 1].do))

    def _react(self, process: Process, do: str) -> None:
        """Act, unless the process has moved meanwhile."""
        connector = self.connectors[0]
        now = connector.process(process.pid)
        if (now.state, now.visits) != (process.state, process.visits):
            return
        said: Document = {"reason": "the profile says so"} if do in {"terminate", "suspend"} else {}
        if do == "start" and process.role is Party.PROVIDER and process.format.endswith("-PULL"):
            said["data_address"] = data_address(self.address)  # who pulls must be told from where
        try:
            connector.act(process.pid, do, **said)
        except Exception as failure:  # said to whoever runs the kit: the profile asks for what cannot be
            logger.warning("a reaction was refused", extra={"reaction": do, "reason": describe(failure).message})


def data_address(endpoint: str) -> Document:
    """Return where the data of a transfer would be; nothing is served there under the profile."""
    return {"@type": "DataAddress", "endpointType": "https://w3id.org/idsa/v4.1/HTTP", "endpoint": f"{endpoint}/data"}


def offer_of(name: str) -> Document:
    """Return an offer that permits use."""
    return {"@id": name, "@type": "Offer", "permission": [{"action": "use"}]}


def later(delay_s: float, work: Callable[[], None]) -> None:
    """Run `work` in a thread of its own after a delay."""
    timer = threading.Timer(delay_s, work)
    timer.daemon = True
    timer.start()


_: type[Desk] = ConformanceDesk
