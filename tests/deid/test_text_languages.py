"""A site adds a language, and a trained model, by configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hdex.deid.detector_rules import RulesDetector
from hdex.deid.errors import InputInvalid, PolicyInvalid
from hdex.deid.identifiers import dni_valid
from hdex.deid.rules_file import LanguageFile, Model, languages, load_language, load_rules, parse_language

SPANISH = RulesDetector(load_rules(["es"]))
CASES = [
    ("Nombre: Ernestina.\nApellidos: Cebollero Urrutia.", "Cebollero Urrutia", "NAME"),
    ("NHC: 7718203.\nNASS: 41 55667788 02.", "41 55667788 02", "ID"),
    ("Médico: Leocadio Barrenechea Zubiri NºCol: 41 41 77120.", "Leocadio Barrenechea Zubiri", "NAME"),
    ("Médico: Leocadio Barrenechea Zubiri NºCol: 41 41 77120.", "41 41 77120", "ID"),
    ("Remitido por: Dra. Amaranta Ulloa i Ferran. Servicio de Urología.", "Amaranta Ulloa i Ferran", "NAME"),
    ("Domicilio: Calle del Olivar, 12, 3º B.\nCP: 28999.", "Calle del Olivar, 12, 3º B", "LOCATION"),
    ("Servicio de Oncología. C/ Rosales, 9, 2.º Dcha. 41999 Villarubia", "C/ Rosales, 9, 2.º Dcha", "LOCATION"),
    ("ingresó el 12 de mayo de 2003 por", "12 de mayo de 2003", "DATE"),
    ("diagnosticado en el año 1998 de", "1998", "DATE"),
    ("revisión el 03-11-16 sin", "03-11-16", "DATE"),
    ("DNI 12345678Z aportado", "12345678Z", "ID"),
    ("Tfno. 955 01 20 08", "955 01 20 08", "PHONE"),
    ("correo ernestina.c@ejemplo.es.", "ernestina.c@ejemplo.es", "EMAIL"),
    ("Varón de 47 años que acude", "47 años", "AGE"),
    ("mujer de sesenta y tres años con", "sesenta y tres años", "AGE"),
    ("Su madre y dos hermanas sanas", "dos hermanas", "KIN"),
    (
        "Hospital Universitario Virgen de la Arrixaca. Murcia",
        "Hospital Universitario Virgen de la Arrixaca",
        "ORGANISATION",
    ),
    ("natural de Villarubia del Pozo, acude", "Villarubia del Pozo", "LOCATION"),
]
ORDINARY = (
    "Tensión arterial 120/80 mmHg, temperatura 36,5 º C. Se realizó TAC. Hemoglobina 13,3 g/dl, plaquetas 281.000/ul. "
    "Tras 6 meses de evolución recibió 3 ciclos. HCO3 17 mmol/l. Test Rosa de Bengala negativo en 24 horas."
)


@pytest.mark.parametrize(("text", "identifier", "kind"), CASES)
def test_spanish_is_a_file_and_finds_identifiers_whole(text: str, identifier: str, kind: str) -> None:
    at = text.index(identifier)
    found = [s for s in SPANISH.find(text, "es") if s.start <= at and s.end >= at + len(identifier)]
    assert kind in {span.type for span in found}


def test_ordinary_spanish_is_left_alone() -> None:
    assert [ORDINARY[s.start : s.end] for s in SPANISH.find(ORDINARY, "es")] == []


@pytest.mark.parametrize(
    ("value", "valid"), [("12345678Z", True), ("X1234567L", True), ("12345678A", False), ("Z", False)]
)
def test_the_letter_of_a_spanish_number_is_checked(value: str, valid: bool) -> None:
    """12345678Z is the ministry's own specimen."""
    assert dni_valid(value) is valid


SITE = """
language = "it"
[lists]
titles = ["Dott.", "Dott.ssa"]
given = "giulia marco"
common = ["Marco Polo"]
[parts]
cap = '\\p{Lu}\\p{Ll}+'
[[rules]]
name = "it_doctor"
type = "NAME"
pattern = '{{titles}} ({{cap}} {{cap}})'
[[rules]]
name = "it_name"
type = "NAME"
pattern = '{{cap}} {{cap}}'
known = [{ list = "given", word = "first" }]
unknown = [{ list = "common" }]
"""


def test_a_site_adds_a_language_by_a_file(tmp_path: Path) -> None:
    path = tmp_path / "italian.toml"
    path.write_text(SITE)
    file = load_language(path)
    text = "Dott.ssa Anna Verdi, Giulia Neri, Marco Polo, a.b@c.it"
    spans = RulesDetector({file.language: file.rules}).find(text, "it")
    assert [(text[s.start : s.end], s.rule) for s in spans] == [
        ("Anna Verdi", "it_doctor"),
        ("Giulia Neri", "it_name"),
        ("a.b@c.it", "email"),
    ]


def test_a_site_extends_a_language_of_the_house() -> None:
    rule = "[[rules]]\nname = 'ward'\ntype = 'ID'\npattern = 'Ward [A-Z]{2}'\n"
    file = parse_language(f"language = 'en'\nextends = 'en'\n{rule}", "x.toml")
    text = "on Ward QX, call 212-555-0123"
    found = {text[s.start : s.end] for s in RulesDetector({"en": file.rules}).find(text, "en")}
    assert found == {"Ward QX", "212-555-0123"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("language =", "x.toml is not TOML"),
        ("", "names no language"),
        ("language = 'it'\nrulez = 1", r"unknown keys \['rulez'\]"),
        ("language = 'it'\n[[rules]]\nname = 'a'", r"rule a lacks \['type', 'pattern'\]"),
        ("language = 'it'\n[[rules]]\nname = 'a'\ntype = 'ID'\npattern = '('", "rule a: the pattern does not compile"),
        ("language = 'it'\n[[rules]]\nname = 'a'\ntype = 'ID'\npattern = '{{b}}'", r"uses \{\{b\}\}"),
        ("language = 'it'\n[[rules]]\nname = 'a'\ntype = 'ID'\npattern = 'x'\ncheck = 'b'", "check b is not known"),
        ("language = 'it'\n[[rules]]\nname = 'a'\ntype = 'ID'\npattern = 'x'\nknown = [{list = 'b'}]", "asks list b"),
        ("language = 'it'\n[lists]\nb = []", r"lists \['b'\] have 0 words"),
        ("language = 'it'\nrules = 7", "another kind"),
        ("language = 'it'\n[model]\nengine = 'x'\nname = 'y'", "asks engine x"),
    ],
)
def test_a_file_that_is_not_understood_is_refused(text: str, message: str) -> None:
    with pytest.raises(PolicyInvalid, match=message):
        parse_language(text, "x.toml")


def test_a_language_nobody_has_rules_for_is_refused() -> None:
    assert {"en", "es", "zh"} <= set(languages())
    with pytest.raises(InputInvalid, match="language asked is 'xx'"):
        load_rules(["xx"])


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A spaCy pipeline with an entity ruler, saved as a site's trained model would be."""
    spacy: Any = pytest.importorskip("spacy")
    nlp = spacy.blank("es")
    ruler = nlp.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": "PER", "pattern": "Zutano"}, {"label": "PLANTA", "pattern": "Tercera"}])
    folder = tmp_path_factory.mktemp("model") / "tiny"
    nlp.to_disk(folder)
    return folder


def presidio(file: LanguageFile) -> Any:
    from hdex.deid.detector_presidio import PresidioDetector

    models = {file.language: file.model} if file.model else {}
    return PresidioDetector([file.language], rules={file.language: file.rules}, models=models)


def test_a_trained_model_reads_beside_the_rules(tiny_model: Path) -> None:
    text = "Visto por Zutano en Tercera el 03/11/2016"
    model = f"[model]\nname = {str(tiny_model)!r}\nlabels = {{ PLANTA = 'WARD' }}\n"
    spans = presidio(parse_language(f"language = 'es'\nextends = 'es'\n{model}", "x.toml")).find(text, "es")
    assert {(text[s.start : s.end], s.type, s.rule) for s in spans} >= {
        ("Zutano", "NAME", "model-es"),
        ("Tercera", "WARD", "model-es"),
        ("03/11/2016", "DATE", "es_date_numeric"),
    }


def test_a_label_that_is_ignored_or_unknown() -> None:
    """Unknown labels are kept: what a site's model says to be an entity is not dropped in silence."""
    file = parse_language("language = 'es'\n[model]\nname = 'x'\nignore = ['PLANTA']", "x.toml")
    assert file.model == Model("spacy", "x", {}, ("PLANTA",))


@pytest.mark.parametrize("engine", ["spacy", "transformers"])
def test_a_model_that_is_not_on_this_machine_is_refused_and_not_fetched(engine: str, monkeypatch: Any) -> None:
    import socket

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    file = LanguageFile("es", load_rules(["es"])["es"], Model(engine, "no_such_model_of_a_site"))
    with pytest.raises(InputInvalid, match=f"the {engine} model of language es"):
        presidio(file)


KEPT = [
    ("mail a.b@example.org", "EMAIL"),
    ("account GB29NWBK60161331926819", "CARD"),
    ("host 10.0.0.254 and fe80::1ff:fe23:4567:890a", "IP"),
    ("paid by 4111-1111-1111-1111", "CARD"),
    ("number 536.90.4399", "SSN"),
    ("number 912-70-1234", "SSN"),
    ("licence BB1388568", "ID"),
]


@pytest.mark.parametrize(("text", "kind"), KEPT)
def test_what_is_kept_of_presidio_still_looks(text: str, kind: str) -> None:
    """No rule of ours: what is found is found by Presidio's own recognisers, past the check that saves their work."""
    from hdex.deid.detector_presidio import PresidioDetector

    assert kind in {span.type for span in PresidioDetector(("en",), rules={"en": ()}).find(text, "en")}


NAMES_ZH = ["程海英", "向雪琴", "欧阳娜", "覃文华"]
PROSE_ZH = (
    "予左氧氟沙星静滴，云南白药外用，舒芬太尼镇痛，建立静脉通路，国际标准化比值1.1，安宫牛黄丸，罗红霉素，甘露醇，房颤，房间隔缺损，"
    "任脉通畅，向心性肥胖，时有头晕，项强，全麻下行支架植入，责任护士交班，申请医师签名，双下肢无水肿，肌张力正常。"
)


@pytest.mark.parametrize("name", NAMES_ZH)
@pytest.mark.parametrize(
    "note", ["经{}副主任医师会诊", "嘱{}按时服药", "与{}家属沟通", "{}，52岁，来诊", "诊断同前。{}记录"]
)
def test_a_chinese_name_is_found_without_a_label(name: str, note: str) -> None:
    text = note.format(name)
    at = text.index(name)
    spans = RulesDetector().find(text, "zh")
    assert any(s.type == "NAME" and s.start <= at and s.end >= at + len(name) for s in spans)


def test_chinese_prose_that_looks_like_names_is_left_alone() -> None:
    assert [PROSE_ZH[s.start : s.end] for s in RulesDetector().find(PROSE_ZH, "zh")] == []
