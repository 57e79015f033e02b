"""The numbers built into Go's memory manager, each with its origin.

All of them are `derived`: read in the sources (file and identifier beside each) and the same from Go 1.19 to 1.27
unless a comment says otherwise. What does differ by release is in `releases.py`.
"""

from __future__ import annotations

from typing import Final

KIB: Final = 1 << 10
MIB: Final = 1 << 20

# runtime/mgcpacer.go: gcBackgroundUtilization, gcGoalUtilization. Share of GOMAXPROCS that marking is to use; the two
# are equal since Go 1.18, so that assists are meant to be needed only when the estimates were wrong.
BACKGROUND_UTILIZATION_FRAC: Final = 0.25
GOAL_UTILIZATION_FRAC: Final = 0.25

# runtime/mgcpacer.go: maxUtilError in startCycle. Rounding of the dedicated workers tolerated without a fractional one.
MAX_UTILIZATION_ERROR_FRAC: Final = 0.3

# runtime/mgcpacer.go: gcCreditSlack. Scan work gathered by a worker before the shared counters see it.
CREDIT_SLACK_BYTES: Final = 2000
# runtime/mgcpacer.go: gcAssistTimeSlack. Assist time gathered on a P before the controller and the limiter see it.
ASSIST_TIME_SLACK_NS: Final = 5000
# runtime/mgcpacer.go: gcOverAssistWork. Least scan work of one assist, to amortise its overhead.
OVER_ASSIST_WORK_BYTES: Final = 64 * KIB
# runtime/mgcpacer.go: maxStackScanSlack. Change of allocated stack gathered on a P before the controller sees it.
MAX_STACK_SCAN_SLACK_BYTES: Final = 8 * KIB

# runtime/mgcpacer.go: defaultHeapMinimum. Least heap goal at GOGC=100 (512 KiB only in a specially built toolchain).
DEFAULT_HEAP_MINIMUM_BYTES: Final = 4 * MIB
# runtime/mgc.go: sweepMinHeapDistance. Room the sweeper gets between heap live and the next trigger.
SWEEP_MIN_HEAP_DISTANCE_BYTES: Final = MIB
# runtime/mgcpacer.go: minRunway in heapGoalInternal. Least distance from the trigger to the goal while marking.
MIN_RUNWAY_BYTES: Final = 64 * KIB
# runtime/mgcpacer.go: triggerRatioDen, minTriggerRatioNum (~0.70), maxTriggerRatioNum (~0.95). Bounds of the trigger on
# the way from heap marked to goal; a power of two below, so that Go divides by a shift.
TRIGGER_RATIO_DEN: Final = 64
MIN_TRIGGER_RATIO_NUM: Final = 45
MAX_TRIGGER_RATIO_NUM: Final = 61
# runtime/mgcpacer.go: maxOvershoot in revise. How far past the soft goal the hard one lies.
MAX_OVERSHOOT: Final = 1.1
# runtime/mgcpacer.go: revise. Least scan work assumed to remain, so that the ratio stays positive.
MIN_SCAN_WORK_REMAINING_BYTES: Final = 1000
# runtime/mgcpacer.go: revise. Stands in for GOGC when it is off and a collection was forced.
GOGC_WHEN_OFF_PERCENT: Final = 100000
# runtime/mgcpacer.go: memoryLimitMinHeapGoalHeadroom (1.19: memoryLimitHeapGoalHeadroom). Kept free below the limit.
MEMORY_LIMIT_MIN_HEADROOM_BYTES: Final = MIB

# runtime/mgclimit.go: gcCPULimiterUpdatePeriod, capacityPerProc.
LIMITER_UPDATE_PERIOD_NS: Final = 10_000_000
LIMITER_CAPACITY_PER_PROC_CPU_NS: Final = 1_000_000_000

# runtime/mgcscavenge.go: scavengePercent, retainExtraPercent, reduceExtraPercent.
SCAVENGE_PERCENT: Final = 1
SCAVENGE_RETAIN_EXTRA_PERCENT: Final = 10
SCAVENGE_REDUCE_EXTRA_PERCENT: Final = 5

# runtime/proc.go: forcegcperiod. A cycle is forced when none has run for this long.
FORCE_GC_PERIOD_NS: Final = 120_000_000_000

# runtime/mgcmark.go: drainCheckThreshold, maxObletBytes, rootBlockBytes.
DRAIN_CHECK_THRESHOLD_BYTES: Final = 100_000
MAX_OBLET_BYTES: Final = 128 * KIB
ROOT_BLOCK_BYTES: Final = 256 * KIB
# runtime/mgc.go: pollFractionalWorkerExit. A fractional worker leaves above this multiple of its share.
FRACTIONAL_EXIT_FACTOR: Final = 1.2

# runtime/malloc.go, internal/runtime/gc: PageSize, PtrSize, TinySize, MaxSmallSize; linux/amd64 page.
PAGE_BYTES: Final = 8 * KIB
PTR_BYTES: Final = 8
PHYS_PAGE_BYTES: Final = 4 * KIB
TINY_BYTES: Final = 16
MAX_SMALL_BYTES: Final = 32 * KIB
# internal/runtime/gc/malloc.go: MallocHeaderSize, MinSizeForMallocHeader (exclusive). Since Go 1.22.
MALLOC_HEADER_BYTES: Final = 8
MIN_SIZE_FOR_MALLOC_HEADER_BYTES: Final = 512
