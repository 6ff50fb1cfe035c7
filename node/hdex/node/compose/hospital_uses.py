"""The ways in which a contract is used at a hospital, wired: sealed files, questions, shares, scripts, and who did."""

from pathlib import Path

from hdex.node.compose.alerting import recorded_actor
from hdex.node.compose.hospital_records import HospitalRecords
from hdex.node.compose.standing import Standing, now
from hdex.node.config import HospitalConfig
from hdex.node.enclave import Bounds
from hdex.node.hospital.accesses import Accesses, Buyers, buyer_of
from hdex.node.hospital.delivery import Delivery, Pace, Store
from hdex.node.hospital.enclaves import Chamber, Enclaves
from hdex.node.hospital.market_readings import answered
from hdex.node.hospital.negotiation import Negotiations
from hdex.node.hospital.queries import Queries
from hdex.node.hospital.query_register import QueryRegister
from hdex.node.hospital.released import Released
from hdex.node.hospital.shares import Files, Shares
from hdex.node.identity import STAFF


class HospitalUses:
    """What one hospital's contracts open: each way asks the same negotiations and the same book of uses."""

    def __init__(
        self, standing: Standing, config: HospitalConfig, records: HospitalRecords, negotiations: Negotiations
    ) -> None:
        self._standing, self._config, self._records = standing, config, records
        self._negotiations = negotiations
        self.delivery = self._delivery()
        self.released = Released(
            negotiations, records.products, records.vault, standing.documents, book=records.book, clock=now
        )
        register, secret = QueryRegister(standing.documents), standing.keys.secret("delivery")
        self.queries = Queries(self.released, register, standing.recorder, standing.meter, secret)
        self.shares = self._shares()
        self.enclaves = self._enclaves()
        self.accesses = self._accesses()

    def _delivery(self) -> Delivery:
        ground, records, pace = self._standing, self._records, self._config.delivery
        return Delivery(
            Store(records.vault, ground.keys, ground.documents),
            self._negotiations,
            records.products,
            directory=ground.directory,
            recorder=ground.recorder,
            meter=ground.meter,
            book=records.book,
            pace=Pace(pace.chunk_bytes, pace.chunks_per_range),
            clock=now,
        )

    def _shares(self) -> Shares:
        ground, listen = self._standing, self._config.listen
        own = f"https://{listen.http}/delta-sharing" if listen.http_port else ""
        return Shares(
            Files(self.released, self._records.vault, ground.documents, ground.meter),
            ground.directory,
            ground.recorder,
            secret=ground.keys.secret("delivery"),
            endpoint=(self._config.delivery.share_endpoint or own) if own else "",
            clock=now,
        )

    def _enclaves(self) -> Enclaves:
        ground, limits = self._standing, self._config.enclave
        memory = Path("/dev/shm")  # noqa: S108  a private folder in it: outputs touch no disk before they are signed
        bounds = Bounds(seconds=limits.seconds, memory_bytes=limits.memory_bytes, is_unsafe=limits.unsafe_unisolated)
        chamber = Chamber(memory if memory.is_dir() else ground.data, bounds)
        return Enclaves(
            self.released, self._records.staff, ground.documents, ground.recorder, ground.meter, chamber=chamber
        )

    def _accesses(self) -> Accesses:
        ground = self._standing
        return Accesses(
            ground.log,
            ground.data,
            buyers=self._buyers(),
            anchored=lambda: ground.anchoring().status().anchored_size,
            needed=self._config.witnesses,
            questions=lambda: answered(ground.documents),
            past=ground.shards.past,
        )

    def _buyers(self) -> Buyers:
        ground, uri = self._standing, f"spiffe://{self._config.trust_domain}/buyer/"
        actor_of = recorded_actor(ground.details)
        return Buyers(
            holders=lambda: {one.contract_id: str(one.asked["consumer"]) for one in self._negotiations.all()},
            of_event=lambda event_id: buyer_of(actor_of(event_id)),
            commitments=lambda buyer: tuple(
                found
                for role in ("", *(f"/{one}" for one in sorted(STAFF["buyer"])))
                for found in ground.details.commitments(f"{uri}{buyer}{role}")
            ),
        )
