"""The keys room, against gpg and against packets made by hand."""
