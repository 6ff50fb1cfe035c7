"""Words that English identifiers are made of, as pieces of patterns: months, streets, states, hospitals, labels."""

# ruff: noqa: E501  # a pattern is read on one line
from __future__ import annotations

import re

from hdex.deid.rules import is_name

MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?"
    r"|Dec(?:ember)?)"
)
DAY = r"(?:0?[1-9]|[12]\d|3[01])"
CLOCK = r"(?:[T ,]+(?:at )?\d{1,2}:\d{2}(?::\d{2})?(?:\.\d+)?(?:Z| ?[AaPp]\.?[Mm]\.?)?)?"
WORD = r"[A-ZÀ-Ý][A-Za-zÀ-ÿ'’-]+\d{0,4}"
NAME = rf"(?:[A-Z]\.[ \t]?){{0,2}}{WORD}(?:[ \t](?:[A-Z]\.|{WORD})){{0,2}}"
SUFFIX = (
    "Street|St|Avenue|Ave|Av|Road|Rd|Boulevard|Blvd|Drive|Dr|Lane|Ln|Court|Ct|Circle|Cir|Place|Pl|Square|Sq|Terrace|Ter|Trail|Trl"
    "|Parkway|Pkwy|Highway|Hwy|Way|Alley|Plaza|Crescent|Row|Path|Pike|Run|Loop|Bend|Cove|Crossing|Estate|Estates|Extension|Glen"
    "|Grove|Heights|Hill|Hollow|Island|Junction|Knoll|Landing|Manor|Meadow|Mews|Mill|Mount|Orchard|Overpass|Park|Pass|Point|Port"
    "|Quay|Ranch|Ridge|Spur|Station|Summit|Throughway|Trace|Track|Tunnel|Underpass|Union|Vale|Valley|View|Village|Ville|Vista|Walk"
    "|Wynd|Yard|Brook|Common|Course|Dale|Dam|Divide|Flat|Ford|Forest|Fork|Gardens|Gate|Green|Harbor|Haven|Key|Light|Lock|Lodge"
    "|Neck|Promenade|Rapid|Rest|Route|Shoal|Shore|Skyway|Stravenue|Stream|Vista|Well|Viaduct|Bypass|Camp|Canyon|Cape|Causeway"
    "|Center|Centers|Cliff|Club|Corner|Corners|Creek|Crest|Curve|Expressway|Falls|Field|Fields|Freeway|Mission|Motorway|Parade"
    "|Passage|Pine|Pines|Plain|Prairie|Radial|Ramp|River|Roads|Springs|Trafficway|Turnpike|Wells"
)
STATE = (
    "AL|AK|AZ|AR|CA|CO|CT|DE|FL|GA|HI|ID|IL|IN|IA|KS|KY|LA|ME|MD|MA|MI|MN|MS|MO|MT|NE|NV|NH|NJ|NM|NY|NC|ND|OH|OK|OR|PA|RI|SC|SD"
    "|TN|TX|UT|VT|VA|WA|WV|WI|WY|DC"
)
STATE_NAME = (
    "Alabama|Alaska|Arizona|Arkansas|California|Colorado|Connecticut|Delaware|Florida|Georgia|Hawaii|Idaho|Illinois|Indiana|Iowa"
    "|Kansas|Kentucky|Louisiana|Maine|Maryland|Massachusetts|Michigan|Minnesota|Mississippi|Missouri|Montana|Nebraska|Nevada"
    "|New Hampshire|New Jersey|New Mexico|New York|North Carolina|North Dakota|Ohio|Oklahoma|Oregon|Pennsylvania|Rhode Island"
    "|South Carolina|South Dakota|Tennessee|Texas|Utah|Vermont|Virginia|Washington|West Virginia|Wisconsin|Wyoming"
)
CITY = (
    "New York City|New York|Los Angeles|Chicago|Houston|Phoenix|Philadelphia|San Antonio|San Diego|Dallas|San Jose|Austin"
    "|Jacksonville|Fort Worth|Columbus|Indianapolis|Charlotte|San Francisco|Seattle|Denver|Oklahoma City|Nashville|El Paso|Boston"
    "|Portland|Las Vegas|Detroit|Memphis|Louisville|Baltimore|Milwaukee|Albuquerque|Tucson|Fresno|Sacramento|Kansas City|Mesa"
    "|Atlanta|Omaha|Colorado Springs|Raleigh|Miami|Long Beach|Virginia Beach|Oakland|Minneapolis|Tulsa|Tampa|Arlington"
    "|New Orleans|Cleveland|Honolulu|Cincinnati|Pittsburgh|St\\.? Louis|San Fran|(?:the )?Bronx|Harlem|NYC|Philly|Orlando|Buffalo|London|Toronto|Brooklyn|Manhattan|Queens"
)
CARE = (
    "Hospital|Hosp|Clinic|Clinics|Med(?:ical)?\\.? (?:Cent(?:er|re)|Ctr)|Medical Cent(?:er|re)|Health Cent(?:er|re)|Healthcare|Health System|Infirmary|Nursing Home|Hospice"
    "|Medical Group|Cancer Cent(?:er|re)|Heart Cent(?:er|re)|Surgery Cent(?:er|re)|Urgent Care|Rehabilitation Cent(?:er|re)|Medical Institute"
    "|Care Cent(?:er|re)|Family Practice|Pediatrics|Medical Associates|Medical Practice|Sanatorium|Memorial|General|Regional|Medical|Health"
    "|Cent(?:er|re)"
)
HOSPITALS = (
    "Johns Hopkins|Mayo|Cedars[- ]Sinai|Kaiser(?: Permanente)?|Mass(?:achusetts)? General|M\\.?D\\.? Anderson|Memorial Sloan[- ]Kettering|Sloan[- ]Kettering"
    "|UCSF|UCLA|NYU(?: Langone)?|Stanford|Brigham (?:and|&) Women['’]s|M(?:oun)?t\\.? Sinai|Baylor|Emory|Vanderbilt|Yale[- ]New Haven|Penn Medicine"
    "|Geisinger|Intermountain|Ochsner|Scripps|Duke|Tufts|Beth Israel(?: Deaconess)?|Montefiore|Bellevue|Walter Reed|Barnes[- ]Jewish|Cleveland Clinic"
)
RELATION = "wife|husband|son|daughter|mother|father|brother|sister|partner|spouse|niece|nephew|aunt|uncle|friend|caregiver|guardian"
LABEL_ID = (
    r"MRN|M\.R\.N\.|medical record|record|chart|account|acct|patient id|pt id|patient|id|case|policy|member|membership|insurance"
    r"|medicare|medicaid|health plan|beneficiary|subscriber|group|licen[cs]e|driver'?s? licen[cs]e|dl|passport|serial|s/n|sn|lot|batch"
    r"|device|accession|specimen|sample|visit|encounter|order|claim|invoice|vin|plate|npi|dea|certificate|cert|reference|ref|confirmation"
    r"|identifier|hospital no|badge|employee|staff|ssn|social security|fax|study|protocol|prescription|rx"
)


MONTHS = frozenset(
    (
        "Jan",
        "January",
        "Feb",
        "February",
        "Mar",
        "March",
        "Apr",
        "April",
        "May",
        "Jun",
        "June",
        "Jul",
        "July",
        "Aug",
        "August",
        "Sep",
        "Sept",
        "September",
        "Oct",
        "October",
        "Nov",
        "November",
        "Dec",
        "December",
    )
)
TITLES = frozenset(
    (
        "Dr",
        "Drs",
        "Mr",
        "Mrs",
        "Ms",
        "Miss",
        "Mx",
        "Prof",
        "Professor",
        "Doctor",
        "Nurse",
        "Sister",
        "Rev",
        "Judge",
        "Sgt",
        "Lt",
        "Capt",
    )
)
CREDENTIALS = (
    " MD",
    " M.D",
    " DO",
    " D.O",
    " RN",
    " R.N",
    " NP",
    " N.P",
    " PA",
    " P.A",
    " Ph",
    " DPM",
    " LPN",
    " DDS",
)
TREATED = (
    *("seen", "treated", "admitted", "evaluated", "followed", "diagnosed", "operated", "hospitali", "transferred"),
    *("presented", "visit", "observed", "performed", "done", "care", "appointment"),
)
DAY_FIRST = ("0 A", "0-A", "0aa A", "0aa-A", "0 aa A", "0-aa A", "0aa aa A", "0aa-aa A")  # 3 May, 3rd of May
FOUR = ("0000", "000-", "00-0", "00--", "0-00", "0-0-", "0--0", "0---")  # a digit, and three of digits and dashes
DOES = (
    "was|is|has|had|presents|presented|denies|denied|reports|reported|states|stated|complains|complained|underwent|received"
    "|came|returned|arrived|remains|remained|will|would|did|does|could|cannot|lives|takes|took|tolerated|continues|began"
)
PATIENT_THINGS = frozenset(
    (
        *("Health", "Safety", "Care", "Education", "Portal", "Instructions", "Information", "History", "Name", "Age"),
        *("Questionnaire", "Experience", "Satisfaction", "Access", "Advocate", "Assessment", "Monitoring", "Record"),
        *("Records", "Service", "Services", "Status", "Summary", "Transfer", "Transport", "Registration", "Consent"),
        *("Controlled", "Population", "Data", "Handling", "Reported", "Rights", "Protection", "Handout", "Discharge"),
        *("Group", "Room", "Unit", "Number", "Today", "Currently", "Also", "He", "She", "The", "This", "There", "It"),
    )
)
_OF_PLACES = frozenset(re.findall(r"[A-Z]\w+", f"{CARE}|{SUFFIX}|{STATE}|{STATE_NAME}|{CITY}"))


def may_go_on(word: str) -> bool:
    """Say whether a capitalised word at the start of a line may end a name or a place of the line before."""
    return word in _OF_PLACES or is_name(word)
