"""Many runs, and runs that must not get lost: store, supervisor, workers.

A *run* is a row in the `store`, an SQLite file in a data directory that one coordinator owns.  The `supervisor` leases
queued runs to `worker` processes of its own, hears their heartbeats and progress, and publishes what they computed.
A run may execute more than once (its worker died, the machine lost power) and is published once: the number of its
attempt is the fencing token, and only the coordinator moves a finished dataset into place (`publishing`).

    with Store.open(data_dir) as store, Supervisor(store, workers=2) as supervisor:
        run, created = store.submit(NewRun.of(spec))
        supervisor.wake()
        supervisor.wait([run.id])
        result = load(store.dataset_path(store.get(run.id).dataset_id))

The layout of a data directory::

    lock                     held by the coordinator (flock)
    store.sqlite             runs, sweeps, datasets
    datasets/r-<16 hex>/     published results, immutable; named by the digest of spec, profile and engine version
    profiles/<sha256>.yaml   machine profiles that came inline
    .staging/<run>.<n>/      what attempt n of a run is writing; emptied when a coordinator starts

A sweep's points are ordinary runs with `sweep_id`, `point` and `replication` set: one code path.  A stored sweep (`sweeps`)
may be larger than the queue; the `feeder` moves its runs there as the queue empties, in the plan's order.

``axes`` reads what varies from the command line's words, and ``plan`` expands it into ordered points with stable ids and
the seeds of their replications: a pure function, so that whoever executes it, in whatever order and with however many
workers, gets the same tables.  ``executor`` says what an executor has to do (five methods); the local one is a store and a
supervisor in the sweep's own directory.  ``execute`` drives an executor through a plan and resumes one that was killed.
"""
