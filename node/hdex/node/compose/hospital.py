"""A hospital's node, wired: vault, de-identification, products, contracts, delivery, its place in studies."""

from hdex.deid.ports import Detector
from hdex.deid.pseudonym import derive
from hdex.federated.store_sqlite import SqliteStore
from hdex.node.authz import CedarAuthorizer
from hdex.node.compose.alerting import recorded_actor
from hdex.node.compose.standing import Standing, now
from hdex.node.config import HospitalConfig
from hdex.node.consent_sqlite import SqliteConsents
from hdex.node.hospital.accesses import Accesses, Buyers, buyer_of
from hdex.node.hospital.approvals import Approvals
from hdex.node.hospital.assessments import Assessments, Bench
from hdex.node.hospital.budgets import EpsilonBudget
from hdex.node.hospital.classifications import Classifications
from hdex.node.hospital.datasets import Archive, Datasets
from hdex.node.hospital.delivery import Delivery, Pace, Store
from hdex.node.hospital.desk import Hospital
from hdex.node.hospital.erasures import Erasures
from hdex.node.hospital.lifecycle import Lifecycle, Publisher
from hdex.node.hospital.negotiation import Negotiations, Papers
from hdex.node.hospital.populations import Populations
from hdex.node.hospital.products import Products
from hdex.node.hospital.publishing import Publishing, Shelf
from hdex.node.hospital.readings import Readings
from hdex.node.hospital.releases import Releases, Workshop
from hdex.node.hospital.site import HospitalSite, SiteRooms
from hdex.node.hospital.staff import Staff, read_staff
from hdex.node.hospital.study_approvals import StudyApprovals
from hdex.node.hospital.study_register import StudyRegister
from hdex.node.hospital.study_rows import StudyRows
from hdex.node.identity import STAFF, Identity
from hdex.node.keys import data_key
from hdex.node.sealing import Sealing
from hdex.node.vault import Vault
from hdex.node.wire.channel_client import ChannelClient, Handle
from hdex.node.wire.remote import RemoteExchange
from hdex.node.wire.services_hospital import hospital_adders

ATTACK_SEED = 20_261_121


class HospitalParts:
    """The parts of one hospital over its ground, made once."""

    def __init__(self, standing: Standing, config: HospitalConfig) -> None:
        self.standing, self.config = standing, config
        self.vault = Vault(standing.data / "vault", standing.keys)
        self.meter = standing.meter
        self.products = Products(standing.documents)
        self.exchange = RemoteExchange(standing.channels(config.exchange.id))
        archive = Archive(
            standing.documents,
            self.vault,
            SqliteConsents(standing.data / "consents.db"),
            Populations(standing.documents, self.vault, derive(standing.keys.secret("pseudonym"), "populations")),
        )
        self.datasets = Datasets(archive, standing.recorder, now)
        self.classifications = Classifications(
            self.datasets, standing.documents, standing.recorder, attack_seed=ATTACK_SEED
        )
        self.staff = Staff(config.id, read_staff(config.staff))
        self.studies = StudyApprovals(self.staff, standing.documents, standing.recorder, clock=now)
        self.negotiations = self.make_negotiations()
        self.releases = self.make_releases()
        self.me = Publisher(config.id, standing.keys, standing.documents, now)
        self.lifecycle = Lifecycle(
            self.me, self.products, self.staff, exchange=self.exchange, recorder=standing.recorder
        )
        self.assessments = Assessments(Bench(self.me, self.staff, self.products, self.lifecycle), standing.recorder)

    def make_negotiations(self) -> Negotiations:
        ground = self.standing
        papers = Papers(self.config.id, ground.keys.secret("sign"), now)
        return Negotiations(
            papers,
            ground.documents,
            self.products,
            directory=ground.directory,
            exchange=self.exchange,
            authorizer=CedarAuthorizer(),
            recorder=ground.recorder,
            facts=ground.facts,
            meter=self.meter,
        )

    def make_releases(self) -> Releases:
        ground = self.standing
        reports = ground.data / "reports"
        workshop = Workshop(ground.documents, self.vault, ground.keys, presidio_detector, reports)
        return Releases(workshop, self.datasets, self.classifications, ground.recorder)

    def publishing(self) -> Publishing:
        ground = self.standing
        return Publishing(
            self.me,
            self.datasets,
            self.releases,
            Shelf(self.products, self.lifecycle, self.assessments),
            exchange=self.exchange,
            recorder=ground.recorder,
            facts=ground.facts,
            meter=self.meter,
        )

    def delivery(self) -> Delivery:
        ground = self.standing
        return Delivery(
            Store(self.vault, ground.keys, ground.documents),
            self.negotiations,
            self.products,
            directory=ground.directory,
            recorder=ground.recorder,
            meter=self.meter,
            pace=Pace(self.config.delivery.chunk_bytes, self.config.delivery.chunks_per_range),
            clock=now,
        )

    def readings(self) -> Readings:
        return Readings(self.standing.documents, self.classifications, self.assessments, self.products)

    def buyers(self) -> Buyers:
        ground, uri = self.standing, f"spiffe://{self.config.trust_domain}/buyer/"
        actor_of = recorded_actor(ground.details)
        return Buyers(
            holders=lambda: {one.contract_id: str(one.asked["consumer"]) for one in self.negotiations.all()},
            of_event=lambda event_id: buyer_of(actor_of(event_id)),
            commitments=lambda buyer: tuple(
                found
                for role in ("", *(f"/{one}" for one in sorted(STAFF["buyer"])))
                for found in ground.details.commitments(f"{uri}{buyer}{role}")
            ),
        )

    def accesses(self) -> Accesses:
        ground = self.standing
        return Accesses(
            ground.log,
            ground.data,
            buyers=self.buyers(),
            anchored=lambda: ground.anchoring().status().anchored_size,
            needed=self.config.witnesses,
        )

    def hospital(self) -> Hospital:
        ground = self.standing
        return Hospital(
            id=self.config.id,
            datasets=self.datasets,
            approvals=Approvals(
                self.staff,
                ground.documents,
                ground.recorder,
                review=self.classifications.contested,
                studies=self.studies,
            ),
            classifications=self.classifications,
            releases=self.releases,
            publishing=self.publishing(),
            products=self.products,
            negotiations=self.negotiations,
            delivery=self.delivery(),
            lifecycle=self.lifecycle,
            assessments=self.assessments,
            erasures=Erasures(self.staff, ground.documents, ground.eraser, ground.recorder),
            readings=self.readings(),
            accesses=self.accesses(),
            meter=self.meter,
            log=ground.log,
        )

    def site_handler(self) -> Handle:
        """Return what answers the frames of studies; Flower is imported at the first frame."""
        ground, config = self.standing, self.config
        coordinator = ground.directory.require(config.exchange.id, "exchange")
        hooks = HospitalSite(
            config.id,
            SiteRooms(
                StudyRows(
                    self.datasets,
                    ground.documents,
                    StudyRegister(
                        ground.documents, self.vault, derive(ground.keys.secret("pseudonym"), "study register")
                    ),
                ),
                self.products,
                self.negotiations,
                ground.directory,
                self.studies,
                EpsilonBudget(ground.log, ground.shards.past),
                ground.documents,
            ),
            ground.keys,
            coordinator=Identity(coordinator.spiffe_id, coordinator.kind, coordinator.id),
            recorder=ground.recorder,
            meter=self.meter,
            clock=now,
        )
        sealing = Sealing(data_key(ground.keys, "study replies"))
        replies = SqliteStore(ground.data / "replies.db", seal=sealing.seal, unseal=sealing.unseal)
        sessions: list[Handle] = []

        def handle(frame: bytes) -> bytes:
            if not sessions:
                from hdex.federated.apps.site import SiteSession

                sessions.append(
                    SiteSession(config.id, hooks, replies=replies, clock=now, on_refusal=hooks.refuse).handle
                )
            return sessions[0](frame)

        return handle


def presidio_detector() -> Detector:
    """Return the engine that reads notes; imported when the first note is read."""
    from hdex.deid.detector_presidio import PresidioDetector

    return PresidioDetector()


def serve_hospital(config: HospitalConfig) -> Standing:
    """Start a hospital's node, dial out to the exchange for studies, and return its ground; `run` waits for its end."""
    standing = Standing(config)
    parts = HospitalParts(standing, config)
    standing.serving = standing.serve(hospital_adders(parts.hospital()))
    ChannelClient(lambda: standing.channels(config.exchange.id), parts.site_handler(), stop=standing.stop).start()
    return standing
