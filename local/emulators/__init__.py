"""Wire-level doubles of servers Tessera does not own, each a process of its own with durable state.

They stand in for other people's servers, so they import nothing of `functions` or `shared`.
"""
