"""The command line: server verbs and client verbs."""
