"""Garbage: what nobody needs any more, and nobody may miss.

Everything goes in batches, each a transaction of its own, so a run may be stopped anywhere. Rows
go before the bytes they point at: what a crash leaves is bytes without a row, which the last step
of the next run finds.
"""
