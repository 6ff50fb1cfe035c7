"""Authorisation: the policies agree with a small reference over every caller and method, and deny by default."""

import itertools
from importlib import import_module

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdex.node.authz import (
    DEFAULT_DENY,
    METHODS,
    POLICY_ERROR,
    SERVICES,
    UNKNOWN_METHOD,
    CedarAuthorizer,
    Decision,
)
from hdex.node.errors import AccessDenied, ConfigInvalid
from hdex.node.identity import STAFF, Identity, parse_spiffe

DOMAIN = "hdex.test"
CALLERS = [
    parse_spiffe(f"spiffe://{DOMAIN}/{kind}/{participant}{'/' if role else ''}{role}", DOMAIN)
    for kind, roles in STAFF.items()
    for participant in (f"{kind}-a", f"{kind}-b")
    for role in ("", *sorted(roles))
]
SERVERS = [{"kind": kind, "participant": f"{kind}-a"} for kind in ("hospital", "exchange", "keyholder", "region")]
LEVELS = [0, 1, 3, 4, 5]

STEWARD, OFFICER, COMMITTEE, ADMIN = "data_steward", "privacy_officer", "ethics_committee", "node_admin"
OFFICE = {STEWARD, OFFICER, "exchange_operator", "security_officer"}
REVIEWED = ("GetAccessRequest", "GetAccessDocument", "ListAccessRequests", "DecideAccessRequest", "SendAccessMessage")
# Own staff: action -> roles. Written from the design page, not from the policies.
OWN_STAFF: dict[str, set[str]] = {
    "HospitalAdminService.Ingest": {STEWARD, ADMIN},
    "HospitalAdminService.Classify": {STEWARD},
    "HospitalAdminService.Deidentify": {STEWARD},
    "HospitalAdminService.Assess": {STEWARD, OFFICER},
    "HospitalAdminService.Publish": {OFFICER},
    "HospitalAdminService.Approve": {STEWARD, OFFICER, COMMITTEE},
    "HospitalAdminService.Revoke": {STEWARD, OFFICER},
    "HospitalAdminService.WithdrawConsent": {STEWARD, OFFICER},
    "HospitalAdminService.DecideRequest": {STEWARD, OFFICER, COMMITTEE},
    "HospitalAdminService.ListRequests": {STEWARD, OFFICER, COMMITTEE, ADMIN},
    "HospitalAdminService.ListRuns": {STEWARD, OFFICER},
    "HospitalAdminService.Status": {STEWARD, OFFICER, COMMITTEE, ADMIN},
    "HospitalAdminService.ReadDesk": {STEWARD, OFFICER, COMMITTEE, ADMIN},
    "HospitalAdminService.ListAccesses": {OFFICER, COMMITTEE, ADMIN},
    "LogService.ReadLog": {OFFICER, ADMIN},
    **{f"VettingService.{verb}": OFFICE for verb in ("GetVetting", "ListVettings", "DecideVetting")},
    **{f"AccessRequestService.{verb}": {STEWARD, OFFICER, COMMITTEE} for verb in REVIEWED},
    **{f"BillingService.{method}": {STEWARD, OFFICER, ADMIN} for method in SERVICES["BillingService"]},
}
BUYER = {("buyer", ""), ("buyer", "buyer_analyst")}
PROCESSES = {(kind, "") for kind in ("hospital", "exchange", "keyholder", "region")}
AUDITOR = {("auditor", ""), ("auditor", ADMIN)}
HOSPITAL, EXCHANGE, REGION = {("hospital", "")}, {("exchange", "")}, {("region", "")}
HOSPITAL_STAFF = {("hospital", role) for role in STAFF["hospital"]}
EVERYONE = {(kind, role) for kind, roles in STAFF.items() for role in ("", *roles) if kind != "chain"}
# Others: action -> (kinds of the server asked or any, who may ask).
OTHERS: dict[str, tuple[str | None, set[tuple[str, str]]]] = {
    "HospitalService.ConsiderRequest": ("hospital", EXCHANGE | BUYER),
    "HospitalService.ConfirmAgreement": ("hospital", EXCHANGE | BUYER),
    "HospitalService.WithdrawRequest": ("hospital", EXCHANGE | BUYER),
    "HospitalService.GetStanding": ("hospital", BUYER),
    "HospitalService.AttestDeletion": ("hospital", BUYER),
    "HospitalService.Deliver": ("hospital", BUYER),
    "HospitalService.AcknowledgeDelivery": ("hospital", BUYER),
    "InvoiceService.ListInvoices": ("hospital", BUYER),
    "InvoiceService.ListInvoicePage": ("hospital", BUYER),
    "InvoiceService.DisputeInvoice": ("hospital", BUYER),
    **{f"HospitalService.{method}": ("hospital", BUYER) for method in ("Query", "OpenShare", "SubmitRun", "GetRun")},
    "WitnessService.AddCheckpoint": (None, PROCESSES),
    "WitnessService.GetMirror": (None, PROCESSES | AUDITOR),
    "LogService.ReadLog": (None, AUDITOR),
    **{f"LogService.Get{what}": (None, EVERYONE) for what in ("Checkpoint", "InclusionProof", "ConsistencyProof")},
    "ExchangeService.Publish": ("exchange", HOSPITAL),
    "ExchangeService.Withdraw": ("exchange", HOSPITAL),
    "ExchangeService.Amend": ("exchange", HOSPITAL),
    "ExchangeService.Find": ("exchange", EVERYONE),
    "ExchangeService.Show": ("exchange", EVERYONE),
    **{f"ExchangeService.{name}": ("exchange", EVERYONE) for name in ("Render", "Precheck", "Quote", "Cohort")},
    "ExchangeService.SaveSearch": ("exchange", EVERYONE),
    "ExchangeService.ListSearches": ("exchange", EVERYONE),
    "ExchangeService.RemoveSearch": ("exchange", EVERYONE),
    "ContractService.Request": ("exchange", BUYER),
    "ContractService.Verify": ("exchange", BUYER),
    "ContractService.WithdrawContract": ("exchange", BUYER),
    "ContractService.SubmitDecision": ("exchange", HOSPITAL),
    "ContractService.SubmitAgreement": ("exchange", HOSPITAL | BUYER),
    "ContractService.Revoke": ("exchange", HOSPITAL),
    "ContractService.GetContract": ("exchange", HOSPITAL | HOSPITAL_STAFF | BUYER | {("buyer", ADMIN)} | AUDITOR),
    "ContractService.ListContracts": ("exchange", HOSPITAL | HOSPITAL_STAFF | BUYER | {("buyer", ADMIN)} | AUDITOR),
    "StudyService.Plan": ("exchange", BUYER),
    "StudyService.Start": ("exchange", BUYER),
    "ChannelService.Connect": ("exchange", HOSPITAL | REGION),
    "KeyHolderService.CreateKey": ("keyholder", EXCHANGE),
    "KeyHolderService.OpenSum": ("keyholder", EXCHANGE),
    "VettingService.ApplyVetting": ("hospital exchange", BUYER),
    "VettingService.GetVetting": ("hospital exchange", BUYER),
    "VettingService.GetVettingCertificate": ("exchange", HOSPITAL),
    "AccessRequestService.SubmitAccessRequest": ("hospital", BUYER),
    "AccessRequestService.GetAccessRequest": ("hospital", BUYER),
    "AccessRequestService.ListAccessRequests": ("hospital", BUYER),
    "AccessRequestService.SendAccessMessage": ("hospital", BUYER),
    "AccessRequestService.WithdrawAccessRequest": ("hospital", BUYER),
    "Health.Check": (None, EVERYONE),
    "Health.Watch": (None, EVERYONE),
    "ServerReflection.ServerReflectionInfo": (None, EVERYONE),
}


def reference(caller: Identity, action: str, server: dict[str, str], level: int) -> bool:
    """Return what the tables above say."""
    home = caller.kind == server["kind"] and caller.participant == server["participant"]
    own = home and caller.role in OWN_STAFF.get(action, set())
    own = own and (caller.kind == "hospital" or not action.startswith(("HospitalAdminService", "BillingService")))
    if own and action.endswith(".DecideRequest") and level >= 4 and caller.role == STEWARD:
        return False
    if (action, server["kind"]) == ("ChannelService.Connect", "region"):
        return (caller.kind, caller.role) in HOSPITAL
    kind, callers = OTHERS.get(action, (None, set()))
    return own or ((kind is None or server["kind"] in kind.split()) and (caller.kind, caller.role) in callers)


@pytest.fixture(scope="module")
def authorizer() -> CedarAuthorizer:
    return CedarAuthorizer()


def decide(authorizer: CedarAuthorizer, caller: Identity, action: str, server: dict[str, str], level: int) -> Decision:
    return authorizer.decide(caller, action, {**server, "level": level})


@pytest.mark.parametrize("action", sorted(METHODS.values()))
def test_the_policies_agree_with_the_reference(authorizer: CedarAuthorizer, action: str) -> None:
    levels = LEVELS if action.endswith(".DecideRequest") else LEVELS[::3]  # the only rule that asks for the level
    for caller, server, level in itertools.product(CALLERS, SERVERS, levels):
        found = decide(authorizer, caller, action, server, level)
        assert found.allow == reference(caller, action, server, level), (caller.spiffe_id, server, level, found)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([(kind, role) for kind, roles in STAFF.items() for role in ("", *sorted(roles))]),
    st.sampled_from(["hospital-a", "exchange-a", "keyholder-a", "x"]),
    st.sampled_from(sorted(METHODS.values())),
    st.sampled_from(SERVERS),
    st.integers(-1, 9),
)
def test_random_requests_agree_too(
    who: tuple[str, str], participant: str, action: str, server: dict[str, str], level: int
) -> None:
    caller = Identity(f"spiffe://{DOMAIN}/x", who[0], participant, who[1])
    assert decide(SHARED, caller, action, server, level).allow == reference(caller, action, server, level)


SHARED = CedarAuthorizer()


def test_every_method_has_somebody_who_may_call_it(authorizer: CedarAuthorizer) -> None:
    for action in METHODS.values():
        allowed = [c for c, s in itertools.product(CALLERS, SERVERS) if decide(authorizer, c, action, s, 1).allow]
        assert 0 < len(allowed) < len(CALLERS) * len(SERVERS), action


def test_the_table_names_the_methods_of_the_protocol() -> None:
    declared = {
        f"{service.name}.{method.name}"
        for name in ("access", "exchange", "hospital", "keyholder", "ledger", "settlement")
        for service in import_module(f"hdex.proto.v1.{name}_pb2").DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    assert declared == {f"{service}.{method}" for service, methods in SERVICES.items() for method in methods}


@pytest.mark.parametrize("action", ["", "HospitalService.Steal", "deliver", 'x"', "Health"])
def test_an_unknown_method_is_refused(authorizer: CedarAuthorizer, action: str) -> None:
    for caller in CALLERS:
        assert decide(authorizer, caller, action, SERVERS[0], 1) == Decision(
            False, UNKNOWN_METHOD, "use a method of the published interface"
        )


def test_a_refusal_names_its_rule_and_the_next_step(authorizer: CedarAuthorizer) -> None:
    steward = parse_spiffe(f"spiffe://{DOMAIN}/hospital/hospital-a/data_steward", DOMAIN)
    refused = decide(authorizer, steward, "HospitalAdminService.DecideRequest", SERVERS[0], 5)
    assert refused.rule == "level-4-needs-officer-or-committee"
    assert "privacy officer" in refused.next_step
    with pytest.raises(AccessDenied) as caught:
        refused.require()
    assert caught.value.rule == refused.rule
    assert decide(authorizer, steward, "KeyHolderService.OpenSum", SERVERS[2], 1).rule == DEFAULT_DENY


def test_an_allowance_names_its_rule(authorizer: CedarAuthorizer) -> None:
    buyer = parse_spiffe(f"spiffe://{DOMAIN}/buyer/buyer-a", DOMAIN)
    assert decide(authorizer, buyer, "HospitalService.Deliver", SERVERS[0], 1) == Decision(True, "buyer-receives")


@pytest.mark.parametrize(
    "resource", [{}, {"participant": "x"}, {"kind": "hospital", "participant": "x", "level": "5"}, {"participant": 3}]
)
def test_what_cannot_be_decided_is_refused(authorizer: CedarAuthorizer, resource: dict[str, str | int]) -> None:
    buyer = parse_spiffe(f"spiffe://{DOMAIN}/buyer/buyer-a", DOMAIN)
    found = authorizer.decide(buyer, "Health.Check", resource)
    assert found.rule == POLICY_ERROR
    assert not found.allow


def test_a_name_cannot_smuggle_a_policy(authorizer: CedarAuthorizer) -> None:
    odd = Identity('x"}, Hdex::Caller::"y', "buyer", 'a" || true || "', "")
    assert not decide(authorizer, odd, "KeyHolderService.OpenSum", SERVERS[2], 1).allow


SCHEMA = """namespace Hdex { entity Caller = { kind: String, participant: String, role: String };
entity Server = { kind: String, participant: String, level: Long };
action "Health.Check" appliesTo { principal: Caller, resource: Server, context: { n?: Long } }; }"""


@pytest.mark.parametrize(
    "policy",
    [
        "permit (principal, action, resource) when { principal.rank > 3 };",
        'permit (principal == Hdex::Person::"x", action, resource);',
        "permit (principal, action, resource",
        'permit (principal, action == Hdex::Action::"Nothing", resource);',
    ],
)
def test_policies_that_do_not_fit_their_schema_do_not_load(policy: str) -> None:
    with pytest.raises(ConfigInvalid):
        CedarAuthorizer(policy, SCHEMA)


def test_a_rule_that_fails_while_it_is_evaluated_refuses() -> None:
    broken = CedarAuthorizer(
        "permit (principal, action, resource); "
        "forbid (principal, action, resource) when { resource.level * 9223372036854775807 > 1 };",
        SCHEMA,
    )
    caller = CALLERS[0]
    assert broken.decide(caller, "Health.Check", {**SERVERS[0], "level": 0}).allow
    assert broken.decide(caller, "Health.Check", {**SERVERS[0], "level": 9}).rule == POLICY_ERROR
