"""Certify models of repeated measures: every number that SAS and SPSS printed beside ours.

``published`` holds the printed numbers, ``fits`` the models behind them, ``numbers`` the tolerances;
``repeated_measures``, ``bioequivalence``, ``general`` and ``computed`` compute what the runs of a kind print,
``deviations`` names the differences that are known, ``report`` lays the comparison out.
"""
