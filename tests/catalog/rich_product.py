"""A product whose record says everything that a page can show: plans, weights, quota, notice, quality, provenance."""

from dataclasses import replace

from tests.catalog.samples import PRICE, complete_product, sample_product
from tests.catalog.test_quality import REPORT

from hdex.catalog.metadata import Notice, Provenance
from hdex.catalog.price import Cost, Price, PriceBasis, PricePlan, Tax, Weights
from hdex.catalog.product import DataProduct
from hdex.catalog.quota import Quota, QuotaPeriod
from hdex.catalog.terms import Text

WEIGHTS = Weights(base=2, columns={"ldl": 3, "restenosis": 4}, mandatory=("age_band",))
PER_QUERY = Price(
    basis=PriceBasis.GOVERNMENT_GUIDED,
    amount_cents=20_000,
    currency="CNY",
    plan=PricePlan.PER_QUERY,
    ceiling_cents=30_000,
    document="Notice 2026-7",
)


def rich_product(**given: object) -> DataProduct:
    """Return it, with what the test gives in its place."""
    price = replace(
        PRICE,
        amount_cents=1_500_000,
        cost_sheet=(Cost(Text("curation", "整理"), 1_500_000),),
        tax=Tax(Text("VAT", "增值税"), "0.06"),
        weights=WEIGHTS,
    )
    product = replace(
        complete_product(sample_product()),
        version="2.1.0",
        price=price,
        plans=(PER_QUERY,),
        quota=Quota(queries=500, rows=100_000, period=QuotaPeriod.MONTH),
        max_deliveries=3,
        max_licences=2,
        notice=Notice(listing_days=7, supersession_days=90),
        quality_report=REPORT,
        quality=REPORT.figures(),
        provenance=Provenance(
            snapshot_digest="3a" * 32, recipe_digest="4b" * 32, output_digest="2e" * 32, supersedes="2.0.0"
        ),
    )
    return replace(product, **given)  # type: ignore[arg-type]  # given by the test, by field name
