"""The reading door: IMAP on a sans-IO wire, a session table and a thin Twisted shell."""
