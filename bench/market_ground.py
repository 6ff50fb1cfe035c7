"""A consortium for the benchmarks of contracts and delivery: chain, exchange, one hospital and one buyer, on disk.

One product is listed and the buyer is vetted before anything starts: what leads there is measured elsewhere. The same
folders serve parts in this process, and the processes that `hdex` starts.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the samples of the tests

from tests.catalog.samples import sample_product
from tests.node.access_stage import vetted_record

from hdex.catalog.index import Catalogue
from hdex.catalog.lifecycle import ProductState
from hdex.catalog.product import DataProduct
from hdex.catalog.terms import AccessRequest
from hdex.ledger.event import format_time
from hdex.node.buyer import Buyer, Wish
from hdex.node.compose.client import open_buyer, open_steward
from hdex.node.compose.standing import Standing, now
from hdex.node.config import BuyerConfig, Dataspace, DeliveryPace, ExchangeConfig, HospitalConfig, dump, load
from hdex.node.demo import cast
from hdex.node.demo.setting import BUYER, TRUST_DOMAIN, Setting, build, peer
from hdex.node.demo.supervisor import Supervisor, free_ports
from hdex.node.exchange.indexes import open_index
from hdex.node.exchange.listings import Listings
from hdex.node.hospital.products import Held, Products
from hdex.node.identity import Identity
from hdex.node.signed import sign
from hdex.node.steward import Steward

HOSPITAL, EXCHANGE, ROLE = "hospital-a", "exchange", "privacy_officer"
DATASET = "carotid-stents"
PATIENCE_S = 120.0


class Ground:
    """Where everything lies. `dsp`: the address of the hospital's connector."""

    def __init__(self, folder: Path, pace: DeliveryPace | None = None) -> None:
        """Nothing runs yet; the hospital and the exchange witness one another, nobody else is there to do it."""
        self.setting: Setting = build(folder)
        self.supervisor = Supervisor(folder / "logs")
        self._pace = pace or DeliveryPace()
        self._ports = free_ports(2)
        self.dsp = f"https://localhost:{self._ports[0]}"

    def configure(self, *, chain: bool) -> None:
        """Write the configurations; with `chain` it is started first and the contract deployed."""
        if chain:
            self.supervisor.start([cast.chain_program(self.setting)])
            cast.deploy_contract(self.setting)
        else:
            from hdex.node.demo.setting import write_configs

            write_configs(self.setting, "0x" + "11" * 20)
        self._rewrite()

    def _rewrite(self) -> None:
        hospital, exchange, buyer = self.hospital(), self.exchange(), self.buyer_config()
        hospital = replace(
            hospital,
            delivery=self._pace,
            dsp=Dataspace(self._ports[0], self.dsp, private_hosts=("localhost",)),
            witness_peers=(peer(self.setting, EXCHANGE),),
            witnesses=1,
        )
        exchange = replace(exchange, witness_peers=(peer(self.setting, HOSPITAL),), witnesses=1)
        buyer = replace(
            buyer, dsp=Dataspace(self._ports[1], f"https://localhost:{self._ports[1]}", private_hosts=("localhost",))
        )
        for config in (hospital, exchange, buyer):
            self.setting.config_file(config.id).write_text(dump(config), encoding="utf-8")

    def hospital(self) -> HospitalConfig:
        return load(self.setting.config_file(HOSPITAL), HospitalConfig)

    def exchange(self) -> ExchangeConfig:
        return load(self.setting.config_file(EXCHANGE), ExchangeConfig)

    def buyer_config(self) -> BuyerConfig:
        return load(self.setting.config_file(BUYER), BuyerConfig)

    def identity(self, name: str, role: str = "") -> Identity:
        """Return who a certificate of this participant names."""
        kind = {HOSPITAL: "hospital", EXCHANGE: "exchange", BUYER: "buyer"}[name]
        path = f"{kind}/{name}" + (f"/{role}" if role else "")
        return Identity(f"spiffe://{TRUST_DOMAIN}/{path}", kind, name, role)

    def seed(self, product: DataProduct | None = None) -> DataProduct:
        """Keep a product at the hospital and list it, and vet the buyer; return the product."""
        product = product or sample_product()
        manifest = sign("manifest", product.document(), HOSPITAL, self.setting.keys[HOSPITAL].secret("sign"))
        with standing(self.hospital()) as ground:
            vetted = vetted_record(BUYER, HOSPITAL, "CN", now())
            ground.documents.put("vetting", vetted.digest, vetted.document())
            Products(ground.documents).keep(Held(product, manifest, DATASET, ProductState.LISTED))
        with standing(self.exchange()) as ground:
            catalogue = Catalogue(open_index(ground.config.catalogue_index, ground.data))
            Listings(catalogue, ground.directory, ground.recorder).publish(manifest, self.identity(HOSPITAL))
        return product

    def start(self) -> None:
        """Start the exchange and the hospital as processes; the chain runs already."""
        cast.enrol_all(self.setting)
        self.supervisor.start([one for one in cast.programs(self.setting) if one.name in {EXCHANGE, HOSPITAL}])

    def buyer(self) -> Buyer:
        return open_buyer(self.buyer_config())

    def officer(self) -> Steward:
        return open_steward(self.hospital(), self.setting.home(HOSPITAL) / "staff" / ROLE, ROLE)

    def cpu_s(self, name: str) -> float:
        """Return the CPU seconds that a process has used so far."""
        import os

        fields = Path(f"/proc/{self.supervisor.pids()[name]}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        self.supervisor.stop()


@contextmanager
def ground(folder: Path, pace: DeliveryPace | None = None) -> Iterator[Ground]:
    """Yield a consortium; its processes end with the block."""
    made = Ground(folder, pace)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def standing(config: HospitalConfig | ExchangeConfig) -> Iterator[Standing]:
    """Yield a participant's ground in this process; its files are closed behind it."""
    made = Standing(config)
    try:
        yield made
    finally:
        made.stop.set()
        made.run()
        made.documents.close()


def wish(product: DataProduct) -> Wish:
    """Return what the buyer asks for: research on carotid disease, as a sealed file."""
    access = AccessRequest(purpose="DUO:0000007", recipient=BUYER, at=format_time(now()), disease="I65.2")
    return Wish(product.id, "sealed_file", access)
