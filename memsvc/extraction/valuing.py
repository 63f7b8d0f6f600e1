"""What may be the value of an attribute, and of what kind it is."""

import re

from memsvc.extraction.typed import kind_of
from memsvc.extraction.words import word_set

_LONGEST = 6
ROUGH = re.compile(
    r"(?:about|around|roughly|approximately|some|almost|nearly|circa) (?=[$€£]?\d|an? (?:hundred|thousand))",
    re.IGNORECASE,
)
# What only leads to a value.
_SOFT = re.compile(
    r"(?:still|now|set|at|to|on|in|with|by|from|for|under|called|named|up to|down to|currently|only|just|exactly|back"
    r"|always|usually|of|the one at|about|around|number|no\.|nr\.?) ",
    re.IGNORECASE,
)
_ADJECTIVE = re.compile(r"\w+(?:ful|ous|ive|able|ible|ed|ish|less|est)$", re.IGNORECASE)
_PRAISE = re.compile(
    r"""^(?:an?\s+)?(?:so|very|really|pretty|quite|such|too|not|all|full|great|good|bad|nice|better|worse|best|worst|awesome
    |amazing|fine|ok|okay|ready|done|important|lovely|beautiful|wonderful|perfect|sore|sick|happy|sad|tired|busy|like|kind
    |sort|one|what|how|that|this|it|there|here|to|more|less|mess|disaster|blessing|joy|lot|bit|reason|same|different|similar
    |new|old|big|small|long|short|hard|easy|true|real|right|wrong|always|never|usually|also|still|just|almost|nearly
    |about\s+to|up|down|over|out|off|broken|dead|gone|closed|open|late|early|near|close|far|safe|crazy|huge|super|totally
    |dirty|messy|noisy|cozy|tiny|heavy|angry|lazy|healthy|lucky|funny|empty|sunny|cloudy|itchy|shiny|fancy|spicy|tasty|cold
    |hot|warm|slow|fast|loud|quiet|dark|bright|clean|simple|cool|weird|strong|weak|rich|poor|high|low|free|clear|unclear|fun
    |cute|sweet|\w+ing|these|those|who|when|where)\b""",
    re.VERBOSE | re.IGNORECASE,
)
_PRONOUN = re.compile(r"this|that|these|those|you|he|she|it|they|we|which|who|what|here|there|one|so|yes|no")
_POINTS = re.compile(
    r"(?:this|that|these|those|you|it|which|who|here|there|what|next|last|today|tomorrow|yesterday|soon|later|and|or|but)\b"
    r"|\w{3,}ed (?:in|on|at|by|with|to|for|from|as)\b",
    re.IGNORECASE,
)
_VERB = re.compile(
    r"\b(?:is|are|was|were|am|be|been|has|had|do|does|did|will|would|can|could|should|may|might|must|i|you|he|she|they|we|it"
    r"|because)\b|n['’]t\b|['’](?:m|re|ll|ve|d)\b",
    re.IGNORECASE,
)
_AMOUNTS = word_set("rent salary budget price savings") | {"hourly rate"}
_GENERAL = (
    "email", "span", "when", "date", "flight", "zone", "rate", "measure", "money", "version", "code", "doctor", "named",
    "street", "name", "season", "phone", "number",
)  # fmt: skip
# What a value of an attribute must be, where its noun alone is not enough.
_OF_KIND: dict[str, tuple[str, ...]] = {
    "phone": ("phone",), "email": ("email",), "wake-up time": ("when",), "bedtime": ("when",), "office days": ("days",),
    "release date": ("date", "season"), "running distance": ("rate", "measure"), "employer": ("named", "name"),
    "manager": ("who",), "doctor": ("doctor", "who"), "relationship status": ("wedded",), "diet": ("diet",),
    "time zone": ("zone",), "status": ("status",), "bank": ("name",), "flight": ("flight",), "home": ("name", "street"),
    "address": ("street", "name"), "commute": ("means",), "reading": ("title",), "lead": ("who",),
    "owner": ("who", "name"), "contact": ("who", "email"), "job": ("job",), "work laptop": ("laptop", "name"),
    "internet": ("name",), "insurance": ("name",), "plan": ("tier",), "hosting": ("cloud", "name"),
    "database": ("database", "name"), "editor": ("editor", "name"), "car": ("name", "vehicle"), "hotel": ("name",),
    "seat": ("code",), "parking spot": ("code",), "best friend": ("who",), "team size": ("number",),
    "phone model": ("name", "phone"), "on call": ("who",), "pronouns": ("slashed",), "height": ("measure", "number"),
    "called": ("who",), "roommate": ("who",), "working hours": ("span",), "day off": ("days",), "gym": ("name",),
    "weight": ("measure", "number"), "port": ("code",),
}  # fmt: skip


def typed(said: str, attribute: str) -> tuple[str, str]:
    """Of what kind a value is, "phrase" if of none, and its words without those that only lead to it."""
    if attribute in _AMOUNTS or attribute.endswith((" price", " cost", " budget")):
        return ("money", said) if re.search(r"\d|\bthousand\b|\bhundred\b|\bmillion\b", said) else ("", "")
    forms = [said.strip(' ,."“”')]
    while lead := _SOFT.match(forms[-1]):
        forms.append(forms[-1][lead.end() :])
    # "On hold" and "by bike" begin with their preposition; "with Alpina" does not.
    for form in forms if attribute in ("status", "commute") else reversed(forms):
        if kind := kind_of(form, _OF_KIND.get(attribute, _GENERAL)):
            return kind, form
    return "phrase", forms[-1]


def can_be(attribute: str, kind: str, value: str) -> bool:
    """Whether a value of this kind can be one of the attribute's."""
    if not value or not kind or _PRONOUN.fullmatch(value):
        return False
    if kind != "phrase":
        return True
    return attribute not in _OF_KIND and len(value.split()) <= _LONGEST and not _VERB.search(value)


def is_praise(said: str, spoken: str) -> bool:
    """Whether it says how something is, not what or where. `spoken` is the value with what leads to it."""
    if _POINTS.match(said):
        return True
    if spoken.lower().startswith("the "):
        return False
    return _PRAISE.match(said) is not None or (" " not in said and _ADJECTIVE.match(said) is not None)
