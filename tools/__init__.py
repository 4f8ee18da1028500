"""What helps to build and deliver Tessera, and is never deployed."""
