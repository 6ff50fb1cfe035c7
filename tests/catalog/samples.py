"""Products for tests: plausible, complete, and different from each other by number."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hdex.catalog.metadata import Agent, Health, HealthCategory, Period, PublisherFacts, PublisherType
from hdex.catalog.price import Cost, Price, PriceBasis, PricePlan
from hdex.catalog.product import (
    Bin,
    Column,
    DataProduct,
    DeliveryMode,
    Histogram,
    Preview,
    PreviewKind,
    Privacy,
    Provider,
    ReleaseFile,
    Role,
    Temporal,
)
from hdex.catalog.terms import Terms, Text
from hdex.catalog.web.status import AnchorShown, Cosigned, ExchangeStatus, LogShown, MembersShown, Trouble

HOSPITALS = {
    "hospital-a": Text("Jinghua Hospital", "京华医院"),
    "hospital-b": Text("Riverside University Hospital", "河滨大学医院"),
    "hospital-c": Text("Third People's Hospital of Lin'an", "临安市第三人民医院"),
}
FILE_MODES = (DeliveryMode.SEALED_FILE, DeliveryMode.ENCLAVE, DeliveryMode.QUERY, DeliveryMode.FEDERATED)


def sample_column(name: str, en: str, zh: str, **given: object) -> Column:
    """Return one column; what is not given is unremarkable."""
    plain = Column(name=name, title=Text(en, zh), datatype="string", level=2, role=Role.OTHER, method="kept")
    return replace(plain, **given)  # type: ignore[arg-type]  # given by the test, by field name


COLUMNS = (
    sample_column("age_band", "Age", "年龄", unit="a", role=Role.QUASI, method="generalised", concept="LOINC 30525-0"),
    sample_column("sex", "Sex", "性别", role=Role.QUASI, concept="LOINC 46098-0"),
    sample_column("implant_quarter", "Implant quarter", "植入季度", role=Role.QUASI, method="generalised"),
    sample_column("stent_model", "Stent model", "支架型号", role=Role.QUASI),
    sample_column("diameter_mm", "Stent diameter", "支架直径", datatype="number", unit="mm"),
    sample_column("systolic", "Systolic pressure", "收缩压", datatype="integer", unit="mm[Hg]", concept="LOINC 8480-6"),
    sample_column(
        "ldl", "LDL cholesterol", "低密度脂蛋白胆固醇", datatype="number", unit="mmol/L", role=Role.SENSITIVE
    ),
    sample_column("restenosis", "Restenosis within a year", "一年内再狭窄", datatype="boolean", role=Role.SENSITIVE),
)


def sample_preview() -> Preview:
    """Return a synthetic preview of a few rows."""
    models = ("Acculink 7-40", "Wallstent 8-29", "Protégé 9-40")
    rows = tuple(
        {
            "synthetic": True,
            "age_band": ("60-69", "70-79", "50-59")[n % 3],
            "sex": ("male", "female")[n % 2],
            "implant_quarter": f"202{3 + n % 3}-Q{1 + n % 4}",
            "stent_model": models[n % 3],
            "diameter_mm": 7.0 + n % 3,
            "systolic": 128 + 3 * n,
            "ldl": 2.1 + n / 10,
            "restenosis": n % 5 == 0,
        }
        for n in range(12)
    )
    ages = (("<50", 96), ("50-59", 402), ("60-69", 951), ("70-79", 817), ("≥80", 284))
    pressures = (("<110", 141), ("110-119", 318), ("120-129", 611), ("130-139", 702), ("140-149", 498), ("≥150", 280))
    histograms = tuple(
        Histogram(column, tuple(Bin(label, count) for label, count in bins))
        for column, bins in (("age_band", ages), ("systolic", pressures))
    )
    generator = "independent noisy marginals"
    return Preview(kind=PreviewKind.SYNTHETIC, rows=rows, histograms=histograms, generator=generator, epsilon=1.0)


PRICE = Price(
    basis=PriceBasis.COST_BASED,
    amount_cents=4_800_000,
    currency="CNY",
    plan=PricePlan.ONE_OFF,
    cost_sheet=(Cost(Text("curation and de-identification", "整理与去标识"), 4_800_000),),
)


def sample_product(**given: object) -> DataProduct:
    """Return a carotid-stent product of hospital A, with what the test gives in its place."""
    plain = DataProduct(
        id="hospital-a.carotid-stents",
        version="1.0.0",
        title=Text("Carotid stents with one-year follow-up", "颈动脉支架一年随访数据"),
        description=Text(
            "Patients who received a carotid stent between 2023 and 2025, with device, blood pressure, lipids and the"
            " state of the vessel after twelve months. Dates are generalised to quarters, ages to decades.",
            "2023年至2025年接受颈动脉支架植入患者的器械、血压、血脂及十二个月随访结果。日期概化至季度，年龄概化至十岁段。",
        ),
        keywords=("carotid", "stent", "restenosis", "颈动脉", "再狭窄"),
        provider=Provider("hospital-a", HOSPITALS["hospital-a"]),
        level=2,
        delivery_modes=FILE_MODES,
        columns=COLUMNS,
        records=2550,
        individuals_band="2500-2600",
        temporal=Temporal("2023-01", "2025-12"),
        inclusion=("I65.2", "00.63"),
        terms=Terms(
            permitted=("DUO:0000007",),
            diseases=("I63", "I65", "I66"),
            prohibited=("HDEX:underwriting", "HDEX:marketing"),
            needs_approval=("HDEX:device-development",),
            modifiers=("DUO:0000021",),
            duties=("attribute", "delete", "no_redistribution"),
            expires="2028-01-01T00:00:00.000Z",
        ),
        price=PRICE,
        privacy=Privacy(
            preset="registered",
            k=10,
            max_risk=0.1,
            average_risk=0.021,
            unique_rows=0,
            suppressed=0.018,
            attack_targets=1000,
            attack_before=0.914,
            attack_after=0.006,
            attack_by_chance=0.004,
            classification_digest="1f" * 32,
            release_digest="2e" * 32,
        ),
        quality={"completeness": 0.973, "validity": 0.995, "uniqueness": 1.0, "grade": "A"},
        preview=sample_preview(),
        release=ReleaseFile(bytes=1_482_113, sha256="2e" * 32, chunks=2),
        issued="2026-11-20T09:30:00.000Z",
    )
    return replace(plain, **given)  # type: ignore[arg-type]  # given by the test, by field name


def federated_only() -> DataProduct:
    """Return a level-5 product: no file, no rows, only sums over several hospitals."""
    return sample_product(
        id="hospital-c.hiv-stents",
        title=Text("Carotid stents in people living with HIV", "合并艾滋病病毒感染者的颈动脉支架数据"),
        description=Text(
            "A small cohort chosen by a level-5 diagnosis. Its records never leave the hospital.",
            "以五级诊断纳入的小样本队列，记录不出院。",
        ),
        keywords=("carotid", "HIV"),
        provider=Provider("hospital-c", HOSPITALS["hospital-c"]),
        level=5,
        delivery_modes=(DeliveryMode.FEDERATED,),
        records=64,
        individuals_band="60-70",
        inclusion=("B20", "I65.2"),
        privacy=Privacy(preset="federated sums"),
        preview=Preview(kind=PreviewKind.AGGREGATE),
        price=Price(basis=PriceBasis.FREE, amount_cents=0, currency="CNY", plan=PricePlan.PER_ROUND),
        release=None,
        quality={},
        issued="2026-11-18T09:30:00.000Z",
    )


def complete_product(product: DataProduct | None = None) -> DataProduct:
    """Return a product whose record says everything that HealthDCAT-AP asks."""
    reached = {"homepage": "https://hospital-a.hdex.test", "email": "data@hospital-a.hdex.test"}
    return replace(
        product or sample_product(),
        publisher=PublisherFacts(
            type=PublisherType.PUBLIC_HOSPITAL,
            note=Text("A tertiary hospital.", "三级医院。"),
            trusted_data_holder=False,
            **reached,
        ),
        access_body=Agent(
            name=Text("Access body", "数据访问机构"), homepage="https://hdab.hdex.test", email="ask@hdab.hdex.test"
        ),
        health=Health(
            categories=(HealthCategory.HEALTH_RECORDS, HealthCategory.DEVICES),
            themes=("urn:icd10:I65",),
            population_coverage=Text("Patients of one hospital.", "一家医院的患者。"),
            coding_systems=("urn:icd10",),
            code_values=("urn:icd10:I65.2",),
            min_age=40,
            max_age=90,
            countries=("CN",),
            retention=Period(start="2026-01-01", end="2036-01-01"),
        ),
    )


TOPICS = (
    ("Hypertension registry", "高血压登记数据", "blood pressure", "血压"),
    ("Type 2 diabetes follow-up", "二型糖尿病随访数据", "glucose", "血糖"),
    ("Hip replacement outcomes", "髋关节置换结局数据", "implant", "植入物"),
    ("Chronic kidney disease laboratory series", "慢性肾脏病检验序列", "creatinine", "肌酐"),
    ("Stroke rehabilitation", "脑卒中康复数据", "function", "功能"),
)


def sample_catalogue(count: int) -> list[DataProduct]:
    """Return `count` products over three hospitals, levels 2, 3 and 5 and five topics, and the carotid one."""
    return [sample_product(), federated_only(), *(_numbered(n) for n in range(count - 2))]


def _numbered(n: int) -> DataProduct:
    en, zh, word_en, word_zh = TOPICS[n % len(TOPICS)]
    hospital = list(HOSPITALS)[n % 3]
    level = 3 if n % 4 == 0 else 2
    modes = (DeliveryMode.ENCLAVE, DeliveryMode.QUERY, DeliveryMode.FEDERATED) if level == 3 else FILE_MODES
    return sample_product(
        id=f"{hospital}.{word_en.replace(' ', '-')}-{n:04d}",
        title=Text(f"{en}, cohort {n + 1}", f"{zh}（第{n + 1}批）"),
        description=Text(f"Records on {word_en} with follow-up.", f"{word_zh}随访记录。"),
        keywords=(word_en, word_zh),
        provider=Provider(hospital, HOSPITALS[hospital]),
        level=level,
        delivery_modes=modes,
        records=300 + 17 * n,
        individuals_band=f"{300 + 10 * n}-{400 + 10 * n}",
        issued=f"2026-{1 + n % 10:02d}-{1 + n % 28:02d}T08:00:00.000Z",
    )


def sample_status(*troubles: Trouble, **given: object) -> ExchangeStatus:
    """Return how a well exchange stands, with what the test gives in its place."""
    at = datetime(2026, 11, 21, 12, tzinfo=UTC)
    lines = tuple(Cosigned(f"hospital-{name}", at - timedelta(minutes=number)) for number, name in enumerate("abc"))
    note = "hdex/exchange/2026\n1204\n" + "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k=\n\n— hdex/exchange/2026 AAAA\n"
    plain = ExchangeStatus(
        version="0.1.0",
        at=at,
        since=at - timedelta(days=3),
        log=LogShown(
            origin="hdex/exchange/2026", size=1204, cosigned_size=1204, root="ab" * 32, checkpoint=note,
            cosigned=lines, asked=3,
        ),
        anchor=AnchorShown(size=1200, block=88, waited=timedelta(seconds=4)),
        members=(
            MembersShown(role="buyer", listed=2),
            MembersShown(role="exchange", listed=1),
            MembersShown(role="hospital", listed=3, online=3),
        ),
        listed=32,
        newest="2026-11-20T09:30:00.000Z",
        troubles=troubles,
    )  # fmt: skip
    return replace(plain, **given)  # type: ignore[arg-type]  # given by the test, by field name
