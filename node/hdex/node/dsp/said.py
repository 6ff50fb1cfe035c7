"""A message of the other side after it was read and checked: plain values, whatever form it came in."""

from dataclasses import dataclass

from hdex.node.dsp.process import AnyMessage, Document


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One message. Members that its type does not have are empty."""

    message: AnyMessage
    provider_pid: str = ""
    consumer_pid: str = ""
    callback: str = ""
    offer: Document | None = None
    agreement: Document | None = None
    agreement_id: str = ""
    format: str = ""
    data_address: Document | None = None
    reason: str = ""
    paper: Document | None = None
    digest: str = ""  # SHA-256 of the bytes that came, hex
