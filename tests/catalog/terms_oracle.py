"""What the words of the rules say of terms and a request, without any policy language: the oracle of offers."""

from collections.abc import Iterable

from hdex.catalog.purposes import covers, purposes
from hdex.catalog.terms import AccessRequest, Terms
from hdex.catalog.terms_record import TO_ACCEPT

HMB, DS, POA = "DUO:0000006", "DUO:0000007", "DUO:0000011"
METHODS, GENETIC = "DUO:0000031", "DUO:0000038"


def plainly(terms: Terms, request: AccessRequest) -> tuple[str, str]:
    """Answer as the words of the rules say."""
    forbids = _forbids(terms, request)
    for rule, applies in forbids:
        if applies:
            return "prohibited", rule
    for rule, applies in forbids:
        if applies is None:
            return "undecided", rule
    for rule, asked in _settles(terms, request):
        if asked:
            return "undecided", rule
    return "permitted", "purpose.permitted"


def _forbids(terms: Terms, request: AccessRequest) -> list[tuple[str, bool | None]]:
    """Return each rule that excludes, and whether it applies; None where the request does not say."""
    asked, said = request.purposes(), set(terms.modifiers)
    permitted = (*terms.permitted, *(("DUO:0000043",) if "DUO:0000043" in said else ()))
    by_disease = [code for code in purposes() if code != HMB and covers(HMB, code)] if DS in permitted else []

    def outside(codes: Iterable[str]) -> bool:
        return any(not any(covers(code, one) for code in codes) for one in asked)

    def disease_is_outside() -> bool:
        named = [(code or "").replace(".", "") for code in (request.disease, *(request.diseases or ())) if code] or [""]
        prefixes = [code for code in terms.diseases if ":" not in code]
        return any(not (one and any(one.startswith(prefix) for prefix in prefixes)) for one in named)

    at, ends = request.at, terms.expires
    return [
        ("terms.expired", ends is not None and at >= ends),
        ("purpose.unknown", any(code not in purposes() for code in asked)),
        (
            "purpose.prohibited",
            any(covers(c, one) for c in ("HDEX:re-identification", *terms.prohibited) for one in asked),
        ),
        ("purpose.not_permitted", outside((*permitted, *by_disease))),
        ("purpose.disease", DS in permitted and outside([c for c in permitted if c != DS]) and disease_is_outside()),
        ("use.commercial", request.commercial if said & {"DUO:0000018", "DUO:0000046"} else False),
        ("recipient.for_profit", request.for_profit if said & {"DUO:0000018", "DUO:0000045"} else False),
        ("use.methods", "DUO:0000015" in said and METHODS in asked),
        ("use.ancestry", "DUO:0000044" in said and any(covers(POA, one) for one in asked)),
        ("use.genetic_only", "DUO:0000016" in said and not any(covers(GENETIC, one) for one in asked)),
        ("use.research_type", _among("DUO:0000012" in said, terms.research_types, asked)),
        ("use.project", _named("DUO:0000027" in said, terms.projects, request.project)),
        ("use.user", _named("DUO:0000026" in said, terms.users, request.user)),
        ("use.duration", _longer("DUO:0000025" in said, terms.months, request.months)),
        ("recipient.not_named", bool(terms.recipients) and request.recipient not in terms.recipients),
        ("recipient.country", bool(terms.countries) and request.country not in terms.countries),
    ]


def _settles(terms: Terms, request: AccessRequest) -> list[tuple[str, bool]]:
    """Return each rule that asks a person or the applicant, and whether it applies."""
    asked, said = request.purposes(), set(terms.modifiers)
    limits = {"DUO:0000012": terms.research_types, "DUO:0000025": terms.months, "DUO:0000026": terms.users,
              "DUO:0000027": terms.projects, "DUO:0000028": terms.recipients}  # fmt: skip
    return [
        ("approval.ethics", "DUO:0000021" in said and not request.ethics_approval),
        ("duty.not_accepted", not said & set(TO_ACCEPT) <= set(request.accepts)),
        ("approval.sensitive", any(purposes()[one].ask for one in asked)),
        ("approval.limit", any(code in said and not held for code, held in limits.items())),
        ("approval.person", "*" in terms.needs_approval
         or any(covers(code, one) for code in terms.needs_approval for one in asked)),
    ]  # fmt: skip


def _among(limited: bool, kinds: tuple[str, ...] | None, asked: tuple[str, ...]) -> bool:
    return bool(limited and kinds) and not any(covers(kind, one) for kind in kinds or () for one in asked)


def _named(limited: bool, names: tuple[str, ...] | None, name: str | None) -> bool | None:
    if not limited or not names:
        return False
    return name not in names if name else None


def _longer(limited: bool, months: int | None, asked: int | None) -> bool | None:
    if not limited or months is None:
        return False
    return asked > months if asked is not None else None
