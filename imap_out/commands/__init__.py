"""The commands, a file per group. Each takes the session and its arguments and gives an `Answer`.

Untagged responses are said on the way; a `Refusal` becomes NO or BAD in `session`. Nothing
here knows of sockets, tags or states: the table in `session` does.
"""
