"""Acts before a contract: the exchange's office vets the buyer, each hospital's people review what it asks for."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hdex.catalog.access_review import COMMITTEE
from hdex.catalog.documents import to_document
from hdex.catalog.lifecycle import OFFICER, STEWARD
from hdex.catalog.terms import AccessRequest
from hdex.ledger.event import format_time
from hdex.node.demo.memory import Memory
from hdex.node.demo.setting import BUYER, EXCHANGE, OPERATOR, ORGANISATIONS, SECURITY

CODE = "91350100M000100Y43"  # an example of GB 32100-2015's check characters
VETTED_DAYS = 300
REVIEW = {  # state -> who acts, how, and the words
    "SUBMITTED": (STEWARD, "take", "taken up"),
    "STEWARD_REVIEW": (STEWARD, "endorse", "the columns answer the question asked"),
    "PRIVACY_REVIEW": (OFFICER, "endorse", "the measures fit the level"),
    "COMMITTEE": (COMMITTEE, "approve", "the ethics approval covers this use"),
}
PAPER = b"%PDF-1.4\n% ethics approval of the demonstration\n%%EOF\n"


def vet(memory: Memory) -> None:
    """The buyer declares itself; the exchange's operator endorses, its security officer approves."""
    applicant, office = memory.cast.applying, memory.cast.office
    if not any(view["state"] == "VALID" for view in applicant.vettings(EXCHANGE)):
        state = applicant.apply(EXCHANGE, declaration())["state"]
        if state == "APPLIED":
            state = office[OPERATOR].decide_vetting(BUYER, "endorse", "the register shows it as declared")["state"]
        if state == "ENDORSED":
            until = format_time(datetime.now(UTC) + timedelta(days=VETTED_DAYS))
            office[SECURITY].decide_vetting(BUYER, "approve", "grade 3 of multi-level protection", until=until)
    (view,) = (one for one in applicant.vettings(EXCHANGE) if one["state"] == "VALID")
    memory.say(
        "vetting", f"{BUYER}, {view['code']}: {view['state']} until {view['valid_until'][:10]}, two people signed"
    )


def declaration() -> dict[str, Any]:
    """Return what the buyer says of itself."""
    return {
        "participant": BUYER,
        "code": CODE,
        "name": {"en": ORGANISATIONS[BUYER], "zh": "心线医疗器械有限公司"},
        "country": "CN",
        "foreign_control": False,
        "foreign_share_percent": 0.0,
        "storage_countries": ["CN"],
        "security_grade": 3,
        "security_certificate": "MLPS-2026-1117",
        "persons": [{"name": "Li Wei", "role": "data protection officer"}],
    }


def admit(memory: Memory, product: str, mode: str) -> str:
    """Return the id of an approved request for the product's version of today; what was done is not done again."""
    listed, digest = memory.cast.buyer.show(product)
    name = f"{product}.{listed.version}.{mode}"
    applicant, hospital = memory.cast.applying, listed.provider.id
    folder = memory.setting.home(BUYER)
    paper = folder / "ethics.pdf"
    paper.write_bytes(PAPER)
    if not (folder / "data" / "requests" / f"{name}.request.json").exists():
        applicant.draft(name, listed, digest, form(memory, mode))
    state = applicant.submit(name, paper)["state"]
    while state in REVIEW:
        role, arrow, words = REVIEW[state]
        state = memory.cast.reviewers[hospital][role].decide_request(name, arrow, words)["state"]
    memory.say("request", f"{name}: {state} by steward, privacy officer and ethics committee")
    return name


def form(memory: Memory, mode: str) -> dict[str, Any]:
    """Return what the story's project asks for."""
    now = datetime.now(UTC)
    access = AccessRequest(
        purpose=memory.plot.purpose, recipient=BUYER, at=format_time(now), disease=memory.plot.disease
    )
    return {
        "access": to_document(access),
        "delivery_mode": mode,
        "title": "Post-market study",
        "summary": "How patients fare a year after treatment, by what was known before it.",
        "ethics": {"number": "EC-2026-H4", "expires": f"{now + timedelta(days=700):%Y-%m-%d}"},
        "team": [{"name": "Li Wei", "role": "statistician", "trained": f"{now - timedelta(days=90):%Y-%m-%d}"}],
        "starts": f"{now:%Y-%m-%d}",
        "ends": f"{now + timedelta(days=365):%Y-%m-%d}",
        "publication_plan": "Aggregates only, in a journal and to the authority.",
        "protection": "Encrypted at rest, named persons only, no copy outside the system of grade 3.",
    }
