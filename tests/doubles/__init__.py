"""Neighbours' doubles: what other people's servers do, in memory. Nothing of ours is doubled here."""
