"""One file per command; parses arguments, calls one room, prints."""
