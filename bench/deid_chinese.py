"""The internal Chinese set: clinical sentences with invented people, the places of every identifier known.

Internal: the templates are the house's own. Those of HELD_OUT were written apart and are only ever measured; whoever
works on the rules looks at DEVELOPMENT and at the errors of that half.
"""

# ruff: noqa: E501  # a template is read on one line
import random
import re
from collections.abc import Callable
from datetime import date, timedelta

from deid_corpora import Gold, Note

from hdex.deid.identifiers import resident_id_check_character

SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘蔡蒋余于杜叶程魏苏吕丁任卢姚沈钟姜崔谭陆范汪廖石金韦贾夏付方邹熊白孟秦邱侯江尹薛闫段雷龙黎史陶贺毛郝顾龚邵万覃武钱戴严莫孔向常"
COMPOUND = ("欧阳", "上官", "司马", "诸葛", "皇甫", "令狐")
GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英文华建国玉兰红梅志海燕波晓辉鹏飞宁欣雨晨浩宇子轩梓涵思琪嘉怡俊豪佳慧淑珍翠兰凤仙树林"
REGIONS = (
    "上海市浦东新区",
    "北京市朝阳区",
    "江苏省苏州市姑苏区",
    "浙江省杭州市余杭区",
    "四川省成都市武侯区",
    "广东省深圳市南山区",
    "河南省郑州市金水区",
    "湖南省长沙县",
    "陕西省西安市雁塔区",
    "山东省烟台市芝罘区",
)
ROADS = ("世纪大道", "建设路", "人民南路", "解放街", "和平里", "桃园巷", "滨河东路", "学府路", "长江西路", "翠竹弄")
DEVELOPMENT = (
    "患者{name}，{sex}，{age}岁，身份证号{id}，因反复胸闷3月余于{date}入院。",
    "姓名：{name}　性别：{sex}　年龄：{age}岁　住院号：{record}　床号：{bed}床",
    "联系人：{name}（其子），电话{phone}，住址：{address}。",
    "主管医师：{name}　上级医师签名：{name}　记录日期：{date}",
    "患者家住{address}，联系电话：{phone}，医保卡号{record}。",
    "{date}行冠状动脉造影，提示前降支狭窄80%，予支架植入1枚，术者{name}医生。",
    "{date}患者出院，嘱{name}女士1月后复诊，不适拨打{phone}。",
    "门诊号{record}，{name}，{sex}，{age}岁。主诉：头晕伴恶心2天。血压150/95mmHg，心率88次/分。",
    "家属{name}签署知情同意书，身份证{id}，与患者关系：配偶。",
    "今日{name}主任查房：患者病情平稳，继续阿司匹林100mg qd、阿托伐他汀20mg qn口服。",
    "转诊记录：由{hospital}转入，经治医生{name}，转入时间{date}。",
    "报告单号：{record}。检查者：{name}。超声所见：左室射血分数58%，二尖瓣轻度反流。",
)
SEEN = (  # two halves that were held out until the rules were mended by them
    "{name}同志，{sex}，{age}岁，现住{address}，既往糖尿病史12年，{date}首诊于我科。",
    "病案首页　病案号：{record}　患者姓名：{name}　出生日期：{date}　身份证号码：{id}",
    "随访：{date}电话（{phone}）联系患者丈夫{name}，诉无胸痛，服药规律，空腹血糖6.8mmol/L。",
    "手术记录：主刀{name}，一助{name}，麻醉医师{name}，手术日期{date}，出血约50ml。",
    "患者女儿{name}代诉，手机号{phone}，户籍地址{address}。",
    "会诊意见：请{name}教授会诊后建议转{hospital}进一步治疗，申请单号{record}。",
    "证件类型：居民身份证，证件号：{id}；紧急联系人{name}，{phone}。",
    "入院后完善检查：血红蛋白112g/L，肌酐86μmol/L，标本号{record}，审核者：{name}，{date}。",
    "患者{name}于{date}在{hospital}行左颈动脉支架置入术，术后双抗治疗6个月，无出血。",
    "护士{name}于{date} 09:30执行医嘱，患者无不适主诉，体温36.8℃，脉搏76次/分。",
    "居住地：{address}；工作单位电话：{phone}；就诊卡号：{record}。",
    "病理号：{record}，送检医师：{name}，接收日期：{date}，镜下见慢性炎细胞浸润，未见癌。",
    "{name}，{age}岁{sex}性，{date}由急诊收入院，入院登记号{record}，联系手机{phone}。",
    "患者本人{name}身份证{id}已核对，陪护人：{name}，电话：{phone}。",
    "{date}请{hospital}神经内科{name}主任远程会诊，同意目前诊断及治疗方案。",
    "出院小结：{name}患者，住院12天，{date}出院，门诊随诊，住址{address}。",
    "报告医师：{name}　审核医师：{name}　检查号：{record}　检查日期：{date}",
    "既往{date}于{hospital}行胆囊切除术，否认药物过敏史，否认输血史。",
    "患者配偶{name}（{phone}）来电，诉夜间咳嗽，无发热，嘱门诊复查胸片。",
    "邮寄地址：{address}，收件人：{name}，手机：{phone}。",
    "医保卡号：{record}，参保人{name}，公民身份号码{id}。",
    "值班医师{name}接诊，测血糖12.6mmol/L，予胰岛素4U皮下注射，{date}复测。",
    "患者老家{address}，来院前服用氨氯地平5mg qd，效果欠佳。",
    "麻醉方式：全身麻醉。麻醉医生：{name}。器械护士：{name}。手术日期：{date}。",
)
HELD_OUT = (
    "查房记录：{date}，{name}，术后第3天，体温37.1℃，切口干燥，无渗血。",
    "{name}（住院号{record}）因肺部感染转入我科，{date}痰培养阴性。",
    "嘱家属{name}携带证件（{id}）至医保窗口办理手续，咨询电话{phone}。",
    "患儿{name}，{sex}，其母{name}诉发热3天，最高39.2℃，{date}来诊。",
    "兹证明{name}（身份证号：{id}）于{date}在{hospital}住院治疗。",
    "请于{date}前联系{name}护士长，电话：{phone}。",
    "患者姓名：{name}；家庭地址：{address}；联系电话：{phone}。",
    "经{name}副主任医师会诊，考虑短暂性脑缺血发作，{date}行头颅MRI。",
    "登记号：{record}　姓名：{name}　诊断：颈内动脉狭窄（重度）",
    "缴费人{name}，发票号{record}，退费账户户名{name}。",
    "与{name}家属沟通病情，告知手术风险，签字日期{date}。",
    "送检单位：{hospital}，申请医师{name}，条码号{record}，患者{name}。",
)
Draw = Callable[[random.Random], str]
SLOTS_LEFT_ALONE = {"sex", "age"}


def person(rng: random.Random) -> str:
    family = rng.choice(COMPOUND) if rng.random() < 0.04 else rng.choice(SURNAMES)
    return family + "".join(rng.sample(GIVEN, 1 if rng.random() < 0.25 else 2))


def resident_id(rng: random.Random) -> str:
    born = date(1935, 1, 1) + timedelta(days=rng.randrange(25_000))
    area = rng.choice(("310115", "110105", "320508", "330110", "510107", "440305", "410105"))
    first17 = f"{area}{born:%Y%m%d}{rng.randrange(1000):03d}"
    return first17 + resident_id_check_character(first17)


def phone(rng: random.Random) -> str:
    mobile = f"1{rng.choice('3578')}{rng.randrange(10**9):09d}"
    landline = f"{rng.choice(('010', '021', '0571', '028'))}-{rng.randrange(2 * 10**7, 9 * 10**7)}"
    spaced = f"{mobile[:3]} {mobile[3:7]} {mobile[7:]}"
    return rng.choice((mobile, mobile, spaced, f"+86 {mobile}", landline))


def day(rng: random.Random) -> str:
    when = date(2018, 1, 1) + timedelta(days=rng.randrange(2800))
    forms = (
        f"{when.year}年{when.month}月{when.day}日",
        f"{when:%Y-%m-%d}",
        f"{when:%Y/%m/%d}",
        f"{when:%Y.%m.%d}",
        f"{when.month}月{when.day}日",
    )
    return rng.choice(forms)


def address(rng: random.Random) -> str:
    road = f"{rng.choice(REGIONS)}{rng.choice(ROADS)}{rng.randrange(1, 2000)}号"
    return road + rng.choice(
        (
            "",
            f"{rng.randrange(1, 40)}栋{rng.randrange(100, 2900)}室",
            f"{rng.randrange(1, 30)}号楼{rng.randrange(1, 6)}单元{rng.randrange(101, 1802)}",
        )
    )


def record(rng: random.Random) -> str:
    return rng.choice(
        (
            f"ZY{rng.randrange(10**6):06d}",
            f"{rng.randrange(10**7, 10**8)}",
            f"{rng.randrange(10**9, 10**10)}",
            f"M{rng.randrange(10**7):07d}",
        )
    )


def hospital(rng: random.Random) -> str:
    return rng.choice(("上海市第六人民医院", "苏州市立医院", "华西第二医院", "郑州市中心医院", "长沙市第三医院"))


DRAW: dict[str, Draw] = {
    "name": person,
    "id": resident_id,
    "phone": phone,
    "date": day,
    "address": address,
    "record": record,
    "hospital": hospital,
    "bed": lambda rng: str(rng.randrange(1, 60)),
    "sex": lambda rng: rng.choice("男女"),
    "age": lambda rng: str(rng.randrange(19, 89)),
}


def notes(templates: tuple[str, ...], *, seed: int, count: int) -> list[Note]:
    """Return `count` notes of two to four sentences of the templates, with what stands where."""
    rng = random.Random(seed)
    return [filled("\n".join(rng.sample(templates, rng.randrange(2, 5))), rng) for _ in range(count)]


def filled(template: str, rng: random.Random) -> Note:
    """Draw a value for every slot."""
    text, gold = "", []
    for piece in re.split(r"(\{\w+\})", template):
        slot = piece[1:-1] if piece.startswith("{") else ""
        value = DRAW[slot](rng) if slot else piece
        if slot and slot not in SLOTS_LEFT_ALONE:
            gold.append(Gold(len(text), len(text) + len(value), slot))
        text += value
    return Note(text, tuple(gold))
