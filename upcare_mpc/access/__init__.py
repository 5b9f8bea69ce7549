"""Papers about keys for sealed records: what is asked, approved, issued, and by which committee."""
