"""Configuration files, read into frozen types; unknown keys are refused by name.

A registry's folder holds

    party.toml      what this registry is, where its data are, what it agrees to (its policy)
    identity/       ca.pem, party.pem, party.key, network.toml (from ``upcare network admit``)
    state/          database and socket; made by the node

and the platform's folder the same with ``platform.toml``.
"""

from upcare_mpc.config.data import Calendar, Data, DataFiles, SnapshotFolder, Source, WarehouseTable
from upcare_mpc.config.network import Agreement, PlatformFile, load_agreement, load_platform
from upcare_mpc.config.party import PartyFile, load_data, load_party
from upcare_mpc.config.policy import Certified, Policy

__all__ = [
    "Agreement",
    "Calendar",
    "Certified",
    "Data",
    "DataFiles",
    "PartyFile",
    "PlatformFile",
    "Policy",
    "SnapshotFolder",
    "Source",
    "WarehouseTable",
    "load_agreement",
    "load_data",
    "load_party",
    "load_platform",
]
