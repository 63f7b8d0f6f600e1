"""What verbs tell: the attribute that a verb with its object states of its subject."""

import re
from dataclasses import dataclass, replace

from memsvc.extraction.model import FactKind
from memsvc.extraction.people import PETS

_CAP = r"(?:the )?[^\W\d_a-zà-ÿ][\w&.'’-]*(?:(?:,? (?:of |the |de |and )?)[^\W\d_a-zà-ÿ][\w&.'’-]*)*"
_STOP = r"[.,!;]|$"
_OBJECT = r".+"
_TITLE = r"[\w /&-]+?"


@dataclass(frozen=True, slots=True)
class Rule:
    pattern: re.Pattern[str]
    attribute: str
    kind: FactKind
    confidence: float
    denies: bool
    passive: bool


def rule(
    pattern: str,
    attribute: str,
    confidence: float = 0.85,
    *,
    kind: FactKind = "fact",
    denies: bool = False,
    passive: bool = False,
) -> Rule:
    return Rule(re.compile(pattern), attribute, kind, confidence, denies, passive)


_HOME = rule(
    rf"(?:(?:back|right|over|together|alone|currently|full-time|downtown) )*(?:in|at|near|outside) (?P<v>{_CAP})",
    "home",
)
_HOME_TO = rule(rf"(?:back |over |down |up |out |abroad |away )*(?:from {_CAP} )?to (?P<v>{_CAP})", "home")
_EMPLOYER = rule(rf"(?:full-time |part-time |remotely |again |now |out )*(?:at|for|with) (?P<v>{_CAP})", "employer")
_STARTED = rule(rf"(?:full-time |part-time |remotely |again |now |out )*(?:at|for) (?P<v>{_CAP})", "employer", 0.8)
_JOB_AT = rule(
    rf"(?:working|work|(?:a|my|the|his|her) (?:[\w-]+ )?(?:job|position|role|internship)) (?:here )?"
    rf"(?:at|for|with) (?P<v>{_CAP})",
    "employer",
)
_JOB_AS = rule(
    rf"(?:working |work |(?:a|my|the) (?:[\w-]+ )?(?:job|position|role) )as (?:an? )?"
    rf"(?P<v>{_TITLE})(?= (?:at|for|in|with|on)\b|{_STOP})",
    "job",
)
_STUDYING = rule(rf"(?:studying|to study) (?P<v>{_TITLE})(?= (?:at|in|with|for)\b|[.,!;]|$)", "studies")
_LIKES = rule(
    rf"(?!it\b|this\b|that\b|them\b|how\b|to (?:see|hear|know)\b)(?:to )?(?P<v>{_OBJECT})",
    "likes",
    0.8,
    kind="preference",
)
_HATES = replace(_LIKES, denies=True)
_USES = (
    rule(
        r"(?P<v>(?!an? |it\b|this\b|that\b|my |the )[\w.+#@/ -]+?) (?P<as>for|as) (?P<x>[\w' -]+)", "uses for {x}", 0.8
    ),
    rule(rf"(?P<v>{_CAP})(?=$|[.,!;]| (?:to|in|on|with|at|and|daily|every)\b)(?<!'s)", "uses", 0.6),
)
_TO_USE = tuple(
    rule(r"(?:over |back )?(?:from [\w.+#/ -]+? )?to " + use.pattern.pattern, use.attribute, 0.8) for use in _USES
)
_OWNS = rule(rf"(?!it\b|this\b|that\b|them\b|one\b)(?P<v>{_OBJECT})", "owns", 0.6)
_WEDDED = "relationship status"
_PET = "|".join(sorted(PETS))

RULES: dict[str, tuple[Rule, ...]] = {
    "live": (_HOME, rule(rf"with (?P<v>{_OBJECT})", "lives with")),
    "reside": (_HOME,),
    "settle": (replace(_HOME, pattern=re.compile(rf"(?:down )?in (?P<v>{_CAP})")),),
    "base": (replace(_HOME, passive=True),),
    "move": (
        _HOME_TO,
        rule(rf"(?:out of|out from|away from|from) (?P<v>{_CAP})", "home", denies=True),
        rule(rf"in with (?P<v>{_OBJECT})", "lives with"),
        rule(r"(?:in)?to (?P<v>an? (?:[\w-]+ )*(?:house|apartment|flat|condo|place|home|studio))", "home", 0.6),
    ),
    "relocate": (_HOME_TO,),
    "come": (rule(rf"(?:originally )?from (?P<v>{_CAP})", "origin"),),
    "grow": (rule(rf"up in (?P<v>{_CAP})", "origin", 0.7),),
    "bear": (
        rule(r"on (?P<v>.+)", "birthday", passive=True),
        rule(r"in (?P<v>(?:\w+ )?\d{4})", "birthday", passive=True),
        rule(rf"(?:and raised )?in (?P<v>{_CAP})", "origin", passive=True),
    ),
    "raise": (rule(rf"in (?P<v>{_CAP})", "origin", 0.7, passive=True),),
    "work": (
        rule(rf"(?:[\w-]+ )?as (?:an? )?(?P<v>{_TITLE})(?= (?:at|for|in|with|on)\b|[.,!;]|$)", "job"),
        _EMPLOYER,
        rule(rf"on (?!it\b|that\b|this\b)(?P<v>{_OBJECT})", "works on", 0.7),
        rule(rf"in (?P<v>{_TITLE})(?= (?:at|for|with|and)\b|[.,!;]|$)", "field of work", 0.7),
    ),
    "employ": (rule(rf"(?:by|at) (?P<v>{_CAP})", "employer", passive=True),),
    "hire": (rule(rf"(?:by|at) (?P<v>{_CAP})", "employer", passive=True),),
    "promote": (rule(rf"to (?:an? |the )?(?P<v>{_TITLE})(?= (?:at|for|in|with)\b|[.,!;]|$)", "job", passive=True),),
    "join": (
        rule(rf"(?!the )(?P<v>{_CAP})(?: as\b.*)?[.!]?$", "employer", 0.7),
        rule(rf"(?P<v>{_OBJECT})", "member of", 0.75, kind="event"),
    ),
    "start": (_STARTED, _JOB_AS, _JOB_AT, _STUDYING),
    "begin": (_STARTED, _JOB_AS, _JOB_AT, _STUDYING),
    "get": (
        _JOB_AT,
        _JOB_AS,
        rule(rf"hired (?:by|at) (?P<v>{_CAP})", "employer"),
        rule(rf"promoted to (?:an? |the )?(?P<v>{_TITLE})(?= (?:at|for|in|with)\b|[.,!;]|$)", "job"),
        rule(rf"(?:fired from|laid off (?:from|by)) (?P<v>{_CAP})", "employer", denies=True),
        rule(r"(?P<v>married|engaged|divorced)\b", _WEDDED),
        rule(rf"rid of (?P<v>{_OBJECT})", "owns", 0.7, denies=True),
        rule(
            rf"(?P<v>(?:an?|another|two|three) (?:[\w-]+ ){{0,3}}(?:{_PET}|dogs|cats|puppies|kittens))\b", "pets", 0.8
        ),
        rule(r"(?P<v>(?:an?|my) (?:new |used |first )+(?!job|one|way|idea|start|look)[\w -]+)", "owns", 0.6),
    ),
    "land": (_JOB_AT, _JOB_AS),
    "accept": (_JOB_AT, _JOB_AS, rule(rf"(?:an?|the|my) (?:[\w-]+ )?offer (?:from|at) (?P<v>{_CAP})", "employer")),
    "take": (_JOB_AT, _JOB_AS),
    "leave": (
        rule(rf"(?:[\w']+ )+(?:job|position) (?:at|with) (?P<v>{_CAP})", "employer", denies=True),
        rule(r"[\w' ]+'s (?:\w+ )?(?P<v>job)\b", "employer", denies=True),
    ),
    "break": (rule(rf"up with (?P<v>{_CAP})", "partner", denies=True, kind="event"),),
    "quit": (
        rule(rf"(?:[\w']+ )+(?:job|position) (?:at|with|as) (?P<v>{_CAP})", "employer", denies=True),
        rule(r"[\w' ]+'s (?:\w+ )?(?P<v>job)\b", "employer", denies=True),
        rule(r"(?!it\b|on\b)(?P<v>\w+ing\b.*|[\w -]+)", "habit", denies=True),
    ),
    "resign": (rule(rf"from (?P<v>{_CAP})", "employer", denies=True),),
    "lay": (rule(rf"off (?:from|by) (?P<v>{_CAP})", "employer", denies=True, passive=True),),
    "fire": (rule(rf"(?:from|by) (?P<v>{_CAP})", "employer", denies=True, passive=True),),
    "lose": (rule(r"[\w' ]+'s (?:\w+ )?(?P<v>job)\b", "employer", denies=True),),
    "study": (rule(rf"(?!for\b|at\b|hard\b|in\b|with\b)(?P<v>{_TITLE})(?= (?:at|in|with|for)\b|[.,!;]|$)", "studies"),),
    "major": (rule(rf"in (?P<v>{_TITLE})(?= (?:at|with)\b|[.,!;]|$)", "studies"),),
    "attend": (rule(rf"(?P<v>{_CAP}(?:University|College|School|Academy|Institute)\b.*)", "school", 0.8),),
    "graduate": (rule(rf"from (?P<v>{_OBJECT})", "school", 0.8, kind="event"),),
    "turn": (rule(r"(?P<v>\d{1,2})(?=$|[\s.,!])(?!:| (?:am|pm|into))", "age"),),
    "marry": (rule(rf"(?:to )?(?P<v>{_CAP})", "spouse"),),
    "own": (_OWNS,),
    "buy": (replace(_OWNS, kind="event"),),
    "purchase": (replace(_OWNS, kind="event"),),
    "adopt": (
        rule(rf"(?P<v>(?:[\w-]+ ){{0,4}}(?:{_PET}|dogs|cats|puppies|kittens|pups)\b.*)", "pets", 0.8, kind="event"),
    ),
    "sell": (replace(_OWNS, denies=True, kind="event"),),
    "drive": (rule(rf"(?P<v>(?:an? |the )?{_CAP}(?: [\w-]+)*)", "car"),),
    "like": (_LIKES,),
    "love": (_LIKES,),
    "enjoy": (_LIKES,),
    "adore": (_LIKES,),
    "hate": (_HATES,),
    "dislike": (_HATES,),
    "stand": (replace(_HATES, denies=False),),
    "prefer": (rule(rf"(?!it\b|that\b|this\b)(?P<v>{_OBJECT})", "prefers", kind="preference"),),
    "use": _USES,
    "switch": _TO_USE,
    "migrate": _TO_USE,
    "speak": (
        rule(
            r"(?:fluent |some |a little )?(?P<v>[A-Z][a-z]+(?:(?:,| and|, and) [A-Z][a-z]+)*)(?=$|[.,! ])",
            "speaks",
            0.8,
        ),
    ),
    "eat": (rule(r"(?!out\b|it\b|that\b|there\b|at\b)(?:any )?(?P<v>[\w -]+)", "eats", 0.6),),
    "cost": (rule(r"(?P<v>.*\d.*)", "price"),),
    "go": (rule(rf"by (?P<v>{_CAP})", "name", 0.7),),
    "call": (rule(rf"(?P<v>{_CAP})[.!]?$", "name", 0.8, passive=True),),
    "name": (rule(rf"(?P<v>{_CAP})[.!]?$", "name", 0.8, passive=True),),
}

_JOB_NAMES = """
engineer teacher nurse doctor lawyer developer designer manager student writer artist programmer scientist
researcher analyst consultant accountant architect baker barista chef cook carpenter counselor dentist director
driver editor electrician entrepreneur farmer firefighter journalist librarian mechanic musician nanny painter
pharmacist photographer pilot plumber police_officer producer professor psychologist psychiatrist realtor reporter
salesperson secretary singer social_worker soldier surgeon therapist translator tutor veterinarian vet waiter
waitress freelancer filmmaker screenwriter novelist poet dancer coach instructor trainer physicist chemist biologist
economist banker broker supervisor technician administrator coordinator marketer recruiter paralegal intern actor
actress model officer planner publicist bartender cashier caregiver paramedic physiotherapist optician principal
judge mayor ceo cto cfo
"""
_JOBS = "|".join(_JOB_NAMES.split()).replace("_", " ")
IS = (
    rule(rf"(?:originally )?from (?P<v>{_CAP})", "origin"),
    rule(r"(?P<v>\d{1,3})(?: years? old| yo\b| y/o)", "age", 0.9),
    rule(r"(?:now |only |almost )?(?P<v>\d{1,2})[.!]?$", "age", 0.75),
    rule(rf"(?:happily |already |finally |newly )?(?:married|engaged) to (?P<v>{_CAP})", "spouse"),
    rule(
        r"(?:happily |already |finally |newly |now |currently |still )?(?P<v>single|married|divorced|engaged|widowed)"
        r"(?=$|[\s.,!;])(?! (?:parent|mom|mother|dad|with|in))",
        _WEDDED,
    ),
    rule(r"(?:\w+ )?allergic to (?P<v>.+)", "allergy", 0.9),
    rule(
        r"(?:an? )?(?:\w+ )?"
        r"(?P<v>vegan|vegetarian|pescatarian|lactose[- ]intolerant|gluten[- ]free|celiac|coeliac|keto)\b",
        "diet",
    ),
    rule(
        rf"(?:now |currently |still |also )?an? (?P<v>(?:[\w-]+ ){{0,3}}?(?:{_JOBS}))"
        rf"(?={_STOP}| (?:at|for|in|with|who|from|now|and|here)\b)",
        "job",
    ),
    rule(
        r"(?:an? )?(?:[\w-]+ )?(?:fan of|into|fond of|crazy about|obsessed with|passionate about) "
        r"(?P<v>(?!it\b|that\b|this\b|them\b).+)",
        "likes",
        0.8,
        kind="preference",
    ),
    rule(rf"(?:based|living|located) (?:in|near) (?P<v>{_CAP})", "home"),
    rule(rf"(?:at home in|at|in) (?P<v>{_CAP})", "location", 0.6),
    rule(rf"to (?P<v>{_CAP})", "visit", 0.7, kind="event"),
    rule(r"(?:now |also )?(?:a )?(?:part|member) of (?P<v>(?!it\b|that\b|this\b).+)", "member of", 0.75),
    rule(r"due (?:on |by |at )?(?P<v>.+)", "deadline"),
)  # fmt: skip
_SOME = r"(?:an?|no|\d+|two|three|four|five|six)"
HAS = (
    rule(rf"(?P<v>{_SOME} (?:[\w-]+ ){{0,2}}(?:kids?|children|sons?|daughters?|child))\b", "children"),
    rule(rf"(?P<v>{_SOME} (?:[\w-]+ ){{0,3}}(?:{_PET}|dogs|cats|pets?|puppies|kittens|rabbits|birds))\b", "pets"),
    rule(rf"(?P<v>{_SOME} (?:[\w-]+ ){{0,2}}(?:sisters?|brothers?|siblings?))\b", "siblings"),
    rule(r"(?:an? )?(?:[\w-]+ )?allerg(?:y|ies) to (?P<v>.+)", "allergy", 0.9),
    rule(r"(?P<v>\d[\d,.]*) (?P<x>[\w-]+(?: [\w-]+)?)", "count of {x}", 0.7),
)  # fmt: skip
