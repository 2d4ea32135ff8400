"""Recorded data: schemas, the store, the doors it comes in by, and the tape it leaves as."""
