//! The C library's allocator, told how much memory a process may use: the one module of this crate with `unsafe`.
//!
//! glibc gives threads arenas of their own, eight a core, and each keeps what its threads have freed. Under a small limit
//! that is a large part of it: a sort in 64 MiB by two threads was measured with 55 to 73 MiB, and with 44 in one arena,
//! at the same speed. So there is an arena for every 256 MiB of the limit, and no more than there would be without one.

/// Bytes of the limit for each arena.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const ARENA: u64 = 256 << 20;

/// Bounds what the allocator keeps, by the memory limit in bytes. Called before the threads of a run start.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn bound(limit: u64) {
    const M_ARENA_MAX: i32 = -8;
    unsafe extern "C" {
        fn mallopt(parameter: i32, value: i32) -> i32;
    }
    let usual = std::thread::available_parallelism().map_or(8, |cores| 8 * cores.get() as u64);
    let arenas = (limit / ARENA).clamp(1, usual) as i32;
    // SAFETY: glibc's own function with its documented signature; it takes the allocator's lock and writes a number.
    let _ = unsafe { mallopt(M_ARENA_MAX, arenas) };
}

/// Other allocators have no such arenas.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn bound(_: u64) {}
