"""One suite over every detector: what is found, what is left alone, no connection, closed failure."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from hdex.deid.detector_rules import RulesDetector
from hdex.deid.errors import DetectorTimeout, InputInvalid
from hdex.deid.ports import Detector, Span
from hdex.deid.rules import Rule

SLOW = {"en": (Rule.of("slow", "ID", r"(?:a|aa)+$"),)}


def rules_detector(**options: Any) -> Detector:
    return RulesDetector(**options)


def presidio_detector(**options: Any) -> Detector:
    from hdex.deid.detector_presidio import PresidioDetector

    languages = tuple(options.get("rules", ("en", "zh")))
    return PresidioDetector(languages, **options)


MAKERS: dict[str, Callable[..., Detector]] = {"rules": rules_detector, "presidio": presidio_detector}


@pytest.fixture(scope="module", params=sorted(MAKERS))
def detector(request: pytest.FixtureRequest) -> Detector:
    return MAKERS[request.param]()


FOUND = [
    ("zh", "患者王小明，男", "王小明", "NAME"),
    ("zh", "联系人：欧阳娜娜，女儿", "欧阳娜娜", "NAME"),
    ("zh", "请张主任会诊", "张", "NAME"),
    ("zh", "身份证号11010519491231002X，", "11010519491231002X", "RESIDENT_ID"),
    ("zh", "电话１３８００１３８０００。", "１３８００１３８０００", "PHONE"),
    ("zh", "电话138\u200b0013\u200b8000。", "138\u200b0013\u200b8000", "PHONE"),
    ("zh", "手机1380\n0138000，", "1380\n0138000", "PHONE"),
    ("zh", "住院号：ZY100234，", "ZY100234", "ID"),
    ("zh", "于2024年3月5日入院", "2024年3月5日", "DATE"),
    ("zh", "二〇二四年三月五日", "二〇二四年三月五日", "DATE"),
    ("zh", "家住上海市浦东新区世纪大道100号3室，", "上海市浦东新区世纪大道100号3室", "LOCATION"),
    ("zh", "在上海市第一人民医院就诊", "上海市第一人民医院", "ORGANISATION"),
    ("zh", "车牌沪A12345", "沪A12345", "PLATE"),
    ("zh", "微信号：wx_abc123，", "wx_abc123", "ID"),
    ("zh", "卡号6222020200112230456", "6222020200112230456", "ID"),
    ("zh", "患者93岁", "93", "AGE"),
    ("en", "seen by Dr. John Smith today", "John Smith", "NAME"),
    ("en", "Patient Wilhelmina Ostrander was seen", "Wilhelmina Ostrander", "NAME"),
    ("en", "Patient: Maria Lopez-Garcia, 54", "Maria Lopez-Garcia", "NAME"),
    ("en", "Smith, Robert J. was admitted", "Smith, Robert J.", "NAME"),
    ("en", "on March 5th, 2024 he", "March 5th, 2024", "DATE"),
    ("en", "DOB 03/05/1950.", "03/05/1950", "DATE"),
    ("en", "SSN 123-45-6789.", "123-45-6789", "SSN"),
    ("en", "call (212) 555-0123 now", "(212) 555-0123", "PHONE"),
    ("en", "mail some.one@example.org,", "some.one@example.org", "EMAIL"),
    ("en", "MRN: 998877,", "998877", "ID"),
    ("en", "card 4111 1111 1111 1111,", "4111 1111 1111 1111", "CARD"),
    ("en", "lives at 673 Hintz Estate, Apt 4, since", "673 Hintz Estate, Apt 4", "LOCATION"),
    ("en", "from Boston, MA 02115.", "Boston, MA 02115", "LOCATION"),
    ("en", "at Cedar Crest Medical Center for", "Cedar Crest Medical Center", "ORGANISATION"),
    ("en", "UDI (01)51022222233336(21)1234 placed", "(01)51022222233336(21)1234", "DEVICE"),
    ("en", "host 192.168.1.10 up", "192.168.1.10", "IP"),
    ("en", "a 95-year-old woman", "95", "AGE"),
]

ORDINARY = [
    ("zh", "血压120/80mmHg，心率72次/分，白细胞升高，高热三天，予阿司匹林100mg口服，双侧颈动脉狭窄约70%。"),
    ("zh", "支架型号8×40mm，术后恢复平稳，随访6个月，HbA1c 6.1%，年龄72岁。"),
    (
        "en",
        "BP 120/80, HR 72, HbA1c 6.1%, aspirin 100 mg daily. ST elevation in V1-V4. Vitamin D low; Type 2 diabetes.",
    ),
    ("en", "The Patient Questionnaire was normal, Patient Education was given, the patient Also has gout."),
    (
        "en",
        "A 72-year-old woman with 70% stenosis of the left carotid artery, stage 3 kidney disease, L4-L5 pain 4/10.",
    ),
]


@pytest.mark.parametrize(("lang", "text", "identifier", "kind"), FOUND)
def test_an_identifier_is_found_whole(detector: Detector, lang: str, text: str, identifier: str, kind: str) -> None:
    covering = [
        s
        for s in detector.find(text, lang)
        if s.start <= text.index(identifier) and s.end >= text.index(identifier) + len(identifier)
    ]
    assert kind in {s.type for s in covering}


@pytest.mark.parametrize(("lang", "text"), ORDINARY)
def test_ordinary_clinical_text_is_left_alone(detector: Detector, lang: str, text: str) -> None:
    assert detector.find(text, lang) == []


def test_spans_are_code_points_of_the_input_sorted_and_named(detector: Detector) -> None:
    text = "😀患者王小明，电话１３８００１３８０００"
    spans = detector.find(text, "zh")
    assert spans == sorted(spans)
    assert {text[s.start : s.end] for s in spans} == {"王小明", "１３８００１３８０００"}
    assert all(isinstance(s, Span) and s.rule for s in spans)


@pytest.mark.parametrize("text", ["", " ", "\n", "\u200b", "。"])
def test_texts_without_words_have_no_spans(detector: Detector, text: str) -> None:
    assert detector.find(text, "zh") == []


def test_an_unknown_language_is_refused(detector: Detector) -> None:
    with pytest.raises(InputInvalid, match="language"):
        detector.find("text", "xx")


@pytest.mark.parametrize("maker", sorted(MAKERS))
def test_a_recogniser_that_does_not_finish_fails_closed(maker: str) -> None:
    slow = MAKERS[maker](rules=SLOW, timeout_s=0.05)
    with pytest.raises(DetectorTimeout):
        slow.find("a" * 5000 + "b", "en")


def test_a_presidio_recogniser_that_would_give_up_quietly_fails_closed() -> None:
    from presidio_analyzer import Pattern, PatternRecognizer

    from hdex.deid.detector_presidio import PresidioDetector

    slow = PatternRecognizer("ID", patterns=[Pattern("slow", r"(?:b|bb)+$", 0.9)])
    detector = PresidioDetector(("en",), recognizers=[slow], timeout_s=0.05)
    with pytest.raises(DetectorTimeout):
        detector.find("b" * 5000 + "c", "en")


@pytest.mark.parametrize("maker", sorted(MAKERS))
def test_no_socket_is_opened(maker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a detector opened a socket")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    spans = MAKERS[maker]().find("mail some.one@example.org or see https://example.org/x, call 212-555-0123", "en")
    assert {"EMAIL", "URL", "PHONE"} <= {s.type for s in spans}


def test_a_site_adds_its_own_recogniser_to_presidio() -> None:
    from presidio_analyzer import Pattern, PatternRecognizer

    from hdex.deid.detector_presidio import PresidioDetector

    ward = PatternRecognizer("WARD", patterns=[Pattern("ward", r"Ward [A-Z]{2}", 0.9)])
    spans = PresidioDetector(("en",), recognizers=[ward]).find("now on Ward QX", "en")
    assert [(s.type, s.start, s.end) for s in spans] == [("WARD", 7, 14)]
