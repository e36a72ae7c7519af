"""The documents of the demo tenant: real files of many kinds, made by arithmetic."""
