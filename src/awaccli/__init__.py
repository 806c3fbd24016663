"""awac: a few demonstrations in, a competent robot policy out, every step a file you can check."""

__version__ = "0.1.0"
