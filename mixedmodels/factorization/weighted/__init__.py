"""The penalized system whose row weights change at every step: refilled, factored, inverted by rows."""
