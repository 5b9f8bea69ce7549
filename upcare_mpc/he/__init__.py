"""Add-only threshold RLWE: vectors that can be added by whoever cannot read them.

    parameters   the ring, the moduli, and what follows from them, as exact bounds
    sampling     ternary, binomial and uniform vectors from given randomness
    ring         products and sums modulo (q, X^N + 1)
    scheme       keys, encryption, sums, decryption shares
    proof        that a submitter knows what is in a ciphertext

Pure: randomness is passed in, nothing is read or written. Not constant time.
"""
