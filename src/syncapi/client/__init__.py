"""The client: a library for programs that keep a local copy, and what the command line runs on."""
