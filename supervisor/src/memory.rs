//! Memory that was needed once.

/// Gives what loading the spec has left free back to the kernel. The daemon runs for months in what
/// it needs then, and a spec of 500 services leaves more than a megabyte behind.
pub(crate) fn give_back() {
    #[cfg(target_env = "gnu")]
    {
        #[expect(unsafe_code, reason = "there is no safe call for it")]
        // SAFETY: it takes no pointer and may be called at any time, by any thread.
        let _whether_there_was_any = unsafe { libc::malloc_trim(0) };
    }
}
