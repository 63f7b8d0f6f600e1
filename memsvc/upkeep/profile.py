"""What might be written into a space's core memory: proposals, computed when they are asked for, and never applied.

After Mem-alpha (2025), whose core memory is one paragraph of at most 512 tokens on the user. There a trained model
edits it; here it stays the caller's, who takes a proposal over by appending its text to the section that it names.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from memsvc.extraction.keys import is_single_valued
from memsvc.ids import MemoryId, new_uuid
from memsvc.store import core, topics
from memsvc.store.access import When, require
from memsvc.store.memories import Record
from memsvc.store.topics import Claim
from memsvc.text.analysis import analyze, fold
from memsvc.text.tokens import estimate_tokens
from memsvc.upkeep.model import Change, Order, Upkeep

SECTIONS: Mapping[str, str] = {"fact": "profile", "preference": "preferences", "procedure": "instructions"}
# What happened once, and what was only answered, is no trait.
PASSING = frozenset({"event", "answer", "decision"})
# A claim is sure by itself, or because it was said more than once, or because somebody called it important. An
# instruction is meant to last, a liking may be of the moment.
SURE: Mapping[str, float] = {"fact": 0.85, "preference": 0.85, "procedure": 0.75}
REPEATED, IMPORTANT = 2, 0.75
MOST_TOKENS = 512
MOST_OF_SECTION = 200
# A claim is in the core memory when one line there has this share of its terms.
KNOWN_SHARE = 0.8
MOST_CLAIMS = 2000


@dataclass(frozen=True, slots=True)
class Proposal:
    """Lines to append to a section, which may not exist yet, and the facts that say them; `reason` has no content."""

    label: str
    text: str
    sources: tuple[MemoryId, ...]
    reason: str


async def find_proposals(upkeep: Upkeep, order: Order) -> list[Proposal]:
    """What the caller might add to the core memory now. Raises `NotFoundError` for a space that he may not read."""
    when = When(order.now)
    async with upkeep.ingest.database.read(order.caller.tenant_id) as session:
        space_id = await require(session, order.caller, order.space, "read")
        claims = await topics.list_claims(session, space_id, caller=order.caller, when=when, limit=MOST_CLAIMS)
        sections = await core.list_sections(session, order.space, caller=order.caller, when=when)
    return propose_core(claims, sections)


def propose_core(claims: Sequence[Claim], sections: Sequence[Record]) -> list[Proposal]:
    """Lasting, sure and current facts and preferences of the space's main user that its core memory lacks. Pure.

    One proposal a section, the strongest claims first, at most 200 tokens each and 512 with what the core memory holds
    already. None when nobody stands out as the user.
    """
    subject = main_subject(claims)
    known = [set(analyze(line)) for section in sections for line in section.content.splitlines()]
    left = MOST_TOKENS - sum(estimate_tokens(section.content) for section in sections)
    own = [claim for claim in claims if claim.subject == subject and _lasts(claim) and not _says(known, claim)]
    chosen: dict[str, list[Claim]] = defaultdict(list)
    spent: dict[str, int] = defaultdict(int)
    for claim in _first_of_each(sorted(own, key=lambda claim: (-_strength(claim), claim.id))):
        label, cost = SECTIONS[claim.kind], estimate_tokens(claim.content) + 1
        if spent[label] + cost <= MOST_OF_SECTION and sum(spent.values()) + cost <= left:
            chosen[label].append(claim)
            spent[label] += cost
    return [_proposal(label, chosen[label]) for label in SECTIONS.values() if label in chosen]


def main_subject(claims: Sequence[Claim]) -> str | None:
    """Whom the space is about: the user who says most of himself; None when none says anything."""
    told: dict[str, int] = defaultdict(int)
    for claim in claims:
        says_it_himself = claim.role == "user" and claim.subject == fold(claim.speaker or "the user")
        if claim.subject and says_it_himself:
            told[claim.subject] += max(1, claim.sources)
    return max(told, key=lambda subject: (told[subject], subject), default=None)


def as_changes(proposals: Sequence[Proposal], sections: Sequence[Record]) -> list[Change]:
    """The proposals as a run of consolidation lists them; they change nothing."""
    ids = {section.name: section.id for section in sections}
    return [
        Change("propose", ids.get(one.label, MemoryId(new_uuid())), one.sources, one.text, one.reason)
        for one in proposals
    ]


def _lasts(claim: Claim) -> bool:
    if claim.kind not in SECTIONS or claim.type in PASSING or not claim.attribute:
        return False
    return claim.confidence >= SURE[claim.kind] or claim.sources >= REPEATED or claim.importance >= IMPORTANT


def _strength(claim: Claim) -> float:
    """How much speaks for it: sureness, times how often it was said and used, and its importance."""
    said, used = 1 + math.log2(max(1, claim.sources)), 1 + math.log1p(claim.used) / 2
    return claim.confidence * said * used * (0.5 + claim.importance)


def _first_of_each(claims: Sequence[Claim]) -> list[Claim]:
    """Of several claims on what has one value, and of several in the same words, the strongest."""
    first: dict[str, Claim] = {}
    for claim in claims:
        one_of = claim.attribute if is_single_valued(claim.attribute) else " ".join(analyze(claim.content))
        first.setdefault(one_of, claim)
    return list(first.values())


def _says(known: Sequence[Collection[str]], claim: Claim) -> bool:
    terms = set(analyze(claim.content))
    return bool(terms) and any(len(terms.intersection(line)) >= KNOWN_SHARE * len(terms) for line in known)


def _proposal(label: str, claims: Sequence[Claim]) -> Proposal:
    lines = [claim.content.strip() for claim in claims]
    text = "\n".join(line if line.endswith((".", "!", "?")) else f"{line}." for line in lines)
    times = sum(max(1, claim.sources) for claim in claims)
    return Proposal(label, text, tuple(claim.id for claim in claims), f"stated {times} times in all")
