"""Facts of a turn: what it states that is worth keeping, one self-contained statement each."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from memsvc.extraction import selection, trimming, words
from memsvc.extraction.answers import answer
from memsvc.extraction.antecedents import Mentions
from memsvc.extraction.echoes import restated
from memsvc.extraction.entities import find_aliases, find_entities
from memsvc.extraction.grammar import Parse, parse
from memsvc.extraction.keys import Key, Statement, find_key
from memsvc.extraction.model import Fact, FactKind, Said
from memsvc.extraction.people import Cast, cast_of, rewrite
from memsvc.extraction.procedures import procedures
from memsvc.extraction.sentences import Clause, clauses, quoted, without_emoji
from memsvc.extraction.stating import end_facts, prevails, state_facts
from memsvc.extraction.times import Mention, find_times
from memsvc.extraction.tokens import Token, tokenize
from memsvc.extraction.words import word_set
from memsvc.text.analysis import fold

MOST_FACTS = 6
_MOST_OF_ASSISTANT = 2
_ENOUGH = 40
_SURE = 0.75


@dataclass(frozen=True, slots=True)
class _Candidate:
    fact: Fact
    score: int


def extract(said: Said, before: Sequence[Said] = ()) -> list[Fact]:
    """The facts of a turn in reading order, six at most; `before` are up to three turns before it, oldest first.

    English rules, no model: other languages, code and tables give none. Time is linear in the turn, and of a turn of
    more than 8,000 characters the first 6,000 and the last 2,000 are read.
    """
    if said.role == "assistant" and not _COMMITS.search(said.content):
        return []
    cast = cast_of(said)
    mentions = Mentions(cast)
    aliases = find_aliases(said.content, cast.speaker) if cast.speaker else {}
    found: list[_Candidate] = []
    found += [_Candidate(fact, 100) for fact in procedures(said, cast)]
    found += [_Candidate(fact, 70) for fact in answer(said, before, cast)]
    first = list(found)
    parts = clauses(said.content)
    echoed = restated(said.content)
    told = state_facts(said, cast, parts, echoed)
    for clause in parts:
        if _overlaps((clause.start, clause.end), found) or any(start <= clause.start < end for start, end in echoed):
            continue
        candidate = _read(said, clause, mentions, aliases)
        if candidate is not None and candidate.score >= _ENOUGH:
            found.append(candidate)
    found = _with_states(found, [state for state in told if not _overlaps((state.start, state.end), first)])
    taken = [(known.fact.start, known.fact.end) for known in found]
    found += [_Candidate(fact, _ENOUGH) for fact in end_facts(said, cast, parts, [*taken, *echoed])]
    most = _MOST_OF_ASSISTANT if said.role == "assistant" else MOST_FACTS
    best = sorted(found, key=lambda candidate: (-candidate.score, candidate.fact.start))[:most]
    return [candidate.fact for candidate in sorted(best, key=lambda candidate: candidate.fact.start)]


def _with_states(found: list[_Candidate], told: Sequence[Fact]) -> list[_Candidate]:
    """The states beside the other facts; where both read the same words, a rule that is sure of its key has the key."""
    for state in told:
        same = [one for one in found if one.fact.start < state.end and state.start < one.fact.end]
        sure = next((one.fact for one in same if prevails(one.fact, state)), None)
        fact = state if sure is None else replace(sure, text=state.text, start=state.start, end=state.end)
        if sure is not None and (sure.start, sure.end) == (state.start, state.end):
            fact = sure
        found = [one for one in found if one not in same] + [_Candidate(fact, 80)]
    return found


def _overlaps(span: tuple[int, int], found: Sequence[_Candidate]) -> bool:
    return any(span[0] < known.fact.end and known.fact.start < span[1] for known in found)


def _read(said: Said, clause: Clause, mentions: Mentions, aliases: dict[str, str]) -> _Candidate | None:
    """The fact of one clause with its score, if it states one."""
    whole = said.content[clause.start : clause.end]
    names = [said.listener or "", (said.listener or "")[:3]]
    left, right = trimming.trim(whole, names)
    text = whole[left:right]
    if len(text) < 8 or text[:1] in "\"“«'":
        return None
    text = trimming.with_subject(text)
    quotes = quoted(text)
    tokens = tokenize(text, quotes)
    parsed = parse(tokens)
    subject = "" if parsed is None else text[tokens[parsed.subject].start : tokens[parsed.subject_end - 1].end]
    cast = mentions.at(clause.sentence, text)
    mentions.note(clause.sentence, text, subject)
    if subject.lower() in ("he", "she", "they", "it"):
        mentions.recall(clause.sentence, getattr(cast, subject.lower()))
    if parsed is None or clause.question or selection.is_unreal(text) or not _is_heard(said, tokens, parsed, cast):
        return None
    if selection.is_idle(tokens, parsed) or sum(end - start for start, end in quotes) * 2 > len(text):
        return None
    kept = selection.whole_until(tokens, parsed)
    if not kept:
        return None
    if kept < len(tokens):
        cut = len(text) - tokens[kept - 1].end
        text, tokens, right = text[: tokens[kept - 1].end], tokens[:kept], right - cut
    reading = _resolve(text, tokens, parsed, cast, said)
    return _judge(said, (clause.start + left, clause.start + right), tokens, parsed, reading, aliases)


def _is_heard(said: Said, tokens: Sequence[Token], parsed: Parse, cast: Cast) -> bool:
    """Whether the subject is someone or something that the clause, or the one before, names."""
    low = tokens[parsed.subject].low
    if said.role == "assistant":
        is_undergone = parsed.form == "participle" and bool(words.BE_FORMS & set(parsed.auxiliaries))
        return low == "i" and parsed.base in _COMMITTED and not is_undergone  # "I'm booked" is what the user is
    if parsed.person == "second":
        return False
    if low in ("he", "she", "they", "it"):
        return bool(getattr(cast, low))
    if low in ("his", "her", "their", "its"):
        return bool({"his": cast.he, "her": cast.she, "their": cast.they, "its": cast.it}[low])
    return low not in ("your", "someone", "everyone", "a", "an")


_COMMITTED = word_set(
    """
    recommend suggest schedule book send remind create set order reserve update save store
    """
)
_COMMITS = re.compile(
    rf"\bI(?:['’](?:ll|ve|d|m))?\s+(?:\w+\s+){{0,3}}?(?:{'|'.join(stem[:-1] for stem in sorted(_COMMITTED))})", re.ASCII
)


@dataclass(frozen=True, slots=True)
class _Reading:
    """A clause with its names and dates resolved: the whole, and the parts that keys need."""

    text: str
    subject: str
    rest: str
    bare: str
    times: list[Mention]
    clear: bool


def _resolve(text: str, tokens: Sequence[Token], parsed: Parse, cast: Cast, said: Said) -> _Reading:
    # Third-person pronouns are resolved in the subject; elsewhere what the clause itself names comes first.
    low = tokens[parsed.subject].low
    out, clear = rewrite(tokens, _only_subject(cast, low))
    times = [
        mention
        for mention in find_times(text, said.at)
        if not any(token.quoted and mention.start <= token.start < mention.end for token in tokens)
    ]
    after = (parsed.rest, len(tokens))
    whole = _join(tokens, out, times, (0, len(tokens)))
    subject = _join(tokens, out, [], (parsed.subject, parsed.subject_end))
    rest = _join(tokens, out, times, after)
    bare = _join(tokens, out, [_gone(mention) for mention in times], after)
    return _Reading(_finish(whole), subject, rest, bare, times, clear)


def _only_subject(cast: Cast, low: str) -> Cast:
    keep = {"his": "he", "her": "she", "their": "they", "its": "it"}.get(low, low)
    return Cast(
        cast.speaker,
        cast.listener,
        cast.we,
        he=cast.he if keep == "he" else "",
        she=cast.she if keep == "she" else "",
        it=cast.it if keep == "it" else "",
        they=cast.they if keep == "they" else "",
    )


def _gone(mention: Mention) -> Mention:
    return Mention(mention.start, mention.end, "", mention.interval)


def _join(tokens: Sequence[Token], out: Sequence[str], times: Sequence[Mention], span: tuple[int, int]) -> str:
    """Tokens [span) as rewritten, with the white space of the text; a time once, in its own words."""
    parts: list[str] = []
    cursor = -1
    pending = list(times)
    for place in range(*span):
        token = tokens[place]
        while pending and pending[0].end <= token.start:
            pending.pop(0)
        if cursor >= 0 and token.start > cursor:
            parts.append(" ")
        cursor = token.end
        if pending and pending[0].start <= token.start:
            if token.start == pending[0].start or place == span[0]:
                parts.append(pending[0].text)
            continue
        parts.append(out[place])
    joined = re.sub(r"\s+", " ", "".join(parts))
    return re.sub(r"\s+([,.!?;:)])|(?<=\d)\s+(%)", r"\1\2", joined).strip()


def _finish(text: str) -> str:
    text = re.sub(r"\s+", " ", without_emoji(text)).strip(" ,;:-–—!…")
    text = text[:-1] if text.endswith(".") and not text.endswith("..") else text
    return text[:1].upper() + text[1:]


def _judge(
    said: Said,
    span: tuple[int, int],
    tokens: Sequence[Token],
    parsed: Parse,
    reading: _Reading,
    aliases: dict[str, str],
) -> _Candidate | None:
    key = find_key(_statement(parsed, reading, cast_of(said).speaker))
    key_subject = aliases.get(key.subject, key.subject)
    entities = tuple(name for name in find_entities(reading.text) if name)
    others = [name for name in entities if name not in (fold(said.speaker or ""), fold(said.listener or ""))]
    score = _score(tokens, parsed, reading, key, bool(others))
    # "It" is a guess: kept only where a rule knows what is told of such a thing.
    if tokens[parsed.subject].low == "it" and not key.is_known:
        return None
    if (
        key.value in _EMPTY
        or not reading.clear
        or not key_subject
        or not reading.text
        or not (key.value or reading.times or key.negated)
    ):
        return None
    fact = Fact(
        kind=_kind(parsed, reading, key),
        text=reading.text,
        start=span[0],
        end=span[1],
        subject=key_subject,
        attribute=key.attribute,
        value=key.value,
        negated=key.negated,
        when=reading.times[0].interval if reading.times else None,
        entities=entities,
        confidence=round(key.confidence * (0.8 if tokens[parsed.subject].low in _PRONOUNS else 1.0), 2),
    )
    return _Candidate(fact, score)


_EMPTY = word_set("ton tons lot lots more bit better same things stuff much way")
_PRONOUNS = word_set("he she they it his her their its")


def _statement(parsed: Parse, reading: _Reading, speaker: str) -> Statement:
    """The clause for keys; "I stopped eating meat" and "I used to eat meat" deny that I eat meat."""
    last = parsed.auxiliaries[-1] if parsed.auxiliaries else ""
    passive = parsed.form == "participle" and (last in words.BE_FORMS or last == "'s")
    perfect = parsed.form == "participle" and not passive
    return Statement(
        subject=reading.subject,
        base=parsed.base,
        rest=reading.rest,
        bare=reading.bare,
        negated=parsed.negated or re.search(r"\b(?:anymore|any more|no longer)\b", reading.bare) is not None,
        former="used to" in parsed.auxiliaries,
        passive=passive,
        perfect=perfect,
        past=parsed.form == "past" or (last in ("was", "were", "did")),
        intended=_is_intended(parsed, reading),
        modal=parsed.is_modal,
        speaker=speaker,
    )


_INTENTIONS = word_set("plan want hope decide intend aim wish need try consider think aspire")


def _is_intended(parsed: Parse, reading: _Reading) -> bool:
    is_missed = "almost" in parsed.adverbs or "nearly" in parsed.adverbs
    return parsed.is_modal or parsed.base in _INTENTIONS or is_missed or _is_going(parsed, reading)


def _is_going(parsed: Parse, reading: _Reading) -> bool:
    """ "I'm going to paint", not "I'm going to Rome"."""
    ahead = reading.rest.split()[:2]
    return parsed.base == "go" and parsed.form == "gerund" and ahead[:1] == ["to"] and ahead[-1] in words.BASES


def _kind(parsed: Parse, reading: _Reading, key: Key) -> FactKind:
    if key.kind == "preference":
        return "preference"
    if key.kind == "fact" and key.is_known:
        return "fact"
    if _is_intended(parsed, reading):
        return "decision"
    return key.kind


def _score(tokens: Sequence[Token], parsed: Parse, reading: _Reading, key: Key, names: bool) -> int:
    """How much a clause is worth keeping, about 0 to 100."""
    low = tokens[parsed.subject].low
    weight = selection.weight(tokens, parsed)
    own = low in ("i", "we", "my", "our") or parsed.person in ("first", "we")
    score = 10 * min(weight, 3) + 35 * key.is_known + 20 * bool(reading.times) + 15 * names
    score += 10 * any(token.low[:1].isdigit() for token in tokens)
    score += 5 * (own and weight >= 2 and (parsed.form in ("past", "participle", "gerund") or parsed.base == "have"))
    score += 10 * (low in _PRONOUNS and parsed.form == "past")
    score += 15 * own + 15 * (key.attribute.split()[0] not in _LIGHT)
    if not key.is_known:
        score -= 10 * parsed.is_modal
        score -= 20 * any(token.low in ("you", "your") for token in tokens[parsed.rest :])
        if not own:
            score -= 20 * (low in ("the", "a", "an")) + 30 * (parsed.base == "be")
    if key.is_known and key.confidence >= _SURE:
        score = max(score, _ENOUGH)
    if key.negated and own and not key.value and parsed.form in ("present", "past", "bare") and not parsed.is_modal:
        return _ENOUGH  # "I don't surf", "I gave up smoking"
    return score if weight or key.is_known or names else 0


_LIGHT = word_set("be have do make give get go come keep feel put let")
