"""Computing on shares: field, bits, joint noise, opening, and the MPyC engine that runs it.

Only ``engine`` imports MPyC; everything else here is numpy and can be loaded by any process.
"""
