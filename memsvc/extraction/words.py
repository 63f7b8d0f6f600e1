"""English word forms: the verbs of conversation with their inflections, and the small closed classes."""

from functools import lru_cache


def word_set(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


# base past participle
_IRREGULAR = """
arise arose arisen|awake awoke awoken|be was been|bear bore borne|beat beat beaten|become became become
begin began begun|bend bent bent|bet bet bet|bind bound bound|bite bit bitten|bleed bled bled|blow blew blown
break broke broken|breed bred bred|bring brought brought|build built built|burst burst burst|buy bought bought
catch caught caught|choose chose chosen|come came come|cost cost cost|cut cut cut|deal dealt dealt|dig dug dug
do did done|draw drew drawn|drink drank drunk|drive drove driven|eat ate eaten|fall fell fallen|feed fed fed
feel felt felt|fight fought fought|find found found|fly flew flown|forbid forbade forbidden|forget forgot forgotten
forgive forgave forgiven|freeze froze frozen|get got gotten|give gave given|go went gone|grind ground ground
grow grew grown|hang hung hung|have had had|hear heard heard|hide hid hidden|hit hit hit|hold held held|hurt hurt hurt
keep kept kept|know knew known|lay laid laid|lead led led|leave left left|lend lent lent|let let let|lie lay lain
light lit lit|lose lost lost|make made made|mean meant meant|meet met met|overcome overcame overcome|pay paid paid
put put put|quit quit quit|read read read|ride rode ridden|ring rang rung|rise rose risen|run ran run|say said said
see saw seen|seek sought sought|sell sold sold|send sent sent|set set set|sew sewed sewn|shake shook shaken
shine shone shone|shoot shot shot|show showed shown|shrink shrank shrunk|shut shut shut|sing sang sung|sink sank sunk
sit sat sat|sleep slept slept|slide slid slid|speak spoke spoken|spend spent spent|spin spun spun|split split split
spread spread spread|spring sprang sprung|stand stood stood|steal stole stolen|stick stuck stuck|strike struck struck
swear swore sworn|sweep swept swept|swim swam swum|swing swung swung|take took taken|teach taught taught
tear tore torn|tell told told|think thought thought|throw threw thrown|understand understood understood
upset upset upset|wake woke woken|wear wore worn|weave wove woven|win won won|wind wound wound
withdraw withdrew withdrawn|write wrote written
rewrite rewrote rewritten|redo redid redone|rebuild rebuilt rebuilt|retell retold retold
"""
_REGULAR = """
accept accomplish achieve acquire act adapt add address adjust admire admit adopt adore advise afford agree aim align
allow analyze announce answer anticipate apologize appear apply appreciate approach approve argue arrange arrive ask
assign assist attach attempt attend automate avoid bake balance base battle believe belong benefit blend block book
boost borrow bother brainstorm brew brighten browse brush bump cache calculate call calm camp cancel capture care carry
celebrate challenge change chase chat check cherish claim clarify clean clear click climb close coach collaborate
collect combine comfort commit compare compete compile complain complete compose concentrate conduct configure confirm
confront connect consider consist contact contain continue contribute convert convince cook cooperate copy cover craft
crash create cross cry customize cycle dance dare date debate debug decide declare decline decorate decrease dedicate
defeat define delay delete deliver demonstrate deny depend deploy describe deserve design destroy detail determine
develop die differ disagree disappoint discover discuss dislike display distribute dive divide divorce donate double
download draft dream dress drop earn edit educate email embrace emphasize employ empower enable encounter encourage end
engage enhance enjoy enroll enrol ensure enter entertain escape establish estimate evaluate evolve examine exchange
excite execute exercise exhibit exist expand expect experience experiment explain explore expose express extend face
fail fascinate fear feature figure file fill film filter finalize finish fire fish fit fix flow focus follow fold form
found foster frame free frustrate fulfill fund gain garden gather generate glow graduate grab greet guess guide handle
happen harvest hate head heal help hesitate highlight hike hire hope host house hug hunt hurry identify ignore imagine
impact implement import impress improve include incorporate increase indicate influence inform initiate inspire install
instruct integrate intend interact interest interview introduce invest investigate invite involve iron issue join joke
journal judge juggle jump justify kayak kick kiss knit knock lack land last laugh launch learn lift like limit link list
listen live load locate lock log look love lower maintain manage map mark marry master match matter meditate memorize
mention mentor merge message migrate miss mix moderate modify monitor motivate motivate mount move name narrow navigate
need negotiate nominate note notice nurture nurse observe obtain occur offer open operate optimize order organize
outline outperform overlook overwhelm owe own pack paint park participate partner pass pause perform persuade phone
photograph pick pitch place plan plant play please point polish post postpone pour practice practise praise pray predict
prefer prepare present preserve press prevent print prioritize process produce progress promise promote prompt propose
protect prototype prove provide publish pull purchase push qualify question quote race rain raise range rate reach react
realize rebrand recall receive recharge recognize recommend reconnect record recover recruit redesign reduce refactor
refer refine reflect refuse register regret relate relax release relocate rely remain remember remind remove renew
renovate rent reorganize repair repeat replace reply report represent request require rescue research reserve resist
resolve respect respond rest restart restore restructure result retire retry return reveal review revise reward rock
roast roll rush sail save scale scan scare schedule score scream seal search secure seem select separate serve settle
shape share shift ship shop shout sign signal simplify sketch ski skip smell smile smoke snap snow solve sort sound
spark specialize sponsor spot stage stain start state stay step stop store strengthen stress stretch stroll structure
struggle study stumble submit subscribe succeed suffer suggest suit summarize supervise supply support suppose surf
surprise surround survive suspect switch tackle tailor talk tap target taste tease tend test text thank thrive tie tour
track trade train transfer transform transition translate travel treasure treat trick trigger trim troubleshoot trust
try tune turn tutor type undergo unlock unpack unwind update upgrade upload urge use utilize validate value vary verify
view visit visualize volunteer vote wait walk wander want warm warn wash waste watch water weigh welcome whip wish
witness wonder work worry wrap yell yield streamline onboard outsource delegate network freelance audition rehearse
jog bike skate snowboard foster adopt parent babysit cuddle groom bark nap vacation honeymoon propose inherit evict
relocate hospitalize diagnose prescribe vaccinate injure sprain heal mourn grieve bond reunite
"""
_DOUBLING = word_set(
    """
    admit babysit bet chat commit control cut debug drop fit forget get grab hit hop hug jog knit let log map
    nap occur pat permit pin plan prefer put quit refer regret rub run set ship shop shut sit skip slip snap
    spin split spot step stop strip submit swap swim tap transfer trap trim trip win wrap
    """
)
_VOWELS = frozenset("aeiou")

AUXILIARIES = word_set(
    """
    am is are was were be been being have has had do does did will would can could shall should may might must
    'm 've 're 'll 'd ca wo sha gonna ai
    """
)
MODALS = word_set("will would can could shall should may might must 'll 'd ca wo sha gonna")
BE_FORMS = word_set("am is are was were be been being 'm 're")
HAVE_FORMS = word_set("have has had 've")
ADVERBS = word_set(
    """
    always never really just also still actually recently currently finally usually often sometimes even only
    already now probably definitely totally absolutely honestly kinda sorta soon once ever both all too very so
    pretty quite almost nearly again then first mostly hardly rarely seldom originally initially lately
    officially super maybe perhaps basically truly generally normally typically mainly successfully simply
    certainly literally obviously constantly regularly eventually previously formerly today yesterday lovingly
    personally myself ourselves yet
    """
)
DETERMINERS = word_set(
    """
    a an the my our your his her its their this that these those some any no every each
    """
)
PREPOSITIONS = word_set(
    """
    about above across after against along among around as at before behind below beneath beside besides between
    beyond by despite during except for from in inside into like near of off on onto out outside over past per
    regarding since than through throughout till to toward towards under until up upon via with within without
    """
)
SUBORDINATORS = word_set(
    """
    when whenever while after before since because although though if unless until once as whereas whether
    """
)
CONJUNCTIONS = word_set("and or but nor so yet plus")
PRONOUNS = word_set(
    """
    i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his himself she her
    hers herself it its itself they them their theirs themselves
    """
)
WH_WORDS = word_set("what where when who whom whose which why how")


def third_person(base: str) -> str:
    """ "go" gives "goes", "study" "studies", "have" "has"."""
    if base in ("be", "have"):
        return "is" if base == "be" else "has"
    if base.endswith("y") and base[-2:-1] not in _VOWELS:
        return base[:-1] + "ies"
    return base + ("es" if base.endswith(("s", "x", "z", "ch", "sh", "o")) else "s")


def _past(base: str) -> str:
    if base.endswith("e"):
        return base + "d"
    if base.endswith("y") and base[-2:-1] not in _VOWELS:
        return base[:-1] + "ied"
    return base + (base[-1] if base in _DOUBLING else "") + "ed"


def _gerund(base: str) -> str:
    if base.endswith("ie"):
        return base[:-2] + "ying"
    if base.endswith("e") and not base.endswith(("ee", "oe", "ye")) and base != "be":
        return base[:-1] + "ing"
    return base + (base[-1] if base in _DOUBLING or base in ("begin", "dig") else "") + "ing"


_triples = [row.split() for line in _IRREGULAR.split("\n") for row in line.split("|") if row.strip()]
BASES = frozenset(base for base, _, _ in _triples) | frozenset(_REGULAR.split()) - {"found"}
PASTS: dict[str, str] = {_past(base): base for base in _REGULAR.split() if base != "found"}
PASTS |= {past: base for base, past, _ in _triples} | {"were": "be", "founded": "found"}
PARTICIPLES: dict[str, str] = {_past(base): base for base in _REGULAR.split() if base != "found"}
PARTICIPLES |= {participle: base for base, _, participle in _triples} | {
    "got": "get",
    "born": "bear",
    "founded": "found",
}
THIRDS: dict[str, str] = {third_person(base): base for base in BASES}
GERUNDS: dict[str, str] = {_gerund(base): base for base in BASES}
# Forms that are noun as readily as verb: taken for a verb only where nothing else can be meant.
NOUNISH = word_set(
    """
    works plans needs looks talks calls walks views visits changes hopes dreams likes loves notes offers orders
    plays points posts prints prompts rates records reports requests reviews rewards rides runs shares shows
    signs skills smiles stands starts states steps stops stores stories studies takes talks tasks tests thoughts
    tips tours tracks trades trips turns updates uses values votes waits ways wins wishes worries classes goals
    photos pictures books builds checks costs covers crafts dances deals designs drafts dresses drinks drives
    drops ends exercises exhibits experiences experiments faces falls fears features feeds feels fights figures
    files films fixes forms frames friends games gains gardens groups guides helps hikes hosts houses impacts
    interests interviews issues jokes journals kicks kisses laughs leads lifts limits links lists locks logs
    marks matches meetings messages moves names names networks nurses paints parks partners passes paths pauses
    phones picks pitches places plants presents processes progresses projects promises prototypes questions
    quotes races ranges reaches reads results returns risks rolls scales schedules scores searches services sets
    shapes shifts ships shops sketches sleeps sorts sounds sparks sponsors spots stages stays sticks streets
    stresses stretches structures struggles supplies supports surprises swings switches targets tastes teams
    texts ties touches trains transfers treats tricks types upgrades vacations watches waters weeks wakes
    partners parents masters mentors coaches dates bakes bikes bonds battles blocks
    """
)


@lru_cache(maxsize=4096)
def lemma(word: str) -> str:
    """The base of a verb form in lower case; an unknown word loses a regular ending."""
    for forms in (PASTS, PARTICIPLES, THIRDS, GERUNDS):
        if word in forms:
            return forms[word]
    if word in BASES:
        return word
    if word.endswith("ing") and len(word) > 5:
        stem = word[:-3]
        if stem[-1] == stem[-2] and stem[-1] not in "sl":
            return stem[:-1]
        return stem + "e" if stem.endswith(("c", "g", "v", "z", "u", "at")) else stem
    if word.endswith("ied") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith("ed") and len(word) > 4:
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word


def is_past(word: str) -> bool:
    """Whether a lower-case word is a past form."""
    return word in PASTS or (word not in BASES and len(word) > 4 and word.endswith("ed"))


def is_participle(word: str) -> bool:
    """Whether a lower-case word is a past participle."""
    return word in PARTICIPLES or (word not in BASES and len(word) > 4 and word.endswith("ed"))


def is_adverb(word: str) -> bool:
    """Whether a lower-case word may stand between a subject and its verb."""
    return word in ADVERBS or (word.endswith("ly") and len(word) > 4 and word not in _NO_ADVERBS)


_NO_ADVERBS = word_set(
    """
    family apply reply supply rely italy lovely lonely friendly july early only fully
    """
)


# Words that begin sentences of conversation and are no names, capital or not.
_COMMON = word_set(
    """
    glad proud happy sad sorry great good nice cool awesome amazing wonderful lovely beautiful pretty perfect
    excited grateful thankful blessed lucky busy tired sure right wrong true false fun funny crazy weird hard
    easy tough strange interesting impressive cute sweet big small little huge long short old young new fresh
    best better worse worst next final last same different competitive mental creative fantastic incredible epic
    mixed simple free full real quick special strong regular unconditional contemporary domestic much-needed
    dairy-free life love art music family nature home work school time money health people person friend kids
    kid children parents dogs dog cat cats pets pet animals animal books book movies movie games game gaming
    basketball pottery yoga meditation exercise sports travel food things thing stuff something anything nothing
    everything everyone anyone someone nobody everybody somebody others another other one ones two three lots
    tons plenty many most few several both neither either all none some each every sounds looks seems feels
    means makes takes gives brings helps reminds started stopped turns thanks thank congrats cheers kudos wow
    woah whoa oh ooh ooo aww aw hey hi hello yeah yes yep yup nah nope no ok okay haha hahaha lol hmm mm mmm oof
    ouch oops dang gosh wow ugh yikes phew bye ttyl btw fyi omg xoxo yay woohoo damn y'all guys guy man dude
    buddy girl boy pal bro sis mate gotta wanna gonna lemme kinda however therefore moreover otherwise
    furthermore though still together apart enough later earlier somewhere everywhere anywhere nowhere here
    there where when instead plus also way ways day days week weekend year month moment moments night morning
    evening afternoon today tomorrow yesterday setbacks challenges obstacles struggles worries dreams goals
    memories stories support friendship laughter confidence creativity kindness positivity dedication
    determination strength courage patience passion success failure mindset balance safety guidance feedback
    progress setting words numbers results details questions answers question answer quality marketing
    networking sourcing friends family's weddings events event trips trip plants flowers veggies tournaments
    exams exam assignments project projects code data coding server error errors app website page fingers bummer
    count check checked heard missed loved met made found felt joined seen given made wanted used told asked
    happiness expression adoption city country town house place idea ideas thought thoughts business store shop
    job career team boss step steps option options example note notes part point problem problems issue issues
    solution tip tips advice kind part half whole rest both looky similes metaphors visual key expert mock ready
    somewhat thinking talking speaking looking based given due thanks according regarding overall maybe perhaps
    besides finally spill fantasy punishment injury unemployment judge setup clay guitar basically truth honesty
    fact reality hope faith rejections finals themes mentors coconut garlic roasted meal turtles eagles fox fits sushi
    horses sunflowers allergies college university team's people's nobody's today's life's winning losing
    music's reading writing running english spanish french chinese german dance dancing painting drawing cooking
    baking summer winter spring fall autumn christmas thanksgiving easter halloween
    """
)
_COMMON_ENDINGS = (
    "istic",
    "ical",
    "ing",
    "ness",
    "tion",
    "sion",
    "ment",
    "ity",
    "ful",
    "ous",
    "ive",
    "able",
    "ible",
    "less",
    "ed",
    "ies",
)


@lru_cache(maxsize=4096)
def is_common(low: str) -> bool:
    """Whether a lower-case word that begins a sentence with a capital is more likely a word than a name."""
    return (
        low in _COMMON
        or low in BASES
        or low in AUXILIARIES
        or low in DETERMINERS
        or low in PREPOSITIONS
        or low in SUBORDINATORS
        or low in CONJUNCTIONS
        or low in PRONOUNS
        or low in WH_WORDS
        or is_adverb(low)
        or (low.endswith(_COMMON_ENDINGS) and len(low) > 5)
    )
