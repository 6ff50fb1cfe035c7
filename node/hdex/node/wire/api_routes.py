"""The REST door's table: which address is which call of the protocol. Every call is decided and run as over gRPC."""

import re
from dataclasses import dataclass
from typing import Any

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import Message

from hdex.proto.v1 import access_pb2, exchange_pb2, hospital_pb2, ledger_pb2, settlement_pb2

PREFIX = "/api/v1"
# Named so that the calls of the table are known to the pool of descriptors.
PROTOS = (access_pb2, exchange_pb2, hospital_pb2, ledger_pb2, settlement_pb2)
_IN_PATH = re.compile(r"\{(\w+)\}")
WHOLE = "*"


@dataclass(frozen=True, slots=True)
class Route:
    """One address. body: the field of the request that the HTTP body is, `*` for all that is not in the path, or none.

    public: answered to visitors without a certificate too. raw: (body, media type) fields that are the HTTP answer.
    """

    method: str
    path: str
    call: str  # Service/Method
    summary: str
    body: str = ""
    public: bool = False
    raw: tuple[str, str] | None = None

    @property
    def full_name(self) -> str:
        """The gRPC name of the call."""
        return f"/hdex.proto.v1.{self.call}"

    @property
    def path_fields(self) -> list[str]:
        """The fields of the request that stand in the path."""
        return _IN_PATH.findall(self.path)

    @property
    def reads(self) -> bool:
        """Whether the address is asked by GET."""
        return self.method == "GET"

    def request(self) -> Message:
        """Return an empty request."""
        return _made(self.described().input_type)

    def answer(self) -> Message:
        """Return an empty answer."""
        return _made(self.described().output_type)

    def described(self) -> Any:
        """Return the method's descriptor."""
        return descriptor_pool.Default().FindMethodByName(self.full_name[1:].replace("/", "."))


def _made(descriptor: Any) -> Message:
    made: Message = message_factory.GetMessageClass(descriptor)()
    return made


def _public(path: str, call: str, summary: str) -> Route:
    return Route("GET", path, call, summary, public=True)


def _get(path: str, call: str, summary: str) -> Route:
    return Route("GET", path, call, summary)


def _post(path: str, call: str, summary: str, body: str) -> Route:
    return Route("POST", path, call, summary, body)


PRODUCT, CONTRACT = "/products/{product_id}", "/contracts/{contract_id}"
RENDERED = ("body", "media_type")
EXCHANGE: tuple[Route, ...] = (
    _public("/products", "ExchangeService/Find", "Search the products, best first"),
    _post("/products", "ExchangeService/Publish", "List a signed manifest", "manifest"),
    _public(PRODUCT, "ExchangeService/Show", "Show a product's signed manifest"),
    Route(
        "GET",
        f"{PRODUCT}/renderings/{{form}}",
        "ExchangeService/Render",
        "Show a product as dcat, healthdcat, dsp, croissant or sheet",
        public=True,
        raw=RENDERED,
    ),
    Route(
        "POST",
        f"{PRODUCT}/precheck",
        "ExchangeService/Precheck",
        "Ask what the terms say to a purpose",
        "access",
        public=True,
    ),
    _public(f"{PRODUCT}/quote", "ExchangeService/Quote", "Reckon what an order would cost"),
    _public(f"{PRODUCT}/cohort", "ExchangeService/Cohort", "Tell how many individuals fit, as a band"),
    _post("/product-steps", "ExchangeService/Amend", "Tell a signed step of a product's life", "step"),
    _post("/product-withdrawals", "ExchangeService/Withdraw", "Withdraw a product by a signed notice", "notice"),
    _get("/searches", "ExchangeService/ListSearches", "List the searches that your organisation keeps"),
    _post("/searches", "ExchangeService/SaveSearch", "Keep a search", WHOLE),
    Route("DELETE", "/searches/{id}", "ExchangeService/RemoveSearch", "Forget a search"),
    _get("/contracts", "ContractService/ListContracts", "List your organisation's contracts"),
    _post("/contracts", "ContractService/Request", "Ask for a contract by a signed request", "request"),
    _get(CONTRACT, "ContractService/GetContract", "Show where a contract stands"),
    _post("/agreements", "ContractService/SubmitAgreement", "Hand in the provider's signed agreement", "agreement"),
    _post("/verifications", "ContractService/Verify", "Hand in the agreement signed by both", "agreement"),
    _post(f"{CONTRACT}/refusal", "ContractService/SubmitDecision", "Refuse a request as its provider", WHOLE),
    _post(f"{CONTRACT}/revocation", "ContractService/Revoke", "End a licence as its provider", WHOLE),
    _post("/contract-withdrawals", "ContractService/WithdrawContract", "Withdraw a request, signed", "termination"),
    _post("/study-plans", "StudyService/Plan", "Plan a study over your contracts", "question"),
)
OFFICE: tuple[Route, ...] = (
    _get("/vettings", "VettingService/ListVettings", "List the applications to be vetted, as the office's people"),
    _post("/vettings", "VettingService/ApplyVetting", "Apply to be vetted by a signed declaration", "application"),
    _get("/vettings/{participant}", "VettingService/GetVetting", "Show an organisation's applications"),
    _get(
        "/vettings/{participant}/certificate",
        "VettingService/GetVettingCertificate",
        "Show the certificate of what was decided",
    ),
    _post("/vetting-decisions", "VettingService/DecideVetting", "Hand in a signed decision", "decision"),
)
LEDGER: tuple[Route, ...] = (
    _public("/log/checkpoint", "LogService/GetCheckpoint", "Show the log's newest signed checkpoint"),
    _public("/log/inclusion", "LogService/GetInclusionProof", "Prove that an entry is in the log"),
    _public("/log/consistency", "LogService/GetConsistencyProof", "Prove that the log only grew"),
)
REQUEST = "/access-requests/{request_id}"
HOSPITAL: tuple[Route, ...] = (
    _get("/access-requests", "AccessRequestService/ListAccessRequests", "List access requests, oldest first"),
    _post("/access-requests", "AccessRequestService/SubmitAccessRequest", "Hand in a signed form", WHOLE),
    _get(REQUEST, "AccessRequestService/GetAccessRequest", "Show an access request"),
    _post("/access-decisions", "AccessRequestService/DecideAccessRequest", "Hand in a signed decision", "decision"),
    _post("/access-messages", "AccessRequestService/SendAccessMessage", "Send a signed message", "message"),
    _post(
        "/access-withdrawals", "AccessRequestService/WithdrawAccessRequest", "Withdraw a request, signed", "withdrawal"
    ),
    _post("/contracts", "HospitalService/ConsiderRequest", "Ask for a contract by a signed request", "request"),
    _post("/verifications", "HospitalService/ConfirmAgreement", "Hand in the agreement signed by both", "agreement"),
    _get(f"{CONTRACT}/standing", "HospitalService/GetStanding", "Show how a contract stands: its life, use and limits"),
    _post("/contract-withdrawals", "HospitalService/WithdrawRequest", "Withdraw a request, signed", "termination"),
    _post("/attestations", "HospitalService/AttestDeletion", "Attest that what was received is deleted", "attestation"),
    _post(f"{CONTRACT}/queries", "HospitalService/Query", "Ask an aggregate question", "question"),
    _post(f"{CONTRACT}/share", "HospitalService/OpenShare", "Open a Delta Sharing share", WHOLE),
    _post(f"{CONTRACT}/runs", "HospitalService/SubmitRun", "Hand in a script for the enclave", WHOLE),
    _get(f"{CONTRACT}/runs/{{run_id}}", "HospitalService/GetRun", "Show how a run stands"),
    _post("/receipts", "HospitalService/AcknowledgeDelivery", "Hand in a signed receipt", "receipt"),
    _get("/invoices", "InvoiceService/ListInvoicePage", "List the invoices to your organisation, oldest first"),
    _post("/invoice-disputes", "InvoiceService/DisputeInvoice", "Dispute an invoice, signed", "dispute"),
)
ROUTES: dict[str, tuple[Route, ...]] = {
    "exchange": (*EXCHANGE, *OFFICE, *LEDGER),
    "hospital": (*HOSPITAL, *OFFICE, *LEDGER),
    "keyholder": LEDGER,
    "region": LEDGER,
}
