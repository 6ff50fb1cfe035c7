"""Who may call what: one table of methods, one file of Cedar policies, refused by default.

The policies and their schema are data (`policies/`). They are validated against each other when they are loaded: a
Cedar `forbid` whose condition fails is skipped by the engine and would allow, so any diagnostic is a refusal here.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Protocol

import cedarpy

from hdex.node.errors import AccessDenied, ConfigInvalid
from hdex.node.identity import Identity

PACKAGE = "hdex.proto.v1"
SEARCHES = ("SaveSearch", "ListSearches", "RemoveSearch")
SERVICES: dict[str, tuple[str, ...]] = {
    "HospitalAdminService": (
        "Ingest",
        "Classify",
        "Approve",
        "Deidentify",
        "Assess",
        "Publish",
        "ListRequests",
        "DecideRequest",
        "Revoke",
        "WithdrawConsent",
        "Status",
        "ListRuns",
        "ReadDesk",
        "ListAccesses",
    ),
    "HospitalService": (
        "ConsiderRequest",
        "ConfirmAgreement",
        "Deliver",
        "AcknowledgeDelivery",
        "Query",
        "OpenShare",
        "SubmitRun",
        "GetRun",
        "WithdrawRequest",
        "GetStanding",
        "AttestDeletion",
    ),
    "VettingService": ("ApplyVetting", "GetVetting", "GetVettingCertificate", "ListVettings", "DecideVetting"),
    "AccessRequestService": (
        "SubmitAccessRequest",
        "GetAccessRequest",
        "GetAccessDocument",
        "ListAccessRequests",
        "DecideAccessRequest",
        "SendAccessMessage",
        "WithdrawAccessRequest",
    ),
    "BillingService": (
        "IssueInvoice",
        "CreditInvoice",
        "ListIssued",
        "GetStatement",
        "ImportPayments",
        "ListDue",
        "GetAccount",
        "PreviewPayments",
        "AnswerDispute",
    ),
    "InvoiceService": ("ListInvoices", "ListInvoicePage", "DisputeInvoice"),
    "WitnessService": ("AddCheckpoint", "GetMirror"),
    "LogService": ("ReadLog", "GetCheckpoint", "GetInclusionProof", "GetConsistencyProof"),
    "ExchangeService": (
        "Publish",
        "Withdraw",
        "Amend",
        "Find",
        "Show",
        "Render",
        "Precheck",
        "Quote",
        "Cohort",
        *SEARCHES,
    ),
    "ContractService": (
        "Request",
        "SubmitDecision",
        "SubmitAgreement",
        "Verify",
        "GetContract",
        "ListContracts",
        "Revoke",
        "WithdrawContract",
    ),
    "StudyService": ("Plan", "Start"),
    "ChannelService": ("Connect",),
    "KeyHolderService": ("CreateKey", "OpenSum"),
}
# Full gRPC method name -> action of the policies. What is not here cannot be called.
METHODS: dict[str, str] = {
    f"/{PACKAGE}.{service}/{method}": f"{service}.{method}"
    for service, methods in SERVICES.items()
    for method in methods
} | {f"/grpc.health.v1.Health/{method}": f"Health.{method}" for method in ("Check", "Watch")}
METHODS["/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"] = "ServerReflection.ServerReflectionInfo"

UNKNOWN_METHOD = "unknown-method"
DEFAULT_DENY = "no-rule-permits"
POLICY_ERROR = "policy-error"
NEXT_STEPS = {
    UNKNOWN_METHOD: "use a method of the published interface",
    DEFAULT_DENY: "ask someone whose role the rules name, or the operator of this participant",
    POLICY_ERROR: "tell the operator of this participant: its policies do not evaluate",
    "terms-do-not-permit": "ask for what the terms of the product permit, or ask the hospital for other terms",
    "level-3-needs-a-person": "have a person decide: hdex node decide",
    "level-4-needs-officer-or-committee": "ask the privacy officer or the ethics committee to decide",
}


@dataclass(frozen=True, slots=True)
class Decision:
    """What the rules say: allowed or not, and which rule said it."""

    allow: bool
    rule: str
    next_step: str = ""

    def require(self) -> None:
        """Raise AccessDenied unless allowed."""
        if not self.allow:
            raise AccessDenied(self.rule, self.next_step)


class Authorizer(Protocol):
    """The one place that decides. An implementation refuses whatever it cannot decide."""

    def decide(
        self,
        caller: Identity,
        action: str,
        resource: Mapping[str, str | int],
        context: Mapping[str, str | int] | None = None,
    ) -> Decision:
        """Return whether `caller` may do `action` (a value of METHODS) to the resource.

        resource: {"kind", "participant"} of the server asked, and where data is meant "level" (0 to 5) and "terms":
        what they answer to this access.
        """
        ...


class CedarAuthorizer:
    """Authorizer over Cedar policies. Raises ConfigInvalid at once when they do not fit their schema."""

    def __init__(self, policies: str | None = None, schema: str | None = None) -> None:
        policy_text = _data("hdex.cedar") if policies is None else policies
        schema_text = _data("hdex.cedarschema") if schema is None else schema
        self._policies, self._schema = _parsed(policy_text, schema_text)

    def decide(
        self,
        caller: Identity,
        action: str,
        resource: Mapping[str, str | int],
        context: Mapping[str, str | int] | None = None,
    ) -> Decision:
        if action not in _ACTIONS:
            return _refusal(UNKNOWN_METHOD)
        try:
            request, entities = _question(caller, action, resource, context or {})
            answer = cedarpy.is_authorized(request, self._policies, entities, schema=self._schema)
        except (ValueError, TypeError, KeyError):
            return _refusal(POLICY_ERROR)
        return _decision(answer)


_: type[Authorizer] = CedarAuthorizer


@lru_cache(maxsize=4)
def _parsed(policies: str, schema: str) -> tuple[cedarpy.PolicySet, cedarpy.Schema]:
    """Return policies that fit their schema, parsed. Neither changes, so all who decide by one text share them."""
    result = cedarpy.validate_policies(policies, schema)
    if not result.validation_passed:
        raise ConfigInvalid(f"{len(result.errors)} policies do not fit their schema; first: {result.errors[0]}")
    return cedarpy.PolicySet.from_str(policies), cedarpy.Schema.from_str(schema)


_ACTIONS = frozenset(METHODS.values())


def _question(
    caller: Identity, action: str, resource: Mapping[str, str | int], context: Mapping[str, str | int]
) -> tuple[dict[str, str], str]:
    who = {"type": "Hdex::Caller", "id": caller.spiffe_id}
    what = {"type": "Hdex::Server", "id": str(resource["participant"])}
    request = {
        "principal": _reference(who),
        "action": f'Hdex::Action::"{action}"',
        "resource": _reference(what),
        "context": json.dumps(dict(context)),
    }
    caller_attributes = {"kind": caller.kind, "participant": caller.participant, "role": caller.role}
    entities = [
        {"uid": who, "attrs": caller_attributes, "parents": []},
        {"uid": what, "attrs": {"level": 0, **resource}, "parents": []},
    ]
    return request, json.dumps(entities)


def _reference(uid: Mapping[str, str]) -> str:
    return f"{uid['type']}::{json.dumps(uid['id'])}"


def _decision(answer: cedarpy.AuthzResult) -> Decision:
    named = answer.diagnostics.id_annotations_by_reason.values()
    rule = min(named, default=DEFAULT_DENY)
    if answer.diagnostics.errors or answer.decision is cedarpy.Decision.NoDecision:
        return _refusal(POLICY_ERROR)
    if not answer.allowed:
        return _refusal(rule)
    return Decision(True, rule)


def _refusal(rule: str) -> Decision:
    return Decision(False, rule, NEXT_STEPS.get(rule, NEXT_STEPS[DEFAULT_DENY]))


@lru_cache
def _data(name: str) -> str:
    return files("hdex.node").joinpath("policies", name).read_text(encoding="utf-8")
