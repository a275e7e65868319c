"""Who can open what: passwords, wrapped account secrets, OpenPGP keys and sealing."""
