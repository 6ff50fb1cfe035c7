"""What can be wrong in the catalogue.

CatalogError
├── DocumentInvalid (ValueError)    a JSON document is not what its model says
│   ├── ProductInvalid              a product breaks a rule of its level, price or preview
│   │   └── PriceInvalid            a price, amount, weight or split is none, or not allowed here
│   ├── TermsInvalid                terms name a code that does not exist, or contradict themselves
│   ├── OrganisationInvalid         a declaration of an organisation cannot be right; carries rule and next step
│   ├── AccessFormInvalid           an access request's form is incomplete; carries rule and next step
│   ├── AgreementInvalid            an agreement is incomplete
│   ├── AttestationInvalid          an attestation of deletion says too little; carries rule and next step
│   ├── CohortInvalid               a question about a cohort names what its table does not have
│   ├── PolicyInvalid               a policy, request or state of the world cannot be read
│   └── InvoiceInvalid              an invoice does not say what follows from its agreement and usage
├── NoCohort                        the product tells no cohort counts
├── PreviewRefused                  too few rows to show anything about them
├── TransitionForbidden             a message does not fit the state of its negotiation or transfer
├── GuardUnmet                      a step of a life asks for more than there is; carries rule and next step
├── OutsideAgreement                the agreement does not cover what was asked
├── NotListed                       no such product
│   ├── ProductWithdrawn            it was listed and is not any more
│   └── ProductClosed               it is known and not open now: suspended, in notice, expired, superseded
├── VersionConflict                 this version exists with another digest, or a newer one is listed
├── IndexUnreadable                 the index file is damaged or was written by a newer version
├── IndexUnavailable                the database that holds the index does not answer
└── CursorInvalid                   a page's cursor was not handed out for this query
"""


class CatalogError(Exception):
    """Base of everything this room raises."""


class DocumentInvalid(CatalogError, ValueError):
    """A JSON document is not what its model says; the message names the field."""


class ProductInvalid(DocumentInvalid):
    """A product breaks a rule of its level, price or preview."""


class PriceInvalid(ProductInvalid):
    """A price, an amount, a weight or a split is none, or is not allowed here."""


class TermsInvalid(DocumentInvalid):
    """Terms name a code that does not exist, or contradict themselves."""


class OrganisationInvalid(DocumentInvalid):
    """What an organisation declares cannot be right: a wrong check digit, an empty or hidden text."""

    def __init__(self, message: str, *, rule: str, next_step: str) -> None:
        super().__init__(message)
        self.rule = rule
        self.next_step = next_step


class AccessFormInvalid(DocumentInvalid):
    """A form of an access request is incomplete or contradicts itself."""

    def __init__(self, message: str, *, rule: str, next_step: str) -> None:
        super().__init__(message)
        self.rule = rule
        self.next_step = next_step


class AgreementInvalid(DocumentInvalid):
    """An agreement is incomplete or contradicts itself."""


class AttestationInvalid(DocumentInvalid):
    """An attestation of deletion says too little, or keeps what no clause lets stay."""

    def __init__(self, message: str, *, rule: str, next_step: str) -> None:
        super().__init__(message)
        self.rule = rule
        self.next_step = next_step


class PolicyInvalid(DocumentInvalid):
    """A policy, a request or a state of the world is not what ODRL or our profile says; the message names the place."""


class InvoiceInvalid(DocumentInvalid):
    """An invoice does not say what follows from its agreement and its usage."""


class CohortInvalid(DocumentInvalid):
    """A question about a cohort names a dimension or a label that its table does not have."""


class NoCohort(CatalogError):
    """The product tells no cohort counts."""


class PreviewRefused(CatalogError):
    """Too few rows to show anything about them."""


class TransitionForbidden(CatalogError):
    """A message does not fit the state found; `found` and `allowed` say which would."""

    def __init__(self, message: str, *, found: str, allowed: tuple[str, ...]) -> None:
        super().__init__(message)
        self.found = found
        self.allowed = allowed


class GuardUnmet(CatalogError):
    """A step of a product's or contract's life asks for more than there is; `rule` and `next_step` say for what."""

    def __init__(self, message: str, *, rule: str, next_step: str) -> None:
        super().__init__(message)
        self.rule = rule
        self.next_step = next_step


class OutsideAgreement(CatalogError):
    """The agreement does not cover what was asked; `rule` names the clause, `next_step` what then."""

    def __init__(self, message: str, *, rule: str, next_step: str = "") -> None:
        super().__init__(message)
        self.rule = rule
        self.next_step = next_step


class NotListed(CatalogError):
    """No such product."""


class ProductWithdrawn(NotListed):
    """It was listed and is not any more."""


class ProductClosed(NotListed):
    """It is known and not open now; `rule` and `next_step` say why and what then."""

    def __init__(self, message: str, *, rule: str, next_step: str) -> None:
        super().__init__(message)
        self.rule = rule
        self.next_step = next_step


class VersionConflict(CatalogError):
    """This version exists with another digest, or a newer one is listed."""


class IndexUnreadable(CatalogError):
    """The index file is damaged or was written by a newer version."""


class IndexUnavailable(CatalogError):
    """The database that holds the index does not answer, or has tables of another version."""


class CursorInvalid(CatalogError, ValueError):
    """A page's cursor was not handed out for this query."""
