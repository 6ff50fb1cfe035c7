"""The conformance profile as a file: what it may say, and how it says no."""

from pathlib import Path

import pytest
from tests.journeys.dsp_stage import PROFILE
from tests.node.consortium import hdex, told

from hdex.catalog.contract import Party
from hdex.node.dsp.conformance import Reaction, load_profile
from hdex.node.errors import ConfigInvalid


def test_the_example_names_every_id_of_the_kits_properties() -> None:
    profile = load_profile(PROFILE)
    lines = PROFILE.with_name("tck.properties").read_text(encoding="utf-8").splitlines()
    asked = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    for key, value in asked.items():
        if key.endswith("_DATASETID") and "CN_C" not in key and key != "CAT_01_03_DATASETID":
            assert value in profile.datasets, key
        if key.endswith("_OFFERID"):
            dataset = asked[key.replace("OFFERID", "DATASETID")]
            assert value == f"CD123:{dataset}:456"  # the kit reads the data set out of it
            assert "CN_C" in key or [value] == profile.datasets[dataset]
        if key.endswith("_AGREEMENTID") and "TP_C" not in key:
            assert value in profile.agreements, key
    assert asked["CAT_01_03_DATASETID"] not in profile.datasets
    assert sum(key.endswith("_AGREEMENTID") for key in asked) == 32
    assert profile.reactions[Party.PROVIDER, "ATP0104"]["STARTED"] == [
        Reaction("suspend", 0.4),
        Reaction("complete", 0.4),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x", "not TOML"),
        ("delay = 1", "unknown key delay"),
        ("delay_s = -1", "0 to 60 seconds"),
        ("datasets = 3", "datasets must be a table"),
        ("[datasets]\nd = 'o'", "datasets.d must be a list"),
        ("[agreements]\na = 3", "agreements.a must be text"),
        ("[reactions.seller.d]\nREQUESTED = []", "reactions.seller"),
        ("[reactions.provider.d]\nASKED = []", "ASKED is no state"),
        ("[reactions.provider.d]\nREQUESTED = 'offer'", "must be a list"),
        ("[reactions.provider.d]\nREQUESTED = ['dance']", "a reaction is one of accept, agree"),
        ("[reactions.provider.d]\nREQUESTED = [{ do = 'offer', at = 3 }]", "a table with do and after_s"),
        ("page = 0", "page must be"),
    ],
)
def test_a_wrong_profile_says_where_and_what_is_known(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "profile.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigInvalid) as refused:
        load_profile(path)
    assert said in str(refused.value)
    assert str(path) in str(refused.value)


def test_the_command_says_so_without_a_traceback(tmp_path: Path) -> None:
    run = hdex("node", "dsp", "--conformance", tmp_path / "none.toml", "--port", "8080")
    assert run.returncode == 2
    assert "cannot be read" in told(run)
    assert "Traceback" not in run.stderr
