"""CSV of any dialect becomes the same table of text, or an error that names file and line."""

import csv
import gzip
import io
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hdex.deid.errors import ContentRefused
from hdex.node.sources import (
    Limits,
    Override,
    OverrideInvalid,
    SourceBroken,
    SourceError,
    SourceUnknown,
    dates,
    read_export,
    sniff,
)
from hdex.node.sources.dates import parse_date, parse_datetime

SHARED = Path(__file__).resolve().parents[2].parent / "shared/data"
DATE_FORMS = {
    "YYYY-MM-DD": "%Y-%m-%d",
    "MM/DD/YYYY": "%m/%d/%Y",
    "DD.MM.YYYY": "%d.%m.%Y",
    "DD/MM/YYYY": "%d/%m/%Y",
    "YYYY年MM月DD日": "%Y年%m月%d日",
    "DD-Mon-YYYY": "%d-%b-%Y",
    "YYYYMMDD": "%Y%m%d",
}
WORDS = st.text(alphabet="abcXYZ 张伟李娜éö,;|\t\"'\n", max_size=12).map(str.strip)


def write(
    path: Path, rows: list[list[str]], *, delimiter: str = ",", encoding: str = "utf-8", quote: str = '"'
) -> Path:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, quotechar=quote, lineterminator="\r\n").writerows(rows)
    path.write_bytes(text.getvalue().encode(encoding))
    return path


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    days=st.lists(st.dates(date(1930, 1, 1), date(2029, 12, 31)), min_size=1, max_size=30),
    notes=st.lists(WORDS, min_size=30, max_size=30),
    amounts=st.lists(st.integers(-99999, 99999), min_size=30, max_size=30),
    delimiter=st.sampled_from(",;\t|^~"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "gb18030"]),
    quote=st.sampled_from("\"'"),
    form=st.sampled_from(sorted(DATE_FORMS)),
    packed=st.booleans(),
)
def test_any_dialect_gives_the_same_typed_table(  # one parameter per trait of a dialect
    *,
    tmp_path: Path,
    days: list[date],
    notes: list[str],
    amounts: list[int],
    delimiter: str,
    encoding: str,
    quote: str,
    form: str,
    packed: bool,
) -> None:
    days = [*days, date(2024, 11, 30), date(1999, 2, 23)]  # two days that tell day from month
    other = "'" if quote == '"' else '"'  # a field that opens with the other quote could be read both ways
    notes = [note.replace(other, "") for note in notes]
    decimal = "," if delimiter != "," else "."
    rows = [["编号", "birth date", "note", "amount"]]
    expected_notes = []
    for index, day in enumerate(days):
        amount = f"{amounts[index % 30] / 100:.2f}".replace(".", decimal)
        rows.append([f"p{index}", day.strftime(DATE_FORMS[form]), notes[index % 30], amount])
        expected_notes.append(notes[index % 30])
    path = write(tmp_path / "patients.csv", rows, delimiter=delimiter, encoding=encoding, quote=quote)
    if packed:
        path.rename(tmp_path / "plain")
        path = tmp_path / "patients.csv.gz"
        path.write_bytes(gzip.compress((tmp_path / "plain").read_bytes()))

    table = read_export(path).tables["patients"]

    assert table.columns == ["编号", "birth date", "note", "amount"]
    assert table.dialect.delimiter == delimiter
    pattern = table.dialect.date_pattern("birth date")
    assert pattern == form
    assert table.frame.select(parse_date(pl.col("birth date"), pattern)).to_series().to_list() == days
    read_notes = ["" if note is None else note for note in table.frame["note"]]
    assert [note.replace("\r", "") for note in read_notes] == expected_notes
    assert table.dialect.decimal == decimal
    path.unlink()


@pytest.mark.parametrize(
    ("text", "pattern", "moment"),
    [
        ("2024年3月5日 14时30分", "YYYY年MM月DD日", datetime(2024, 3, 5, 14, 30)),
        ("3/5/2024 2:30 PM", "MM/DD/YYYY HH:MM", datetime(2024, 3, 5, 14, 30)),
        ("3/5/2024 12:05 AM", "MM/DD/YYYY HH:MM", datetime(2024, 3, 5, 0, 5)),
        ("2024-03-05T14:30:00+08:00", "YYYY-MM-DD", datetime(2024, 3, 5, 14, 30)),
        ("5. März 2024", "DD-Mon-YYYY", datetime(2024, 3, 5)),
        ("March 5, 2024", "Mon DD, YYYY", datetime(2024, 3, 5)),
        ("20240305143000", "YYYYMMDD", datetime(2024, 3, 5, 14, 30)),
        ("2024-02-30", "YYYY-MM-DD", None),
        ("soon", "YYYY-MM-DD", None),
    ],
)
def test_a_date_is_read_as_it_was_meant(text: str, pattern: str, moment: datetime | None) -> None:
    assert pl.select(parse_datetime(pl.lit(text), pattern)).item() == moment


@pytest.mark.parametrize(
    ("content", "line", "why"),
    [
        (b"", None, "empty"),
        (b"\n\n  \n"[:2], None, "blank"),
        (b"id,name\n1,a\n2\n3,c\n", 3, "1 fields where the first record has 2"),
        (b"id,name\n1,a\n2,b,c\n", 3, "3 fields"),
        (b'id,name\n1,"a\n2,b\n3,c\n', 2, "never closed"),
        (b'id,name\n1,"a"\n2,"b"x\n', 3, "quote"),
        (b"id,name\n1,a\n2,b\x00c\n", 3, "NUL"),
        (b"\xef\xbb\xbfid,name\n1,\xff\xfe\n", 2, "not utf-8"),
    ],
)
def test_a_damaged_file_is_refused_with_its_line(tmp_path: Path, content: bytes, line: int | None, why: str) -> None:
    (tmp_path / "visits.csv").write_bytes(content)
    with pytest.raises(SourceBroken, match=why) as caught:
        read_export(tmp_path)
    assert (caught.value.file, caught.value.line) == ("visits.csv", line)


def test_a_line_inside_a_quoted_field_keeps_the_count_of_lines_true(tmp_path: Path) -> None:
    (tmp_path / "n.csv").write_text('id,note\n1,"two\nlines"\n\n2,b\n3\n')
    with pytest.raises(SourceBroken, match="line 6"):
        read_export(tmp_path)
    (tmp_path / "n.csv").write_text('id,note\n1,"two\nlines"\n\n2,b\n')
    assert read_export(tmp_path).tables["n"].frame["_row"].to_list() == [2, 5]


def test_a_cut_gzip_and_a_bomb_are_refused(tmp_path: Path) -> None:
    whole = gzip.compress(b"id,name\n" + b"1,a\n" * 10_000)
    (tmp_path / "a.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceBroken, match="cut off"):
        read_export(tmp_path)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"0" * (1 << 20)))
    with pytest.raises(SourceBroken, match="times its size"):
        read_export(tmp_path, limits=Limits(ratio_from=1 << 16))
    with pytest.raises(SourceBroken, match="unpacks to more"):
        read_export(tmp_path, limits=Limits(max_bytes=1 << 16))


def test_a_file_without_a_header_is_refused_until_a_person_names_its_columns(tmp_path: Path) -> None:
    (tmp_path / "heart.data").write_text("63.0,1.0,145\n67.0,1.0,?\n")
    with pytest.raises(SourceUnknown, match="header"):
        read_export(tmp_path)
    (tmp_path / "dialect.toml").write_text('[heart]\nheader = ["age", "sex", "trestbps"]\n')
    table = read_export(tmp_path).tables["heart"]
    assert table.columns == ["age", "sex", "trestbps"]
    assert table.frame["trestbps"].to_list() == ["145", None]
    assert table.dialect.nulls == ("?",)


def test_what_a_person_states_goes_before_what_is_sniffed(tmp_path: Path) -> None:
    (tmp_path / "v.csv").write_text("id;day;name\n1;05/04/2024;a\n2;06/07/2024;b\n")
    export = read_export(tmp_path)
    assert export.tables["v"].dialect.ambiguous == ("day",)
    assert "day from month" in export.warnings[0]
    stated = read_export(tmp_path, overrides={"v": Override(dates=(("day", "DD/MM/YYYY"),), nulls=("a",))})
    assert stated.tables["v"].dialect.date_pattern("day") == "DD/MM/YYYY"
    assert stated.tables["v"].frame["name"].to_list() == [None, "b"]
    assert not stated.warnings


@pytest.mark.parametrize("text", ["[v]\ncolour = 1\n", "[w]\nquote = ''\n", "[v]\ndates = {day = 'DDMM'}\n"])
def test_a_bad_dialect_file_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "v.csv").write_text("id;day\na;b\n")
    (tmp_path / "dialect.toml").write_text(text)
    with pytest.raises(OverrideInvalid):
        read_export(tmp_path)


def test_a_folder_with_nothing_or_with_a_foreign_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceUnknown, match="no file"):
        read_export(tmp_path)
    (tmp_path / "a.csv").write_text("id,name\n1,x\n")
    (tmp_path / "scan.pdf").write_bytes(b"%PDF")
    with pytest.raises(SourceUnknown, match=r"scan\.pdf"):
        read_export(tmp_path)


def test_latin_letters_are_not_taken_for_chinese(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_bytes("name;ort\nRené;Zürich\nJörg;Köln\nChloé;Orléans\n".encode("cp1252"))
    table = read_export(tmp_path).tables["p"]
    assert table.dialect.encoding == "cp1252"
    assert table.frame["ort"].to_list() == ["Zürich", "Köln", "Orléans"]


@pytest.mark.parametrize("hospital", ["hospital_a", "hospital_b"])
def test_the_shared_csv_exports_are_read_whole(hospital: str) -> None:
    folder = SHARED / "hospitals_csv" / hospital
    if not folder.exists():
        pytest.skip("../shared/data is absent")
    export = read_export(folder)
    assert len(export.tables) == 13
    rows = {"hospital_a": 250_689, "hospital_b": 313_241}[hospital]
    assert export.tables["observations"].frame.height == rows
    order = {"hospital_a": "YYYY-MM-DD", "hospital_b": "MM/DD/YYYY"}[hospital]
    assert all(p.startswith(order) for t in export.tables.values() for _, p in t.dialect.dates)


@pytest.mark.parametrize(
    "content",
    [
        b"id,name\n1,Secretname\n2,Secretname,x\n",
        b'id,name\n1,"Secretname\n',
        b"id,name\n1,Secretname\xff\n" + "\n".join(f"{n},张伟" for n in range(40)).encode() + b"\n",
        b"Secretname,12\nSecretname,13\n",
    ],
)
def test_no_error_tells_a_value(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "v.csv").write_bytes(content)
    with pytest.raises((SourceBroken, SourceUnknown)) as caught:
        read_export(tmp_path)
    error: BaseException | None = caught.value
    while error is not None:
        assert "Secretname" not in f"{error}"
        error = error.__cause__


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.one_of(
        st.binary(max_size=300),
        st.text(alphabet="ab1,;|\t\"'\n\r.-/2024年é\x00{}[]:", max_size=200).map(str.encode),
        st.text(alphabet='ab1,;\n"张', max_size=200).map(lambda text: text.encode("utf-16")),
    ),
    name=st.sampled_from(["a.csv", "a.csv.gz", "a.ndjson", "a.json", "a.parquet"]),
)
def test_whatever_a_file_holds_it_is_read_or_refused(tmp_path: Path, content: bytes, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    try:
        export = read_export(path)
    except (SourceError, ContentRefused):
        return
    finally:
        path.unlink()
    assert all(set(table.frame.columns) >= {"_file", "_row"} for table in export.tables.values())


CELLS = st.sampled_from(
    [None, "NA", " NA ", "-", "1,5", "1,234", "12.5", "7", "2024-01-31", "31.12.2023", "1/2/2020", "Ä"]
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=6))
def test_a_column_is_told_alike_alone_and_among_others(columns: list[list[str | None]]) -> None:
    frame = pl.DataFrame({f"c{n}": pl.Series(cells, dtype=pl.String) for n, cells in enumerate(columns)})
    alone = [frame.select(name) for name in frame.columns]
    assert set(sniff.null_words(frame)) == {word for one in alone for word in sniff.null_words(one)}
    assert sniff.decimal_mark(frame) == ("," if "," in map(sniff.decimal_mark, alone) else ".")
    dated = [one.columns[0] for one in alone if dates.recognise(one.to_series()) is not None]
    assert [name for name, _ in sniff.date_columns(frame)[0]] == dated


def test_a_table_of_two_thousand_columns_is_read(tmp_path: Path) -> None:
    width = 2_000
    row = ["2024-02-29", "NA", "1,5", *["x"] * (width - 3)]
    write(tmp_path / "wide.csv", [[f"c{n}" for n in range(width)], row], delimiter=";")
    table = read_export(tmp_path).tables["wide"]
    found = (len(table.columns), table.dialect.dates, table.dialect.nulls, table.dialect.decimal)
    assert found == (width, (("c0", "YYYY-MM-DD"),), ("NA",), ",")


def test_a_table_without_a_cell_has_no_dialect_to_tell() -> None:
    for frame in (pl.DataFrame(), pl.DataFrame({"a": []}, schema={"a": pl.String})):
        assert sniff.null_words(frame) == ()
        assert sniff.decimal_mark(frame) == "."
        assert sniff.date_columns(frame) == ((), ())
