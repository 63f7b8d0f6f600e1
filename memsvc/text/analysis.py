"""From text to index terms, the same way for what is stored and what is asked.

Folded to lower case without accents, stop words out, English words stemmed (Snowball "english", Porter 2).
Scripts written without spaces, and Hangul, become overlapping character pairs. Numbers and dates stay.
"""

import re
import threading
import unicodedata
from functools import lru_cache

import Stemmer

# Words that occur in most turns and in most questions. Without this list the lexical arm ranks by "did" and "you".
_STOP_WORDS = """
a about above after again all also am an and any are arent as at be because been before being below between both
but by can cant could couldnt did didnt do does doesnt doing dont down during each few for from further get got
had hadnt has hasnt have havent having he hed her here heres hers herself hes him himself his how i id if ill im
in into is isnt it its itself ive just let lets like me more most much my myself no nor not now of off on once
only or other our ours ourselves out over own please really same she shed shes should shouldnt so some such tell
than that thats the their theirs them themselves then there theres these they theyd theyll theyre theyve this
those through to too under until up us very was wasnt we wed were werent weve what whats when where which while
who whom whose why will with wont would wouldnt yes you youd youll your youre yours yourself yourselves youve
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())

_SPACELESS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Myanmar, Khmer
    "\u1100-\u11ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"  # Hangul, kana, Han
    "\U00020000-\U0003ffff"
)
# Python's \w leaves out the vowel signs of Indic scripts, which would cut their words apart.
_WORD = r"[^\W_\d](?:[^\W_]|[\u0900-\u0dff]|'(?=[^\W_]))*"
_NUMBER = r"\d+(?:[.,:/-]\d+)+|\d+[^\W_]*"
_TOKEN = re.compile(f"[{_SPACELESS}]+|{_NUMBER}|(?:(?![{_SPACELESS}]){_WORD})")
_ASCII_TOKEN = re.compile(r"\d+(?:[.,:/-]\d+)+|\d+[a-z]*|[a-z](?:[a-z0-9]|'(?=[a-z]))*")
_SPACELESS_START = re.compile(f"[{_SPACELESS}]")
_MARKS = re.compile("[\u0300-\u036f\u0610-\u061a\u064b-\u065f]")
_ORDINAL = re.compile(r"(\d+)(?:st|nd|rd|th)")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_LONGEST_TERM = 64

_stemmer = Stemmer.Stemmer("english")
_stemmer_lock = threading.Lock()  # a Stemmer keeps its state between calls and is not thread-safe


def fold(text: str) -> str:
    """Lower case, compatibility forms unified, Latin, Greek, Cyrillic and Arabic marks removed."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.replace("\u2019", "'"))
    # Composed again, because Hangul and kana would otherwise stay in pieces.
    return unicodedata.normalize("NFC", _MARKS.sub("", decomposed)).casefold()


def analyze(text: str) -> list[str]:
    """Index terms of a text, in order, repeated as often as they occur."""
    return [term for token in _tokens(text) for term in _terms(token)]


def surface_forms(text: str) -> dict[str, str]:
    """Each index term of the text with the (folded) word that first gave it."""
    forms: dict[str, str] = {}
    for token in _tokens(text):
        for term in _terms(token):
            forms.setdefault(term, token if len(_terms(token)) == 1 else term)
    return forms


def _tokens(text: str) -> list[str]:
    folded = fold(text)
    return (_ASCII_TOKEN if folded.isascii() else _TOKEN).findall(folded)


@lru_cache(maxsize=65_536)
def _terms(token: str) -> tuple[str, ...]:
    """Terms of one folded token: none for a stop word, several for a date or an unspaced run."""
    if token[0].isdigit():
        return _number_terms(token)
    if _SPACELESS_START.match(token):
        return tuple(token[i : i + 2] for i in range(len(token) - 1)) or (token,)
    word = token.removesuffix("'s").replace("'", "")
    if word in STOP_WORDS:
        return ()
    with _stemmer_lock:
        return (_stemmer.stemWord(word[:_LONGEST_TERM]),)


def _number_terms(token: str) -> tuple[str, ...]:
    """`8th` gives 8, `1,200` gives 1200, `2023-05-08` gives itself and its parts."""
    if _THOUSANDS.fullmatch(token):
        return (token.replace(",", ""),)
    if ordinal := _ORDINAL.fullmatch(token):
        return (ordinal[1],)
    parts = re.split(r"[,:/-]", token)
    return (token[:_LONGEST_TERM],) if len(parts) == 1 else (token[:_LONGEST_TERM], *parts)


def document_text(content: str, name: str | None) -> str:
    """What the encoder sees of a chunk: a function of the memory alone, so that a vector never goes stale.

    The speaker's name is put in front, because questions name people while turns say "I": on LoCoMo dense recall@10
    rises from .30 to .48. A date in front as well lowers it to .44.
    """
    return f"{name}: {content}" if name else content
