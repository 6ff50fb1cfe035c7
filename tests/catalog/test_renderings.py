"""Each rendering is what its readers demand: shapes, schemas and the Croissant validator, over kinds of products."""

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.catalog.samples import complete_product, federated_only, sample_product
from typer.testing import CliRunner

from hdex.catalog.croissant import croissant
from hdex.catalog.dcat import catalogue, dataset
from hdex.catalog.documents import Json
from hdex.catalog.dsp import dataset_id, dsp_dataset
from hdex.catalog.errors import ProductInvalid
from hdex.catalog.healthdcat import health_dataset
from hdex.catalog.product import DataProduct
from hdex.catalog.terms import Text
from hdex.catalog.web.sheet import evidence_pack, sheet, synthetic_csv
from hdex.node.cli.main import app
from hdex.node.errors import ConfigInvalid

BASE = "https://exchange.hdex.test"
SHAPES = Path(__file__).parent / "shapes" / "healthdcat-mandatory.ttl"
STANDARDS = Path(__file__).resolve().parents[2].parent / "shared/data/standards"
needs_standards = pytest.mark.skipif(not STANDARDS.is_dir(), reason="../shared/data is absent")
PRODUCTS = {
    "a file": complete_product(),
    "level 5": complete_product(federated_only()),
    "without sample": complete_product(replace(sample_product(), preview=federated_only().preview)),
}


@pytest.fixture(params=list(PRODUCTS))
def product(request: pytest.FixtureRequest) -> DataProduct:
    return PRODUCTS[request.param]


def violations(rendered: Json, *shapes: Path) -> str:
    """Return what SHACL says of a JSON-LD document, "" where it conforms."""
    pyshacl, rdflib = pytest.importorskip("pyshacl"), pytest.importorskip("rdflib")
    data, wanted = rdflib.Graph(), rdflib.Graph()
    data.parse(data=json.dumps(rendered), format="json-ld")
    for path in shapes:
        wanted.parse(path, format="turtle")
    conforms, _, told = pyshacl.validate(data, shacl_graph=wanted, inference="none", advanced=False)
    return "" if conforms else str(told)


def test_health_dcat_has_everything_on_the_mandatory_list(product: DataProduct) -> None:
    assert violations(health_dataset(product, base=BASE), SHAPES) == ""


MANDATORY = [
    *("dct:identifier", "dct:publisher", "dcat:contactPoint", "adms:sample", "dct:provenance", "dct:spatial"),
    *("dct:type", "dcat:theme", "dcatap:applicableLegislation", "dpv:hasPurpose", "healthdcatap:hdab"),
    *("healthdcatap:healthCategory", "healthdcatap:healthTheme", "dcat:distribution", "dcat:keyword"),
]


def test_our_shapes_notice_each_absence() -> None:
    whole = health_dataset(PRODUCTS["a file"], base=BASE)
    for name in MANDATORY:
        assert violations({key: value for key, value in whole.items() if key != name}, SHAPES), name


@needs_standards
@pytest.mark.parametrize(
    "name", ["healthdcat-ap_sensitive-shape.ttl", "html_shacl_shapes.ttl", "shacl_dcat-ap-SHACL.ttl"]
)
def test_health_dcat_meets_the_published_shapes(product: DataProduct, name: str) -> None:
    assert violations(health_dataset(product, base=BASE), STANDARDS / "shacl" / name) == ""


@needs_standards
@pytest.mark.parametrize("name", ["html_shacl_shapes.ttl", "html_shacl_range.ttl", "shacl_dcat-ap-SHACL.ttl"])
def test_plain_dcat_ap_meets_the_published_shapes(name: str) -> None:
    for rendered in (
        dataset(sample_product(), base=BASE),
        catalogue([sample_product(), federated_only()], base=BASE, title=Text("Catalogue", "目录")),
    ):
        assert violations(rendered, STANDARDS / "shacl" / name) == ""


def test_what_health_dcat_asks_and_the_record_does_not_say_is_named() -> None:
    with pytest.raises(ProductInvalid, match=r"publisher, access_body, health"):
        health_dataset(sample_product(), base=BASE)
    with pytest.raises(ProductInvalid, match="keywords"):
        health_dataset(replace(PRODUCTS["a file"], keywords=()), base=BASE)


def test_the_protocols_dataset_names_this_version_and_its_terms(product: DataProduct) -> None:
    rendered: Any = dsp_dataset(product, base=BASE)
    assert rendered["@id"] == dataset_id(product) == f"urn:hdex:product:{product.id}:{product.version}"
    (offer,) = rendered["hasPolicy"]
    assert offer["@id"].endswith(product.digest())
    assert "target" not in offer
    assert [one["format"].split("-")[0].removeprefix("hdex:") for one in rendered["distribution"]] == [
        mode.value for mode in product.delivery_modes
    ]
    asked = [
        value for one in offer["prohibition"] for held in one.get("constraint", ()) for value in held["rightOperand"]
    ]
    assert {"@id": "urn:hdex:purpose:re-identification"} in asked


@needs_standards
def test_the_protocols_dataset_fits_its_schema(product: DataProduct) -> None:
    jsonschema, referencing = pytest.importorskip("jsonschema"), pytest.importorskip("referencing")
    schemas = [json.loads(path.read_text()) for path in (STANDARDS / "dsp-schemas").rglob("*-schema.json")]
    registry = referencing.Registry().with_resources(
        (one["$id"], referencing.Resource.from_contents(one)) for one in schemas
    )
    (schema,) = (one for one in schemas if one["$id"].endswith("/dataset-schema.json"))
    validator = jsonschema.Draft201909Validator(schema, registry=registry)
    assert [error.message for error in validator.iter_errors(dsp_dataset(product, base=BASE))] == []
    assert not validator.is_valid(dsp_dataset(product, base=BASE) | {"hasPolicy": []})


def test_croissant_passes_its_validator(product: DataProduct) -> None:
    mlc = pytest.importorskip("mlcroissant")
    found = mlc.Dataset(jsonld=croissant(product, base=BASE))
    issues = found.metadata.ctx.issues
    assert list(issues.errors) == []
    names = [one.name for one in found.metadata.record_sets]
    assert names == [
        *(["records"] if product.release else []),
        *(["synthetic-sample"] if product.preview.rows else []),
    ]


def test_the_croissant_sample_reads_as_marked_rows() -> None:
    mlc = pytest.importorskip("mlcroissant")
    product = PRODUCTS["a file"]
    rows = list(mlc.Dataset(jsonld=croissant(product, base=BASE)).records("synthetic-sample"))
    assert len(rows) == len(product.preview.rows)
    assert all(row["synthetic-sample/synthetic"] is True for row in rows)


def test_no_rendering_says_more_than_the_record() -> None:
    """Of level 5 nothing but what the manifest tells: no rows, no counts beyond the banded ones."""
    product = PRODUCTS["level 5"]
    told = json.dumps([croissant(product, base=BASE), health_dataset(product, base=BASE)])
    assert "synthetic-sample" not in told
    assert '"cr:FileObject"' not in told


SCRIPT = "<script>alert(1)</script>"


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_sheet_is_one_file_that_asks_nothing_of_the_network(product: DataProduct, lang: str) -> None:
    page = sheet(product, lang)
    assert product.title.say(lang) in page
    assert product.digest() in page
    assert "<script" not in page
    assert " src=" not in page
    assert "<link" not in page
    assert f'lang="{"zh-Hans" if lang == "zh" else "en"}"' in page
    assert f"<td>{'保留' if lang == 'zh' else 'kept'}</td>" in page


def test_a_strangers_text_is_text_in_the_sheet() -> None:
    evil = replace(PRODUCTS["a file"], title=Text(SCRIPT, SCRIPT), keywords=(SCRIPT,), description=Text(SCRIPT, SCRIPT))
    assert SCRIPT not in sheet(evil, "en")
    assert "&lt;script&gt;" in sheet(evil, "en")


def test_the_evidence_pack_is_whole_and_the_same_again(product: DataProduct) -> None:
    envelope = {"document": product.document(), "signatures": []}
    packed = evidence_pack(product, envelope, base=BASE)
    assert packed == evidence_pack(product, envelope, base=BASE)
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        held = {name.rpartition("/")[2]: archive.read(name).decode() for name in archive.namelist()}
    wanted = {"manifest.json", "sheet.en.html", "sheet.zh.html", "dcat.jsonld", "healthdcat.jsonld", "dsp.json"}
    assert set(held) == wanted | {"croissant.json", "quality.json", "synthetic.csv"}
    assert DataProduct.from_document(json.loads(held["manifest.json"])["document"]) == product


def test_a_cell_that_a_spreadsheet_would_run_is_text_in_the_sample() -> None:
    product = PRODUCTS["a file"]
    rows = ({**product.preview.rows[0], "sex": "=1+1", "@SUM(A1)": "＝1"},)
    told = synthetic_csv(replace(product, preview=replace(product.preview, rows=rows))).decode("utf-8-sig")
    assert "'=1+1" in told
    assert told.splitlines()[0].endswith(",'@SUM(A1)")
    assert told.splitlines()[1].endswith(",'＝1")
    assert told.splitlines()[0].startswith("synthetic,")


def test_a_record_that_lacks_what_health_dcat_asks_says_so_in_the_pack() -> None:
    packed = evidence_pack(sample_product(), {}, base=BASE)
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("healthdcat.missing.txt"))
        assert "publisher, access_body, health" in archive.read(name).decode()


@pytest.mark.parametrize("form", ["healthdcat", "dcat", "dsp", "croissant", "sheet"])
def test_the_command_line_renders_each_form(form: str, tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text(json.dumps({"document": PRODUCTS["a file"].document(), "signatures": []}))
    ended = CliRunner().invoke(app, ["catalog", "export", str(tmp_path / "m.json"), "--format", form])
    assert ended.exit_code == 0, ended.output
    assert ended.stdout.startswith("<!doctype html>" if form == "sheet" else "{")
    again = CliRunner().invoke(app, ["catalog", "export", str(tmp_path / "m.json"), "--format", "pack"])
    assert again.exit_code == 2


def test_the_command_line_reads_what_a_buyer_was_shown_and_notices_a_change(tmp_path: Path) -> None:
    shown = {"digest": PRODUCTS["a file"].digest(), **PRODUCTS["a file"].document()}
    (tmp_path / "m.json").write_text(json.dumps(shown))
    ended = CliRunner().invoke(app, ["catalog", "check", str(tmp_path / "m.json")])
    assert ended.exit_code == 0, ended.output
    (tmp_path / "m.json").write_text(json.dumps(shown | {"title": {"en": "Other", "zh": "其他"}}))
    with pytest.raises(ConfigInvalid, match="does not have the digest that it names"):
        CliRunner().invoke(app, ["catalog", "check", str(tmp_path / "m.json")], catch_exceptions=False)
