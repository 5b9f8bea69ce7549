"""The patients' page of a registry: no account, no script, nothing about a patient elsewhere."""
