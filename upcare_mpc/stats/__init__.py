"""Statistics in the clear, from individual data: the oracles that ``kinds`` are held to.

Plain and slow on purpose, and sharing no code with what they test.
"""
