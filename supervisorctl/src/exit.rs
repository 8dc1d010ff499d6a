//! The exit statuses, all in one table.

/// How a command line ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All well.
    Ok,
    /// Failed, in whole or in part.
    Failed,
    /// The command line makes no sense.
    Usage,
    /// `status`: a listed service is stopped, exited or failed.
    Down,
    /// `status`: the state is not known.
    Unknown,
    /// This user may not.
    Denied,
    /// The service is not running or did not come up.
    NotRunning,
    /// Nobody answers.
    Unreachable,
    /// `--timeout` is over.
    TimedOut,
    /// Ctrl-C.
    Interrupted,
    /// Whoever read our output has gone.
    BrokenPipe,
    /// The status of the program that was run.
    Program(u8),
}

impl Exit {
    /// All but [`Self::Program`], in the order of their codes.
    const TABLE: [Self; 11] = [
        Self::Ok,
        Self::Failed,
        Self::Usage,
        Self::Down,
        Self::Unknown,
        Self::Denied,
        Self::NotRunning,
        Self::Unreachable,
        Self::TimedOut,
        Self::Interrupted,
        Self::BrokenPipe,
    ];

    /// The exit status, and what it means.
    const fn row(self) -> (u8, &'static str) {
        match self {
            Self::Ok => (0, "all well; what was asked for is so"),
            Self::Failed => (1, "failed, in whole or in part; no such service"),
            Self::Usage => (2, "the command line makes no sense; no such group to start"),
            Self::Down => (3, "status: a listed service is stopped, exited or failed"),
            Self::Unknown => (4, "status: no such service, or the daemon cannot be reached"),
            Self::Denied => (4, "permission denied"),
            Self::NotRunning => (7, "the service is not running or did not come up"),
            Self::Unreachable => (7, "the daemon cannot be reached"),
            Self::TimedOut => (124, "--timeout is over; the daemon goes on"),
            Self::Interrupted => (130, "interrupted while waiting; the daemon goes on"),
            Self::BrokenPipe => (141, "whoever read the output has gone"),
            Self::Program(status) => (status, "the status of the program that was run"),
        }
    }

    /// The exit status.
    pub(crate) const fn code(self) -> u8 {
        self.row().0
    }

    /// `help exit-codes`.
    pub(crate) fn help() -> String {
        let rows = Self::TABLE.map(|exit| {
            let (code, meaning) = exit.row();
            format!("{code:>5}  {meaning}")
        });
        format!("Exit statuses:\n{}", rows.join("\n"))
    }

    /// Of several, Supervisor answers the last that is not well.
    pub(crate) fn then(self, next: Self) -> Self {
        if next == Self::Ok { self } else { next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_the_one_in_the_manual() {
        insta::assert_snapshot!(Exit::help(), @r"
        Exit statuses:
            0  all well; what was asked for is so
            1  failed, in whole or in part; no such service
            2  the command line makes no sense; no such group to start
            3  status: a listed service is stopped, exited or failed
            4  status: no such service, or the daemon cannot be reached
            4  permission denied
            7  the service is not running or did not come up
            7  the daemon cannot be reached
          124  --timeout is over; the daemon goes on
          130  interrupted while waiting; the daemon goes on
          141  whoever read the output has gone
        ");
        assert_eq!(Exit::Program(42).code(), 42);
    }

    #[test]
    fn the_last_failure_wins() {
        assert_eq!(Exit::Failed.then(Exit::Ok), Exit::Failed);
        assert_eq!(Exit::Failed.then(Exit::NotRunning), Exit::NotRunning);
        assert_eq!(Exit::Ok.then(Exit::Ok), Exit::Ok);
    }
}
