"""Values that show by their form what they are: a clock time, an amount, a date, an address, a version, a code.

Each is a pattern that other patterns are built with.
"""

import re
from collections.abc import Mapping

from memsvc.extraction.calendars import DAYS, FULL_MONTHS
from memsvc.extraction.patterns import one_of
from memsvc.extraction.words import word_set

# A capital of a name; "I" is none.
_CAP = r"(?:[a-z]{1,2}(?=[A-Z]))?(?!I(?:['’]\w+)?(?!\w))[^\W\d_a-zà-ÿ][\w&+#-]*(?:['’](?!s\b)[\w-]+|\.(?=\w)[\w-]+)*"
_LINK = r"(?:(?:of|the|de|da|van|von|la|le|and|&|for) )*"
_TITLE = r"(?:Dr|Mr|Mrs|Ms|Prof|Professor|Doctor|St)\.? "
_DAY = rf"(?:{'|'.join(sorted({day.capitalize() for day in DAYS}, key=len, reverse=True))})s?(?!\w)"
_DAYS = rf"(?:every )?{_DAY}(?: only)?(?:(?:,? and |, | & | or ){_DAY})*(?: only)?"
_MONTH = one_of(",".join(name.capitalize() for name in FULL_MONTHS))
_CLOCK = (
    r"(?:(?:[01]?\d|2[0-4])[:.][0-5]\d(?:\s?[ap]\.?m\b\.?)?|\d{1,2}\s?[ap]\.?m\b\.?|\d{1,2} o['’]clock|noon|midnight)"
)
_NUM = r"(?:\d+(?:[.,]\d+)*|(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|a dozen|half an?)(?!\w))"
_CURRENCY = one_of(
    "euros?, dollars?, pounds?, francs?, yen, rupees?, kronor, kroner, pesos?, bucks, usd, eur, gbp, chf, cents?"
)
_UNIT = one_of(
    """
    mg, mcg, µg, g, kg, kilos?, pounds, lbs?, tablets?, pills?, units?, ml, l, lit(?:er|re)s?, km,
    kilomet(?:er|re)s?, miles?, met(?:er|re)s?, m, cm, inch(?:es)?, feet, ft, degrees?, °[CF]?, percent, %,
    hours?, hrs?, minutes?, mins?, seconds?, days?, weeks?, months?, years?, steps, calories, kcal, pages?,
    words, people, persons, guests, seats, members, employees, engineers, developers, students, users,
    customers, copies, GB, TB, MB, Mbit, ms, rpm, kWh, lengths, laps, reps, sets, times, points, cups, glasses,
    bottles, boxes, jars
    """
)
_PERIOD = one_of("day, week, month, year, night, hour, jar, piece, person, kilo, unit, seat")
_PER = rf"(?:\s(?:a|an|per|each|every)\s|\s?/\s?){_PERIOD}(?!\w)"
_WHO = rf"(?:{_TITLE})?{_CAP}(?: (?:(?:de|da|van|von|la|le|bin|al) )?{_CAP})"

# Patterns of each kind of value, without groups of their own.
TYPES: Mapping[str, str] = {
    "email": r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
    "phone": r"\+?\d[\d()/-]*(?: ?[\d()/-]+){1,6}\d",
    "flight": rf"(?:[A-Z]{{2}}|[A-Z]\d|\d[A-Z]) ?\d{{2,4}}(?!\w)(?: at {_CLOCK})?",
    "zone": rf"(?:(?:{_CAP} )+Time\b|(?:UTC|GMT)(?: ?[+-] ?\d{{1,2}}(?::\d\d)?)?|C?E[SD]?T|[PM][SD]T|JST)",
    "days": _DAYS,
    "clock": _CLOCK,
    "when": rf"(?:{_DAYS}(?:,? (?:at |from )?{_CLOCK})?|{_CLOCK}(?:,? (?:on |every )?{_DAYS})?)",
    "date": rf"(?:the )?(?:(?:{_DAY},? )?\d{{1,2}}(?:st|nd|rd|th)?(?: of)? {_MONTH}(?:,? \d{{4}})?"
    rf"|{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?\b(?:,? \d{{4}})?)",
    "season": rf"(?:(?:early|mid|late)[ -])?(?:spring|summer|autumn|fall|winter|{_MONTH}|Q[1-4])\b(?: \d{{4}})?",
    "money": rf"(?:[$€£¥]\s?{_NUM}(?:\s?[km]\b)?"
    rf"|{_NUM}(?:\s?[km]\b|\smillion|\sthousand)?\s?(?:[$€£]|(?:{_CURRENCY})\b))",
    "number": rf"[$€£]?{_NUM}(?:\s?[km]\b)?",
    "measure": rf"{_NUM}\s?{_UNIT}(?!\w)",
    "rate": rf"{_NUM}\s?(?:{_UNIT}|{_CURRENCY})?{_PER}",
    "version": rf"(?:{_CAP} )?v?\d+(?:\.\d+)+\w*",
    "code": r"(?:#\d+|[A-Z]{1,3}-?\d[\w-]*|\d+[A-Z]\b|\d{1,8}\b(?![.,:]\d)|[A-Za-z]+\d[\w-]*)",
    "street": rf"\d+[a-z]? {_CAP}(?: {_CAP}){{0,3}}",
    "span": r"\d[\d:.]*(?: ?[ap]m)? ?(?:to|until|till|[-–])(?:\s| ?)\d[\d:.]*(?: ?[ap]m)?",
    "slashed": r"\w+/\w+(?:/\w+)?",
    "doctor": rf"(?:Dr|Doctor|Prof)\.? {_CAP}(?: {_CAP})?",
    "who": _WHO + "{0,3}",
    "name": rf"(?:(?:[Tt]he|an?) (?:[a-z]+ ){{0,2}}?)?(?:{_TITLE})?{_CAP}(?: {_LINK}(?:{_CAP}|\d[\w.]*))*",
    "named": rf"(?:(?:the|an?) )?(?:[a-z]+ ){{0,4}}(?:called|named) {_CAP}(?: {_LINK}{_CAP})*",
    "title": rf"(?:\"[^\"]+\"|“[^”]+”|(?:The |A |An )?{_WHO}{{0,5}})",
    "hotel": rf"(?:[Tt]he )?(?:(?:Hotel|Pension|Casa|Hostel|Villa) )?{_CAP}(?: (?:of |the |de )?{_CAP})*",
    "room": rf"(?:(?:the )?(?:room|hall|studio|lab|office|building|auditorium|floor|conference room|meeting room"
    rf"|(?!{_DAY}|{_MONTH})[A-Z])[\w.-]*"
    r"(?: [A-Z\d][\w.-]*)*|the (?:[\w'-]+ ){1,3}?(?:room|hall|studio|lab|office|building|auditorium|floor)\b)",
    "vehicle": r"(?:an? )(?:[a-z-]+ ){0,3}[a-z-]+",
    "job": r"(?:an? |the )?(?:[\w-]+ ){0,3}?[\w-]*"
    + one_of(
        """
        er, or, ist, ian, ant, ent, man, woman, nurse, chef, cook, lead, head, clerk, pilot, judge, coach, vet,
        intern, guard, rep, analyst, surgeon, mechanic, aide, barista, apprentice, cto, ceo, cfo, dj
        """
    )
    + r"(?!\w)",
    "diet": one_of(
        """
        vegan, vegetarian, pescatarian, pescetarian, keto, ketogenic, gluten[- ]free, dairy[- ]free,
        lactose[- ]free, paleo, halal, kosher, low[- ]carb, plant[- ]based, flexitarian, omnivore, omnivorous,
        carnivore, sugar[- ]free
        """
    ),
    "wedded": one_of("single, married, divorced, engaged, widowed, separated, in a relationship, seeing someone"),
    "means": "(?:on foot|by "
    + one_of(
        """
        bike, bicycle, car, tram, train, bus, ferry, metro, subway, tube, underground, scooter, motorbike,
        motorcycle, taxi, boat, moped, rail, e-bike, carpool, public transport
        """
    )
    + r"(?!\w))",
    "drink": r"(?:an? |my )?(?:[\w-]+ ){0,3}?"
    + one_of(
        """
        latte, cappuccino, espresso, flat white, americano, macchiato, mocha, cortado, cold brew,
        filter coffee, drip coffee, black coffee, coffee, tea, chai, matcha, ristretto, lungo
        """
    )
    + r"(?!\w)",
    "status": r"(?:(?:in|under|on|at|up for|off) "
    + one_of(
        """
        review, testing, test, progress, development, planning, production, beta, alpha, staging, hold, track, design,
        discovery, approval, risk, schedule, pilot, maintenance, ice
        """
    )
    + "|"
    + one_of(
        """
        blocked(?: by [\\w-]+)?, finished, done, complete, completed, cancell?ed, delayed, live, ready,
        approved, rejected, overdue, closed, open, merged, deployed, paused, shipped, released, archived,
        stalled, stuck, failing, passing, broken, fixed, frozen, ahead of schedule, behind schedule, launched,
        abandoned, inactive
        """
    )
    + r")(?!\w)",
    "cloud": one_of(
        """
        AWS, Amazon Web Services, Azure, Google Cloud, GCP, Hetzner, Scaleway, DigitalOcean, Linode, OVH,
        Heroku, Vercel, Netlify, Fly\\.io, Render, Cloudflare, Oracle Cloud, IBM Cloud, Railway, Vultr
        """
    ),
    "database": one_of(
        """
        Postgre(?:s|SQL), MySQL, MariaDB, SQLite, MongoDB, Mongo, CockroachDB, Cassandra, DynamoDB, Redis,
        Oracle, SQL Server, Firestore, DuckDB, ClickHouse, Couchbase, CouchDB, Neo4j, ScyllaDB, TiDB, Supabase,
        Snowflake, BigQuery
        """
    )
    + r"(?: \d[\d.]*)?(?!\w)",
    "editor": one_of(
        """
        [Vv]im, [Nn]eo[Vv]im, [Ee]macs, VS ?Code, vscode, Visual Studio(?: Code)?, Helix, Zed, PyCharm,
        IntelliJ(?: IDEA)?, WebStorm, GoLand, CLion, RubyMine, Sublime(?: Text)?, Nano, Eclipse, Xcode,
        Android Studio, Notepad\\+\\+, Kate
        """
    )
    + r"(?!\w)",
    "laptop": r"(?:an? |the )?(?:[a-z-]+ )?"
    + one_of(
        """
        MacBook, Think[Pp]ad, Dell, XPS, Surface, Framework, Chromebook, iMac, Zen[Bb]ook, IdeaPad, Latitude,
        EliteBook, Lenovo, HP, Asus, ASUS, Acer, System76, Mac mini, Razer
        """
    )
    + r"(?: [A-Z0-9][\w.-]*){0,3}",
    "tier": r"(?:the )?(?:[A-Z][\w+-]*|free|basic|premium)(?: [A-Z][\w+-]*)? "
    r"(?:plan|tier|subscription|membership|package)(?!\w)",
}
CLOCK = _CLOCK
MEASURE = rf"([$€£]?{_NUM}(?:\s?(?:k|m|million|thousand)\b)?)(?:\s?(?:{_UNIT}|{_CURRENCY}))?(?:{_PER})?"
# Kinds that are told by their capitals.
CASED = word_set(
    """
    name named who zone flight version code doctor date days when season title cloud database editor laptop tier hotel
    room
    """
)
_WHOLE = {kind: re.compile(pattern, 0 if kind in CASED else re.IGNORECASE) for kind, pattern in TYPES.items()}
_HOUR = re.compile(r"(\d{1,2})(?:[:.](\d\d))?\s?(?:([ap])\.?m|o['’]clock)?", re.IGNORECASE)


def hour(text: str) -> str:
    """A clock time as 16:05: "4.05 pm", "noon"."""
    match = _HOUR.match(text)
    if match is None:
        return "12:00" if text.lower() == "noon" else "0:00"
    hours, half = int(match[1]), (match[3] or "").lower()
    hours = hours % 12 + (12 if half == "p" else 0) if half else hours
    return f"{hours}:{match[2] or '00'}"


def kind_of(text: str, kinds: tuple[str, ...]) -> str | None:
    """The first of these kinds of which the text is a value, from its first character to its last."""
    return next((kind for kind in kinds if _WHOLE[kind].fullmatch(text)), None)
