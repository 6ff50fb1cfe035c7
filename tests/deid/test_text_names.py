"""Chinese names in running text: found bare, in lists, before and after verbs; prose that begins like one stays."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdex.deid.detector_rules import RulesDetector
from hdex.deid.names_zh import find_names

FOUND = [
    ("李小平因发热来诊,予口服药物。", ["李小平"]),
    ("今日查房:周全夜间安静,切口干燥。", ["周全"]),
    ("经欧阳国庆副主任医师与万中主治医师讨论决定手术。", ["欧阳国庆", "万中"]),
    ("手术者:陈金水、白大川;麻醉者:田甜;清点无误。", ["陈金水", "白大川", "田甜"]),
    ("责任护士马来春向高永安宣教低盐饮食。", ["马来春", "高永安"]),
    ("患方代表方正,医方代表司马光,于医务科签字。", ["方正", "司马光"]),
    ("患者与石天明系夫妻,已建议检测。", ["石天明"]),
    ("诊断医师 党卫国  复核 车晓", ["党卫国", "车晓"]),
    ("改拨其女温馨怡的手机,告知病理结果。", ["温馨怡"]),
    ("尊敬的成主任:感谢您的来信。", ["成"]),
]
PROSE = [
    "既往高血压、高脂血症,无黄疸,白细胞计数正常,常规消毒,余无殊。",
    "石膏固定左前臂,方案同前,周围神经检查未见异常,金黄色葡萄球菌培养阳性。",
    "任何不适应及时告知,何时出院视恢复情况而定,时常咳嗽,安全第一。",
    "党参、黄芪、白术、熟地黄、麦冬、石斛、牛膝、杜仲、苏叶、柏子仁各10g,水煎服。",
    "巴宾斯基征未引出,布鲁津斯基征阴性,龙贝格征阴性,韦氏分级、卡氏评分已记录。",
    "雷贝拉唑、兰索拉唑护胃,万古霉素、莫西沙星抗感染,华法林减量,甘露醇脱水。",
    "主管医师汇报病史,上级医师同意,护士常规巡视,家属满意,医师方可更改医嘱。",
    "江苏某公司产品,温水擦浴,曾因急性胰腺炎于当地医院治疗,要求转上级医院。",
]


@pytest.mark.parametrize(("text", "names"), FOUND)
def test_a_name_is_found_where_it_stands(text: str, names: list[str]) -> None:
    assert [text[start:end] for start, end in find_names(text)] == names


@pytest.mark.parametrize("text", PROSE)
def test_prose_with_characters_of_surnames_stays_whole(text: str) -> None:
    assert RulesDetector().find(text, "zh") == []


def test_a_name_once_found_is_found_again_where_nothing_speaks_for_it() -> None:
    told, alone = "患者段飞,男,34岁。", "所报段飞已处理"
    assert [(told + alone)[s:e] for s, e in find_names(told + alone)] == ["段飞", "段飞"]
    assert find_names(alone) == []


def test_a_list_carries_over_to_a_member_that_would_not_be_found_alone() -> None:
    assert find_names("备注,方中,其余") == []
    assert len(find_names("参会:王建国、方中,其余")) == 2


def test_an_unnamed_hospital_stays_and_a_named_one_goes() -> None:
    text = "由当地医院转入长沙市第三医院,后致【华西第二医院】医务科。"
    found = [text[s.start : s.end] for s in RulesDetector().find(text, "zh") if s.type == "ORGANISATION"]
    assert found == ["长沙市第三医院", "华西第二医院"]


def test_a_surname_alone_is_found_after_the_word_for_it() -> None:
    text = "患者姓樊,名不详;老百姓,贵姓。"
    assert [text[s.start : s.end] for s in RulesDetector().find(text, "zh")] == ["樊"]


CHARACTERS = "王李欧阳万白方时于小平大国芳、,:。 \n患者护士和由诉查房女5a(男)"


@settings(max_examples=200, deadline=None)
@given(st.text(CHARACTERS, max_size=60))
def test_spans_are_sorted_apart_and_hold_han_characters_only(text: str) -> None:
    end = 0
    for start, stop in find_names(text):
        assert end <= start < stop <= len(text)
        assert all("\u3400" <= char <= "\u9fff" for char in text[start:stop])
        end = stop


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from("王李张刘陈杨赵吴周徐孙朱林"),
    st.text("伟芳娜敏静丽强磊勇艳杰娟涛霞桂兰玉萍辉玲", min_size=1, max_size=2),
    st.sampled_from(["患者{},男,50岁。", "家属{}签字。", "由{}陪同入院。", "{}诉头痛。", "主任医师 {} ", "问{}得知"]),
)
def test_an_everyday_name_is_found_whole_in_every_frame(family: str, given_name: str, frame: str) -> None:
    text = frame.format(family + given_name)
    start = text.index(family)
    assert any(s <= start and e >= start + 1 + len(given_name) for s, e in find_names(text))
