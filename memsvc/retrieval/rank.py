"""The stages of ranking in order: table -> first stage -> shortlist -> second stage -> choice. No clock, no store."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import faiss
import numpy as np

from memsvc.retrieval import cues
from memsvc.retrieval.bm25 import LexicalScores
from memsvc.retrieval.diversify import choose
from memsvc.retrieval.events import with_events
from memsvc.retrieval.fuse import Scale
from memsvc.retrieval.late import OFFSETS
from memsvc.retrieval.model import NO_PLACE, ChunkArrays, Evidence, Floats, MemoryTable, Numbers, Rows, ScoreSheet
from memsvc.retrieval.query import QueryReading
from memsvc.retrieval.recipes import Recipe
from memsvc.retrieval.windows import average, neighbour_rows

# A few hundred vectors take a thread less time than waking another one, more so beside an encoder on few cores.
faiss.omp_set_num_threads(1)

# A memory two deviations above the mean cosine is on the query's topic.
_ON_TOPIC = 2.0
# What says otherwise comes first when its score is no more than this share of the other's behind.
_NEAR = 0.4


@dataclass(frozen=True, slots=True)
class Shortlist:
    """The best memories of the first stage, best first, with the chunk of its own that speaks for each.

    `best_key` is the chunk of another that speaks better for it still, -1 for none. `windows` int64[n, offsets] are
    the chunks that speak for it and its neighbours, in the order of `late.OFFSETS`. `dense` is the scale of the
    whole table's cosines, on which later cosines are put. `session` int64[n], -1 for none. `events` float32[e, n]: the
    share that each memory holds of the words of each event that the query names.
    """

    sheet: ScoreSheet
    best_chunk: Numbers
    best_key: Numbers
    windows: Numbers
    session: Numbers
    dense: Scale
    events: Floats = field(default_factory=lambda: np.empty((0, 0), np.float32), repr=False)


def first_stage(
    chunks: ChunkArrays,
    lexical: LexicalScores,
    recipe: Recipe,
    *,
    k: int,
    events: Sequence[LexicalScores] = (),
    timely: Sequence[int] = (),
) -> Shortlist:
    """Score every memory of the table by itself and in its window; keep the recipe's candidates, at least k.

    `events`: the words of each event that the query names, scored by themselves. `timely`: the memories of the time
    that it asks for, the best of which are kept as well.
    """
    table = MemoryTable.of(chunks)
    if not len(table.memory):
        none = np.empty(0, np.int64)
        return Shortlist(
            ScoreSheet(table.memory), none, none, np.empty((0, len(OFFSETS)), np.int64), none, Scale(0.0, 0.0)
        )
    of_words, is_key = lexical.at(chunks.chunk), chunks.share > 0
    cosine = lift(table, chunks)
    dense = table.fold(cosine)
    # A key counts by what it adds to its memory's own words, so the two are summed where vectors compete.
    words = table.fold(np.where(is_key, np.float32(0), of_words)) + table.fold(
        np.where(is_key, of_words, np.float32(0))
    )
    around = neighbour_rows(table, len(recipe.window) - 1)
    dense_window, words_window = average(dense, around, recipe.window), average(words, around, recipe.window)
    scale, weights = Scale.of(dense), recipe.weights
    sheet = (
        ScoreSheet(table.memory)
        .with_column("dense", dense, weights.dense * scale.standardize(dense))
        .with_column("lexical", words, weights.lexical * lexical.share(words))
        .with_column(
            "dense_window", dense_window, weights.dense_window * Scale.of(dense_window).standardize(dense_window)
        )
        .with_column("lexical_window", words_window, weights.lexical_window * lexical.share(words_window))
    )
    of_chunk = weights.dense * scale.standardize(cosine) + weights.lexical * lexical.share(of_words)
    best = table.best_rows(of_chunk)
    own = table.best_rows(np.where(is_key, np.float32(-np.inf), of_chunk))
    best_key = np.where(is_key[best], chunks.chunk[best], -1)
    kept = _candidates(table, sheet.ranking(), recipe, limit=max(recipe.candidates, k), timely=timely)
    speaking = chunks.chunk[own]
    shares = np.array([table.fold(event.share(event.at(chunks.chunk))) for event in events], np.float32)
    return Shortlist(
        sheet=sheet.take(kept),
        best_chunk=speaking[kept],
        best_key=best_key[kept],
        windows=_windows(table, speaking, kept),
        session=np.where(table.place == NO_PLACE, -1, table.place >> 32)[kept],
        dense=scale,
        events=shares.reshape(-1, len(table.memory))[:, kept],
    )


def _candidates(table: MemoryTable, ranking: Rows, recipe: Recipe, *, limit: int, timely: Sequence[int]) -> Rows:
    """The best of the ranking, and after them the best of the time asked for."""
    behind = ranking[limit:]
    return np.concatenate([ranking[:limit], behind[np.isin(table.memory[behind], timely)][: recipe.timely]])


def _windows(table: MemoryTable, speaking: Numbers, kept: Rows) -> Numbers:
    rows = neighbour_rows(table, max(map(abs, OFFSETS)))
    columns = [np.arange(len(speaking)) if offset == 0 else rows[offset] for offset in OFFSETS]
    return np.stack([np.where(column >= 0, speaking[column], -1)[kept] for column in columns], axis=1)


def lift(table: MemoryTable, chunks: ChunkArrays) -> Floats:
    """Each chunk's cosine, that of a key brought nearer to the best of its memory's own by how little it may lift it.

    A fact tells a part of its memory in fewer words, and short texts come nearer to a query than long ones: at its full
    cosine it would outdo memories that answer better.
    """
    if not (chunks.share > 0).any():
        return chunks.dense
    own = table.spread(table.fold(np.where(chunks.share > 0, np.float32(np.nan), chunks.dense)))
    nearer = own + chunks.share * (chunks.dense - own)
    return np.where((chunks.share > 0) & ~np.isnan(own), nearer, chunks.dense).astype(np.float32)


def second_stage(
    shortlist: Shortlist,
    evidence: Sequence[Evidence],
    query: QueryReading,
    query_vector: Floats | None,
    recipe: Recipe,
    *,
    late: Floats | None = None,
) -> ScoreSheet:
    """The shortlist with exact cosines and cues, one row an `evidence`, in its order.

    What vanished between the statements is simply not in `evidence`; what is in it must be on the shortlist. `late`
    float32[n] is the late interaction of the shortlist's memories, NaN where it is not known.
    """
    rows = _rows(shortlist.sheet.memory, evidence)
    sheet = shortlist.sheet.take(rows)
    weights = recipe.weights
    dense = sheet.columns["dense"].raw
    if query_vector is not None:
        dense = exact_cosines(query_vector, evidence, dense)
        sheet = sheet.with_column("dense", dense, weights.dense * shortlist.dense.standardize(dense))
    if late is not None:
        shares = known_or_mean(late[rows])
        sheet = sheet.with_column("late", shares, np.float32(weights.late) * shares)
    relevance = np.clip(shortlist.dense.standardize(dense) / np.float32(_ON_TOPIC), 0, 1)
    for stage, weight, raw in (
        ("speaker", weights.speaker, cues.speaker(query, evidence)),
        ("author", weights.author, cues.author(query, evidence)),
        ("statement", weights.statement, cues.statement(query, evidence)),
        ("standing", weights.standing, cues.standing(query, evidence, relevance)),
        ("date", weights.date, cues.dated(query, evidence)),
        ("time", weights.time, cues.timed(query, evidence)),
        ("latest", weights.latest, cues.latest(query, evidence)),
        ("order", weights.order, cues.ordered(query, evidence, relevance)),
    ):
        sheet = sheet.with_column(stage, raw, np.float32(weight) * raw)
    shares = shortlist.events[:, rows]
    sheet = with_events(sheet, evidence, query.timeline, share=shares, relevance=relevance, weights=weights)
    behind = outdated(sheet.memory, sheet.total, evidence)
    return sheet.with_column("outdated", behind, -behind)


def known_or_mean(values: Floats) -> Floats:
    """The values with their mean, neither praise nor blame, in the place of NaN; 0 where all are NaN."""
    missing = np.isnan(values)
    if missing.all():
        return np.zeros_like(values)
    return np.where(missing, values[~missing].mean(), values)


def outdated(memory: Numbers, total: Floats, evidence: Sequence[Evidence]) -> Floats:
    """How much each memory has to lose, float32[n], to come behind what says otherwise since, where that is near.

    Old and new statements of one thing answer alike, and the old one often in more words of the question. Where the new
    one is far behind, the question is not about what changed.
    """
    row_of = {number: row for row, number in enumerate(memory.tolist())}
    level, least = total.copy(), total - np.float32(_NEAR) * np.abs(total)
    # From the best down, until nothing moves: what is behind its successor may itself be the successor of another.
    pairs = [(row, row_of[later]) for row, item in enumerate(evidence) for later in item.later if later in row_of]
    for _ in pairs:
        moved = False
        for row, later in pairs:
            if level[later] <= level[row] and total[later] >= least[row]:
                level[row] = np.nextafter(level[later], np.float32(-np.inf))
                moved = True
        if not moved:
            break
    behind: Floats = np.maximum(total - level, np.float32(0))
    return behind


def exact_cosines(query: Floats, evidence: Sequence[Evidence], otherwise: Floats) -> Floats:
    """Each memory's best cosine, in full precision (FAISS), over the vectors at hand and its cosine so far.

    `otherwise` float32[n] stands where there are no vectors, and where a chunk not at hand was nearer.
    """
    owned = [(row, item.vectors) for row, item in enumerate(evidence) if item.vectors is not None and len(item.vectors)]
    cosines = otherwise.copy()
    if owned:
        stacked = np.ascontiguousarray(np.concatenate([vectors for _, vectors in owned]), np.float32)
        scores = faiss.pairwise_distances(query.reshape(1, -1), stacked, faiss.METRIC_INNER_PRODUCT)[0]
        starts = np.cumsum([0, *(len(vectors) for _, vectors in owned[:-1])])
        rows = [row for row, _ in owned]
        cosines[rows] = np.fmax(cosines[rows], np.maximum.reduceat(scores, starts))
    return cosines


def select(
    sheet: ScoreSheet, evidence: Sequence[Evidence], recipe: Recipe, *, k: int, sessions: Numbers | None = None
) -> Rows:
    """Up to k rows of the sheet, best first, near-duplicates behind what they repeat.

    `sessions` int64[n] are given when the results should come from many of them.
    """
    # Only one-chunk memories can be copies of one another; a long one says more than any of its chunks.
    held = {
        row: item.vectors for row, item in enumerate(evidence) if item.vectors is not None and len(item.vectors) == 1
    }
    if not held:
        unknown = np.full((len(evidence), 1), np.nan, np.float32)
        return choose(sheet.memory, sheet.total, unknown, k, recipe.diversity, sessions)
    stacked = np.concatenate(list(held.values()))
    vectors = np.full((len(evidence), stacked.shape[1]), np.nan, np.float32)
    vectors[list(held)] = stacked
    return choose(sheet.memory, sheet.total, vectors, k, recipe.diversity, sessions)


def _rows(memory: Numbers, evidence: Sequence[Evidence]) -> Rows:
    order = np.argsort(memory)
    wanted = np.fromiter((item.memory for item in evidence), np.int64, len(evidence))
    return order[np.searchsorted(memory, wanted, sorter=order)]
