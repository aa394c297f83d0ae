"""The window: the guest's screen on the host's display, with the host's keyboard and mouse.

==============  ========================================================================================
view.py         the window itself: what happens when, between two stretches of guest code
screen.py       what the view needs of a display
display.py      the one place that imports pygame: surfaces, events, clipboard
painter.py      the guest's screen, drawn cell by cell where it changed
layout.py       where picture and status line are in a window of any size
keys.py         scan codes of the host to keys of the guest; the host key
selection.py    text marked with the mouse
==============  ========================================================================================
"""
