"""The SMTP doors, on real sockets."""
