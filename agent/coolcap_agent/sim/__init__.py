"""The simulated hall: a file that stands for the hardware, and the process that advances it.

Start with ``hall_layout.py`` (what is in the file) and ``host.py`` (who advances it). Drivers and
clock need ``hall_layout.py`` and ``hall_file.py`` only, which load nothing but numpy.
"""
