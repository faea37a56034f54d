//! Time, processor time and memory of this process.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of the machine's monotonic clock: the same for all processes.
pub fn now_ns() -> u64 {
    read(ClockId::Monotonic)
}

/// Processor time that all threads of this process have used, in nanoseconds, in the kernel included.
pub fn cpu_ns() -> u64 {
    read(ClockId::ProcessCPUTime)
}

fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// Resident memory now, and at its highest, in bytes. Zeros where there is no `/proc`.
pub fn memory_bytes() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib: u64 = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0);
        kib * 1024
    };
    (field("VmRSS:"), field("VmHWM:"))
}
