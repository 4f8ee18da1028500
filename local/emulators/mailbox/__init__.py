"""A mailbox that accepts every mail and shows it, and remembers which came more than once."""
