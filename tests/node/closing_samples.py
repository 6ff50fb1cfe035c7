"""What a run of the demo may have measured: plausible, and with nothing in it."""

from dataclasses import replace

from hdex.node.demo.closing import Details, Effect, Figures, Refusal

HOSPITALS = ("hospital-a", "hospital-b", "hospital-c")
LOGS = (*HOSPITALS, "exchange", "keyholder")

FIGURES = Figures(
    hospitals=3,
    records=2551,
    columns_by_level={"1": 9, "2": 21, "3": 34, "4": 17, "5": 3},
    attack_before=0.873,
    attack_after=0.009,
    attack_chance=0.0012,
    identifiers_planted=38_214,
    identifiers_found=0,
    raw_rows_left=0,
    k_before=1,
    k_after=11,
    products=4,
    contracts=3,
    refusals=[
        Refusal("stranger", "connect to the exchange", "identity-refused"),
        Refusal("buyer-heartline", "look at the desk of hospital-a", "no-rule-permits"),
        Refusal("buyer-surety", "sealed_file of hospital-a.carotid-stents", "purpose.prohibited"),
        Refusal("buyer-heartline", "sealed_file of hospital-c.subcohort", "level.5.no_sealed_file"),
        Refusal("buyer-heartline", "next range of hospital-a.carotid-stents.sealed_file", "contract.revoked"),
    ],
    bytes_delivered=184_320,
    values_altered=0,
    rounds=6,
    max_coefficient_difference=3.1e-13,
    events=412,
    anchors=23,
    cosignatures=61,
    ledger_verified=True,
    forged_log_found=37,
    withdrawal_honoured=True,
    seconds=48.7,
)

EFFECTS = [
    Effect("age", 1.42, 1.21, 1.66, 1.42, 1.21, 1.66),
    Effect("male", 0.91, 0.70, 1.18, 0.91, 0.70, 1.18),
    Effect("smoker", 1.74, 1.31, 2.30, 1.74, 1.31, 2.30),
    Effect("diabetes", 2.31, 1.72, 3.10, 2.31, 1.72, 3.10),
    Effect("ldl", 1.28, 1.11, 1.48, 1.28, 1.11, 1.48),
    Effect("systolic", 1.12, 0.98, 1.28, 1.12, 0.98, 1.28),
    Effect("stent_size", 0.83, 0.75, 0.92, 0.83, 0.75, 0.92),
]


def checked_by_an_auditor() -> list[str]:
    """Return the sentences of hdex.ledger.verify over five logs."""
    sentences = ["the anchors name the trusted chain and contract; who runs the chain: 1 operator: demonstration"]
    for size, log in enumerate(LOGS, start=80):
        sentences += [
            f"{log}: {size} entries hash to the root of its newest signed checkpoint",
            f"{log}: {size} entries are canonical events of this node",
            f"{log}: times grow; every release has a decision, and a grant issued and not revoked before it",
            f"{log}: its newest checkpoint, of size {size}, is cosigned by hospital-b, hospital-c",
            f"{log}: 4 anchors, the newest of size {size} in block 61, are prefixes of the log",
            f"{log}: consistent with 9 checkpoints signed by it and cosigned",
        ]
    return sentences


DETAILS = Details(
    files_by_level={"2": 1, "3": 2},
    bytes_by_kind={
        "sealed file": 184_320,
        "ciphertexts": 1_384_448,
        "checkpoints": 21_760,
        "manifests": 48_512,
        "agreements": 9_216,
        "digests": 736,
    },
    ciphertexts=126,
    digests_on_chain=34,
    unique_rows_before=1893,
    unique_rows_after=0,
    columns_by_action={
        "1": {"keep": 9},
        "2": {"keep": 12, "round": 4, "shift": 5},
        "3": {"generalise": 14, "coarsen": 8, "keep": 8, "redact": 4},
        "4": {"remove": 11, "pseudonymise": 4, "generalise": 2},
        "5": {"remove": 1, "sums": 2},
    },
    class_sizes_before={1: 1893, 2: 190, 3: 41, 6: 9, 12: 5, 30: 1},
    class_sizes_after={11: 20, 14: 31, 22: 24, 48: 11, 75: 8},
    patients_banded="800-900",
    delivery_seconds=0.84,
    effects=EFFECTS,
    outcome="restenosis_12m",
    events_without_decision=0,
    witnesses=list(HOSPITALS),
    chain_operator="1 operator: demonstration",
    checked=checked_by_an_auditor(),
    not_checked=[
        "the chain itself was not contacted: its anchors are as exported, its blocks were not verified",
        "clocks: times are those the participants wrote, compared with each other only",
        "entries written after the newest checkpoint in the file",
        "whether what the digests stand for is what was delivered: the ledger knows digests, not data",
        "the expiry of grants: it stands in the agreements and on the chain",
    ],
    forged_log="hospital-a",
    contradicted_by="hospital-b, hospital-c",
    checkpoints=[
        *((log, size, False) for n, log in enumerate(LOGS) for size in (4, 17, 29 + 3 * n, 52, 71 + 5 * n, 80 + 5 * n)),
        *(("hospital-a", size, True) for size in (52, 71, 80)),
    ],
    restarts=1,
    regime="meets preset controlled",
    steps=[
        ("setting", 6.08),
        ("identity", 0.42),
        ("ingest", 3.94),
        ("classify", 3.82),
        ("de-identify", 9.31),
        ("publish", 1.13),
        ("browse", 0.24),
        ("contract", 1.77),
        ("deliver", 2.02),
        ("federate", 8.66),
        ("withdraw", 3.4),
        ("revoke", 0.18),
        ("audit", 2.15),
        ("forge", 1.88),
        ("search", 1.2),
    ],
)

NOTHING = replace(
    FIGURES,
    columns_by_level={},
    attack_before=0.0,
    attack_after=0.0,
    attack_chance=0.0,
    k_before=0,
    k_after=0,
    refusals=[],
    bytes_delivered=0,
    rounds=0,
    max_coefficient_difference=0.0,
    ledger_verified=False,
    forged_log_found=None,
    withdrawal_honoured=False,
)

NO_DETAILS = replace(
    DETAILS,
    files_by_level={},
    bytes_by_kind={},
    columns_by_action={},
    class_sizes_before={},
    class_sizes_after={},
    effects=[],
    witnesses=[],
    checked=[],
    not_checked=[],
    forged_log="",
    contradicted_by="",
    checkpoints=[],
    regime="",
    steps=[],
)
