"""Shipped fakes: they pass the same contract suites as the real parts. Only tests import this room."""
