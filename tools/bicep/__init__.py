"""Bicep without Azure: a reader of its files, and what a deployment of them would declare."""
