"""The key holder's verbs: a key per study, and the sum of a whole roster, remembered before it is said."""

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import cast

from hdex.federated.dealing import DealtKey
from hdex.federated.errors import DecryptRefused, FederatedError
from hdex.federated.keyholder import AdmitStudy, KeyHolder
from hdex.federated.ports import OpenedSum
from hdex.federated.study import Study
from hdex.ledger.document import load
from hdex.node.directory import Directory
from hdex.node.errors import NodeError
from hdex.node.failpoint import failpoint
from hdex.node.identity import Identity
from hdex.node.recorder import Recorder
from hdex.node.signed import Envelope, digest, verify

STUDY_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


class SumDesk:
    """Opens sums for the coordinator that the directory names."""

    def __init__(self, keyholder: KeyHolder, recorder: Recorder, directory: Directory) -> None:
        self._keyholder = keyholder
        self._directory = directory
        self._recorder = recorder

    def create_key(self, study_id: str, actor: Identity) -> str:
        """Return the modulus (hex) of a study's key."""
        if not STUDY_ID.fullmatch(study_id):
            self._recorder.deny("key.create", actor, "study.id")
            raise DecryptRefused("study.id", "no study has such an id")
        with self._recorder.release("key.create", actor):
            return self._keyholder.create_key(study_id)

    def deal_key(self, study_id: str, parties: Sequence[str], needed: int, actor: Identity) -> DealtKey:
        """Return a study's key, shared among hospitals of the directory: sealed to the keys that stand there."""
        if not STUDY_ID.fullmatch(study_id):
            self._recorder.deny("key.create", actor, "study.id")
            raise DecryptRefused("study.id", "no study has such an id")
        with self._recorder.refusals("key.create", actor):
            members = {name: self._directory.require(name, "hospital").mask_key for name in parties}
            key = self._keyholder.deal_key(study_id, members, needed)
        with self._recorder.release("key.create", actor):
            return key

    def open_sum(self, study: Envelope, round_number: int, contributions: list[bytes], actor: Identity) -> OpenedSum:
        """Return the proven sum over the whole roster, or raise DecryptRefused; either is an event first."""
        with self._recorder.refusals("aggregate.decrypt", actor):
            request_digest = digest(study["document"])
        try:
            self._keyholder.register(json.dumps(study).encode())
            total = self._keyholder.open_sum(str(study["document"].get("id")), round_number, contributions)
        except FederatedError as error:
            rule = error.rule if isinstance(error, DecryptRefused) else type(error).__name__
            self._recorder.deny("aggregate.decrypt", actor, rule, request_digest=request_digest)
            raise
        failpoint("keyholder.sum.kept")
        with self._recorder.release(
            "aggregate.decrypt", actor, fields=len(contributions), request_digest=request_digest
        ):
            failpoint("keyholder.sum.opened")
            return total


def admit_by(directory: Directory, coordinator: str) -> AdmitStudy:
    """Return the check that a study is signed by the coordinator and that its roster is the directory's."""

    def admit(study: Study, envelope: bytes) -> None:
        try:
            verify("study", cast("Envelope", load(envelope)), directory.sign_keys(coordinator))
        except (NodeError, ValueError) as error:
            raise DecryptRefused("study_signature", str(error)) from error
        if study.coordinator.id != coordinator:
            raise DecryptRefused("study_coordinator", "the study names another coordinator than the one that asks")
        for entry in study.roster:
            with suppress(NodeError):
                member = directory.require(entry.site, "hospital")
                known = (member.sign_key.hex(), member.mask_key.hex(), member.organisation)
                if (entry.sign_key, entry.mask_key, entry.organisation) == known:
                    continue
            raise DecryptRefused("roster_keys", f"keys or organisation of {entry.site} are not those of the directory")

    return admit
