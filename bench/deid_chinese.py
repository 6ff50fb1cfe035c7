"""The internal Chinese set: clinical sentences with invented people, the places of every identifier known.

Internal: the templates are the house's own. Those of HELD_OUT and HELD_OUT_2 were written apart and are only ever
measured; whoever works on the rules looks at DEVELOPMENT, WARDS and SEEN and at their errors.
"""

# ruff: noqa: E501  # a template is read on one line
import random
import re
from collections.abc import Callable
from datetime import date, timedelta

from deid_corpora import Gold, Note

from hdex.deid.identifiers import resident_id_check_character

SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘蔡蒋余于杜叶程魏苏吕丁任卢姚沈钟姜崔谭陆范汪廖石金韦贾夏付方邹熊白孟秦邱侯江尹薛闫段雷龙黎史陶贺毛郝顾龚邵万覃武钱戴严莫孔向常"
RARER = "阎文温齐安庞樊兰殷施洪翁华章柳倪庄聂鲁岳翟葛尹宁甘祝阮柯纪季裴霍单成古冉骆路万左时黎包符舒凌毕童牛申关焦"
COMPOUND = ("欧阳", "上官", "司马", "诸葛", "皇甫", "令狐", "慕容", "尉迟", "东方", "夏侯", "司徒", "公孙")
GIVEN = {  # characters of given names by how often they are met: everywhere, often, now and then
    6: "英华文玉秀明兰红金春国丽海小平芳云志梅军建荣永林忠晓珍德凤生桂清香新成龙艳燕伟强霞敏俊勇玲福光学东飞波娟涛庆辉超鹏琴",
    2: "美祥宝静杰磊立安庭兴连莲贵仁正天振彩景素爱惠淑慧雪月洪家义智昌才长发全根水火木友良民利权亮宏宇思佳雨欣婷怡子梓涵浩轩嘉泽诗琪晨梦阳博昊彬斌峰刚锋洋健凯鑫莉萍倩颖琳洁瑞瑶媛雯巧少先士大世中开来顺保善会双喜万守占传启绍章培存运克",
    0.7: "茂朝仕崇尚耀润滨然柱彪银锁栓满仓田虎豹鹤鸣鸿雁柳松柏竹菊荷茹芸芝芹菁蓉蕾薇蔓苗苑若书语沐可奕辰逸睿皓煜炜烨铭钰锦钧铁钢石山川河湖江溪渊源泉冰霜露雷震霆晴岚岩峻岭乔楠桐榕枫槿樱彤丹青蓝紫墨白黎曦旭昕晖晟昱曼妮娅姗婉婧嫣姣妍琼瑾璐璇珊珂玮琛琦瑜环璟玥卓越毅恒坚诚信礼孝廉谦慎勤朴恩赐允元亨定邦彦杨柯栋梁材楷模范歌舞韵音乐笑言诺",
}
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
WARDS = (  # every department, with names bare in running prose, in lists and in signatures; and prose without any
    "{name}因发热咳嗽三天来诊，查体咽部充血，双肺呼吸音粗，予阿奇霉素口服。",
    "门诊复诊：{name}诉服药后头晕减轻，血压130/80mmHg，方案不变，一月后再来。",
    "今日接诊{name}，{age}岁，黄疸一周，皮肤瘙痒，尿色加深，收入消化科。",
    "{date}患者{name}再次就诊，自述近来视物模糊，眼底检查见少量渗出。",
    "{name}否认高血压、糖尿病史，曾于{hospital}行阑尾切除术。",
    "早查房：{name}夜间安静，{name}诉伤口疼痛，予曲马多后缓解。",
    "{family}主任查房后指出：患者白细胞及降钙素原明显升高，应考虑金黄色葡萄球菌感染。",
    "经{name}副主任医师与{name}主治医师讨论，决定行急诊剖腹探查。",
    "术前谈话由{name}主持，{name}及其妻{name}在场，均表示理解并签字。",
    "上述情况已向{name}交代，其表示知情，愿意承担相关费用。",
    "遵{name}医嘱停用呋塞米，改托拉塞米10mg静推，密切观察尿量。",
    "12:30 {name}巡视病房，见患者安静入睡，呼吸平稳，未惊动。",
    "护理记录：协助{name}翻身拍背，痰液黄稠，量中等，口腔护理一次。",
    "{bed}床{name}输液完毕，拔针后按压五分钟，无渗血，{name}签。",
    "责任护士{name}向{name}宣教低盐饮食及胰岛素注射方法，患者能复述。",
    "交班：新入院{name}、{name}，出院{name}，病危{name}，其他无特殊。",
    "三查七对由{name}和{name}完成，输注红细胞悬液2U，无不良反应。",
    "兹证明{name}（{sex}，{age}岁）于{date}至{date}在我院住院治疗，建议休息两周。",
    "出院医嘱已交{name}本人，嘱{name}一周后拆线，如有不适随时联系{name}医生。",
    "感谢贵院{name}主任的精心治疗，{again}主任于{date}为其施行了右半结肠切除术。",
    "委托人{name}授权{name}代为签署一切医疗文书，与患者系母子关系，身份证号{id}。",
    "我已阅读并理解上述内容，同意手术。患者签名 {name} 家属签名 {name} {date}",
    "患方代表{name}，医方代表{name}，见证人{name}，于{date}在医务科签字。",
    "现将{name}转往{hospital}继续治疗，随车护士{name}，家属{name}陪同。",
    "接{hospital}{name}电话，一名急性心梗病人正转来我院，请做好准备。",
    "推荐{name}到{family}教授门诊就诊，初步诊断周围神经病变。",
    "拨打{phone}无人接听，改拨其女{name}的手机{phone}，告知病理结果。",
    "随访员{name}联系到{name}，对方称恢复良好，已恢复工作。",
    "{name}来电咨询用药，告知华法林需定期监测INR，避免大量进食绿叶蔬菜。",
    "回访：{name}本人接听，无胸闷，服药规律，血糖控制满意。",
    "与{name}（患者长子）谈话，说明病情危重，随时可能心跳骤停，{again}要求积极抢救。",
    "家属{name}、{name}均拒绝气管插管，签字为证。",
    "其子{name}自外地赶回，要求转上级医院，已向{family}院长汇报。",
    "患者由{name}扶入病房，问{name}得知起病已有十日，平素体健。",
    "送检者{name}，取材{name}，制片{name}，镜检示黏膜慢性炎伴肠化。",
    "（胃窦）符合慢性萎缩性胃炎。诊断医师 {name}  复核 {name}  {date}",
    "冰冻报告已电话通知{name}，切缘阴性，淋巴结0/12。",
    "病理会诊专家{name}阅片意见：倾向高分化管状腺癌，建议免疫组化。",
    "影像所见：左肺上叶结节，边界清，大小约8mm，较{date}片无明显变化。报告{name}，审核{name}。",
    "超声引导下由{name}行甲状腺细针穿刺，过程顺利，{name}配合良好。",
    "产房记录：{name}于{date} 03:20顺产一男婴，体重3250g，接生{name}，新生儿评分10分。",
    "患儿{name}，其母{name}代述，发热两天，最高39.2℃，抽搐一次。",
    "儿科：{name}小朋友，{age}个月，按时接种疫苗，生长发育正常。",
    "口腔科：{name}右下智齿阻生，局麻下拔除，{name}操作，术后咬纱球。",
    "眼科门诊：{name}，双眼视力0.6，晶体混浊，建议行白内障超声乳化术。",
    "中医科：{name}，舌淡苔白，脉沉细，拟黄芪、党参、白术、熟地、当归等健脾益气。",
    "精神科：{name}由其兄{name}送诊，近半月易怒、多疑，夜不能寐。",
    "血透记录：{name}上机时血压160/95mmHg，透析中{name}出现低血压，予生理盐水。",
    "麻醉记录：{name}（ASA II级），喉罩全麻，麻醉{name}/{name}，巡回{name}。",
    "手术者：{name}、{name}；麻醉者：{name}；器械：{name}；清点无误。",
    "肿瘤科：{name}已完成化疗四周期，{name}复查CT示病灶缩小约三成。",
    "康复科{name}、营养科{name}会诊后建议高蛋白饮食并床旁肢体训练。",
    "急诊：路人发现{name}晕倒路旁，由其同事{name}送来，随身证件号{id}。",
    "药师{name}审方发现左氧氟沙星与胺碘酮合用有风险，已通知{name}更改。",
    "检验危急值：{name}，血小板8×10^9/L，通知人{name}，接听人{name}，时间14:25。",
    "ICU：{name}镇静中，双侧瞳孔等大，{name}床旁超声见下腔静脉塌陷。",
    "输血科电话告知{name}，患者{name}交叉配血不合，需另行申请。",
    "院感科{name}督查，指出{bed}床隔离标识缺失，{family}护士长当场整改。",
    "医保办：{name}，医保卡号{record}，异地备案已由{name}办理，住址{address}。",
    "公共卫生随访：高血压患者{name}，居住于{address}，{date}测血压142/88mmHg。",
    "教学查房：住院医{name}汇报病史，{name}提问鉴别诊断，{name}总结。",
    "伦理审查：主要研究者{name}，课题编号{record}，{date}经{name}等五位委员审议通过。",
    "据{name}回忆，起病前曾食用不洁海鲜，同食者{name}无类似症状。",
    "患者与{name}系夫妻，{name}近期亦有发热，已建议检测。",
    "目前由{name}照顾{name}起居，进食可，大小便正常。",
    "{name}和{name}均为密切接触者，已采样，结果阴性。",
    "{hospital}心内科{name}会诊意见：可耐受手术，围术期维持阿司匹林。",
    "患者姓{family}，名不详，约{age}岁，由警方送入，联系警员{name}。",
    "{name} {sex} {age}岁 {record} 心内科 {date} 心电图：窦性心律",
    "主诉：{name}（{record}）反复上腹痛两年，加重一周。",
    "既往高血压、高脂血症、高尿酸血症，长期服氨氯地平，无黄疸，白细胞计数正常。",
    "石膏固定左前臂，方案：常规抗感染，周围神经检查未见异常，余无殊。",
    "金黄色葡萄球菌培养阳性，万古霉素敏感，江苏某公司产品，温水擦浴。",
    "于明日复查，何时出院视恢复情况而定，任何不适应及时告知，安全第一。",
    "左侧胸腔闭式引流通畅，水封瓶波动明显，引出淡黄色液体约200ml，平稳。",
    "方可下床活动，高枕卧位，时常咳嗽，康复训练计划同前，向家属宣教。",
    "查体：神志清楚，双侧瞳孔等大等圆，颈软，全腹无压痛，包块未及，常规消毒。",
    "白蛋白28g/L，钾3.2mmol/L，钙2.1mmol/L，金属异物存留可能，单核细胞比例高。",
    "曾因急性胰腺炎于当地医院治疗，经保守治疗后好转，易复发，任其自行活动。",
    "党参、黄芪、白术、茯苓、甘草、熟地黄、麦冬、石斛、牛膝、杜仲、苏叶、柏子仁、车前子各10g，水煎服。",
    "连续监测七日，温度波动于36.5至37.2℃，成人剂量，施行左颈内动脉支架植入。",
    "高度怀疑恶性，韦氏分级、雷诺现象均已记录，卡氏评分80分，江浙一带旅居史。",
    "马蹄内翻足、鲍曼不动杆菌、葛根素、贺普丁、钱币状湿疹、鹿角形结石。",
    "管腔通畅，管壁增厚，毛细血管扩张，项背强痛，喻示预后不良，明显好转。",
    "时有干咳，平卧位加重，应激性溃疡预防，程序性死亡受体抑制剂治疗两程，华法林减量，单纯性肾囊肿。",
    "安静状态下心率110次/分，温热感，管饲营养液，易激惹，项目齐全，费用已结清，万托林雾化。",
    "尤以夜间为著，伴冷汗，向左肩放射，持续约十分钟，舌下含服硝酸甘油可缓解，曾晕厥一次。",
    "池塘边跌倒致伤，左髋部肿胀，洪水后腹泻，车前草煎水代茶饮，汤剂温服，关元、气海、足三里艾灸。",
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
READ = (*DEVELOPMENT, *WARDS, *SEEN)
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
HELD_OUT_2 = (  # another register: messages, letters, minutes, what people say. Written before the rules were mended
    "各位老师好，{bed}床{name}今晨血钾2.9mmol/L，已补钾，请晚班继续关注尿量。",
    "喂，您好，我是{name}的爱人，她昨天出院以后一直低烧，想问问要不要再来看看？",
    "{name}您好：您预约的胃肠镜检查时间为{date}，请提前禁食，如需改期请致电{phone}。【{hospital}】",
    "理赔申请人{name}于{date}提交材料，保单尾页留存电话{phone}，被保险人{name}因急性阑尾炎住院。",
    "投诉人{name}反映其父{name}在急诊等候逾两小时，经核实当日接诊量大，已电话致歉。",
    "本人{name}自愿参加本研究，已知晓可能的风险，受试者签字：{name}，研究者签字：{name}。",
    "尊敬的{name}医生：感谢您转来的病人{name}，复查磁共振未见新发病灶，建议继续抗凝。",
    "夜班交班：{name}，术后第二天，引流量80ml，体温37.8℃；{name}，明晨空腹抽血；其余平稳。",
    "社区医生{name}上门随访，老人{name}行动不便，家住{address}，血压控制尚可。",
    "法医鉴定书：被鉴定人{name}，{sex}，身份证号码{id}，因交通事故致左股骨骨折。",
    "问：您哪里不舒服？答：我叫{name}，右边肚子疼了三天，昨天{name}大夫让我查了B超。",
    "多学科讨论纪要：参会人员{name}、{name}、{name}，病例汇报{name}，拟行新辅助化疗两周期。",
    "麻烦{name}老师帮忙看一下{bed}床的心电图，考虑室上速，血压尚稳定。",
    "学校晨检发现学生{name}发热，班主任联系家长{name}，电话{phone}，嘱居家观察。",
    "供体协调员{name}记录：捐献者家属{name}与{name}均同意，{date}完成登记，编号{record}。",
    "康复日记：{name}今天能独立站立五分钟，治疗师{name}说下周可以练习上下楼梯。",
    "致{hospital}医务科：我院患者{name}需调阅{date}手术录像，联系人{name}，邮寄{address}。",
    "孩子{name}，{age}月，{date}接种第二剂，接种后留观三十分钟无异常，监护人{name}签名。",
    "接线员：请问患者姓名？家属：{name}，{age}岁，现在叫不醒了，我们在{address}，快点来！",
    "养老院护理记录：{name}午餐进食半碗，{name}拒绝服药，已通知家属{name}到场安抚。",
    "死亡病例讨论：主持人{name}，{name}认为死因为感染性休克，{name}补充应更早复苏。",
    "随访短信已发{phone}，{name}回复：伤口不红，偶有牵拉感，会按时换药。",
    "体检中心提示：{name}（{record}）甲状腺结节3类，建议专科就诊，报告由{name}审核。",
    "听{name}讲，他哥{name}前年也得过肺结核，当时在{hospital}住了半个月。",
    "远程病理会诊：{hospital}{name}与我科{name}意见一致，考虑低级别上皮内瘤变。",
    "护理查对：手术间核对{name}手腕带，巡回{name}、洗手{name}共同清点器械无误。",
    "心理咨询摘要：来访者{name}，自述失眠半年，与丈夫{name}关系紧张，情绪低落，无自杀念头。",
    "急救单：{date}凌晨接120指派，患者{name}倒于家中，目击者{name}行胸外按压约四分钟。",
    "实习生{name}代{name}书写，未经上级审阅，{family}主任已要求补签。",
    "{family}大夫您好，我是上周找您看过腿的{name}，消肿了，但是夜里还抽筋。",
    "住院费用清单已交{name}核对，预交金余额不足，请{name}尽快到窗口办理，病案号{record}。",
    "经查，{name}系{name}之母，二人HLA配型半相合，拟{date}入仓。",
    "透析室通知：{name}、{name}两位患者调至周二、周四、周六下午，{family}护士长负责协调。",
    "术后三个月{name}来院复查，骨折线模糊，{name}阅片后同意部分负重。",
    "病友{name}介绍{name}前来就诊，主诉反复口腔溃疡，既往体健，余无特殊。",
    "遗体接收单：逝者{name}，{sex}，{age}岁，身份证{id}，运送人{name}，车辆已登记。",
)
SLOTS_LEFT_ALONE = {"sex", "age"}


def family(rng: random.Random) -> str:
    chance = rng.random()
    return rng.choice(COMPOUND if chance < 0.04 else RARER if chance < 0.14 else SURNAMES)


def person(rng: random.Random) -> str:
    """A surname with one or, six times of seven, two characters; drawn by their weights."""
    characters = [c for of in GIVEN.values() for c in of]
    weights = [weight for weight, of in GIVEN.items() for _ in of]
    return family(rng) + "".join(rng.choices(characters, weights, k=1 if rng.random() < 0.14 else 2))


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
    "family": family,
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
    """Draw a value for every slot; "again" is the last name once more, "family" a surname before a title."""
    text, last, gold = "", "", []
    for piece in re.split(r"(\{\w+\})", template):
        slot = piece[1:-1] if piece.startswith("{") else ""
        value = last if slot == "again" else DRAW[slot](rng) if slot else piece
        last, slot = (value, "name") if slot in ("name", "again") else (last, slot)
        if slot and slot not in SLOTS_LEFT_ALONE:
            gold.append(Gold(len(text), len(text) + len(value), slot))
        text += value
    return Note(text, tuple(gold))
