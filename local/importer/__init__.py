"""Event documents from a file into a running Tessera, through its public API."""
