"""Consent: what a patient has said, and whether a use of the data is within it.

``model`` is what was said, ``gate`` decides on a ``use``, ``explain`` says the decision in words,
``compile`` turns a permission into a policy for sealed records, ``widening`` compares two answers,
``fhir`` and ``fhir_mii`` exchange them with hospitals. ``duo`` and ``diseases`` are the
vocabularies.

Pure: today is passed in, and nothing here reads a clock, a disk (but for the catalogue of
sentences, which is part of the package) or a network.
"""
