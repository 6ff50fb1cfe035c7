"""What a hospital keeps of its own, wired: vault, data sets, classifications, releases, products, uses, staff."""

from hdex.deid.ports import Detector
from hdex.deid.pseudonym import derive
from hdex.node.compose.standing import Standing, now
from hdex.node.config import HospitalConfig
from hdex.node.consent_sqlite import SqliteConsents
from hdex.node.hospital.classifications import Classifications
from hdex.node.hospital.datasets import Archive, Datasets
from hdex.node.hospital.populations import Populations
from hdex.node.hospital.products import Products
from hdex.node.hospital.releases import Releases, Workshop
from hdex.node.hospital.signatory import Signatory
from hdex.node.hospital.staff import Staff, read_staff
from hdex.node.hospital.usage_book import UsageBook
from hdex.node.vault import Vault

ATTACK_SEED = 20_261_121


class HospitalRecords:
    """The records of one hospital over its ground: no contract and no other participant is needed for them."""

    def __init__(self, standing: Standing, config: HospitalConfig) -> None:
        documents, keys, recorder = standing.documents, standing.keys, standing.recorder
        self.vault = Vault(standing.data / "vault", keys)
        self.products = Products(documents)
        self.book = UsageBook(standing.log, standing.shards.past, node=config.id, clock=now)
        archive = Archive(
            documents,
            self.vault,
            SqliteConsents(standing.data / "consents.db"),
            Populations(documents, self.vault, derive(keys.secret("pseudonym"), "populations")),
        )
        self.datasets = Datasets(archive, recorder, now)
        self.classifications = Classifications(self.datasets, documents, recorder, attack_seed=ATTACK_SEED)
        self.staff = Staff(config.id, read_staff(config.staff))
        self.signatory = Signatory(config.id, keys.secret("sign"), now)
        workshop = Workshop(documents, self.vault, keys, presidio_detector, standing.data / "reports")
        self.releases = Releases(workshop, self.datasets, self.classifications, recorder)


def presidio_detector() -> Detector:
    """Return the engine that reads notes; imported when the first note is read."""
    from hdex.deid.detector_presidio import PresidioDetector

    return PresidioDetector()
