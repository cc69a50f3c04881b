"""The control step of the simulator, compiled: the same rule, shield and encoder as in production.

Start with :mod:`coolcap_envs.compiled.step`. Nothing here decides anything: what is decided stands
in ``contract``, ``safety`` and ``reward`` as functions of numbers or arrays, which
:mod:`coolcap_envs.compiled.shared` makes compilable. This package says in which order they are
called and adds up over groups.
"""
