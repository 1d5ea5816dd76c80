"""Slates from scores: uniform, best first, and drawn in proportion to exp(score), with exact probabilities.

The score of an item is the dot product of a user's query with the item's column; a bias is one more coordinate (1 in
the query). Every function goes user by user, so row i has the same bits in every batch.
"""

from __future__ import annotations

import numpy as np

from recgym.compiled import compiled
from recgym.noise import Noise
from recgym.observation import HISTORY
from recgym.ranking import top_k_of_query, top_k_of_scores

_LOWEST = -80.0


def room_of(candidate: np.ndarray, n_items: int) -> int:
    """How many items can be chosen: the candidates (n, m), or where m = 0 the whole catalogue."""
    return int(candidate.shape[1]) or n_items


def uniform_log_prob(room: int, k: int) -> float:
    """Logarithm of the probability of one ordered slate of k distinct items out of `room`, all equally likely."""
    return -float(np.log(room - np.arange(k, dtype=np.float64)).sum())


def uniform_slates(candidate: np.ndarray, n_items: int, k: int, noise: Noise) -> tuple[np.ndarray, np.ndarray]:
    """Every ordered slate of k distinct items equally likely.

    Args:
        candidate: (n, m) int32, the items to choose from; m = 0 means the whole catalogue.
        n_items: N, the size of the catalogue.
        k: items on a slate, at most m (or N).
        noise: chance; the draw is called "policy uniform".

    Returns:
        item (n, k) int32 and log_prob (n,) float64.
    """
    room = room_of(candidate, n_items)
    place = _distinct(noise.uniform("policy uniform", k), room)
    return _items_at(place, candidate), np.full(len(place), uniform_log_prob(room, k))


def best_slates(
    query: np.ndarray, columns: np.ndarray, candidate: np.ndarray, k: int, seen: np.ndarray | None = None
) -> np.ndarray:
    """(n, k) int32: the items with the largest score, best first; ties go to the left.

    Args:
        query: (n, d) float32.
        columns: (d, N) float32, contiguous, one column per item.
        candidate: (n, m) int32, the items to choose from; m = 0 means the whole catalogue.
        k: items on a slate.
        seen: (n, 20) int32, items to avoid (-1 = none); they are shown only where too few others are left.
    """
    ranked_length = min(room_of(candidate, columns.shape[1]), k if seen is None else k + HISTORY)
    if candidate.shape[1]:
        score = _candidate_scores(np.ascontiguousarray(query, np.float32), columns, candidate)
        ranked = _items_at(top_k_of_scores(score, ranked_length), candidate)
    else:
        ranked = top_k_of_query(query, columns, ranked_length)
    return ranked if seen is None else unseen_first(ranked, seen, k)


def unseen_first(ranked: np.ndarray, seen: np.ndarray, k: int) -> np.ndarray:
    """(n, k) int32: the first k of ranked (n, r) that are not in seen (n, h); seen ones fill up where too few are."""
    out = np.empty((len(ranked), k), np.int32)
    _unseen_first(ranked, seen, out)
    return out


def softmax_slates(
    query: np.ndarray,
    columns: np.ndarray,
    candidate: np.ndarray,
    uniform: np.ndarray,
    given: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Slates drawn item by item in proportion to exp(score) among the items not yet drawn (Plackett-Luce).

    This is the distribution that adding Gumbel noise to the scores and taking the k best gives, with k
    draws a user in place of N. Scores more than 80 below the best count as 80 below it.

    Args:
        query: (n, d) float32.
        columns: (d, N) float32, contiguous, one column per item.
        candidate: (n, m) int32, the items to choose from; m = 0 means the whole catalogue.
        uniform: (n, k) float64 in (0, 1), one draw per position.
        given: (n, k) int32 or None: slates whose probability is wanted; a row that starts with -1 is drawn.

    Returns:
        item (n, k) int32 and log_prob (n,) float64, the exact probability of the ordered slate.
    """
    out = np.full(uniform.shape, -1, np.int32) if given is None else np.array(given, np.int32)
    log_prob = np.empty(len(out))
    query = np.ascontiguousarray(query, np.float32)
    _softmax_slates(query, columns, np.ascontiguousarray(candidate), uniform, out, log_prob)
    return out, log_prob


def softmax_of_scores(score: np.ndarray, uniform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places drawn in proportion to exp(score (n, m)) by one draw a row, uniform (n, 1).

    Returns:
        place (n,) int64 and log_prob (n,) float64.
    """
    place, log_prob = np.full((len(score), 1), -1, np.int32), np.empty(len(score))
    _softmax_rows(np.ascontiguousarray(score), uniform, place, log_prob)
    return place[:, 0].astype(np.int64), log_prob


def best_of_scores(score: np.ndarray) -> np.ndarray:
    """(n,) int64: the place of the largest score of each row (n, m), the leftmost of equals."""
    return np.asarray(score.argmax(axis=1), np.int64)


def with_exploration(
    item: np.ndarray, share: float, candidate: np.ndarray, n_items: int, noise: Noise
) -> tuple[np.ndarray, np.ndarray]:
    """A deterministic choice, replaced with probability `share` by a uniform slate.

    Args:
        item: (n, k) int32, the deterministic choice.
        share: probability of a uniform slate, one draw ("policy explore") per slate.
        candidate: (n, m) int32, the items to choose from; m = 0 means the whole catalogue.
        n_items: N, the size of the catalogue.
        noise: chance.

    Returns:
        item (n, k) int32 and log_prob (n,) float64; the uniform part may draw the deterministic slate as well.
    """
    if not share:
        return item, np.zeros(len(item))
    drawn, log_uniform = uniform_slates(candidate, n_items, item.shape[1], noise)
    explore = noise.uniform("policy explore")[:, 0] < share
    shown = np.where(explore[:, None], drawn, item)
    kept = (shown == item).all(axis=1)
    return shown, np.log(share * np.exp(log_uniform) + (1 - share) * kept)


def _items_at(place: np.ndarray, candidate: np.ndarray) -> np.ndarray:
    return np.take_along_axis(candidate, place.astype(np.int64), axis=1) if candidate.shape[1] else place


@compiled
def _distinct(uniform: np.ndarray, room: int) -> np.ndarray:
    """(n, k) int32: the j-th draw picks among the room - j numbers not yet taken, counted upwards."""
    n, k = uniform.shape
    out = np.empty((n, k), np.int32)
    taken = np.empty(k, np.int32)
    for i in range(n):
        for j in range(k):
            x = min(int(uniform[i, j] * (room - j)), room - j - 1)
            at = 0
            while at < j and taken[at] <= x:
                x += 1
                at += 1
            for c in range(j, at, -1):
                taken[c] = taken[c - 1]
            taken[at] = x
            out[i, j] = x
    return out


@compiled
def _candidate_scores(query: np.ndarray, columns: np.ndarray, candidate: np.ndarray) -> np.ndarray:
    n, m = candidate.shape
    score = np.empty((n, m), np.float32)
    for i in range(n):
        for j in range(m):
            total = np.float32(0.0)
            for c in range(query.shape[1]):
                total += query[i, c] * columns[c, candidate[i, j]]
            score[i, j] = total
    return score


@compiled
def _unseen_first(ranked: np.ndarray, seen: np.ndarray, out: np.ndarray) -> None:
    k = out.shape[1]
    for i in range(ranked.shape[0]):
        found = 0
        for wanted in range(2):
            for j in range(ranked.shape[1]):
                if found == k:
                    break
                was_seen = 0
                for c in range(seen.shape[1]):
                    if seen[i, c] == ranked[i, j]:
                        was_seen = 1
                        break
                if was_seen == wanted:
                    out[i, found] = ranked[i, j]
                    found += 1


@compiled
def _softmax_slates(
    query: np.ndarray,
    columns: np.ndarray,
    candidate: np.ndarray,
    uniform: np.ndarray,
    out: np.ndarray,
    log_prob: np.ndarray,
) -> None:
    n, d = query.shape
    whole = candidate.shape[1] == 0
    room = columns.shape[1] if whole else candidate.shape[1]
    score = np.empty(room, np.float32)
    weight = np.empty(room, np.float64)
    for i in range(n):
        score[:] = np.float32(0.0)
        for c in range(d):
            q = query[i, c]
            if whole:
                row = columns[c]
                for j in range(room):
                    score[j] += q * row[j]
            else:
                for j in range(room):
                    score[j] += q * columns[c, candidate[i, j]]
        _weigh(score, weight)
        log_prob[i] = _draw(weight, candidate[i], whole, uniform[i], out[i])


@compiled
def _softmax_rows(score: np.ndarray, uniform: np.ndarray, place: np.ndarray, log_prob: np.ndarray) -> None:
    weight = np.empty(score.shape[1], np.float64)
    for i in range(score.shape[0]):
        _weigh(score[i], weight)
        log_prob[i] = _draw(weight, place[i], True, uniform[i], place[i])


@compiled
def _weigh(score: np.ndarray, weight: np.ndarray) -> None:
    """weight = exp(score - best), the exponent at least -80."""
    best = score[0]
    for j in range(len(score)):
        best = max(best, score[j])
    for j in range(len(score)):
        weight[j] = np.exp(max(np.float64(score[j]) - np.float64(best), _LOWEST))


@compiled
def _draw(weight: np.ndarray, candidate: np.ndarray, whole: bool, uniform: np.ndarray, out: np.ndarray) -> float:
    """Fill `out` where it starts with -1; the logarithm of the probability of `out` in any case."""
    drawn = out[0] < 0
    log_prob = 0.0
    for position in range(len(out)):
        total = 0.0
        for j in range(len(weight)):
            total += weight[j]
        place = -1
        if drawn:
            wanted = uniform[position] * total
            running = 0.0
            for j in range(len(weight)):
                if weight[j] > 0.0:
                    place = j
                    running += weight[j]
                    if running > wanted:
                        break
            out[position] = place if whole else candidate[place]
        else:
            for j in range(len(weight)):
                if (j if whole else candidate[j]) == out[position] and weight[j] > 0.0:
                    place = j
        if place < 0:
            return -np.inf
        log_prob += np.log(weight[place] / total)
        weight[place] = 0.0
    return log_prob
