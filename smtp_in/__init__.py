"""The doors for incoming SMTP: submission by members, relay-in by the organisation."""
