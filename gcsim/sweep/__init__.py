"""Sweeps: many settings of one spec, each run several times, and one table of what came out.

``axes`` reads what varies from the command line's words, ``plan`` expands it into ordered points with stable ids and
the seeds of their replications: a pure function, so that whoever executes it, in whatever order and with however many
workers, gets the same tables.  ``executor`` says what an executor has to do (five methods), ``local`` does it with
processes on this machine, ``execute`` drives one through a plan and keeps what is done in the sweep's directory.

The directory is the record: a run that is there is done, because runs are published by renaming.  Nothing else has to
be consistent with it, so a sweep that was killed goes on from whatever is there.
"""
