"""Recognisers for Chinese clinical text. `\\b` never holds between Han characters: every edge is a lookaround."""

# ruff: noqa: E501  # a pattern is read on one line
from __future__ import annotations

import re

from hdex.deid.identifiers import bank_card_valid, resident_id_15_valid
from hdex.deid.names_zh import find_names
from hdex.deid.outline import Needs
from hdex.deid.rules import Rule
from hdex.deid.scheme import load_gazetteer

_HAN = r"[\u3400-\u9fff]"
_GAP = r"[-\s]{0,2}"
_DIGITS = "〇零一二三四五六七八九"
_SURNAME = (
    "(?:欧阳|上官|司马|诸葛|东方|皇甫|尉迟|公孙|慕容|司徒|夏侯|端木|令狐|长孙|宇文|呼延|轩辕|南宫|独孤|西门|"
    + "["
    + "".join(sorted(s for s in load_gazetteer()["surnames_zh"] if len(s) == 1))
    + "])"
)
_SPACED = (
    "(?:"
    + _SURNAME
    + "|"
    + "|".join(sorted("[ \\t]".join(s) for s in load_gazetteer()["surnames_zh"] if len(s) == 2))
    + ")"
)
# Rules of names are tried only where a surname may begin: a set of hundreds of characters is slow inside a pattern.
_FIRST = frozenset(surname[0] for surname in load_gazetteer()["surnames_zh"])
# Surnames that are also everyday words stand only behind a label, never before a title.
_COMMON = "(?:欧阳|上官|司马|诸葛|皇甫|尉迟|公孙|慕容|司徒|夏侯|端木|令狐|宇文|轩辕|[常程覃向王李张刘陈杨黄赵吴周徐孙马朱胡郭何林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘蒋蔡余杜叶苏魏吕丁沈姚卢姜崔钟谭陆汪石廖贾夏韦付邹孟熊秦邱江尹薛闫段雷侯龙陶黎贺顾毛郝龚邵钱严武戴莫孔汤牛樊葛邢齐易乔伍庞颜倪庄聂鲁岳翟殷詹申耿焦俞柳甘祝尚舒阮柯纪梅童凌季裴霍苗谷冉骆路靳柴鲍喻祁蒲滕屈艾高于方白任范金万史])"
_TITLE = "副主任|护士长|先生|女士|小姐|医生|医师|主任|教授|护士|大夫|同志|老师|阿姨|大爷|大娘|老人|院长|博士|主治|药师|技师|护师|某某|某(?=[，。、；：,;\\s）)]|$)"
_AFTER = "(?=$|[^\\u3400-\\u9fff]|男|女|因|于|主诉|今|为|系|年龄|现|的|在|入|来|已|与|及|和|患|自|既往|出生|电话|身份|住|被|经|行|术|拟|诉|无|有|查|签|等|同|称|说|陪|告|要求|联系|家属|向)"
_PROVINCE = (
    "北京|天津|上海|重庆|河北|山西|辽宁|吉林|黑龙江|江苏|浙江|安徽|福建|江西|山东|河南|湖北|湖南|广东|海南|四川|贵州|云南|陕西|甘肃|青海"
    "|台湾|内蒙古|广西|西藏|宁夏|新疆|香港|澳门"
)
_CITY = (
    "广州|深圳|杭州|南京|苏州|武汉|成都|西安|郑州|长沙|青岛|济南|大连|沈阳|哈尔滨|长春|石家庄|太原|合肥|福州|厦门|南昌|昆明|贵阳|南宁|海口|兰州"
    "|西宁|银川|乌鲁木齐|拉萨|呼和浩特|宁波|温州|无锡|常州|徐州|东莞|佛山|珠海|烟台|洛阳|唐山|保定|扬州|南通|绍兴|嘉兴|金华|台州|泉州|潍坊|临沂"
)
_PART = f"(?:{_HAN}{{1,8}}?(?:自治区|自治州|自治县|特别行政区|新区|开发区|街道|大道|胡同|小区|花园|新村|社区|公寓|省|市|区|县|州|盟|旗|镇|乡|村|路|街|巷|弄|苑|里|屯|庄))"
_NUMBER = r"(?:[A-Za-z]?[\d一二三四五六七八九十]+(?:-\d+)*(?:号楼|号院|单元|号|弄|栋|幢|座|楼|层|室|组|队|户|巷)[A-Za-z]?(?:-\d+)?)"
_DOOR = rf"(?:{_NUMBER}{{1,6}}(?:(?<=[元栋幢座楼层])\d{{1,5}}(?![\d年月日岁]))?)?"
_HOME_LABELS = ("住址", "地址", "户籍", "家住", "住在", "居住于", "居住地", "籍贯", "来自", "出生地", "工作单位")
_STAFF = "医师|医生|主刀|术者|助手|一助|二助|三助|护士|护师|主任|药师|技师|检查者|检验者|报告者|审核者|记录者|操作者|签名|签字"
_SOME_HOSPITAL = re.compile(
    "(?:当地|上级|下级|本地|外地|附近|就近|基层|[外我本他该贵某]|[一二三][级甲])医院$|^(?:社区|综合|专科|定点|儿童|妇产)医院$"
)
_ID_LABEL = (
    "住院号|门诊号|病案号|病历号|登记号|就诊卡号?|诊疗卡号?|就诊号|医保卡?号?|医疗保险号|社保卡?号|健康卡号?|检查号|影像号|标本号|样本号|申请单号|报告单?号"
    "|处方号|医嘱号|结算单?号|发票号|床号|工号|护照号?|通行证号?|军官证号?|驾驶证号?|驾照号?|序列号|出厂编号|批号|追溯码|账号|卡号|患者编号|编号|档案号|流水号"
    "|条码号?|证件号|身份证号?|(?<![A-Za-z])(?:ID|MRN|SN|S/N|LOT)(?![A-Za-z])"
)


def _is_name(value: str) -> bool:
    words = load_gazetteer()["not_names_zh"]
    return value[:2] not in words and value[1:3] not in words


def _is_named(value: str) -> bool:
    """Say whether a hospital has a name of its own."""
    return not _SOME_HOSPITAL.search(value)


def _resident_shape(value: str) -> bool:
    digits = re.sub(r"[\s-]", "", value)
    return 1 <= int(digits[10:12]) <= 12 and 1 <= int(digits[12:14]) <= 31


RULES_ZH: tuple[Rule, ...] = (
    Rule.of(
        "zh_resident_id",
        "RESIDENT_ID",
        rf"(?=[1-9])(?<![0-9A-Za-z])[1-9]\d{{5}}{_GAP}(?:18|19|20)\d{{2}}{_GAP}\d{{2}}{_GAP}\d{{2}}{_GAP}\d{{3}}{_GAP}[\dXx](?![0-9A-Za-z])",
        check=_resident_shape,
        digits=True,
        wrapped=True,
        needs=Needs(run=17, layouts=("000000",)),
    ),
    Rule.of(
        "zh_resident_id_split",
        "RESIDENT_ID",
        r"(?=[1-9])(?<![0-9A-Za-z])[1-9](?:[\s-]?\d){16}[\s-]?[\dXx](?![0-9A-Za-z])",
        check=_resident_shape,
        digits=True,
        needs=Needs(run=17),
    ),
    Rule.of(
        "zh_resident_id_masked",
        "RESIDENT_ID",
        r"(?=[1-9])(?<![0-9A-Za-z])[1-9]\d{2,9}[*＊xX●]{4,14}\d{0,3}[\dXx](?![0-9A-Za-z])",
        digits=True,
        needs=Needs(texts=("*", "＊", "x", "X", "●")),
    ),
    Rule.of(
        "zh_resident_id_15",
        "RESIDENT_ID",
        r"(?=[1-9])(?<![0-9A-Za-z])[1-9]\d{14}(?![0-9A-Za-z])",
        check=resident_id_15_valid,
        digits=True,
        needs=Needs(layouts=("0" * 15,)),
    ),
    Rule.of(
        "zh_mobile",
        "PHONE",
        rf"(?=[+18])(?<![\dA-Za-z])(?:\+?86{_GAP})?1[3-9]\d{_GAP}\d{{4}}{_GAP}\d{{4}}(?!\d)",
        digits=True,
        wrapped=True,
        needs=Needs(run=11, layouts=("0000",)),
    ),
    Rule.of(
        "zh_mobile_split",
        "PHONE",
        r"(?=1)(?<![\dA-Za-z.])1[\s-]?[3-9](?:[\s-]?\d){9}(?!\d)",
        digits=True,
        needs=Needs(run=11),
    ),
    Rule.of(
        "zh_mobile_masked",
        "PHONE",
        r"(?=1)(?<!\d)1[3-9]\d[*＊xX]{4}\d{4}(?!\d)",
        digits=True,
        needs=Needs(texts=("*", "＊", "x", "X")),
    ),
    Rule.of(
        "zh_landline",
        "PHONE",
        r"(?=[(0])(?<![\d-])\(?0(?:10|2\d|[3-9]\d{2})\)?[- ]?[2-8]\d{6,7}(?:[-转]\d{1,5})?(?!\d)",
        digits=True,
        wrapped=True,
        needs=Needs(run=10, layouts=("0000000",)),
    ),
    Rule.of(
        "zh_phone_label",
        "PHONE",
        r"(?:电话|手机|联系方式|座机|传真|热线)(?:号码|号)?[:：为是]?\s*(\+?\d[\d\s()（）-]{5,18}\d)",
        digits=True,
        wrapped=True,
        needs=Needs(texts=("电话", "手机", "联系方式", "座机", "传真", "热线")),
    ),
    Rule.of(
        "zh_social",
        "ID",
        r"(?i:微信|weixin|wechat|QQ|钉钉|支付宝)(?:号码|号|账号)?\s*[:：为是]?\s*([A-Za-z0-9_-]{5,24})",
        needs=Needs(words=("微信", "weixin", "wechat", "qq", "钉钉", "支付宝")),
    ),
    Rule.of(
        "zh_label_id",
        "ID",
        rf"(?i:{_ID_LABEL})码?\s*[:：为是#]?\s*((?=[A-Za-z0-9-]*\d)[A-Za-z0-9][A-Za-z0-9/-]{{1,30}})",
        digits=True,
        wrapped=True,
    ),
    Rule.of(
        "zh_any_number",
        "ID",
        r"(?=[A-Za-z\d])(?<=[\u3400-\u9fff]号码?[ \t]*[:：][ \t]*)(?<!(?:型|符|信|序|等|括|文|牌)号[ \t]*[:：][ \t]*)([A-Za-z]{0,4}-?\d[\dA-Za-z-]{2,29})(?![\dA-Za-z]|\.\d)",
        digits=True,
        needs=Needs(texts=("号",)),
    ),
    Rule.of("zh_bed", "ID", r"(?=[\d+])(?<![\d.])\+?\d{1,3}(?=床(?!旁|边|上|单))", digits=True, trigger="床"),
    Rule.of(
        "zh_passport",
        "ID",
        r"(?=[A-Z])(?<![A-Za-z0-9])(?:[EGDSP]\d{8}|E[A-HJ-NP-Z]\d{7}|[HMC]\d{8,10})(?![A-Za-z0-9])",
        digits=True,
        needs=Needs(digits=7, layouts=("0000000",)),
    ),
    Rule.of(
        "zh_letters_digits",
        "ID",
        r"(?=[A-Z])(?<![A-Za-z0-9.-])[A-Z]{1,4}-?\d{5,14}[A-Z]?(?![A-Za-z0-9-])",
        digits=True,
        needs=Needs(layouts=("00000",)),
    ),
    Rule.of("zh_trace_code", "DEVICE", r"(?=8)(?<!\d)8\d{19}(?!\d)", digits=True, needs=Needs(layouts=("0" * 20,))),
    Rule.of(
        "zh_bank_card",
        "CARD",
        r"(?=\d)(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)",
        check=bank_card_valid,
        digits=True,
        wrapped=True,
        needs=Needs(run=13),
    ),
    Rule.of(
        "zh_long_number",
        "ID",
        r"(?=\d)(?<![\dA-Za-z.,/+-])\d{7,}(?![\dA-Za-z,%/]|\.\d)",
        digits=True,
        needs=Needs(digits=7, layouts=("0000000",)),
    ),
    Rule.of(
        "zh_plate",
        "PLATE",
        r"[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼][A-HJ-NP-Z][·.\s-]?[A-HJ-NP-Z0-9]{5,6}(?![A-Za-z0-9])",
        needs=Needs(blocks=("xxxxx",)),
    ),
    Rule.of(
        "zh_date",
        "DATE",
        r"(?=[12])(?<!\d)(?:18|19|20)\d{2}\s?年\s?\d{1,2}\s?月(?:\s?\d{1,2}\s?[日号])?(?:\s?\d{1,2}[时点:：]\d{0,2}分?)?",
        trigger="年",
        wrapped=True,
    ),
    Rule.of("zh_date_short", "DATE", r"(?=\d)(?<![\d年])\d{1,2}\s?月\s?\d{1,2}\s?[日号]", digits=True, trigger="月"),
    Rule.of(
        "zh_date_han",
        "DATE",
        rf"[{_DIGITS}]{{4}}年[一二三四五六七八九十]{{1,2}}月(?:[一二三四五六七八九十]{{1,3}}[日号])?",
        trigger="年",
    ),
    Rule.of(
        "zh_date_numeric",
        "DATE",
        r"(?=[12])(?<![\d/.-])(?:18|19|20)\d{2}[-/.](?:0?[1-9]|1[0-2])[-/.](?:[12]\d|3[01]|0?[1-9])(?:[T ]+\d{1,2}:\d{2}(?::\d{2})?Z?)?(?![\d/])",
        digits=True,
        wrapped=True,
        needs=Needs(digits=6, layouts=("0000-0", "0000/0", "0000.0")),
    ),
    Rule.of(
        "zh_date_day_first",
        "DATE",
        r"(?=\d)(?<![\d/.-])\d{1,2}/\d{1,2}/(?:19|20)\d{2}(?![\d/])",
        digits=True,
        needs=Needs(layouts=("0/0",)),
    ),
    Rule.of(
        "zh_date_plain",
        "DATE",
        r"(?=[12])(?<!\d)(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?!\d)",
        digits=True,
        needs=Needs(digits=8, layouts=("00000000",)),
    ),
    Rule.of(
        "zh_label_name",
        "NAME",
        rf"[:：]\s*({_SURNAME}[·\s]?{_HAN}(?:[·\s]?{_HAN}){{0,2}}?){_AFTER}"
        rf"(?<=(?:姓名|患者|病人|联系人|家属|监护人|[\u3400-\u9fff](?:人|员|者)|{_STAFF}|记录|丈夫|妻子|儿子|女儿|父亲|母亲|配偶)(?:姓名|签名|签字)?\s*[:：]\s*\1)",
        check=_is_name,
        needs=Needs(texts=(":", "：")),
    ),
    Rule.by("zh_name", "NAME", find_names),
    Rule.of(
        "zh_title_name",
        "NAME",
        rf"(?<![责主担信副])({_COMMON}{_HAN}{{0,2}}?)(?={_TITLE})",
        check=_is_name,
        starts=_FIRST,
        needs=Needs(texts=tuple(t for t in _TITLE.partition("(?")[0].split("|"))),
    ),
    Rule.of(
        "zh_masked_name",
        "NAME",
        rf"(?<!江){_COMMON}(?:某某?|[*＊○×]{{1,2}})(?:{_HAN}(?=[，。、；：,;\s（(]|$))?",
        starts=_FIRST,
        needs=Needs(texts=("某", "*", "＊", "○", "×")),
    ),
    Rule.of("zh_surname", "NAME", rf"(?<=姓)(?<![名百同]姓)({_SURNAME})(?=[,。;、)(\s]|名|$)", trigger="姓"),
    Rule.of(
        "zh_spaced_name",
        "NAME",
        rf"(?:姓名|患者)[ \t]*[:：]?[ \t]*({_SPACED}(?:[ \t]{_HAN}){{1,2}})",
        needs=Needs(texts=("姓名", "患者")),
    ),
    Rule.of(
        "zh_address",
        "LOCATION",
        rf"(?:{_PROVINCE}|{_CITY})(?!白药|枸杞|地区标准|某)(?:省|市|自治区|壮族自治区|回族自治区|维吾尔自治区|特别行政区)?(?:{_PART}){{0,6}}{_DOOR}",
    ),
    Rule.of(
        "zh_address_label",
        "LOCATION",
        rf"(?:住址|地址|户籍地?|现住址?|家住|住在|居住于|居住地|籍贯|来自|出生地|工作单位)\s*[:：为是]?\s*((?:{_PART}){{1,7}}{_DOOR})",
        needs=Needs(texts=_HOME_LABELS),
    ),
    Rule.of(
        "zh_road_number",
        "LOCATION",
        rf"{_HAN}{{2,4}}(?:路|街|大道|巷|弄)\d+号{_DOOR}",
        digits=True,
        needs=Needs(texts=("号",)),
    ),
    Rule.of(
        "zh_hospital",
        "ORGANISATION",
        rf"(?:(?<=[在于至到赴往从由转请经自致与和及送入回])|(?<!{_HAN}))(?!我院|本院|外院|当地|[入到往至回]){_HAN}{{2,14}}?(?:医院|卫生院|卫生服务中心|诊所|疗养院)",
        check=_is_named,
        needs=Needs(texts=("医院", "卫生院", "卫生服务中心", "诊所", "疗养院")),
    ),
    Rule.of("zh_age", "AGE", r"(?=[19])(?<!\d)(?:9\d|1[0-2]\d)(?=\s?(?:周?岁))", digits=True, trigger="岁"),
)
