"""Programs that show what can be made of pcemu; each is run with ``python -m``."""
