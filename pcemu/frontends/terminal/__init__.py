"""The terminal: the guest's screen over ssh, with the keys that a terminal can send.

==============  ========================================================================================
view.py         the terminal in action: what happens when, between two stretches of guest code
display.py      the one place that imports urwid: cells, events, the terminal's modes
events.py       what happens to a terminal
canvas.py       what is to be seen, as cells: the guest's screen and our own texts over it
keys.py         keys of the terminal to keys of the guest
==============  ========================================================================================
"""
