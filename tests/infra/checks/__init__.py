"""The cross-checks: what Bicep declares, what the code uses, and what Azure needs, compared."""
