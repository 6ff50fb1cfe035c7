"""`hdex audit fraud`, `hdex audit proof`: what a third party checks with a trust file and no network."""

from pathlib import Path
from typing import Annotated

import typer

from hdex.node.cli.options import Json

TrustFile = Annotated[Path, typer.Option(help="Trust file: whose signatures count (JSON or a C2SP tlog-policy file).")]


def fraud(
    file: Annotated[Path, typer.Argument(help="Fraud proof, as a witness or the monitor wrote it.")],
    trust: TrustFile,
    as_json: Json = False,
) -> None:
    """Check that a log signed against itself. Exit 0 proven, 1 not proven, 3 unreadable."""
    from hdex.ledger.errors import NoteInvalid, ProofInvalid
    from hdex.ledger.fraud import parse_fraud, verify_fraud
    from hdex.ledger.trust import read_trust
    from hdex.node.cli.serving import show

    proof = parse_fraud(file.read_bytes())
    try:
        found = verify_fraud(proof, read_trust(trust))
    except (NoteInvalid, ProofInvalid) as error:
        show({"proven": False, "why": str(error)}, as_json=as_json)
        raise typer.Exit(1) from None
    old, new = found.cosigners
    facts = {"node": found.node, "origin": found.origin, "kind": found.kind.value, "sizes": list(found.sizes)}
    told = {"proven": True, **facts, "cosigners": [list(old), list(new)], "finding": found.sentence()}
    show(told, as_json=as_json)


def proof(
    file: Annotated[Path, typer.Argument(help="Proof of one entry (c2sp.org/tlog-proof).")],
    entry: Annotated[Path, typer.Option(help="File with the entry, byte for byte.")],
    trust: TrustFile,
    as_json: Json = False,
) -> None:
    """Check that an entry is in a log and that enough witnesses saw it. Exit 0 proven, 1 not proven, 3 unreadable."""
    from hdex.ledger.errors import EvidenceUnreadable, NoteInvalid, ProofInvalid
    from hdex.ledger.merkle import leaf_hash
    from hdex.ledger.proof_text import verify_proof
    from hdex.ledger.trust import read_trust
    from hdex.node.cli.serving import show

    try:
        text = file.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise EvidenceUnreadable(f"{file} is not text") from error
    try:
        found = verify_proof(text, leaf_hash(entry.read_bytes()), read_trust(trust))
    except (NoteInvalid, ProofInvalid) as error:
        show({"proven": False, "why": str(error)}, as_json=as_json)
        raise typer.Exit(1) from None
    told = {"origin": found.origin, "index": found.index, "size": found.size, "cosigners": list(found.cosigners)}
    show({"proven": True, **told}, as_json=as_json)
