"""What a release costs: exact laws of noise, guarantees computed from them, and the ledger."""
