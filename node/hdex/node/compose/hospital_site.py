"""A hospital's place in studies, wired: its rooms, its admission, and what answers the frames of a grid."""

import threading

from hdex.deid.pseudonym import derive
from hdex.federated.store_sqlite import SqliteStore
from hdex.node.compose.hospital_records import HospitalRecords
from hdex.node.compose.standing import Standing, now
from hdex.node.config import HospitalConfig
from hdex.node.config_studies import FlowerApi
from hdex.node.hospital.budgets import EpsilonBudget
from hdex.node.hospital.negotiation import Negotiations
from hdex.node.hospital.site import HospitalSite, SiteRooms
from hdex.node.hospital.study_approvals import StudyApprovals
from hdex.node.hospital.study_register import StudyRegister
from hdex.node.hospital.study_rows import StudyRows
from hdex.node.identity import Identity
from hdex.node.keys import data_key, read_secret
from hdex.node.sealing import Sealing
from hdex.node.wire.channel_client import ChannelClient, Handle


class StudySite:
    """One hospital as a site of studies: one session answers whatever way the frames come."""

    def __init__(
        self, standing: Standing, config: HospitalConfig, records: HospitalRecords, *,
        negotiations: Negotiations, approvals: StudyApprovals,
    ) -> None:  # fmt: skip
        self._standing, self._config, self._records = standing, config, records
        self._negotiations, self._approvals = negotiations, approvals

    def handler(self) -> Handle:
        """Return what answers the frames of studies; Flower is imported at the first frame."""
        ground, hooks = self._standing, self._hooks()
        sealing = Sealing(data_key(ground.keys, "study replies"))
        replies = SqliteStore(ground.data / "replies.db", seal=sealing.seal, unseal=sealing.unseal)
        sessions: list[Handle] = []

        def handle(frame: bytes) -> bytes:
            if not sessions:
                from hdex.federated.apps.site import SiteSession

                session = SiteSession(self._config.id, hooks, replies=replies, clock=now, on_refusal=hooks.refuse)
                sessions.append(session.handle)
            return sessions[0](frame)

        return handle

    def dial(self) -> None:
        """Wait for frames: over the stream to the exchange or the region, and over a stock SuperNode where one is."""
        ground, config, handle = self._standing, self._config, self.handler()
        dialled = (config.region or config.exchange).id  # for studies; everything else goes to the exchange
        ChannelClient(lambda: ground.channels(dialled), handle, stop=ground.stop).start()
        if config.supernode is not None:
            keep_gate(config.supernode, handle, stop=ground.stop)

    def _hooks(self) -> HospitalSite:
        ground, config, records = self._standing, self._config, self._records
        coordinator = ground.directory.require(config.exchange.id, "exchange")
        return HospitalSite(
            config.id,
            SiteRooms(
                StudyRows(records.datasets, ground.documents, self._register()),
                records.products,
                self._negotiations,
                ground.directory,
                self._approvals,
                EpsilonBudget(ground.log, ground.shards.past),
                records.book,
                ground.documents,
            ),
            ground.keys,
            coordinator=Identity(coordinator.spiffe_id, coordinator.kind, coordinator.id),
            recorder=ground.recorder,
            meter=ground.meter,
            clock=now,
        )

    def _register(self) -> StudyRegister:
        ground = self._standing
        key = derive(ground.keys.secret("pseudonym"), "study register")
        return StudyRegister(ground.documents, self._records.vault, key)


def keep_gate(supernode: FlowerApi, handle: Handle, *, stop: threading.Event) -> None:
    """Answer the tasks of a stock SuperNode too; what they ask passes the same admission."""
    from hdex.federated.apps.gatekeeper import Gatekeeper
    from hdex.federated.apps.superlink import Endpoint

    endpoint = Endpoint(supernode.address, supernode.ca.read_bytes())
    keeper = Gatekeeper(endpoint, read_secret(supernode.secret_file), handle, stop=stop)
    threading.Thread(target=keeper.run, name="gatekeeper", daemon=True).start()
