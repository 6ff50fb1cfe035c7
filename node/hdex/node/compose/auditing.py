"""The auditor's pages, wired: a desk over the auditor, served on this machine's own address only."""

import threading
from pathlib import Path

from hdex.ledger.anomaly_rules import default_rules
from hdex.ledger.trust import Trust
from hdex.node.auditor_desk import Desk
from hdex.node.compose.client import open_auditor
from hdex.node.compose.standing import now
from hdex.node.config import BuyerConfig, Listen
from hdex.node.web.auditor_app import create_auditor_app
from hdex.node.wire.pages import serve_pages

DESK = "desk"


def serve_auditor(config: BuyerConfig, trust: Trust, port: int, *, stop: threading.Event) -> Path:
    """Read every log once, then serve the pages on loopback until `stop`; return where evidence is kept."""
    folder = config.data_dir / DESK
    desk = Desk(open_auditor(config), trust, default_rules(), folder=folder, clock=now)
    desk.read()
    serve_pages(create_auditor_app(desk), Listen(http_port=port), stop=stop)
    return folder
