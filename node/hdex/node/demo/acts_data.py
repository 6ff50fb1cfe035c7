"""Acts inside the hospitals: ingest, classify, de-identify, publish. Each steward works at his own node."""

from collections.abc import Callable
from typing import Any

from hdex.node.demo.memory import DATASET, SUBCOHORT, Memory
from hdex.node.demo.setting import BUYER
from hdex.node.demo.sides import side_by_side
from hdex.node.errors import RemoteRefused
from hdex.node.views import load_view

CITIES = {
    "hospital-a": ("Hospital A", "甲医院"),
    "hospital-b": ("Hospital B", "乙医院"),
    "hospital-c": ("Hospital C", "丙医院"),
}
SUBCOHORT_HOME = "hospital-c"
PRESET = "controlled"
PRICE_CENTS = 1_200_000


def ingest(memory: Memory) -> None:
    """Every hospital reads its export; its steward signs the mapping that the node proposes."""

    def work(hospital: str) -> dict[str, Any]:
        steward, folder = memory.cast.stewards[hospital], memory.folders[hospital]
        try:
            return steward.ingest(DATASET, folder, memory.plot.view, quiet_but(memory, hospital, "view"))
        except RemoteRefused as error:  # of three exports, say which one
            told = f"{hospital}, {folder}: {error.message}"
            raise RemoteRefused(error.rule, error.next_step, told, status=error.status) from error

    memory.ingested = side_by_side(work)
    for hospital, facts in memory.ingested.items():
        left_out = facts["quarantined"]
        memory.say("ingest", f"{hospital}: {facts['patients']} patients, consent from {facts['consent_from']}, "
                             f"{left_out} rows quarantined")  # fmt: skip
    if memory.plot.subcohort_view:
        steward = memory.cast.stewards[SUBCOHORT_HOME]
        folder, view = memory.folders[SUBCOHORT_HOME], memory.plot.subcohort_view
        memory.ingested[SUBCOHORT] = steward.ingest(SUBCOHORT, folder, view, silent)


def classify(memory: Memory) -> None:
    """Every column gets role, category and level; what a stent maker finds in the raw rows; the steward signs."""

    def work(hospital: str) -> dict[str, Any]:
        return propose_and_sign(memory, hospital, DATASET)

    memory.classified = side_by_side(work)
    for hospital, found in memory.classified.items():
        attack, level = found["attack"], found["classification"]["level"]
        memory.say("attack", f"{hospital}: {found['attacker']['en']} finds {attack['reidentified']} of "
                             f"{attack['targets']} in the raw rows (by chance {attack['by_chance']:.2%})")  # fmt: skip
        memory.say("classify", f"{hospital}: level {level}, smallest class {found['risk']['k']}")
    if memory.plot.subcohort_view:
        memory.classified[SUBCOHORT] = found = propose_and_sign(memory, SUBCOHORT_HOME, SUBCOHORT)
        document = found["classification"]
        memory.say("classify", f"{SUBCOHORT_HOME} {SUBCOHORT}: level {document['level']}: {document['reasons'][0]}")


def propose_and_sign(memory: Memory, hospital: str, dataset: str) -> dict[str, Any]:
    """Return a proposed classification after the hospital's steward has signed it."""
    steward = memory.cast.stewards[hospital]
    found = steward.desk.classify(dataset, silent)
    document = found["classification"]
    if isinstance(document, dict):
        steward.sign("classification", dataset, document)
    return dict(found)


def deidentify(memory: Memory) -> None:
    """Every hospital makes a version that meets the preset, measured, attacked and verified before it is kept."""
    plot = memory.plot
    order = {"preset": PRESET, "purpose": plot.purpose, "recipient_class": plot.recipient_class}

    def work(hospital: str) -> dict[str, Any]:
        return memory.cast.stewards[hospital].desk.deidentify(DATASET, order, silent)

    memory.released = side_by_side(work)
    for hospital, facts in memory.released.items():
        report = facts["report"]
        risk, attack = report["risk_after"], report["attack_after"]
        memory.say("de-identify", f"{hospital}: k {report['risk_before']['k']} -> {risk['k']}, "
                                  f"{facts['records']} rows, {report['suppressed']} suppressed, attack finds "
                                  f"{attack['rate']:.1%}, {sum(report['redacted'].values())} redacted")  # fmt: skip
    if plot.subcohort_view:
        desk = memory.cast.stewards[SUBCOHORT_HOME].desk
        memory.released[SUBCOHORT] = desk.deidentify(SUBCOHORT, order, silent)
        memory.say("de-identify", f"{SUBCOHORT_HOME} {SUBCOHORT}: level 5, prepared for encrypted sums only, no file")


def publish(memory: Memory) -> None:
    """Steward and privacy officer of every hospital sign the assessment; the officer lists the version."""

    def work(hospital: str) -> dict[str, Any]:
        return offer_version(memory, hospital, DATASET, str(memory.released[hospital]["version"]))

    memory.products = side_by_side(work)
    if memory.plot.subcohort_view:
        version = str(memory.released[SUBCOHORT]["version"])
        memory.products[SUBCOHORT] = offer_version(memory, SUBCOHORT_HOME, SUBCOHORT, version)
    for product in memory.products.values():
        memory.say("publish", f"{product['product']} {product['version']}, level {product['level']}, "
                              f"manifest {product['digest'][:12]}")  # fmt: skip


def offer_version(memory: Memory, hospital: str, dataset: str, version: str) -> dict[str, Any]:
    """Publish one version and return what was listed."""
    view = memory.plot.view if dataset == DATASET else memory.plot.subcohort_view
    said = offer(memory, hospital, view)
    memory.cast.stewards[hospital].assess(dataset, version, said, silent)
    return memory.cast.officers[hospital].publish(dataset, version, said, silent)


def offer(memory: Memory, hospital: str, view_id: str) -> dict[str, Any]:
    """Return title, terms and price: research on the disease for the named recipient, after a person has agreed."""
    view, (english, chinese) = load_view(view_id), CITIES[hospital]
    return {
        "title": {"en": f"{view.title['en']}, {english}", "zh": f"{chinese}：{view.title['zh']}"},
        "description": dict(view.description),
        "provider_name": {"en": english, "zh": chinese},
        "keywords": list(view.keywords),
        "terms": {
            "permitted": [memory.plot.purpose],
            "prohibited": ["HDEX:underwriting", "HDEX:marketing"],
            "needs_approval": ["*"],
            "diseases": [memory.plot.disease],
            "recipients": [BUYER],
            "duties": ["attribute", "delete", "report", "no_redistribution"],
        },
        "price": price(),
        "ethics": {"approval": f"EC-2026-{hospital[-1].upper()}17"},
        "consent_basis": "consent of each patient to this purpose, or the legal basis the hospital's registry names",
        "notice": {"listing_days": 0, "supersession_days": 90},
        **about(memory.plot.disease),
    }


def price() -> dict[str, Any]:
    """Return what a licence costs: its costs, with tax; fewer columns cost less, but for what any licence takes."""
    items = (("curation", "整理"), ("de-identification and review", "去标识与审核"))
    return {
        "basis": "cost_based",
        "amount_cents": PRICE_CENTS,
        "currency": "CNY",
        "plan": "one_off",
        "cost_sheet": [{"item": {"en": en, "zh": zh}, "amount_cents": PRICE_CENTS // len(items)} for en, zh in items],
        "tax": {"name": {"en": "VAT", "zh": "增值税"}, "rate": "0.06"},
        "weights": {"base": 4},
    }


def about(disease: str) -> dict[str, Any]:
    """Return what HealthDCAT-AP asks of a health product beyond its schema."""
    return {
        "publisher": {
            "type": "public_hospital",
            "note": {"en": "A hospital of the demonstration.", "zh": "演示医院。"},
            "trusted_data_holder": False,
            "homepage": "https://hospital.hdex.test",
            "email": "data@hospital.hdex.test",
        },
        "access_body": {
            "name": {"en": "Health data access body of the demonstration", "zh": "演示用健康数据访问机构"},
            "homepage": "https://access-body.hdex.test",
            "email": "requests@access-body.hdex.test",
        },
        "health": {
            "categories": ["ehds:51.1.a", "ehds:51.1.h"],
            "themes": [f"urn:icd10:{disease}"],
            "coding_systems": ["urn:icd10", "http://unitsofmeasure.org"],
            "code_values": [f"urn:icd10:{disease}"],
            "population_coverage": {"en": "Patients of one hospital.", "zh": "一家医院的患者。"},
            "countries": ["CN"],
        },
    }


def silent(_step: str, _text: str) -> None:
    """Say nothing of the node's single steps: the acts say what came of them."""


def quiet_but(memory: Memory, hospital: str, *steps: str) -> Callable[[str, str], None]:
    """Return a voice that repeats only these steps of a node."""

    def say(step: str, text: str) -> None:
        if step in steps:
            memory.say(step, f"{hospital}: {text}")

    return say
