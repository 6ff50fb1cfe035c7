"""A hospital: its verbs together, as the wire and the command line call them."""

from dataclasses import dataclass
from typing import Any

from hdex.ledger.log import Log
from hdex.node.hospital.approvals import Approvals
from hdex.node.hospital.classifications import Classifications
from hdex.node.hospital.datasets import Datasets
from hdex.node.hospital.delivery import Delivery
from hdex.node.hospital.negotiation import Negotiations
from hdex.node.hospital.products import Products
from hdex.node.hospital.publishing import Publishing
from hdex.node.hospital.releases import Releases
from hdex.node.meter import Meter


@dataclass(frozen=True, slots=True)
class Hospital:
    """Everything a hospital's node can do."""

    id: str
    datasets: Datasets
    approvals: Approvals
    classifications: Classifications
    releases: Releases
    publishing: Publishing
    products: Products
    negotiations: Negotiations
    delivery: Delivery
    meter: Meter
    log: Log

    def status(self) -> dict[str, Any]:
        """Return what an operator looks at first."""
        contracts = self.negotiations.all()
        return {
            "id": self.id,
            "log_size": self.log.size,
            "log_failed": self.log.failed,
            "products": [
                {"id": product.id, "version": product.version, "level": product.level}
                for product in self.products.all()
            ],
            "contracts": {record.contract_id: record.state for record in contracts},
            "studies": self.approvals.studies.all(),
            "crossed": self.meter.totals(),
        }
