"""Replicate published tables: every number beside ours, with the difference and a verdict.

``published`` holds the printed numbers, ``fits`` the models behind them, ``quantities`` the rules that
turn a printed quantity's name into a number of ours, ``report`` the comparison and its layout.
"""
