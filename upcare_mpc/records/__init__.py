"""What a registry knows: one frozen record per tumour, in one model for all source formats."""
