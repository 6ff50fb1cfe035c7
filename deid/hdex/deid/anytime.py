"""The exact engine where the lattice is too large to lay out: the best node so far and how far it may be from the best.

First a node that fits: from the top downwards, one level of one column at a time, in several orders. Then a bound:
columns are decided one after the other, the most identifying first, and a partial decision is judged as if all other
columns were generalised away. What it suppresses then, every node below it suppresses; what it costs then, every node
below it costs. Partial decisions are opened by rising bound, so the lowest bound still open is proven, and the search
ends with the optimum when the budget lasts.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

import numpy as np

from hdex.deid.evaluation import TOLERANCE, Evaluation, Found, Limits, Progress, Rollups, evaluate, marginals, top_of
from hdex.deid.tuples import Node, Table

TELL_EVERY = 25  # evaluations between two reports of progress
ORDERS = 8  # of columns in which the descent is tried
SEED = 1  # of those orders: the same table gives the same answer


@dataclass(slots=True)
class Anytime:
    """State of the search. order: columns, the one with most values first; a prefix decides the first of them."""

    rollups: Rollups
    limits: Limits
    budget: int
    progress: Progress
    marginal: list[list[float]]
    order: list[int]
    best: Node | None = None
    best_loss: float = np.inf
    bound: float = 0.0
    checked: int = 0
    open: list[tuple[float, int, Node]] = field(default_factory=list)  # (bound, -columns decided, levels in `order`)


def search(table: Table, limits: Limits, *, budget: int, progress: Progress) -> Found:
    """Return the best node found with `budget` evaluations and the loss below which no node can be."""
    rollups = Rollups.over(table)
    order = rollups.order
    state = Anytime(rollups, limits, max(budget, 2), progress, marginals(table), order)
    state.bound = sum(means[low] for means, low in zip(state.marginal, limits.floor, strict=True))
    visit(state, top_of(table))
    generator = np.random.default_rng(SEED)
    for turn in range(ORDERS):
        if state.checked >= state.budget // 2:
            break
        descend(state, list(order) if turn == 0 else generator.permutation(len(order)).tolist())
    improve_bound(state)
    return Found(state.best, state.best_loss, min(state.bound, state.best_loss), state.checked)


def visit(state: Anytime, node: Node) -> tuple[Evaluation, float]:
    """Evaluate a node, remember it when it is the best, and return what it does and its loss."""
    result = evaluate(state.rollups, node, state.limits.k)
    state.checked += 1
    loss = sum(means[level] for means, level in zip(state.marginal, node, strict=True)) + result.gap
    if result.fits(state.limits) and loss < state.best_loss - TOLERANCE:
        state.best, state.best_loss = node, loss
    if state.checked % TELL_EVERY == 0:
        state.progress(state.checked, min(state.bound, state.best_loss), state.best_loss)
    return result, loss


def descend(state: Anytime, order: list[int]) -> None:
    """From the top, lower one column by one level while the loss falls; a column that cannot go lower is done."""
    node, reached = list(top_of(state.rollups.table)), np.inf
    going = [column for column in order if node[column] > state.limits.floor[column]]
    while going and state.checked < state.budget // 2:
        for column in list(going):
            node[column] -= 1
            result, loss = visit(state, tuple(node))
            if result.fits(state.limits) and loss < reached:
                reached = loss
            else:
                node[column] += 1
                going.remove(column)
            if node[column] == state.limits.floor[column] and column in going:
                going.remove(column)


def improve_bound(state: Anytime) -> None:
    """Open partial decisions by rising bound until the best is proven or the budget is spent."""
    state.open = [(state.bound, 0, ())]
    while state.open:
        bound, _, prefix = heapq.heappop(state.open)
        state.bound = max(state.bound, bound)
        if bound >= state.best_loss - TOLERANCE:
            break
        if state.checked >= state.budget:
            return
        if len(prefix) < len(state.order):
            expand(state, prefix)
    state.bound = state.best_loss


def expand(state: Anytime, prefix: Node) -> None:
    """Decide one more column in every way that could still win."""
    column = state.order[len(prefix)]
    top = top_of(state.rollups.table)
    for level in range(state.limits.floor[column], top[column] + 1):
        levels = (*prefix, level)
        node, least = list(top), 0.0
        for place, each in enumerate(state.order):
            low = levels[place] if place < len(levels) else state.limits.floor[each]
            node[each] = levels[place] if place < len(levels) else top[each]
            least += state.marginal[each][low]
        result, _ = visit(state, tuple(node))
        bound = least + result.bound
        if result.inevitable <= state.limits.allowed and bound < state.best_loss - TOLERANCE:
            heapq.heappush(state.open, (bound, -len(levels), levels))
