"""Packed Paillier sums: keys of phe, fixed-base obfuscation, signed slots, zero-sum masks.

Not constant time and not audited; a contributor can submit any number in range; not post-quantum.
Obfuscation h_s^alpha with alpha of half the modulus' length rests on the assumption of Damgard, Jurik and
Nielsen 2010, section 4.2 (a random power of one random n-th residue looks like a random n-th residue).
"""

from hdex.federated.paillier.keys import (
    check_public_key,
    generate_keypair,
    key_id,
    private_key_from_bytes,
    private_key_to_bytes,
    public_key_from_hex,
    public_key_hex,
)
from hdex.federated.paillier.masks import mask_integers, shared_secret
from hdex.federated.paillier.obfuscation import FixedBase, Textbook, obfuscator_for, window_for
from hdex.federated.paillier.opening import Opening, open_vector, opened_sums, verify_opening
from hdex.federated.paillier.packing import PackSpec
from hdex.federated.paillier.threshold import (
    Partial,
    Share,
    ThresholdKey,
    combine_partials,
    deal,
    partial_decrypt,
    verify_partial,
)
from hdex.federated.paillier.vectors import CipherVector, aggregate, decrypt, encrypt

__all__ = [
    "CipherVector",
    "FixedBase",
    "Opening",
    "PackSpec",
    "Partial",
    "Share",
    "Textbook",
    "ThresholdKey",
    "aggregate",
    "check_public_key",
    "combine_partials",
    "deal",
    "decrypt",
    "encrypt",
    "generate_keypair",
    "key_id",
    "mask_integers",
    "obfuscator_for",
    "open_vector",
    "opened_sums",
    "partial_decrypt",
    "private_key_from_bytes",
    "private_key_to_bytes",
    "public_key_from_hex",
    "public_key_hex",
    "shared_secret",
    "verify_opening",
    "verify_partial",
    "window_for",
]
