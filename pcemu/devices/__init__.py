"""The chips of the board, one a file. A device gets an IRQ line, a clock, a drive; never the machine."""
