"""A product as Croissant 1.0 JSON-LD: what tools of machine learning read.

The file is named, sized and hashed; its address is the product's page, for it comes under contract and sealed. The
synthetic sample is a record set of its own, inline, each row marked.
"""

from hdex.catalog.documents import Json
from hdex.catalog.product import Column, DataProduct, Role

CONTEXT: Json = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataBiases": "cr:dataBiases",
    "dataCollection": "cr:dataCollection",
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "personalSensitiveInformation": "cr:personalSensitiveInformation",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
TYPES = {
    "boolean": "sc:Boolean",
    "integer": "sc:Integer",
    "number": "sc:Float",
    "date": "sc:Date",
    "datetime": "sc:DateTime",
}
FILE, RECORDS, SAMPLE = "release", "records", "synthetic-sample"


def croissant(product: DataProduct, *, base: str) -> Json:
    """Return the product as a Croissant data set; `base` is the exchange's address."""
    address = f"{base}/products/{product.id}"
    rendered: Json = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": product.id,
        "description": product.description.en,
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "url": address,
        "license": f"{address}#offer",
        "version": product.version,
        "datePublished": product.issued[:10],
        "creator": {"@type": "sc:Organization", "name": product.provider.name.en},
        "keywords": list(product.keywords),
        "citeAs": f"{product.provider.name.en}: {product.title.en}, version {product.version}, {product.digest()}",
        "personalSensitiveInformation": f"health data of patients, level {product.level}, de-identified",
        "recordSet": [],
    }
    sets: list[Json] = []
    if product.release is not None:
        rendered["distribution"] = [
            {
                "@type": "cr:FileObject",
                "@id": FILE,
                "name": FILE,
                "contentUrl": f"{address}/{product.version}.parquet",
                "contentSize": f"{product.release.bytes} B",
                "encodingFormat": "application/x-parquet",
                "sha256": product.release.sha256,
            }
        ]
        sets.append(_records(product))
    if product.preview.rows:
        sets.append(_sample(product))
    return rendered | {"recordSet": sets}


def _records(product: DataProduct) -> Json:
    return {
        "@type": "cr:RecordSet",
        "@id": RECORDS,
        "name": RECORDS,
        "description": product.title.en,
        "field": [
            _field(RECORDS, column) | {"source": {"fileObject": {"@id": FILE}, "extract": {"column": column.name}}}
            for column in product.columns
        ],
    }


def _sample(product: DataProduct) -> Json:
    names = [name for name in product.preview.rows[0] if name != "synthetic"]
    known = {column.name: column for column in product.columns}
    mark = Column(name="synthetic", title=product.title, datatype="boolean", level=1, role=Role.OTHER, method="made")
    columns = [mark, *(known[name] for name in names if name in known)]
    return {
        "@type": "cr:RecordSet",
        "@id": SAMPLE,
        "name": SAMPLE,
        "description": f"synthetic rows, epsilon {product.preview.epsilon}: none is a patient's record",
        "field": [_field(SAMPLE, column) | {"dataType": _type_in(product, column)} for column in columns],
        "data": [{f"{SAMPLE}/{column.name}": row[column.name] for column in columns} for row in product.preview.rows],
    }


def _field(where: str, column: Column) -> Json:
    described = column.title.en + (f", {column.unit}" if column.unit else "")
    name = f"{where}/{column.name}"
    kind = TYPES.get(column.datatype, "sc:Text") if column.method == "kept" else "sc:Text"
    return {"@type": "cr:Field", "@id": name, "name": name, "description": described, "dataType": kind}


def _type_in(product: DataProduct, column: Column) -> str:
    """Return the type of what the sample shows: labels of generalised numbers are words."""
    value = product.preview.rows[0][column.name]
    for kind, name in ((bool, "sc:Boolean"), (int, "sc:Integer"), (float, "sc:Float")):
        if isinstance(value, kind):
            return name
    return "sc:Text"
