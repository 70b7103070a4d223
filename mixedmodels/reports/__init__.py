"""Printed output in lme4's layout."""
