"""Generated products for the benchmark of the search: documents as hospitals publish them, by number and seed."""

import random
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Any

PLACES = ("Jing", "Lin", "Hai", "Shan", "He", "An", "Tai", "Nan", "Bei", "Xi")
PLACES_ZH = "京临海山河安泰南北西"
CONDITIONS = (
    ("Hypertension", "高血压"),
    ("Type 2 diabetes", "二型糖尿病"),
    ("Carotid stenosis", "颈动脉狭窄"),
    ("Stroke", "脑卒中"),
    ("Hip replacement", "髋关节置换"),
    ("Chronic kidney disease", "慢性肾脏病"),
    ("Asthma", "哮喘"),
    ("Lung cancer", "肺癌"),
    ("Breast cancer", "乳腺癌"),
    ("Heart failure", "心力衰竭"),
    ("Atrial fibrillation", "心房颤动"),
    ("Sepsis", "脓毒症"),
    ("Pneumonia", "肺炎"),
    ("Hepatitis B", "乙型肝炎"),
    ("Osteoporosis", "骨质疏松"),
    ("Glaucoma", "青光眼"),
    ("Psoriasis", "银屑病"),
    ("Epilepsy", "癫痫"),
    ("Depression", "抑郁症"),
    ("Preterm birth", "早产"),
    ("Thyroid nodule", "甲状腺结节"),
    ("Gastric cancer", "胃癌"),
    ("Colorectal polyp", "结直肠息肉"),
    ("Migraine", "偏头痛"),
)
KINDS = (
    ("registry", "登记数据"),
    ("follow-up", "随访数据"),
    ("laboratory series", "检验序列"),
    ("imaging reports", "影像报告"),
    ("device outcomes", "器械结局"),
    ("medication records", "用药记录"),
    ("nursing records", "护理记录"),
    ("cost records", "费用记录"),
    ("biomarkers", "生物标志物"),
    ("claims", "理赔数据"),
)
SYLLABLES = (
    "car",
    "dio",
    "neph",
    "ro",
    "sta",
    "tin",
    "ol",
    "ase",
    "ine",
    "mab",
    "pro",
    "xa",
    "vir",
    "cef",
    "lo",
    "met",
)
CATEGORIES = ("electronic_health_records", "medical_devices", "registries", "omics", "claims")
MODES = (
    ["sealed_file", "enclave", "query", "federated"],
    ["enclave", "query", "federated"],
    ["query", "federated"],
    ["federated"],
)


def documents(base: Mapping[str, Any], count: int, seed: int = 7) -> Iterator[dict[str, Any]]:
    """Yield `count` product documents: `base` with other words, times and facet values.

    Words follow Zipf's law over 24 conditions, 10 kinds of data and 4,000 names of drugs and devices.
    """
    chosen = random.Random(seed)
    names = sorted({"".join(chosen.choices(SYLLABLES, k=chosen.randint(2, 4))) for _ in range(6000)})[:4000]
    chosen.shuffle(names)
    weights = list(accumulate(1 / (rank + 2) for rank in range(len(names))))
    for number in range(count):
        yield _document(base, number, chosen, chosen.choices(names, cum_weights=weights, k=12))


def questions(count: int, seed: int = 11) -> list[dict[str, Any]]:
    """Return queries as people ask: one to three words of either language, each with two filters."""
    chosen = random.Random(seed)
    asked = []
    for _ in range(count):
        condition, kind = chosen.choice(CONDITIONS), chosen.choice(KINDS)
        text = chosen.choice(
            [condition[0], condition[1], f"{condition[0]} {kind[0]}", f"{condition[1]} {kind[1]}", kind[0].split()[0]]
        )
        filters = {
            "level": chosen.choice([2, 3]),
            "mode": chosen.choice(["enclave", "query", "federated"]),
            "price": chosen.choice(["free", "cost_based"]),
            "purpose": chosen.choice(["DUO:0000007", "DUO:0000042"]),
        }
        asked.append({"text": text, **dict(chosen.sample(sorted(filters.items()), 2))})
    return asked


def _document(base: Mapping[str, Any], number: int, chosen: random.Random, names: list[str]) -> dict[str, Any]:
    (condition, condition_zh), (kind, kind_zh) = chosen.choice(CONDITIONS), chosen.choice(KINDS)
    hospital = chosen.randrange(300)
    place, place_zh = PLACES[hospital % 10], PLACES_ZH[hospital % 10]
    level = chosen.choice([2, 2, 2, 3])
    price = chosen.choice([{"basis": "free", "amount_cents": 0}, {"basis": "cost_based", "amount_cents": 4_800_000}])
    return {
        **base,
        "id": f"hospital-{hospital}.p{number}",
        "title": {
            "en": f"{condition} {kind}, {names[0]} cohort {number}",
            "zh": f"{condition_zh}{kind_zh}第{number}批",
        },
        "description": {
            "en": f"Records of patients with {condition.lower()} who received {', '.join(names[1:8])} between 2019 and"
            f" 2025; {kind} with dates by quarter and ages by decade.",
            "zh": f"{place_zh}市医院{condition_zh}患者的{kind_zh}，日期概化至季度，年龄概化至十岁段。",
        },
        "keywords": [condition.lower(), condition_zh, kind, *names[8:]],
        "provider": {
            "id": f"hospital-{hospital}",
            "name": {"en": f"{place} City Hospital No {hospital}", "zh": f"{place_zh}市第{hospital}医院"},
        },
        "level": level,
        "delivery_modes": MODES[0] if level < 3 else MODES[1],
        "terms": {**base["terms"], "permitted": chosen.choice([["DUO:0000007"], ["DUO:0000042"], ["DUO:0000006"]])},
        "price": {**base["price"], **price, "plan": chosen.choice(["one_off", "subscription", "per_query"])},
        "quality": {**base["quality"], "grade": chosen.choice("AABBCD")},
        "issued": f"202{chosen.randrange(4, 7)}-{chosen.randrange(1, 13):02d}-{chosen.randrange(1, 29):02d}"
        f"T{chosen.randrange(24):02d}:{chosen.randrange(60):02d}:{chosen.randrange(60):02d}.{number % 1000:03d}Z",
    }
