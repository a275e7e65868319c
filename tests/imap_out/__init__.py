"""The reading door: wire, grammar, session, shell."""
