"""Concentrations after several doses: what nlme's phenoModel and quinModel compute row by row."""

import numpy as np


class Doses:
    """Doses given before each row, for means that follow them.

    Parameters
    ----------
    data : DataFrame
        Columns Subject, time, dose (missing where none was given); interval (of doses until steady state) and
        glyco, if there are such. Rows of a subject stand in the order of time.
    """

    def __init__(self, data):
        n = len(data)
        subject, time, dose = (data[name].to_numpy() for name in ("Subject", "time", "dose"))
        every = data["interval"].to_numpy() if "interval" in data else np.full(n, np.nan)
        self.glyco = data["glyco"].to_numpy() if "glyco" in data else np.zeros(n)
        histories, past = [], []
        for i in range(n):
            if i == 0 or subject[i] != subject[i - 1] or every[i] > 0:
                past = []
            if not np.isnan(dose[i]):
                past = [*past, (dose[i], time[i], every[i] if every[i] > 0 else np.inf, self.glyco[i])]
            histories.append(past)
        most = max(map(len, histories))
        padded = np.array(
            [
                [(0.0, history[0][1] if history else time[i], np.inf, 0.0)] * (most - len(history)) + history
                for i, history in enumerate(histories)
            ]
        )
        self.amount, self.given, self.every, self.glyco_then = np.moveaxis(padded, 2, 0)
        self.time = time

    def intravenous(self, row, lCl, lV):
        """Return concentrations where doses enter the blood at once."""
        row = row.astype(int)
        rate = np.exp(lCl - lV)[:, None]
        left = self.amount[row] * np.exp(-rate * (self.time[row, None] - self.given[row]))
        return left.sum(axis=1) / np.exp(lV)

    def oral(self, row, lV, lKa, lCl, glycoprotein):
        """Return concentrations where doses are absorbed first, with steady state where `interval` says so.

        The clearance goes by glyco of each dose, as in quinModel: exp(lCl + glycoprotein * glyco).
        """
        row = row.astype(int)
        V, ka = np.exp(lV), np.exp(lKa)
        blood = gut = np.zeros(len(row))
        last = self.given[row, 0]
        for j in range(self.amount.shape[1]):
            amount, given, every = (x[row, j] for x in (self.amount, self.given, self.every))
            ke = np.exp(lCl + glycoprotein * self.glyco_then[row, j]) / V
            blood, gut = _later(blood, gut, ka, ke, given - last)
            steady = np.isfinite(every)
            kept = [np.exp(-rate * np.where(steady, every, 1.0)) * steady for rate in (ke, ka)]
            blood = blood + amount * ka / (V * (ka - ke)) * (1 / (1 - kept[0]) - 1 / (1 - kept[1]))
            gut = gut + amount / (V * (1 - kept[1]))
            last = given
        ke = np.exp(lCl + glycoprotein * self.glyco[row]) / V
        return _later(blood, gut, ka, ke, self.time[row] - last)[0]


def _later(blood, gut, ka, ke, elapsed):
    """Return what is in blood and gut after some time."""
    left, unabsorbed = np.exp(-ke * elapsed), np.exp(-ka * elapsed)
    return blood * left + gut * ka / (ka - ke) * (left - unabsorbed), gut * unabsorbed
