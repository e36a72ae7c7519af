"""What wraps the data key of an encrypted store."""


class Key:
    """A key from a keyring, a file or a passphrase."""
