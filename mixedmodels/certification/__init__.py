"""Certify models of repeated measures: every number that SAS and SPSS printed beside ours.

``published`` holds the printed numbers, ``data`` and ``fits`` the models behind them, ``numbers`` the tolerances;
``repeated_measures``, ``bioequivalence`` and ``general`` compute what the runs of each kind print, ``deviations``
names the differences that are known, ``report`` lays the comparison out.
"""
