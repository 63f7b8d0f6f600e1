"""Who is meant: "I" becomes the speaker's name, "you" the listener's, and the verbs agree."""

from collections.abc import Sequence
from dataclasses import dataclass

from memsvc.extraction import words
from memsvc.extraction.grammar import HAS_DONE, is_contracted, is_had
from memsvc.extraction.model import Said
from memsvc.extraction.tokens import Token
from memsvc.extraction.words import word_set

FEMALE = word_set(
    """
    mother mom mum mommy sister wife girlfriend gf daughter aunt grandmother grandma granny niece queen lady
    woman girl bride fiancée stepmother stepmom stepdaughter sis nana
    """
)
MALE = word_set(
    """
    father dad daddy brother husband boyfriend bf son uncle grandfather grandpa nephew king gentleman man boy
    guy groom fiancé stepfather stepdad stepson bro hubby
    """
)
NEUTRAL = word_set(
    """
    partner spouse fiance fiancee cousin friend child kid baby toddler colleague coworker co-worker boss manager
    roommate flatmate neighbor neighbour mentor teacher coach doctor therapist classmate teammate ex bestie
    landlord professor advisor supervisor client parent sibling grandchild grandson granddaughter dentist lawyer
    nanny tutor
    """
)
PETS = word_set(
    """
    dog cat puppy pup kitten kitty rabbit bunny hamster parrot bird horse turtle fish guinea lizard
    """
)
KIN = FEMALE | MALE | NEUTRAL
PLURALS = word_set(
    """
    kids children parents sisters brothers daughters sons friends grandparents cousins dogs cats puppies pups
    kittens colleagues coworkers twins girls boys students teammates neighbors neighbours siblings pets family
    """
)


@dataclass(frozen=True, slots=True)
class Cast:
    """The names that stand for the pronouns of a turn; `we` and `they` are empty where nobody is known."""

    speaker: str
    listener: str
    we: str
    he: str = ""
    she: str = ""
    it: str = ""
    they: str = ""


def cast_of(said: Said) -> Cast:
    """Speaker and listener of a turn; a role stands in for a name that is not known."""
    speaker = (said.speaker or "").strip() or _role(said.role)
    listener = (said.listener or "").strip()
    if not listener and said.role in ("user", "assistant") and not (said.speaker or "").strip():
        listener = _role("assistant" if said.role == "user" else "user")
    return Cast(speaker, listener, f"{speaker} and others")


def _role(role: str | None) -> str:
    return f"the {role}" if role else "the speaker"


def possessive(name: str) -> str:
    """ "Caroline" gives "Caroline's"."""
    return f"{name}'s"


def rewrite(tokens: Sequence[Token], cast: Cast) -> tuple[list[str], bool]:
    """What to write in place of each token, and whether every pronoun found its name.

    Third-person pronouns without a name in `cast` are left as they are, and so is everything within quotation marks.
    """
    out = [token.text for token in tokens]
    clear = True
    for place, token in enumerate(tokens):
        if token.quoted:
            continue
        name = _named(token.low, place, tokens, cast)
        if name is None:
            continue
        if not name:
            clear = False
            continue
        out[place] = name
        if token.low in _SINGULAR_SUBJECTS and not _is_joined(tokens, place):
            _agree(tokens, out, place + 1)
    for place, token in enumerate(tokens):
        if token.low == "'s" and not token.quoted and out[place] == token.text and is_contracted(tokens, place):
            has_done = place + 1 < len(tokens) and tokens[place + 1].low in HAS_DONE
            out[place] = " has" if has_done else " us" if tokens[place - 1].low == "let" else " is"
        elif token.low in _SPOKEN and out[place] == token.text and not token.quoted:
            out[place] = _SPOKEN[token.low]
        elif token.low == "'d" and out[place] == token.text and not token.quoted:
            out[place] = " had" if is_had(tokens, place + 1) else " would"
        elif token.low in ("'re", "'ll", "'ve") and out[place] == token.text and not token.quoted:
            out[place] = {"'re": " are", "'ll": " will", "'ve": " have"}[token.low]
    return out, clear


def _is_numeral(tokens: Sequence[Token], place: int) -> bool:
    """ "Elizabeth I": a name before it, and no verb after."""
    if not place or not tokens[place - 1].text[:1].isupper() or words.is_common(tokens[place - 1].low):
        return False
    return place + 1 == len(tokens) or not tokens[place + 1].low[:1].isalpha() or tokens[place + 1].low in ("and", "or")


def _is_own(tokens: Sequence[Token], place: int) -> bool:
    """ "On my own" """
    return place + 1 < len(tokens) and tokens[place + 1].low == "own" and place > 0 and tokens[place - 1].low == "on"


_SINGULAR_SUBJECTS = word_set("i you")
_SPOKEN = {"n't": "n't", "gonna": "going to", "wanna": "want to", "gotta": "got to"}


def _named(low: str, place: int, tokens: Sequence[Token], cast: Cast) -> str | None:
    """The name for a pronoun; "" where one is needed and not known; None for other words."""
    if low not in _CASES or (low == "i" and _is_numeral(tokens, place)):
        return None
    if low == "my" and _is_own(tokens, place):
        return "their"
    who, is_possessive = _CASES[low]
    if low == "her":  # "I saw her", "her car"
        is_possessive = place + 1 < len(tokens) and _is_nominal(tokens[place + 1].low)
    name = {"speaker": cast.speaker, "listener": cast.listener, "we": cast.we, "he": cast.he, "she": cast.she,
            "it": cast.it, "they": cast.they, "self": "themselves"}[who]  # fmt: skip
    if not name:
        return "" if who == "listener" else None
    return possessive(name) if is_possessive else name


# Whom a pronoun stands for, and whether as the owner of what follows.
_CASES = {
    "i": ("speaker", False), "me": ("speaker", False), "my": ("speaker", True), "mine": ("speaker", True),
    "our": ("speaker", True), "ours": ("speaker", True), "we": ("we", False), "us": ("we", False),
    "you": ("listener", False), "your": ("listener", True), "yours": ("listener", True), "he": ("he", False),
    "him": ("he", False), "his": ("he", True), "she": ("she", False), "her": ("she", False), "hers": ("she", True),
    "it": ("it", False), "its": ("it", True), "they": ("they", False), "them": ("they", False),
    "their": ("they", True), "theirs": ("they", True), "myself": ("self", False), "yourself": ("self", False),
}  # fmt: skip


def _is_nominal(low: str) -> bool:
    return low[:1].isalnum() and not (
        low in words.PREPOSITIONS
        or low in words.CONJUNCTIONS
        or low in words.SUBORDINATORS
        or low in words.AUXILIARIES
        or low in words.DETERMINERS
        or low in ("that", "yesterday", "today", "last", "to", "again")
    )


def _is_joined(tokens: Sequence[Token], place: int) -> bool:
    """ "X and I": a plural subject."""
    if place + 1 < len(tokens) and tokens[place + 1].low == "and" and tokens[place].low == "i":
        return True
    if place + 1 < len(tokens) and tokens[place + 1].low in ("'m", "am", "'ve"):
        return False
    return place > 0 and tokens[place - 1].low in ("and", "or") and place > 1 and _is_compound(tokens, place - 1)


def _is_compound(tokens: Sequence[Token], joint: int) -> bool:
    """No verb stands between the start of the noun phrase and its "and"."""
    for place in range(joint - 1, max(-1, joint - 6), -1):
        low = tokens[place].low
        if low in words.AUXILIARIES or (low == "'s" and is_contracted(tokens, place)):
            return False
        if low in words.PASTS or (low in words.THIRDS and low not in words.NOUNISH):
            return False
        if low in ("my", "our", "the", "a", "both") or tokens[place].text[:1].isupper():
            return True
    return False


def _agree(tokens: Sequence[Token], out: list[str], place: int) -> None:
    """The verb after a subject that became singular third person; verbs coordinated with it too."""
    while place < len(tokens):
        low = tokens[place].low
        if low in _AGREED:
            out[place] = _AGREED[low]
            return
        if low == "'d":
            out[place] = " had" if is_had(tokens, place + 1) else " would"
            return
        if low in words.MODALS or low in ("was", "had", "did", "has", "is"):
            return
        if not (words.is_adverb(low) or low in ("kind", "of", "sort", "not", "n't", "no", "longer")) or low == "yet":
            break
        place += 1
    if place >= len(tokens) or not tokens[place].low[:1].isalpha():
        return
    if (inflected := _inflect(tokens, place)) is not None:
        out[place] = inflected
        _agree_coordinated(tokens, out, place + 1)


_AGREED = {"am": "is", "are": "is", "'m": " is", "'re": " is", "have": "has", "'ve": " has", "do": "does",
           "'ll": " will",
           "were": "was"}  # fmt: skip


def _inflect(tokens: Sequence[Token], place: int) -> str | None:
    """The present base form here in the third person; None if it is no such form."""
    low = tokens[place].low
    if words.is_past(low) and not _is_habit(tokens):
        return None
    if low in words.BASES:
        return words.third_person(low)
    if low in words.PREPOSITIONS or low in words.CONJUNCTIONS or low in words.PRONOUNS or low in words.DETERMINERS:
        return None
    if low in words.THIRDS or low in words.GERUNDS or words.is_past(low) or not low.isalpha() or len(low) < 3:
        return None
    return words.third_person(low) if low in _PLAIN else None


_PLAIN = word_set("wanna gotta")


def _is_habit(tokens: Sequence[Token]) -> bool:
    return any(token.low in ("always", "usually", "often", "every", "sometimes", "never") for token in tokens)


def _agree_coordinated(tokens: Sequence[Token], out: list[str], place: int) -> None:
    """ "I wake up and run": the second verb agrees as well, unless something between governs it."""
    for here in range(place, len(tokens) - 1):
        low = tokens[here].low
        if low in ("to", "that", "who", "which", "i", "we", "you", "can", "will", "when", "because", "how", "what"):
            return
        following = here + 2 if tokens[here + 1].low in ("then", "also", "never", "always", "often") else here + 1
        next_to_it = words.BASES if here == place else _VERBS_ONLY
        if low == "and" and following < len(tokens) and tokens[following].low in next_to_it:
            out[following] = words.third_person(tokens[following].low)


# Bases that are hardly ever nouns, so that after "and" they are verbs.
_VERBS_ONLY = word_set(
    """
    am eat go get make do have take bring write read teach learn listen give keep meet see know think feel want
    enjoy love hate prefer own cook bake paint sing play watch drive ride run speak spend try become begin build
    buy sell send sit stand wear work live volunteer help use create manage organize attend mentor travel
    explore turn admire appreciate believe hope believe support encourage lead join practice study
    """
)
