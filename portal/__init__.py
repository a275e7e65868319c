"""The web door: what a mail client cannot do."""
