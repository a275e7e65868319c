"""The maildir-like store with its sealed index, account records, spool and audit log."""
