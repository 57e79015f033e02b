module gcsim/workload

go 1.21
