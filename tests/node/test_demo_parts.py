"""The demo's own tools can be trusted: the search finds what is there, the oracle is right, the forger forges."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.federated.samples import FEATURES, TARGET, tables
from tests.ledger.evidence_story import save, seed, trust, usual_consortium

from hdex.ledger.bundle import read_evidence
from hdex.ledger.verify import verify_evidence
from hdex.node.demo import search
from hdex.node.demo.forgery import altered, changed_index, forge
from hdex.node.demo.oracle import pooled_fit
from hdex.node.demo.search import OVERLAP, PIECE, found_in_files, found_in_frame, found_in_texts, searchable

NAMES = ["张伟明", "Zoë Müller-Lüdenscheidt", "110101199003077715", "𠮷野家", 'O"Hara\\Smith', "+86 138 0013 8000"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "json", "json in json"])
def test_a_planted_identifier_is_found_however_a_file_writes_it(tmp_path: Path, name: str, encoding: str) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    text = f"harmless words before {name} and after 无害的文字"
    written = {
        "utf-8": text.encode(),
        "gb18030": text.encode("gb18030"),
        "json": json.dumps({"note": text}).encode(),
        "json in json": json.dumps({"note": text}, ensure_ascii=False).encode(),
    }[encoding]
    (tmp_path / "deep" / "er" / "file.bin").write_bytes(b"\x00\x01binary\x00" + written)
    assert found_in_files([tmp_path], searchable([name, "Nobody Else"]))


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("harmless 无害 " * 1000)
    (tmp_path / "empty").write_bytes(b"")
    assert found_in_files([tmp_path], searchable(NAMES)) == set()
    assert found_in_files([tmp_path / "absent"], searchable(NAMES)) == set()
    assert found_in_files([tmp_path], []) == set()


@pytest.mark.parametrize(("encoding", "is_found"), [("utf-8", True), ("gb18030", False)])
def test_a_name_of_four_bytes_is_looked_for_in_text_only(tmp_path: Path, encoding: str, is_found: bool) -> None:
    """Four bytes stand in some megabytes of ciphertext by chance; text of either encoding never says them by chance."""
    (tmp_path / "text").write_bytes("患者张伟已出院".encode(encoding))
    assert found_in_files([tmp_path], searchable(["张伟"])) == {"张伟"}
    (tmp_path / "text").write_bytes(b"\xff\x00" + "患者张伟已出院".encode(encoding))
    assert bool(found_in_files([tmp_path], searchable(["张伟"]))) is is_found


@pytest.mark.parametrize("before", [-30, -9, -1, 0, 5])
@pytest.mark.parametrize("name", ["110101199003077715", "张伟明"])
def test_an_identifier_across_the_border_of_two_pieces_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int, name: str
) -> None:
    monkeypatch.setattr(search, "PIECE", 4096)
    (tmp_path / "file").write_text("x" * (4096 + before) + " " + name + " " + "y" * 5000)
    assert found_in_files([tmp_path], searchable([name])) == {name}
    assert max(map(len, NAMES)) * 6 < OVERLAP
    assert PIECE > OVERLAP


@given(st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=60), st.sampled_from(["张伟明", "李四海"]))
@settings(max_examples=60)
def test_a_name_is_found_in_any_surroundings(around: str, name: str) -> None:
    assert name in found_in_texts([around + name + around], searchable([name, "王五"]))


def test_overlapping_identifiers_are_all_found() -> None:
    assert found_in_texts(["张伟明华"], searchable(["张伟明", "伟明华"])) == {"张伟明", "伟明华"}


def test_every_cell_of_a_frame_is_looked_at() -> None:
    frame = pl.DataFrame({"a": ["x", None], "b": ["y", "calls 13800138000 now"], "n": [1, 13800138001]})
    assert found_in_frame(frame, searchable(["13800138000", "13800138001"])) == {"13800138000", "13800138001"}


def test_what_is_too_short_to_mean_anything_is_not_looked_for() -> None:
    assert searchable(["Li", "abc", "张", ""]) == []
    assert "张三" in searchable(["张三"])


# ---- the pooled fit --------------------------------------------------------------------------------------------------


def test_the_oracle_equals_statsmodels() -> None:
    from statsmodels.api import Logit

    frames = list(tables().values())
    fit = pooled_fit(frames, TARGET, list(FEATURES))
    rows = pl.concat(frames)
    x = rows.select(FEATURES).to_numpy()
    design = np.column_stack([np.ones(rows.height), (x - x.mean(axis=0)) / x.std(axis=0)])
    reference = Logit(rows[TARGET].to_numpy(), design).fit(disp=False, tol=1e-13, maxiter=100)
    assert np.abs(fit.estimates - reference.params).max() < 1e-10
    assert np.abs(fit.errors - reference.bse).max() < 1e-8
    ratio, low, high = fit.odds("age")
    interval = np.exp(reference.conf_int()[1])
    assert ratio == pytest.approx(np.exp(reference.params[1]))
    assert (low, high) == pytest.approx(tuple(interval))


def test_the_oracle_leaves_out_incomplete_rows() -> None:
    frames = list(tables().values())
    missing = pl.when(pl.int_range(pl.len()) < 5).then(None).otherwise(pl.col("age")).alias("age")
    holes = [frame.with_columns(missing) for frame in frames]
    whole = [frame[5:] for frame in frames]
    given_holes, given_whole = (pooled_fit(f, TARGET, list(FEATURES)) for f in (holes, whole))
    assert np.allclose(given_holes.estimates, given_whole.estimates, atol=1e-12)


# ---- the forger ------------------------------------------------------------------------------------------------------


def test_a_forged_log_agrees_with_itself_and_is_found_at_the_entry_that_was_changed(tmp_path: Path) -> None:
    honest = save(tmp_path / "honest.zip", usual_consortium().evidence())
    index = forge(honest, tmp_path / "forged.zip", node="hospital-b", log_key=seed("log hospital-b"))
    assert verify_evidence(honest, trust()).verified
    report = verify_evidence(tmp_path / "forged.zip", trust())
    assert not report.verified
    assert report.first_offence is not None
    assert report.first_offence["index"] == index
    assert str(report.first_offence["contradicted_by"])
    before, after = read_evidence(honest), read_evidence(tmp_path / "forged.zip")
    for old, new in zip(before.logs, after.logs, strict=True):
        changed = [n for n, (a, b) in enumerate(zip(old.entries, new.entries, strict=True)) if a != b]
        assert changed == ([index] if old.node == "hospital-b" else [])


def test_the_forger_goes_for_the_first_export(tmp_path: Path) -> None:
    log = read_evidence(save(tmp_path / "e.zip", usual_consortium().evidence())).logs[0]
    index = changed_index(log)
    assert json.loads(log.entries[index])["action"] == "export"
    assert index == min(n for n, entry in enumerate(log.entries) if json.loads(entry)["action"] == "export")
    assert json.loads(altered(log.entries[index]))["rows"] == json.loads(log.entries[index]).get("rows", 0) + 1
