"""The local store: records in SQLite and contents by hash, both encrypted where asked for."""
