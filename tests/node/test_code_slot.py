"""A second process hands a running desk a code: good once, by its digest, through a folder of one's own."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hdex.node.code_slot import FOLDER, collect, post
from hdex.node.errors import KeyUnreadable
from hdex.node.identity import Identity
from hdex.node.sessions import CODE_LIFE, Sessions

WHO = Identity("spiffe://hdex.test/hospital/a/data_steward", "hospital", "a", "data_steward")


def now() -> datetime:
    return datetime.now(UTC)


def test_a_posted_code_signs_in_once(tmp_path: Path) -> None:
    code = post(tmp_path, now())
    sessions = Sessions(clock=now, denied=frozenset)
    for issued in collect(tmp_path, WHO, now()):
        sessions.admit(issued)
    assert sessions.redeem(code, "x").session.identity == WHO
    assert collect(tmp_path, WHO, now()) == []


def test_the_slot_holds_no_code_and_is_its_owner_s(tmp_path: Path) -> None:
    code = post(tmp_path, now())
    (path,) = (tmp_path / FOLDER).iterdir()
    assert code not in path.read_text()
    assert code.replace("-", "") not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / FOLDER).stat().st_mode & 0o777 == 0o700


def test_an_old_code_and_rubbish_are_taken_out_and_count_for_nothing(tmp_path: Path) -> None:
    post(tmp_path, now())
    for name, text in {"a": "[]", "b": "{", "c": '{"digest": 1}', "d": "[" * 5000, "e": '{"digest":"zz"}'}.items():
        (tmp_path / FOLDER / f"{name}.code").write_text(text)
    assert collect(tmp_path, WHO, now() + CODE_LIFE) == []
    assert list((tmp_path / FOLDER).iterdir()) == []


def test_no_slot_is_no_code(tmp_path: Path) -> None:
    assert collect(tmp_path, WHO, now()) == []


def test_a_new_code_clears_those_that_nobody_fetched(tmp_path: Path) -> None:
    post(tmp_path, now())
    post(tmp_path, now() + CODE_LIFE + timedelta(seconds=1))
    assert len(list((tmp_path / FOLDER).iterdir())) == 1


def test_a_slot_that_others_may_write_is_refused(tmp_path: Path) -> None:
    post(tmp_path, now())
    (tmp_path / FOLDER).chmod(0o777)
    with pytest.raises(KeyUnreadable):
        collect(tmp_path, WHO, now())
    with pytest.raises(KeyUnreadable):
        post(tmp_path, now())
