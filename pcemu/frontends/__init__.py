"""What shows the screen and takes the keys.

==============  ========================================================================================
window/         the guest's screen in a window (pygame)
terminal/       the guest's screen in a terminal (urwid)
view.py         what both are to whoever runs the machine
interactive.py  what both are to the user: menu, questions, messages, status
events.py       what happens to both
controls.py     what both may see of the session and do to it
actions.py      what the host key and the menu can do
panels.py       menu, help, question: modal boxes of text, for keyboard and mouse
status.py       the line at the bottom
cells.py        text of our own: characters and attributes
prompt.py       questions and answers
picture.py      the screen drawn dot by dot
serial.py       host ends of the serial port
==============  ========================================================================================
"""
