"""Forms of statements that tell of a state: which attribute, and where in the words its value stands.

In a form, `<kind|kind>` is a value of one of these kinds (`memsvc.extraction.typed`, or "phrase": up to where the
statement ends), `{I}` is "I" or "we" with what may stand before a verb, `{T}` a thing by its name.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from memsvc.extraction.typed import CASED, TYPES

About = Literal["me", "thing", "event", "noun", "label"]

END = (
    r"(?=\s*(?:$|[;!?…]|,(?!\d)|\.(?=\s|$|[\"'”])|:(?=\s)|\s[-–—]+\s|\((?!\w+\)\w))"
    r"|\s(?:now|these days|nowadays|instead|rather than|from now on|any ?more|any longer|no longer|at the moment|currently|right now|again"
    r"|since|because|so|as of|with the|until|though|but|while|if|when|which|who|where|for now|too|as well|up from|down from|and (?:I|i|we|my"
    r"|our|it|that|they|he|she|not|so)|not|today|this (?:week|month|year)|last (?:week|month|year|weekend)|yesterday|please"
    r"|starting|effective|before|after|already|btw|by the way|for good|for real|right|though|actually|in the end|to the cent|otherwise)(?!\w))"
)
_ADVERB = (
    r"now|just|finally|currently|still|also|recently|always|usually|only|actually|really|officially|already|mostly|normally|typically"
    r"|permanently|definitely|generally|lately|happily|newly|nowadays|these days|go-to"
)
_I = rf"(?:i|we)(?:['’](?:m|ve|re)| am| are| have| had to| do)?(?: been)?(?: (?:{_ADVERB}))*"
_T = r"(?P<t>(?-i:it|(?:[Tt]he )?(?:[A-Z][\w-]*)(?: [A-Z0-9][\w.-]*){0,3}))"
_FROM = r"(?:from [^,;]{1,50}? )?"
_BE = r"(?:is|are|'s|’s|was|has been)(?: (?:now|currently|still|officially|set|planned|scheduled))*"


@dataclass(frozen=True, slots=True)
class Frame:
    """One form. The attribute may hold "{x}", which the group x of the pattern fills."""

    pattern: re.Pattern[str]
    attribute: str
    about: About
    confidence: float


def expand(form: str) -> str:
    """The pattern of a form."""
    form = (
        form.replace("{I}", _I)
        .replace("{T}", _T)
        .replace("{FROM}", _FROM)
        .replace("{BE}", _BE)
        .replace("{ADV}", _ADVERB)
    )
    return re.sub(r"(?<!\?P)<([a-z_|]+)>", lambda match: _value(match[1].split("|")), form)


def _value(kinds: Sequence[str]) -> str:
    parts = []
    for kind in kinds:
        if kind == "phrase":
            parts.append(rf"(?P<v_phrase>[^;!?\n]{{1,80}}?){END}")
        else:
            inner = f"(?-i:{TYPES[kind]})" if kind in CASED else f"(?:{TYPES[kind]})"
            parts.append(rf"(?P<v_{kind}>{inner})(?!\w)")
    return "(?:" + "|".join(parts) + ")"


def _frames(about: About, rows: Sequence[tuple[str, str]], confidence: float = 0.85) -> tuple[Frame, ...]:
    return tuple(
        Frame(re.compile(expand(form), re.IGNORECASE), attribute, about, confidence) for attribute, form in rows
    )


# Of the speaker himself.
_OWN = _frames(
    "me",
    (
        ("home", r"{I} (?:live|living|reside|residing|based|settled|settle)(?: back| alone| down| together)* (?:in|near|outside) <name>"),
        ("home", r"{I} (?:left|leaving|moved (?:out of|away from)) [^,;]{1,40}?(?:,| and| for) (?:have |we |i )?(?:settled|moved|relocated)?(?: down)? ?(?:in|to)? ?<name>"),
        ("home", r"{I} (?:moved|move|relocated|moving|relocating)(?: back| over| away| out| house)* {FROM}to <name>"),
        ("home", r"home(?: for (?:me|us))? (?:is|has become|became)(?: now)?(?: in)? <name>"),
        ("employer", r"{I} (?:work|working|employed)(?: full-time| part-time| remotely| as an? [\w -]{1,30}?)? (?:at|for|with|by) <named|name>"),
        ("employer", r"{I} (?:(?:quit|left) [^,;]{1,40}? (?:and|to|for) )?(?:i )?(?:started|start|starting|joined|signed on|signed|began|hired|begin)(?: (?:work|working|a (?:new )?job))? ?(?:at|with|by|for) <named|name>"),
        ("employer", r"{I} (?:quit|left) [^,;]{1,40}? (?:and|to) (?:joined|join) <named|name>"),
        ("employer", r"(?:my )?first (?:day|week|month)(?: of work)? (?:at|with) <named|name>"),
        ("employer", r"it(?:'s|’s| is)(?: now)? <named|name>(?: now)? (?:who|that|which) (?:pays?|employs?|hired|signs?)"),
        ("employer", r"<named|name> (?:pays|employs|hired|took|signs)(?: my| me)(?: salary| wages?| on| paychecks?)?"),
        ("employer", r"{I} (?:at|with) <named|name>,? (?:[\w ,'-]{0,40})?(?:office|team|department|shift|desk|branch|division|warehouse)"),
        ("employer", r"the (?:bank|company|firm|place|school|hospital|agency|shop|studio|one) (?:that |which )?(?:i|we) (?:now )?work (?:for|at) is(?: now)? <named|name>"),
        ("job", r"{I} (?:work|working|started|start|starting|hired|employed|promoted)(?: now| full-time| part-time)? (?:as|to)(?: an?| the)? <job>(?=\s?(?:at|for|in|with|on|now|these|since|from|,|\.|;|!|$))"),
        ("job?", r"{I} (?:now )?(?=an? )<job>(?=,? no longer| these days| now|, not| from now|,|\.|!|;|$)"),
        ("phone", r"(?:please |you can |just |best |better )*(?:call|ring|text|reach|phone|contact|message|dial|whatsapp)(?: me| us)?(?: now)? (?:on|at|under|via) <phone>"),
        ("phone", r"(?:please )?use <phone> (?:from now on|now|instead|for me|to (?:call|reach))"),
        ("phone", r"{I} (?:reachable|available) (?:on|at|under|via) <phone>"),
        ("email", r"(?:please |you can |just |best |better )*(?:write|mail|email|e-mail|reach|contact|send (?:it|them|that|everything|mail|mails|documents|the \w+))(?: to)?(?: me| us)?(?: now)? (?:at|on|under|via|to) <email>"),
        ("email", r"(?:please )?use <email> (?:from now on|now|instead|for)"),
        ("rent", r"{I} (?:pay|paying) <money|number>(?: (?:a|per|each|every) month| monthly)? (?:in|for|as|of) rent"),
        ("rent", r"<money>(?: (?:a|per|each|every) month| monthly)? (?:in|for|as|of) rent"),
        ("wedding", r"{I} getting married (?:on )?<date|season>"),
        ("relationship status", r"{I} (?:(?:got|become|became|getting) )?(?:re)?<wedded>(?= |,|\.|!|;|$)(?! (?:to|with|parent|mom|mother|dad|father|child|track|from|people|life))"),
        ("relationship status", r"(?:life update|update|status|relationship(?: status)?)\s*: <wedded>"),
        ("diet", r"{I} (?:(?:a|an|eat|eating|gone|went|go|going|turned|became|become|switched to|following an?|on an?|strictly|back to(?: being| eating)?) )*<diet>(?! (?:food|restaurant|recipes?|options?|dish\w*|meals?|cake|cooking))"),
        ("diet", r"(?:{I} )?(?:switched|changed|moved)(?: my diet)?(?: from \w+)? to (?:a |an )?<diet>(?! (?:food|restaurant|recipes?|options?|dish\w*|meals?|cake|cooking))"),
        ("manager", r"{I} (?:report|reporting)(?: directly)? to <who>"),
        ("car", r"{I} (?:drive|driving) <name|vehicle>(?= now|,|\.|!|;|$| these| at the moment| since)"),
        ("car", r"{I} (?:traded|swapped|exchanged)(?: in)? [^,;]{1,50}? (?:in )?for <name>"),
        ("time zone", r"{I} (?:on|in|working on|working in|using) <zone>"),
        ("time zone", r"(?:please )?(?:schedule|plan|book|put|show|set|give|switch|move|convert|use)(?: \w+){0,4}? (?:in|to|for) <zone>"),
        ("time zone", r"(?:please )?use <zone>"),
        ("commute", r"{I} (?:go|get|travel|come|commute|commuting|ride|getting|going|head)(?: in)?(?: to (?:work|the office|school|uni|university|college|campus))? <means>(?= to work| to the office| to school| now| these|,|\.|!|;|$)"),
        ("commute", r"(?:{I} )?commut(?:e|ing|ed)(?: to work)? <means>"),
        ("commute", r"{I} (?:take|taking|ride|riding) the (?P<how>tram|bus|train|metro|subway|tube|ferry|car|bike) to (?:work|the office)"),
        ("commute", r"{I} (?P<how>cycle|bike|walk|drive|cycling|walking|driving) to (?:work|the office)"),
        ("coffee", r"{I} (?:order|ordering|drink|drinking|have|take|get)(?: my)? <drink>(?=,|\.|!|;|$| now| these| every| in the)"),
        ("coffee", r"(?:coffee|usual|my usual|the usual)(?: order)?(?: for me)?\s*(?::|is|would be) <drink|phrase>"),
        ("bank", r"{I} (?:bank|banking) (?:with|at) <name>"),
        ("bank", r"(?:{I} )?(?:opened|have|moved|transferred|switched)(?: my| our| an| a| the)?(?: new| bank| current| checking| main)* account {FROM}(?:to|at|with) <name>"),
        ("{x}", r"{I} with <name>(?: instead of [^,;]{1,30}?)? for (?:my |our )?(?P<x>internet|broadband|insurance|health insurance|electricity|gas|power|energy|mobile|banking|phone|heating|water|car insurance|tv|hosting)"),
        ("internet", r"the router is(?: now)? from <name>"),
        ("work laptop", r"{I} (?:use|using|work on|working on|got|given|issued|have)(?: now)? <laptop>(?: (?:for|at) work|(?= now|,|\.|!|;|$))"),
        ("work laptop", r"(?:[A-Z]{2}|work|the company|they|my employer) (?:gave|got|issued|bought|handed) me <laptop>"),
        ("editor", r"{I} (?:use|using|write|writing|code|coding|program|edit|develop|switched to|moved to|work|working)(?: (?:code|everything|all my code|my code|it all))?(?: in| with| on| to)? <editor>"),
        ("editor", r"(?:{I} )?(?:switched|moved|changed|migrated)(?: over)? {FROM}to <editor>"),
        ("doctor", r"{I} (?:a )?(?:patient (?:of|at|with)|going to|seeing|registered with|go to|see) <doctor>"),
        ("insurance", r"{I} (?:now )?(?:insured|covered) (?:with|by|through|at) <name>"),
        ("reading", r"(?:{I} )?(?:currently |now |still )?reading(?: now)?:? <title>"),
        ("reading", r"(?:the )?(?:book )?(?:i'm|i’m|i am|that i'm) (?:currently |now )?reading(?: (?:at the moment|now|right now|these days|currently))? is <title>"),
        ("reading", r"(?:our|my|the) book club is (?:on|reading) <title>"),
        ("office days", r"{I} (?:in|at|go to|come to|come into|go into|go in to|work from|working from)(?: the)? office (?:on |every )<days>"),
        ("home office days", r"{I} (?:work|working) from home (?:on |every )<days>"),
        ("parking spot", r"{I} (?:park|parking|parked) (?:in|at|on)(?: (?:spot|space|bay|number|level))? <code>"),
        ("seat", r"{I} (?:sit|sitting|seated|in|on|got|moved to)(?: now)? (?:in )?(?:seat|row) <code>"),
        ("desk", r"{I} (?:sit|sitting|seated|at|moved to)(?: now)?(?: at)? desk <code>"),
        ("room", r"{I} (?:in|at|moved to|staying in) (?:room|hotel room) <code>"),
        ("plan", r"{I} (?:on|pay for|paying for|subscribed to|have|using|moved to|got|upgraded to|downgraded to|switched to) <tier>"),
        ("plan", r"(?:{I} )?(?:upgraded|downgraded|switched|moved|changed) {FROM}to <tier>"),
        ("studies", r"{I} (?:majoring|specializing|specialising) in <phrase>"),
        ("studies", r"{I} (?:study|studying) (?P<v_phrase>[a-z][a-z ]{2,40}?)(?= at (?:uni|university|college|the)|,|\.|!|;|$| now| instead)(?<!hard)(?<!abroad)"),
        ("studies", r"(?:{I} )?(?:switched|changed|transferred) (?:from [^,;]{1,40}? )to <phrase> (?:at uni|at university|at college|as my major|in college)"),
        ("studies", r"(?:{I} )?(?:switched|changed|transferred) (?:from [^,;]{1,40}? )to (?P<v_phrase>[^,;]{2,40}?) (?:at uni|at university|at college|as my major|in college)"),
        ("wake-up time", r"(?:{I} )?(?:get|wake|getting|waking|got|am|rise)? ?up(?: now)?(?: every day| on weekdays| on workdays)? (?:at|by|around) <clock>"),
        ("bedtime", r"{I} (?:go|going) to (?:bed|sleep)(?: now)? (?:at|by|around) <clock>"),
        ("hotel", r"{I} (?:staying|stay|booked|sleeping|checked in|checked into|put up)(?: a room)?(?: now)? ?(?:at|in|into|with) (?P<v_name>(?-i:(?:the |The )?(?:Hotel |Pension |Casa |Hostel |Villa )?[A-Z][\w'’-]*(?: (?:of |the |de )?[A-Z][\w'’-]*)*))(?=(?: instead| now| during| for the| while|,|\.|!|;|$))"),
        ("flight", r"{I} (?:booked|flying|fly|on|taking|rebooked|flying out)(?: out)?(?: now)?(?: (?:on|with|onto|to|in|out with|out on))* <flight>"),
        ("flight", r"flying(?: out| back| home)? (?:with|on|in) <flight>"),
        ("{x} dose", r"{I} (?:take|taking|on|need|inject|taking now)(?: now)? <measure> of (?P<x>[a-z][\w-]+)"),
        ("running distance", r"(?:{I} )?(?:run|running|jog|jogging)(?: now)? <measure> (?:a|per|each|every) week"),
        ("running distance", r"(?:{I} )?(?:increased|raised|cut|reduced|dropped|upped|lowered|brought)(?: up| down)? my (?:running|mileage|weekly mileage)(?: up| down)? (?:from [^,;]{1,20}? )?to <measure>"),
        ("savings", r"{I} (?:save|saving|put aside|putting aside|put away)(?: now)? <money|number> (?:a|per|each|every) (?:month|week|year)"),
        ("salary", r"{I} (?:earn|earning|make|making|get paid|paid)(?: now)? <money> (?:a|per|each|every) (?:month|year)"),
        ("hourly rate", r"{I} (?:charge|charging|earn|earning|make|making)(?: now)? <money> (?:an|per) hour"),
        ("weight", r"{I} (?:weigh|weighing)(?: now)? <measure>"),
        ("height", r"{I} <number>( ?m| ?cm| ?meters| ?metres| feet)? tall"),
        ("shift", r"{I} (?:work|working|on|do|doing)(?: now)?(?: the)? (?P<v_phrase>(?:early|late|night|day|morning|evening|graveyard|weekend)) shifts?"),
        ("working hours", r"{I} (?:work|working) from (?P<v_phrase>(?-i:\d[\d:]*(?: ?[ap]m)?) (?:to|until|till) (?-i:\d[\d:]*(?: ?[ap]m)?))"),
        ("supported team", r"{I} (?:support|root for|cheer for|rooting for) <name>"),
        ("reply style", r"(?:please |kindly |{I} (?:prefer|want|like|would like) )?(?:answer|answers|reply|replies|respond|responses|write|talk|speak)(?: to)?(?: me)?(?: please| always)?(?: only)? (?:in|with) <phrase>"),
        ("reply style", r"(?:please )?switch(?: back)? to (?P<v_phrase>[\w -]{3,40}?)(?: please|, please|(?= from now|,))"),
        ("favorite food", r"{I} could eat <phrase> (?:every day|all day|for ever|forever|daily|any day)[^.]{0,20}(?:it's|it’s|they're|they’re|it is|my) (?:my )?favou?rite"),
        ("favorite food", r"{I} could eat (?P<v_phrase>[^,;]{2,40}?) (?:every day|all day|for ever|forever|daily|any day)"),
        ("favorite band", r"{I} listen(?:ing)? to (?P<v_phrase>[^,;]{2,40}?) (?:more than|all day|all the time|non-stop)[^.]{0,40}favou?rite"),
        ("{x} days", r"{I} (?:go|going|have|do|doing)(?: to)?(?: the)?(?: my| our)? (?P<x>gym|yoga|pilates|training|choir|band|football|soccer|tennis|piano|guitar|swimming|spanish|french|german|english|pottery|dance|climbing|boxing|judo|karate|chess)(?: class(?:es)?| lessons?| practice| training)? (?:on |every )<days>"),
        ("{x} days", r"{I} (?P<x>swim|train|work out|run|volunteer|play \w+)(?: now)? (?:on |every )<days>"),
        ("called", r"{I} (?:prefer to be|like to be|would like to be) called <who>"),
        ("called", r"(?:please |just )*(?:call|address) me <who>(?= from now| now|,|\.|!|;|$| please| instead)"),
        ("count of {x}", r"{I} (?:down|up) to <number> (?P<x>[a-z]+s)\b"),
        ("deliveries", r"(?:please )?(?:send|deliver|ship|forward|bring) (?:my |all |the |our )?(?:parcels?|packages?|letters?|mail|post|orders?|deliveries|everything) to <phrase>"),
    ),
)  # fmt: skip

# Of what is not told: what it is about is what it ends.
_CHANGES = _frames(
    "me",
    (
        ("changed", r"(?:\w+ )?(?:\w+ )?(?:moved|switched|changed|transferred|upgraded|downgraded|went|put|relocated|bumped|swapped|rebooked|converted)(?: me| us)?(?: over| up| down)? from [^,;]{1,40}? (?:to|into) <phrase>"),
        ("changed", r"(?:{I}|they|it|you) (?:[a-z]+ ){1,2}?(?:(?:in|at|on|with|by|to|for) )?<phrase>(?= instead of| rather than)"),
        ("changed", r"(?:scratch|forget|ignore|disregard|correct|correcting) what (?:i|we) (?:told you|said|wrote|mentioned)(?: \w+)? about [^:;]{2,40}: <phrase>"),
    ),
    0.75,
)  # fmt: skip

# Of a thing that has a name.
_THINGS = _frames(
    "thing",
    (
        ("{software} version", r"{T} (?:{BE} |now )?(?:(?:runs|running|is|sits|built|based|pinned|upgraded|updated|stays|locked|deployed|on)(?: now)? )?(?:on|to|at) <version>"),
        ("{software} version", r"(?:{I} )?(?:upgraded|updated|downgraded|moved|migrated|bumped|pinned|switched|ported) {T} (?:from [^,;]{1,30}? )?(?:to|onto) <version>"),
        ("{software} version", r"{I} (?:use|using|run|running)(?: now)? <version> (?:for|in|on) {T}"),
        ("hosting", r"{T} (?:{BE} )?(?:hosted|lives|live|deployed|sits|runs|running|based|moved|migrated)(?: now)? (?:on|at|with|in|to) <cloud>"),
        ("hosting", r"{T} (?:{BE} )?hosted (?:on|at|with|by|in) <name>"),
        ("hosting", r"{I} (?:host|hosting|deploy|deploying|run|running) {T} (?:with|on|at|in|to) <cloud|name>"),
        ("hosting", r"(?:{I} )?(?:moved|migrated|switched|transferred|shifted) {T} (?:from [^,;]{1,30}? )?(?:over )?to <cloud>"),
        ("database", r"{T} (?:{BE} )?(?:stores?|keeps?|saves?|puts?|writes?)(?: now)? (?:everything|its data|all data|data|all its data) (?:in|on|to) <database|name>"),
        ("database", r"{T} (?:now )?(?:uses|runs on|is on|switched to|moved to|uses now) <database>"),
        ("database", r"(?:{I} )?(?:moved|migrated|switched|ported|converted) {T} (?:from [^,;]{1,30}? )?(?:over )?to <database>"),
        ("{x}", r"{T} (?:now )?uses <name>(?: now)? (?:as|for) (?:its|the|a) (?P<x>[a-z][\w -]{2,30}?)(?= now|,|\.|;|!|$)"),
        ("status", r"{T} (?:is|'s|’s|has been)(?: (?:now|currently|still|finally|officially|back))* <status>(?= now|,|\.|;|!|$| as of| since| again| at last)"),
        ("status", r"{T} (?:went|moved|has gone|has moved|changed)(?: now)? (?:from [^,;]{1,40}? )?(?:to|into) <status>"),
        ("status", r"{T}\s*: <status>(?= now|,|\.|;|!|$| as of| since| again| at last)"),
        ("budget", r"{I} (?:now )?(?:have|got|given)(?: now| only| just)? <money|number>(?: to spend)? (?:on|for) {T}"),
        ("release date", r"{T} (?:{BE} )?(?:now )?(?:goes live|go live|going live|launches|ships|releases|launching|shipping|released|launched|comes out|coming out)(?: now)?(?: (?:on|in|by))? <date|season>"),
        ("release date", r"(?:{I} )?(?:ship|launch|release|shipping|launching|releasing) {T} (?:on|in|by) <date|season>"),
        ("language", r"{T} (?:{BE} )?(?:re)?written in <name>"),
        ("language", r"(?:{I} )?(?:rewrote|rewritten|ported|wrote) {T} (?:in|to) <name>"),
        ("team size", r"{T} (?:{BE} )?(?:now )?(?:has|down to|up to|at)(?: now)?(?: a team of)? <number>(?: (?:people|engineers|developers|persons|members))?(?=,|\.|!|;|$| now)"),
        ("{x}ing time", r"(?P<t>(?:the )?[\w-]+(?: [\w-]+)?) (?P<x>open|clos)e?s?(?: now)? at <clock|number>"),
        ("port", r"{T} (?:now )?(?:moved|switched|changed) to port (?P<v_code>\d+)"),
        ("license", r"{T} (?:{BE} )?(?:now )?(?:licensed |released |published )?under(?: the)? <name>"),
        ("port", r"{T} (?:{BE} )?(?:now )?(?:listens|listening|runs|running|on|reachable)(?: now)?(?: on| at)? port (?P<v_code>\d+)"),
        ("lead", r"<who>(?: now)? (?:leads|runs|heads|manages|is leading|is heading|is running|is in charge of|is responsible for)(?: now)? {T}(?= now|,|\.|;|!|$)"),
        ("owner", r"<who>(?: now)? (?:owns|maintains|is the owner of|is the maintainer of)(?: now)? {T}(?= now|,|\.|;|!|$)"),
        ("lead", r"{T} (?:{BE} )?(?:now )?(?:led|run|headed|managed) by <who>"),
        ("owner", r"{T} (?:{BE} )?(?:now )?(?:owned|maintained) by <who>"),
        ("team size", r"(?:there are )?<number>(?: of us| people| engineers| developers| persons)(?: now)?(?: work| working)? on {T}"),
        ("contact", r"for (?:questions|anything|all things)(?: about| on)? {T},? [^,;]{0,30}?(?:named|gave|is) <who> as (?:the |our |a )?contact"),
    ),
)  # fmt: skip

# Of an event: "place" and "time" of it.
_EVENTS = _frames(
    "event",
    (
        ("time of {n}", rf"(?P<n>(?:yoga|pilates|choir|training|football|soccer|tennis|chess|band|dance|pottery|climbing|boxing|judo|karate|swimming|practice|rehearsal|class|lesson|course|book club|standup|stand-up|retro|demo|planning)(?: [a-z]+)?) (?:is|are|starts|begins|happens|meets|takes place|moved|has moved|was moved|got moved|changed|switched)(?: now)? (?:on|at|to|every|from [^,;]{{1,30}}? to) <when>"),
        ("time", r"(?:{I} )?(?:meet|meeting|met)(?: now)?(?: up)? for (?P<t>(?-i:[A-Z]\w+)) (?:on |every |each )?<when>"),
        ("place", r"{I} (?:booked|reserved|got|moved to|have|in|are in)(?: now)? (?P<v_phrase>[^,;]{2,40}?) for the (?P<n>[^,;.]{2,40}?)(?= now|,|\.|;|!|$| instead)"),
        ("place", r"the (?P<n>[\w' -]{2,40}?) (?:{BE} |has |was |got )?(?:moved|relocated|held|switched|now)? ?(?:in|to)(?: now)? (?P<v_phrase>(?:the )?(?:room|hall|studio|lab|office|building|auditorium|floor|conference room|meeting room|[A-Z])[\w.' -]{0,30}?|the [\w' -]{2,25}? (?:room|hall|studio|lab|office|building|auditorium|floor))" + END),
        ("place", r"the (?P<n>[A-Z][\w' -]{2,40}?) (?:is|takes place|will be|is now)(?: now)? in (?P<v_phrase>(?:the )?[\w.' -]{2,30}?)" + END),
        ("time", r"(?:they |we |i |he |she )?(?:rescheduled|moved|postponed|pushed|shifted|brought forward)(?: back| up)? (?:the|our|my) (?P<n>[\w' -]{2,40}?) (?:from [^,;]{1,40}? )?to <when|date>"),
    ),
)  # fmt: skip

_NOUN = r"(?P<n>[^\W\d_][\w'’&/.-]*(?: [\w'’&/-]+(?:\.\w+)?){0,6}?)"
_OWNER = r"(?P<o>my|our|the)"
_CHANGED = (
    r"(?:(?:has|have|had|is|was|were|are|got|just|now|recently|finally|officially|being) )*(?:changed|moved|went|gone|raised|lowered|increased"
    r"|dropped|drops|rose|risen|fell|fallen|cut|set|slipped|postponed|pushed|rescheduled|switched|shifted|brought|delayed|reduced|bumped|upped"
    r"|upgraded|downgraded|decreased|doubled|renamed|updated|extended|shortened|grew|grown|climbed|jumped|transferred|adjusted|brought forward)"
    r"(?: up| down| back| over| forward| out)*"
)
_DOES_CHANGE = (
    r"(?:changed|moved|raised|lowered|increased|dropped|cut|set|postponed|pushed|rescheduled|switched|shifted|delayed|reduced|bumped|upped|upgraded"
    r"|downgraded|decreased|updated|extended|shortened|brought forward|put|had to move|had to change|had to push|moved up|turned up|turned down|transferred"
    r"|adjusted|renamed|reset|brought|keep|have kept|moving|changing|switching)"
)
# Of what a noun names: the noun tells the attribute.
_NOUNS = _frames(
    "noun",
    (
        ("", rf"{_OWNER} {_NOUN}(?: (?:these days|now|nowadays|currently|at the moment|right now))? (?:is|are|'s|’s|has become|became|will be|was set to|is set to|is now|are now|will now be|is called)(?: (?:now|currently|still|officially|exactly|set to|set for|planned for|scheduled for|always|usually|actually|really|just|only|back to|back at))* <phrase>"),
        ("", rf"(?:{_OWNER} )?{_NOUN} {_CHANGED} (?:from [^;!?]{{1,60}}? )?(?:to|at) <phrase>"),
        ("", rf"(?:(?:i|we|they|he|she|it|[A-Za-z]+)(?: (?:just|finally|recently|have|has|had to|'ve))* )?{_DOES_CHANGE} {_OWNER} {_NOUN}(?: up| down| back)? (?:from [^;!?]{{1,60}}? )?(?:to|at) <phrase>"),
        ("", rf"(?:(?:i|we)(?:'ve|’ve| have)?(?: just| finally)? (?:a |got a |have a |got |chose a |have got a |set a |picked a )|here's my |here’s my |here is my |this is my |got a |there's a |there’s a |there is a |my |our |the |a )?(?P<new>new|updated) {_NOUN}(?: since today| now| from now on| as of today| since \w+| for (?:my |our )?(?P<q>login|work|home))?(?:[:,–—-]| is| will be|:) (?:now )?(?:it's |it’s |is )?<phrase>"),
        ("", r"(?:switched|changed)(?: my| our)? (?P<n>[a-z]+?)s?: <phrase>"),
        ("{n} price", rf"(?:an? |one |the )?(?:(?:jar|bottle|box|bag|cup|glass|piece|pack|kilo|ticket|hour|slice|loaf|dozen)s? of )?(?:(?P<o>my|our|the) )?{_NOUN} costs?(?: now)? <money|number|rate>"),
        ("{n} price", rf"(?:i|we) (?:now )?(?:sell|offer|charge)(?: now)? (?:(?P<o>my|our|the) )?{_NOUN} (?:at|for) <rate|money|number>"),
        ("", rf"(?:scratch|forget|ignore|disregard|correct|correcting) what (?:i|we) (?:told you|said|wrote|mentioned)(?: \w+)? about (?:(?P<o>my|our|the) )?{_NOUN}\s*: <phrase>"),
        ("", rf"(?P<v_phrase>[^,;:!?]{{2,60}}?) (?:is|are|has been|have been|became|has become)(?: (?:now|still|currently|officially|always|once again|again))* (?P<o>my|our) {_NOUN}{END}"),
        ("", rf"(?P<v_phrase>[^,;:!?]{{2,60}}?) (?:replaces|replaced|has replaced|have replaced|took over from|takes over from|is taking over from|has taken over from|succeeds|succeeded|is replacing|takes over|took over) [^,;!?]{{2,50}}? as (?P<o>my|our|the) {_NOUN}{END}"),
    ),
)  # fmt: skip
# Without a verb: "locker code: 4471", "parking spot E19".
LABELS = _frames(
    "label",
    (
        ("", rf"(?:(?P<o>my|our|the) )?{_NOUN}(?: for (?:me|us|now))?(?: update)?\s*(?::|\?|\s[–—-])\s+<phrase>"),
        ("", r"(?P<n>[a-z]+)-wise,? i(?:'m|’m| am)(?: now| currently)? <phrase>"),
        ("", rf"(?:got a )?(?:new )?{_NOUN},? <code|email|clock|date|days|phone>(?=,|\.|;|!|$| now| as of| from now)"),
        ("", rf"{_NOUN} (?:is|are|is now|are now)(?: now| currently| about| around)? <email|money|phone|flight|when|date|rate|measure>"),
    ),
)  # fmt: skip

FRAMES = (*_OWN, *_EVENTS, *_THINGS, *_NOUNS, *_CHANGES)
