"""How well a trained model tells who was in its training set: the attack by losses, run by a site on its own rows.

A site keeps some rows out of training. If the model's loss is lower on rows it was trained on, whoever holds the model
and a patient's row can guess that the patient was there. 0.5 is a blind guess. Source: Yeom et al. 2018.

Few rows make a poor judge: those held out may be the harder ones by chance. Losses of models that saw neither say how
much, and as far as both rank the rows alike that chance is taken out (a control variate: its expectation is nothing).
"""

import numpy as np

from hdex.federated.statistics import Floats, Places


def membership_auc(losses: Floats, member: Places, other: Places, reference: Floats) -> float:
    """Return the attacker's AUC over rows trained on (`member`) and held out (`other`); NaN without one of them.

    losses: of the model, reference: of models that were not trained on the row they judge; both (n,).
    """
    if not len(member) or not len(other):
        return float("nan")
    alike = np.corrcoef(_ranks(losses), _ranks(reference))[0, 1]
    luck = lower_chance(reference[member], reference[other]) - 0.5
    return lower_chance(losses[member], losses[other]) - (luck * float(alike) if np.isfinite(alike) else 0.0)


def lower_chance(ones: Floats, others: Floats) -> float:
    """Return the chance that one of `ones` is below one of `others`, ties half."""
    order = np.sort(others)
    higher = len(order) - np.searchsorted(order, ones, side="right")
    equal = len(order) - higher - np.searchsorted(order, ones, side="left")
    return float((higher + 0.5 * equal).mean() / len(order))


def _ranks(values: Floats) -> Floats:
    """Return the rank of each value, the mean of the ranks of equal ones."""
    order = np.sort(values)
    return (np.searchsorted(order, values, side="left") + np.searchsorted(order, values, side="right")) / 2.0
