"""The patients' page of a registry: no account, nothing about a patient elsewhere."""
