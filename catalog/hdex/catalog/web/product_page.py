"""What a product's page shows: every section's values, from the listing and what was asked of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from starlette.datastructures import QueryParams

from hdex.catalog.dsp import FORMATS, dataset_id, offer_id
from hdex.catalog.errors import ProductInvalid
from hdex.catalog.healthdcat import require_complete
from hdex.catalog.ports import Listing
from hdex.catalog.product import DataProduct, DeliveryMode
from hdex.catalog.terms import purposes
from hdex.catalog.web import plain, views
from hdex.catalog.web.cohort_page import cohort_shown
from hdex.catalog.web.prices import Asked, priced
from hdex.catalog.web.sheet import shares
from hdex.catalog.web.status import ExchangeStatus

Rows = Sequence[Mapping[str, object]]
SECTIONS = ("overview", "schema", "quality", "privacy", "policy", "price", "cohort", "preview", "provenance", "api")
MOST_DIGESTS = 20_000
RENDERINGS = ("manifest", "dcat", "healthdcat", "dsp", "croissant")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is known beside the listings; None where nobody keeps it, and then no page shows it.

    contracts: rows {id, product, provider, consumer, purpose, state, updated, rule?}.
    timeline: product id -> rows {time, action, decision, node, index, reason?} of the ledger, oldest first.
    versions: listing -> rows {version, state, since}, newest first.
    """

    timeline: Callable[[str], Rows] | None = None
    versions: Callable[[Listing], Rows] | None = None
    contracts: Callable[[], Rows] | None = None
    status: Callable[[], ExchangeStatus] | None = None


class Digests:
    """The digests of manifests that were shown: making one is a third of a page's cost, and a version keeps its own."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], str] = {}

    def of(self, product: DataProduct) -> str:
        """Return the digest of a product as the catalogue holds it, where a version never changes."""
        key = product.id, product.version
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= MOST_DIGESTS:
                self._known.clear()
            found = self._known[key] = product.digest()
        return found


def product_values(
    listing: Listing, digest: str, asked: QueryParams, told: Told, *, lang: str, at: str
) -> dict[str, object]:
    """Return the values of the page's template. digest: of the manifest; at: the present moment, RFC 3339."""
    product = listing.product
    titles, rows = views.preview_table(product, lang)
    return {
        "product": product,
        "sections": [name for name in SECTIONS if name != "cohort" or product.cohort],
        "plain": plain.plain_terms(product.terms, lang),
        "check": plain.check_purpose(product.terms, asked, at=at),
        "purposes": purposes(),
        "figures": views.privacy_figures(product.privacy, lang),
        "attack": views.attack_chart(product.privacy, lang),
        "technical": shares(product, lang),
        "quality": views.quality_figures(product, lang),
        "distributions": views.distributions(product, lang),
        "cohort": cohort_shown(product, asked.multi_items(), lang),
        "preview_titles": titles,
        "preview_rows": rows,
        "price": priced(product, Asked.read(asked.multi_items()), lang),
        "digest": digest,
        "timeline": None if told.timeline is None else told.timeline(product.id),
        "versions": versions_of(listing, told),
        "api": api_of(product, digest),
        "renderings": renderings_of(product),
    }


def versions_of(listing: Listing, told: Told) -> Rows:
    """Return the versions; the one that is listed where nobody keeps more."""
    if told.versions is not None:
        return told.versions(listing)
    product = listing.product
    return [{"version": product.version, "state": listing.state.value, "since": product.issued}]


@dataclass(frozen=True, slots=True)
class Api:
    """How a program names and reaches a product. Nothing here is a secret: what opens data is the buyer's key."""

    dataset: str
    offer: str
    formats: tuple[str, ...]
    purpose: str  # one that the terms permit, for the examples
    mode: str
    python: str
    commands: tuple[str, ...]
    calls: tuple[str, ...]  # of gRPC, in the order of a purchase


CALLS = {
    DeliveryMode.SEALED_FILE: "HospitalService/Deliver",
    DeliveryMode.DOWNLOAD: "HospitalService/OpenShare",
    DeliveryMode.QUERY: "HospitalService/Query",
    DeliveryMode.ENCLAVE: "HospitalService/SubmitRun",
    DeliveryMode.FEDERATED: "StudyService/Plan",
}
USES = {
    DeliveryMode.SEALED_FILE: ("frame = exchange.fetch(contract.contract_id)", "fetch CONTRACT"),
    DeliveryMode.DOWNLOAD: ('exchange.share(contract.contract_id, "profile.share")', "share CONTRACT profile.share"),
    DeliveryMode.QUERY: ('frame = exchange.query(contract.contract_id, "question.toml")', "query CONTRACT"),
    DeliveryMode.ENCLAVE: ('run = exchange.submit(contract.contract_id, "script.py")', "submit CONTRACT script.py"),
    DeliveryMode.FEDERATED: ('text = exchange.study_file([contract.contract_id], "my-study")', "study-file CONTRACT"),
}


def api_of(product: DataProduct, digest: str) -> Api:
    """Return how to find, ask for and use a product from a program. digest: of its manifest."""
    mode = product.delivery_modes[0]
    purpose = product.terms.permitted[0] if product.terms.permitted else "DUO:0000042"
    line, verb = USES[mode]
    python = (
        "from hdex.node.client import Exchange\n\n"
        f'product, purpose = "{product.id}", "{purpose}"\n'
        'exchange = Exchange("buyer/config.toml")\n'
        "exchange.precheck(product, purpose)\n"
        f'contract = exchange.request(product, purpose, mode="{mode.value}")\n'
        "exchange.accept(contract.contract_id)\n"
        f"{line}\n"
    )
    config = "--config buyer/config.toml"
    asked = f"hdex buy request {product.id} --purpose {purpose} --mode {mode.value} {config}"
    commands = (f"hdex buy quote {product.id} {config}", asked, f"hdex buy {verb} {config}")
    calls = ("ExchangeService/Show", "ContractService/Request", "ContractService/Verify",
             *(CALLS[one] for one in product.delivery_modes))  # fmt: skip
    return Api(
        dataset_id(product),
        offer_id(digest),
        tuple(FORMATS[one] for one in product.delivery_modes),
        purpose,
        mode.value,
        python,
        commands,
        tuple(f"hdex.proto.v1.{call}" for call in calls),
    )


def renderings_of(product: DataProduct) -> tuple[str, ...]:
    """Return the documents that can be made of a product: HealthDCAT-AP asks for more than every record holds."""
    try:
        require_complete(product)
    except ProductInvalid:
        return tuple(name for name in RENDERINGS if name != "healthdcat")
    return RENDERINGS
