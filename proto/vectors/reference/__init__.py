"""The Cairn protocol in Python, written from SPEC.md alone. Section numbers are its."""
