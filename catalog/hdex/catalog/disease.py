"""Which disease stands under which: ICD-10 by prefix, MONDO and DOID ids by what is said of their ancestors.

No disease ontology is carried: for MONDO and DOID the asker names the ancestors, and a person can check them.
"""

import re
from collections.abc import Mapping

MAX_CHARACTERS = 100
_OBO = re.compile(
    r"(?:https?://purl\.obolibrary\.org/obo/)?(MONDO|DOID|HP|ORDO|NCIT)[_:]([0-9A-Za-z]{1,12})", re.IGNORECASE
)
_ICD10 = re.compile(
    r"(?:https?://[^ ]{1,60}/icd/?10?/|urn:icd10?:|ICD-?10(?:CM)?:)?([A-Z]\d[0-9A-Z]?(?:\.?[0-9A-Z]{1,4})?)",
    re.IGNORECASE,
)

_ICD10_BLOCK = re.compile(r"[A-Z](?:\d[0-9A-Z]{0,5})?")  # without dots; a letter or two signs name a block


def disease_code(text: str) -> str:
    """Return the one form of a disease id: `MONDO:0004992`, `DOID:162`, or ICD-10 without its dot; `` for none."""
    held = text.strip()[:MAX_CHARACTERS]
    if match := _OBO.fullmatch(held):
        return f"{match[1].upper()}:{match[2]}"
    if match := _ICD10.fullmatch(held):
        return match[1].upper().replace(".", "")
    return held.upper().replace(".", "")


def is_within(asked: str, permitted: str, ancestors: Mapping[str, frozenset[str]]) -> bool:
    """Return whether a disease is the permitted one or stands under it. Codes as disease_code returns them."""
    if not asked or not permitted:
        return False
    if asked == permitted or (":" in permitted and permitted in ancestors.get(asked, ())):
        return True
    both_icd = _ICD10_BLOCK.fullmatch(asked) and _ICD10_BLOCK.fullmatch(permitted)
    return bool(both_icd) and asked.startswith(permitted)  # other codes say nothing by their beginning


def disease_ancestors(said: Mapping[str, tuple[str, ...]] | None) -> dict[str, frozenset[str]]:
    """Return what stands above each disease, by its one form; ICD-10 codes have no ancestors but their prefixes."""
    found = {disease_code(key): frozenset(map(disease_code, above)) for key, above in (said or {}).items()}
    return {code: above for code, above in found.items() if ":" in code}
