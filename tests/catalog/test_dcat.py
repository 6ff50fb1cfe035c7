"""A product as DCAT-AP: the mandatory properties of a Dataset, and no sensitive figure beyond the document."""

import json
from typing import cast

from tests.catalog.samples import federated_only, sample_product

from hdex.catalog.dcat import catalogue, dataset
from hdex.catalog.terms import Text

BASE = "https://exchange.hdex.test"


def test_a_dataset_has_what_dcat_ap_demands() -> None:
    rendered = dataset(sample_product(), base=BASE)
    assert rendered["@type"] == "dcat:Dataset"
    assert {"dct:title", "dct:description", "dct:publisher", "dcat:distribution", "dct:accessRights"} <= rendered.keys()
    assert rendered["dct:title"] == [
        {"@language": "en", "@value": "Carotid stents with one-year follow-up"},
        {"@language": "zh", "@value": "颈动脉支架一年随访数据"},
    ]
    assert rendered["hdex:manifestDigest"] == sample_product().digest()


def test_the_sealed_file_has_size_and_checksum_and_the_others_none() -> None:
    distributions = cast(list[dict[str, object]], dataset(sample_product(), base=BASE)["dcat:distribution"])
    assert ["spdx:checksum" in held for held in distributions] == [True, False, False, False]


def test_purposes_are_duo_iris() -> None:
    assert "http://purl.obolibrary.org/obo/DUO_0000007" in json.dumps(dataset(sample_product(), base=BASE))
    assert "urn:hdex:purpose:underwriting" in json.dumps(dataset(sample_product(), base=BASE))


def test_a_catalogue_holds_its_datasets_and_is_json() -> None:
    rendered = catalogue([sample_product(), federated_only()], base=BASE, title=Text("Catalogue", "目录"))
    assert len(cast(list[object], json.loads(json.dumps(rendered))["dcat:dataset"])) == 2
