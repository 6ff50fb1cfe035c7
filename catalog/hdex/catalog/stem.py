"""The stem of an English word, after M. F. Porter, "An algorithm for suffix stripping", Program 14 (1980).

With the two departures of the author's later own implementation, which SQLite's tokenizer follows too: `abli`
became `bli`, `logi` was added. Every index gets its stems from here, so that all of them agree.
"""

import re
from functools import lru_cache

_LATIN = re.compile(r"[a-z]{3,40}")
_VOWEL, _CONSONANT = "[aeiou]|(?<=[^aeiou])y", "[^aeiouy]|(?<=[aeiou])y|^y"
_MEASURE = re.compile(f"(?:{_VOWEL})(?={_CONSONANT})")  # each vowel run that a consonant follows counts one
_HAS_VOWEL = re.compile("[aeiou]|(?<!^)(?<=[^aeiou])y")
_DOUBLE = re.compile(r"([^aeiouy])\1$")
_SHORT = re.compile("(?:[^aeiouy]|^y|(?<=[aeiou])y)(?:[aeiou]|(?<=[^aeiou])y)[^aeiouwxy]$")

_STEP_2 = {
    "ational": "ate", "tional": "tion", "enci": "ence", "anci": "ance", "izer": "ize", "bli": "ble", "alli": "al",
    "entli": "ent", "eli": "e", "ousli": "ous", "ization": "ize", "ation": "ate", "ator": "ate", "alism": "al",
    "iveness": "ive", "fulness": "ful", "ousness": "ous", "aliti": "al", "iviti": "ive", "biliti": "ble",
    "logi": "log",
}  # fmt: skip
_STEP_3 = {"icate": "ic", "ative": "", "alize": "al", "iciti": "ic", "ical": "ic", "ful": "", "ness": ""}
_STEP_4 = {
    "al": "", "ance": "", "ence": "", "er": "", "ic": "", "able": "", "ible": "", "ant": "", "ement": "", "ment": "",
    "ent": "", "ou": "", "ism": "", "ate": "", "iti": "", "ous": "", "ive": "", "ize": "", "ion": "",
}  # fmt: skip


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """Return the stem of a lower-case word; whatever is no plain Latin word is its own stem."""
    if not _LATIN.fullmatch(word):
        return word
    for step in (_plural, _past, _final_y):
        word = step(word)
    word = _exchange(word, _STEP_2, least=1)
    word = _exchange(word, _STEP_3, least=1)
    word = _exchange(word, _STEP_4, least=2)
    return _final_l(_final_e(word))


def measure(part: str) -> int:
    """Return Porter's m: how often a consonant follows a vowel."""
    return len(_MEASURE.findall(part))


def _plural(word: str) -> str:
    for ending, cut in (("sses", 2), ("ies", 2), ("ss", 0), ("s", 1)):
        if word.endswith(ending):
            return word[: len(word) - cut]
    return word


def _past(word: str) -> str:
    if word.endswith("eed"):
        return word[:-1] if measure(word[:-3]) > 0 else word
    for ending in ("ed", "ing"):
        if word.endswith(ending):
            left = word.removesuffix(ending)
            return _mended(left) if _HAS_VOWEL.search(left) else word
    return word


def _mended(word: str) -> str:
    if word.endswith(("at", "bl", "iz")):
        return word + "e"
    if _DOUBLE.search(word) and word[-1] not in "lsz":
        return word[:-1]
    return word + "e" if measure(word) == 1 and _SHORT.search(word) else word


def _final_y(word: str) -> str:
    return word[:-1] + "i" if word.endswith("y") and _HAS_VOWEL.search(word[:-1]) else word


def _exchange(word: str, endings: dict[str, str], *, least: int) -> str:
    """Return the word with its longest ending of `endings` exchanged, where what stands before measures enough."""
    for length in range(min(7, len(word)), 1, -1):
        ending = word[-length:]
        if ending not in endings:
            continue
        left = word[:-length]
        fits = measure(left) >= least and (ending != "ion" or left.endswith(("s", "t")))
        return left + endings[ending] if fits else word
    return word


def _final_e(word: str) -> str:
    left = word[:-1]
    if word.endswith("e") and (measure(left) > 1 or (measure(left) == 1 and not _SHORT.search(left))):
        return left
    return word


def _final_l(word: str) -> str:
    return word[:-1] if word.endswith("ll") and measure(word[:-1]) > 1 else word
