"""The words everyone shares: address, envelope, MIME structure, flags, errors, Secret.

Apart because every room needs them and none may own them. Imports the standard library
only, holds no socket, no file and no clock. Bytes from strangers are turned into typed
values here, so every parser in this room is hostile territory.
"""
