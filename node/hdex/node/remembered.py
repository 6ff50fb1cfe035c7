"""What is remembered of every way in: gRPC method or HTTP route -> the events it leaves, or why it leaves none.

A test walks the descriptors and the routes and fails when one stands in neither table. Refusals need no row: the gate
remembers each one, and the verbs remember those that they decide themselves. A page that renews itself asks as any
reader does: who reads the same contract again within minutes, unchanged, leaves no second event (hdex.node.looks).
"""

from dataclasses import dataclass

from hdex.ledger.event import Action

NOTHING_OF_ANYONE = "says only that the process serves"
BEGETS_ITSELF = "hashes only; an event of it would move the log, which would ask for the next checkpoint, without end"
INTERFACE = "tells the names of methods and messages, which are published with the source"
HASHES = "heads and hashes only, published on purpose; entries are not served here"
OWN_COUNTS = "tells a participant's own staff counts and states of its own work, nothing of a record"
PUBLIC = "the public catalogue: no caller is known, and what is shown was published by an event"
STANDS = "tells how the exchange itself stands: heads, counts by role, nothing of a product's use or of a person"
FEED = "says of the public catalogue what a saved search matches; its address is the secret, and no caller is known"
LOOKS = "the look of the pages"
READ_BEFORE = "the auditor's own machine: what it shows was read by calls that left an event in every log"
EACH_ITS_OWN = "every message leaves the event of its type: hdex.node.dsp.connector.EVENTS names them all"
BY_CALL = "a person's own machine: what it shows or sends goes by a call of the node, which leaves its event there"
OPENS = "a person's own machine: it opens or ends a session of that person's browser, and asks the node nothing"
OWN_FILES = "drafts and results in the folder of the person's own organisation; others hear of them when they are sent"
OWN_DRAFT = "a draft in the memory of a person's own machine; the node hears of it when it is signed"
CHAIN_KEEPS = (
    "the chain is its own record: what is written is a signed transaction, what is read is public to its users"
)


@dataclass(frozen=True, slots=True)
class Verb:
    """The events that a verb leaves when it does what it was asked, and the modules of the node that record them."""

    module: str  # below hdex.node; several with a space between
    actions: tuple[Action, ...]


# Action of the policies (a value of authz.METHODS) -> who remembers it.
VERBS: dict[str, Verb] = {
    "HospitalAdminService.Ingest": Verb("hospital.datasets", (Action.INGEST_RUN,)),
    "HospitalAdminService.Classify": Verb("hospital.classifications", (Action.CLASSIFICATION_PROPOSE,)),
    "HospitalAdminService.Approve": Verb(
        "hospital.approvals hospital.assessments hospital.erasures hospital.lifecycle hospital.enclaves "
        "hospital.contract_lives hospital.offers",
        (
            *(Action.MAPPING_APPROVE, Action.CLASSIFICATION_APPROVE, Action.PRODUCT_REVIEW),
            *(Action.ERASURE_APPLY, Action.HOLD_PLACE, Action.HOLD_LIFT),
            *(
                Action.STUDY_APPROVE,
                Action.QUERY_RUN,
                Action.CONTRACT_SUSPEND,
                Action.CONTRACT_RESUME,
                Action.CONTRACT_OFFER,
            ),
        ),
    ),
    "HospitalAdminService.Deidentify": Verb("hospital.releases", (Action.DEIDENTIFY_RUN,)),
    "HospitalAdminService.Assess": Verb("hospital.publishing", (Action.PRODUCT_REVIEW,)),
    "HospitalAdminService.Publish": Verb("hospital.lifecycle", (Action.CATALOGUE_PUBLISH,)),
    "HospitalAdminService.DecideRequest": Verb(
        "hospital.negotiation", (Action.CONTRACT_AGREE, Action.CONTRACT_REFUSE, Action.STUDY_APPROVE)
    ),
    "HospitalAdminService.Revoke": Verb("hospital.negotiation", (Action.GRANT_REVOKE,)),
    "HospitalAdminService.WithdrawConsent": Verb("hospital.datasets", (Action.CONSENT_WITHDRAW,)),
    "HospitalService.ConsiderRequest": Verb(
        "hospital.negotiation",
        (Action.CONTRACT_REQUEST, Action.CONTRACT_REFUSE, Action.CONTRACT_AGREE),
    ),
    "HospitalService.ConfirmAgreement": Verb("hospital.negotiation", (Action.GRANT_ISSUE,)),
    "HospitalService.Deliver": Verb("hospital.delivery", (Action.EXPORT,)),
    "HospitalService.AcknowledgeDelivery": Verb("hospital.delivery", (Action.DELIVERY_ACKNOWLEDGE,)),
    "VettingService.ApplyVetting": Verb("vetting", (Action.VETTING_APPLY,)),
    "VettingService.GetVetting": Verb("vetting", (Action.VETTING_READ,)),
    "VettingService.GetVettingCertificate": Verb("vetting", (Action.VETTING_READ,)),
    "VettingService.ListVettings": Verb("vetting", (Action.VETTING_READ, Action.VETTING_EXPIRE)),
    "VettingService.DecideVetting": Verb(
        "vetting",
        (
            *(Action.VETTING_ENDORSE, Action.VETTING_APPROVE, Action.VETTING_REFUSE),
            *(Action.VETTING_REVOKE, Action.VETTING_SUPERSEDE),
        ),
    ),
    "AccessRequestService.SubmitAccessRequest": Verb("hospital.access_requests", (Action.ACCESS_SUBMIT,)),
    "AccessRequestService.GetAccessRequest": Verb("hospital.access_requests", (Action.ACCESS_READ,)),
    "AccessRequestService.GetAccessDocument": Verb("hospital.access_requests", (Action.ACCESS_READ,)),
    "AccessRequestService.ListAccessRequests": Verb(
        "hospital.access_requests",
        (Action.ACCESS_READ, Action.ACCESS_LAPSE, Action.ACCESS_ESCALATE, Action.ACCESS_ERASE),
    ),
    "AccessRequestService.DecideAccessRequest": Verb(
        "hospital.access_requests",
        (
            *(Action.ACCESS_TAKE, Action.ACCESS_ENDORSE, Action.ACCESS_APPROVE),
            *(Action.ACCESS_REFUSE, Action.ACCESS_RETURN),
        ),
    ),
    "AccessRequestService.SendAccessMessage": Verb("hospital.access_requests", (Action.ACCESS_MESSAGE,)),
    "AccessRequestService.WithdrawAccessRequest": Verb("hospital.access_requests", (Action.ACCESS_WITHDRAW,)),
    "BillingService.IssueInvoice": Verb("hospital.billing", (Action.INVOICE_ISSUE,)),
    "BillingService.CreditInvoice": Verb("hospital.billing", (Action.INVOICE_CREDIT,)),
    "BillingService.ImportPayments": Verb("hospital.settlement", (Action.PAYMENT_IMPORT,)),
    "BillingService.AnswerDispute": Verb("hospital.billing", (Action.INVOICE_ANSWER,)),
    "InvoiceService.ListInvoices": Verb("hospital.billing", (Action.CONTRACT_READ,)),
    "InvoiceService.ListInvoicePage": Verb("hospital.billing", (Action.CONTRACT_READ,)),
    "InvoiceService.DisputeInvoice": Verb("hospital.billing", (Action.INVOICE_DISPUTE,)),
    "HospitalService.OpenShare": Verb("hospital.shares", (Action.KEY_RELEASE,)),
    "HospitalService.SubmitRun": Verb("hospital.enclaves", (Action.STUDY_PLAN,)),
    "HospitalService.GetRun": Verb("hospital.enclaves", (Action.EXPORT, Action.CONTRACT_READ)),
    # of contracts; the other parts are a hospital's own papers: columns, measures, states, no record
    "HospitalAdminService.ReadDesk": Verb("hospital.readings", (Action.CONTRACT_READ,)),
    "HospitalAdminService.ListRuns": Verb("hospital.enclaves", (Action.STUDY_APPROVE,)),
    "HospitalService.WithdrawRequest": Verb("hospital.negotiation", (Action.CONTRACT_TERMINATE,)),
    "HospitalService.GetStanding": Verb("hospital.contract_standings", (Action.CONTRACT_READ,)),
    "HospitalService.AttestDeletion": Verb("hospital.contract_lives", (Action.CONTRACT_CLOSE,)),
    "HospitalService.Query": Verb("hospital.queries", (Action.QUERY_RUN,)),
    "WitnessService.GetMirror": Verb("logbook", (Action.AUDIT_READ,)),
    "LogService.ReadLog": Verb("logbook", (Action.AUDIT_READ,)),
    "ExchangeService.Publish": Verb("exchange.listings", (Action.CATALOGUE_PUBLISH,)),
    "ExchangeService.Withdraw": Verb("exchange.listings", (Action.CATALOGUE_WITHDRAW,)),
    "ExchangeService.Amend": Verb(
        "exchange.listings",
        (
            *(Action.PRODUCT_ANNOUNCE, Action.PRODUCT_SUSPEND, Action.PRODUCT_RESUME),
            *(Action.PRODUCT_EXPIRE, Action.CATALOGUE_WITHDRAW),
        ),
    ),
    "ExchangeService.Find": Verb("exchange.listings", (Action.CATALOGUE_READ,)),
    "ExchangeService.Show": Verb("exchange.listings", (Action.CATALOGUE_READ,)),
    "ExchangeService.Render": Verb("exchange.listings", (Action.CATALOGUE_READ,)),
    "ExchangeService.Precheck": Verb("exchange.listings", (Action.CATALOGUE_READ,)),
    "ExchangeService.Quote": Verb("exchange.listings", (Action.CATALOGUE_READ,)),
    "ExchangeService.Cohort": Verb("exchange.listings", (Action.CATALOGUE_READ,)),
    "ExchangeService.SaveSearch": Verb("exchange.searches", (Action.SEARCH_SAVE,)),
    "ExchangeService.ListSearches": Verb("exchange.searches", (Action.SEARCH_READ,)),
    "ExchangeService.RemoveSearch": Verb("exchange.searches", (Action.SEARCH_REMOVE,)),
    "ContractService.Request": Verb("exchange.contracts", (Action.CONTRACT_REQUEST,)),
    "ContractService.SubmitDecision": Verb("exchange.contracts", (Action.CONTRACT_REFUSE,)),
    "ContractService.SubmitAgreement": Verb("exchange.contracts", (Action.CONTRACT_AGREE,)),
    "ContractService.Verify": Verb("exchange.contracts", (Action.CONTRACT_VERIFY,)),
    "ContractService.GetContract": Verb("exchange.contracts", (Action.CONTRACT_READ,)),
    "ContractService.WithdrawContract": Verb("exchange.contracts", (Action.CONTRACT_TERMINATE,)),
    "ContractService.ListContracts": Verb("exchange.contracts", (Action.CONTRACT_READ,)),
    "ContractService.Revoke": Verb("exchange.contracts", (Action.GRANT_REVOKE,)),
    "StudyService.Plan": Verb("exchange.studies", (Action.STUDY_PLAN,)),
    "StudyService.Start": Verb("exchange.studies", (Action.STUDY_START, Action.ROUND_SEAL)),
    "KeyHolderService.CreateKey": Verb("keyholder", (Action.KEY_CREATE,)),
    "KeyHolderService.OpenSum": Verb("keyholder", (Action.AGGREGATE_DECRYPT,)),
}
# Remembered at the gate, before the handler runs, because no verb knows more about it.
AT_GATE: dict[str, Action] = {
    "HospitalAdminService.ListRequests": Action.CONTRACT_READ,
    "HospitalAdminService.ListAccesses": Action.AUDIT_READ,
    "ChannelService.Connect": Action.CHANNEL_OPEN,
}
SILENT: dict[str, str] = {
    "HospitalAdminService.Status": OWN_COUNTS,
    "BillingService.ListIssued": OWN_COUNTS,
    "BillingService.GetStatement": OWN_COUNTS,
    "BillingService.ListDue": OWN_COUNTS,
    "BillingService.GetAccount": OWN_COUNTS,
    "BillingService.PreviewPayments": OWN_COUNTS,
    "WitnessService.AddCheckpoint": BEGETS_ITSELF,
    "LogService.GetCheckpoint": HASHES,
    "LogService.GetInclusionProof": HASHES,
    "LogService.GetConsistencyProof": HASHES,
    "ServerReflection.ServerReflectionInfo": INTERFACE,
    "Health.Check": NOTHING_OF_ANYONE,
    "Health.Watch": NOTHING_OF_ANYONE,
}
# Module that serves HTTP -> route as it is written there ("*" for what is put in) -> event, or why none.
ROUTES: dict[str, dict[str, Action | str]] = {
    "hdex.catalog.web.app": {
        "*": PUBLIC,
        "*/": PUBLIC,
        "*/products": PUBLIC,
        "*/products.atom": PUBLIC,
        "*/products/{product_id}": PUBLIC,
        "*/products/{product_id}/sheet": PUBLIC,
        "*/contracts": PUBLIC,
        "*/status": STANDS,
        "/status.json": STANDS,
        "/products/{product_id}/manifest": PUBLIC,
        "/products/{product_id}/{rendering}": PUBLIC,
        "/feeds/{token}": FEED,
        "/static": LOOKS,
    },
    "hdex.node.web.auditor_app": {
        "*/": READ_BEFORE,
        "*/events": READ_BEFORE,
        "*/logs/{node}/{index:int}": READ_BEFORE,
        "*/logs/{node}/{index:int}/proof.zip": READ_BEFORE,
        "*/alerts": READ_BEFORE,
        "*/report": READ_BEFORE,
        "*/evidence.zip": READ_BEFORE,
        "*/read": Action.AUDIT_READ,
        "/static": LOOKS,
        "/static/auditor": LOOKS,
    },
    "hdex.node.web.desk_frame": {
        "*/sign-in": OPENS,
        "*/sign-out": OPENS,
        "/static": LOOKS,
        "/static/desk": LOOKS,
    },
    "hdex.node.web.desk_app": {
        "*/": BY_CALL,
        "*/datasets": BY_CALL,
        "*/datasets/{dataset}/classification": BY_CALL,
        "*/datasets/{dataset}/classification/propose": Action.CLASSIFICATION_PROPOSE,
        "*/datasets/{dataset}/classification/column": OWN_DRAFT,
        "*/datasets/{dataset}/classification/flags": OWN_DRAFT,
        "*/datasets/{dataset}/classification/sign": Action.CLASSIFICATION_APPROVE,
        "*/datasets/{dataset}/versions/{version}": BY_CALL,
        "*/datasets/{dataset}/versions/{version}/draft": Action.PRODUCT_REVIEW,
        "*/datasets/{dataset}/versions/{version}/sign": Action.PRODUCT_REVIEW,
        "*/datasets/{dataset}/versions/{version}/list": Action.CATALOGUE_PUBLISH,
        "*/studies": BY_CALL,
        "*/studies/{digest}/{verdict}": Action.STUDY_APPROVE,
        "*/products": BY_CALL,
        "*/products/{product}/{version}": BY_CALL,
        "*/products/{product}/{version}/{order}": BY_CALL,
        "*/accesses": Action.AUDIT_READ,
        "*/accesses.csv": Action.AUDIT_READ,
    },
    "hdex.node.web.buyer_app": {
        "*/": BY_CALL,
        "*/vetting": BY_CALL,
        "*/find": BY_CALL,
        "*/products/{product}": BY_CALL,
        "*/products/{product}/request": OWN_FILES,
        "*/products/{product}/contract": BY_CALL,
        "*/requests": BY_CALL,
        "*/requests/{name}": BY_CALL,
        "*/requests/{name}/save": OWN_FILES,
        "*/requests/{name}/submit": BY_CALL,
        "*/requests/{name}/message": BY_CALL,
        "*/requests/{name}/withdraw": BY_CALL,
        "*/contracts": BY_CALL,
        "*/contracts/{contract}": BY_CALL,
        "*/contracts/{contract}/accept": BY_CALL,
        "*/contracts/{contract}/fetch": BY_CALL,
        "*/contracts/{contract}/offer/accept": BY_CALL,
        "*/contracts/{contract}/offer/counter": BY_CALL,
        "*/contracts/{contract}/query": BY_CALL,
        "*/contracts/{contract}/{act}": BY_CALL,
        "*/invoices": BY_CALL,
        "*/invoices/{provider}/{number}": BY_CALL,
        "*/invoices/{provider}/{number}/paper": BY_CALL,
        "*/invoices/{provider}/{number}/dispute": BY_CALL,
        "*/studies": OWN_FILES,
        "*/studies/{study}": OWN_FILES,
        "*/studies/{study}/result": OWN_FILES,
    },
    "hdex.node.web.desk_contracts": {
        "/contracts": BY_CALL,
        "/contracts/{contract}": BY_CALL,
        "/contracts/{contract}/{act}": BY_CALL,
    },
    "hdex.node.web.desk_requests": {
        "/requests": Action.ACCESS_READ,
        "/requests.csv": Action.ACCESS_READ,
        "/requests/{name}": Action.ACCESS_READ,
        "/requests/{name}/paper": Action.ACCESS_READ,
        "/requests/{name}/message": Action.ACCESS_MESSAGE,
        "/requests/{name}/decide/{arrow}": BY_CALL,
    },
    "hdex.node.web.desk_invoices": {
        "/invoices": BY_CALL,
        "/invoices.csv": BY_CALL,
        "/invoices/{number}": BY_CALL,
        "/invoices/{number}/{act}": BY_CALL,
    },
    "hdex.node.web.desk_billing": {
        "/invoices/due": BY_CALL,
        "/payments": BY_CALL,
        "/payments/{statement}": BY_CALL,
    },
    "hdex.node.web.desk_revenue": {
        "/revenue": BY_CALL,
        "/revenue.csv": BY_CALL,
        "/revenue.html": BY_CALL,
        "/revenue/usage.csv": BY_CALL,
        "/revenue/papers/{number}.{kind}": BY_CALL,
    },
    "hdex.node.web.desk_runs": {
        "/runs": Action.STUDY_APPROVE,
        "/runs/{run}": Action.STUDY_APPROVE,
        "/runs/{run}/{verdict}": Action.STUDY_APPROVE,
        "/queries": Action.AUDIT_READ,
    },
    "hdex.node.web.desk_vetting": {
        "/": Action.VETTING_READ,
        "/organisations": Action.VETTING_READ,
        "/organisations.csv": Action.VETTING_READ,
        "/organisations/{participant}": Action.VETTING_READ,
        "/organisations/{participant}/{digest}/{arrow}": BY_CALL,
    },
    "hdex.node.wire.api_app": {"/healthz": NOTHING_OF_ANYONE, "/api/v1/openapi.json": INTERFACE},
    "hdex.node.wire.chain_rpc": {"POST": CHAIN_KEEPS},
    "hdex.node.wire.dsp_app": {
        "/.well-known/dspace-version": NOTHING_OF_ANYONE,
        "/dsp/catalog/request": Action.CATALOGUE_READ,
        "/dsp/catalog/datasets/{dataset:path}": Action.CATALOGUE_READ,
        "/dsp/negotiations/request": Action.CONTRACT_REQUEST,
        "/dsp/negotiations/offers": Action.CONTRACT_OFFER,
        "/dsp/negotiations/{pid}": Action.CONTRACT_READ,
        "/dsp/negotiations/{pid}/{verb:path}": EACH_ITS_OWN,
        "/dsp/transfers/request": Action.TRANSFER_REQUEST,
        "/dsp/transfers/{pid}": Action.TRANSFER_READ,
        "/dsp/transfers/{pid}/{verb:path}": EACH_ITS_OWN,
    },
    "hdex.node.wire.dsp_conformance": {
        "/conformance/negotiations": Action.CONTRACT_REQUEST,
        "/conformance/transfers": Action.TRANSFER_REQUEST,
    },
    "hdex.node.wire.http_sharing": {
        "/delta-sharing/shares": Action.CATALOGUE_READ,
        "/delta-sharing/shares/{share}": Action.CATALOGUE_READ,
        "/delta-sharing/shares/{share}/schemas": Action.CATALOGUE_READ,
        "/delta-sharing/shares/{share}/schemas/{schema}/tables": Action.CATALOGUE_READ,
        "/delta-sharing/shares/{share}/all-tables": Action.CATALOGUE_READ,
        "*/version": Action.PRODUCT_READ,
        "*/metadata": Action.PRODUCT_READ,
        "*/query": Action.PRODUCT_READ,
        "/delta-sharing/files/{contract}": Action.SHARE_READ,
    },
    "hdex.node.wire.http_ledger": {
        "/add-checkpoint": BEGETS_ITSELF,
        "/checkpoint": HASHES,
        "/tile/{name:path}": HASHES,
    },
}
