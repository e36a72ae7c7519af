"""Garbage collection: deletes what is not needed any more.

It deletes in batches, each in a transaction of its own, so a run may be stopped at any time. Rows
are deleted before the bytes that they point at: a crash leaves bytes without a row, which the last
step of the next run finds.
"""
