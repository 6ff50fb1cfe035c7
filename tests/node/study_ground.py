"""Three sites, a key holder and an exchange's folder in this process, around a study's process that is real."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.federated.samples import FEATURES, Consortium, consortium, keypair

from hdex.federated.channel_memory import ThreadChannel
from hdex.federated.draft import Question
from hdex.federated.keyholder import KeyHolder
from hdex.federated.paillier import private_key_to_bytes
from hdex.federated.ports import OpenedSum
from hdex.federated.store_memory import MemoryStore
from hdex.node.errors import PeerUnavailable
from hdex.node.exchange.study_process import StudyProcess, Told
from hdex.node.signed import Envelope


class Desk:
    """A key holder as the exchange asks it; away for its first `away` calls."""

    def __init__(self, keyholder: KeyHolder, away: int = 0) -> None:
        self._keyholder, self._away = keyholder, away
        self.asked: list[int] = []

    def create_key(self, study_id: str) -> str:
        return self._keyholder.create_key(study_id)

    def open_sum(self, study: Envelope, round_number: int, contributions: list[bytes]) -> OpenedSum:
        self.asked.append(round_number)
        if len(self.asked) <= self._away:
            raise PeerUnavailable("the key holder does not answer")
        return self._keyholder.open_sum(str(study["document"]["id"]), round_number, contributions)


class Lines:
    """The sites' streams; they outlive a study's process, as in the exchange."""

    def __init__(self, channel: ThreadChannel) -> None:
        self.channel = channel

    def open(self, study_id: str) -> ThreadChannel:
        return self.channel

    def close(self, study_id: str) -> None:
        """Keep it."""


class Ground:
    """Three sites, a key holder, an exchange's folder."""

    def __init__(self, folder: Path, *, away: int = 0, lasts: timedelta = timedelta(days=1)) -> None:
        question = Question("", FEATURES[:2], "DUO:0000006", kind="variance")
        base = consortium(question=question)
        deadline = (datetime.now(UTC) + lasts).isoformat()  # a child asks the real clock
        self.party: Consortium = replace(base, study=replace(base.study, deadline=deadline))
        store = MemoryStore()
        store.put("key/study-1", private_key_to_bytes(keypair()[1]))
        keyholder = KeyHolder(store, admit=lambda study, envelope: None)
        keyholder.register(self.party.envelope)
        self.desk, self.folder = Desk(keyholder, away), folder
        self.lines = Lines(ThreadChannel(self.party.handlers()))
        self.rounds: list[tuple[int, str]] = []
        self.said: list[str] = []

    def run(self, committed: Callable[[int], None] = lambda number: None) -> dict[str, Any]:
        """Return the answer; `committed` hears of each round."""

        def commit(number: int, digest: bytes, step: str) -> None:
            self.rounds.append((number, digest.hex()))
            committed(number)

        told = Told(commit, self.said.append)
        process = StudyProcess(self.lines, self.desk, self.folder)
        return process.run("study-1", json.loads(self.party.envelope), told)
