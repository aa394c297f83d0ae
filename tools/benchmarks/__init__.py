"""How fast pcemu is, always beside something else that ran on the same machine in the same minute.

A benchmark gives one *sample* at a time: pcemu's figures and, right after, its peers'. Samples of all
benchmarks take turns, and medians are shown, so that what else the machine does meets all alike. What a
processor does alone (interrupts, ports, loops, POST, warm reads) is measured in processor time, everything
else in time of the wall.

``figures.py`` says how samples become figures, ``speed.py`` and ``booting.py`` what is measured and what is
aimed at, ``guests/`` holds the programs that run inside, ``qemu.py`` and ``bare.py`` are the peers.
``drives.py`` does the same for the drives engine without the machine, beside ``qemu_img.py``.
"""
