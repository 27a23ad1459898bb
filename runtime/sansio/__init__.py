"""The pure half of the runtime: values, the turn machine, and the contract of mode drivers.

Nothing here waits, reads a clock, draws a random number or touches a file: what a turn needs from outside it asks for
through effects (`lash.runtime.sansio.effects`) and is told through responses.
"""
