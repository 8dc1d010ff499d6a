//! Which endings call for a restart, and when it happens.

use std::time::Duration;

use crate::exit::{Ending, Exit};
use crate::signal::Signal;
use crate::spec::{Kind, RestartPolicy, RestartSpec};

/// What becomes of a service that ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is started again.
    Restart,
    /// It rests: it ended well.
    Rest,
    /// It has failed.
    Fail,
    /// It was not to be started.
    Skip,
}

/// Whether an exit counts as success (`systemd.service(5)`, `SuccessExitStatus=`): status 0, one
/// that the spec lists, or, for what runs long, death by a signal that means "please end". A core
/// dump is a success only where its signal is listed.
pub(crate) fn is_clean(exit: Exit, kind: Kind, spec: &RestartSpec) -> bool {
    const POLITE: [Signal; 4] = [Signal::HUP, Signal::INT, Signal::TERM, Signal::PIPE];
    spec.success_exit.contains(exit)
        || match exit {
            Exit::Code(code) => code == 0,
            Exit::Signal { signal, core } => {
                kind != Kind::Oneshot && !core && POLITE.contains(&signal)
            }
            Exit::Unknown => false,
        }
}

/// What becomes of a service that ended like this, by itself.
pub(crate) fn verdict(ending: &Ending, kind: Kind, spec: &RestartSpec) -> Verdict {
    if matches!(ending, Ending::Unmet { .. }) {
        return Verdict::Skip;
    }
    let exit = ending.exit();
    let failed = matches!(ending, Ending::Unsettled(_));
    // What nobody can tell of counts as well (as in systemd, where only the cgroup is empty).
    let clean = exit.map_or(*ending == Ending::Emptied, |exit| is_clean(exit, kind, spec));
    let clean = clean && !failed;
    let rest = if clean { Verdict::Rest } else { Verdict::Fail };
    if let Some(exit) = exit {
        if spec.prevent_exit.contains(exit) {
            return rest;
        }
        if spec.force_exit.contains(exit) && !(kind == Kind::Oneshot && clean) {
            return Verdict::Restart;
        }
    }
    let by_signal = match ending {
        Ending::Exited(exit) | Ending::CommandFailed(_, exit) => {
            matches!(exit, Exit::Signal { .. }) && !clean
        }
        Ending::Unsettled(_)
        | Ending::SpawnFailed(_)
        | Ending::StartTimeout
        | Ending::RuntimeMax
        | Ending::Watchdog
        | Ending::Protocol
        | Ending::CommandNotStarted(..)
        | Ending::Unmet { .. }
        | Ending::NothingLeft
        | Ending::Emptied
        | Ending::Unhealthy => false,
    };
    let abnormal = match ending {
        Ending::StartTimeout
        | Ending::RuntimeMax
        | Ending::Watchdog
        | Ending::Protocol
        | Ending::Unsettled(_)
        | Ending::NothingLeft
        | Ending::Unhealthy => true,
        Ending::Exited(_)
        | Ending::SpawnFailed(_)
        | Ending::CommandFailed(..)
        | Ending::CommandNotStarted(..)
        | Ending::Unmet { .. }
        | Ending::Emptied => false,
    };
    let restart = match spec.policy {
        RestartPolicy::No => false,
        RestartPolicy::Always => true,
        RestartPolicy::OnSuccess => clean,
        RestartPolicy::OnFailure => !clean,
        RestartPolicy::OnAbnormal => by_signal || abnormal,
        RestartPolicy::OnAbort => by_signal,
        RestartPolicy::OnWatchdog => matches!(ending, Ending::Watchdog),
    };
    if restart { Verdict::Restart } else { rest }
}

/// The delay before the `attempt`-th restart in a row (from 1): `delay × factor^(attempt-1)`, at
/// most `max_delay`, then longer or shorter by up to the share `jitter`; `random` is in 0..1.
pub(crate) fn delay(spec: &RestartSpec, attempt: u32, random: f64) -> Duration {
    // Zero times infinity is no number.
    if spec.delay.is_zero() {
        return Duration::ZERO;
    }
    let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
    let longest = spec.max_delay.max(spec.delay).as_secs_f64();
    let seconds = (spec.delay.as_secs_f64() * spec.factor.max(1.0).powi(exponent)).min(longest);
    let jittered = seconds * (1.0 + spec.jitter.clamp(0.0, 1.0) * (2.0 * random - 1.0));
    Duration::try_from_secs_f64(jittered).unwrap_or(spec.max_delay)
}

/// A small generator for jitter (xorshift64*), so that a run is determined by its seed.
#[derive(Clone, Debug)]
pub(crate) struct Jitter(u64);

impl Jitter {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// The next number in 0..1.
    pub(crate) fn next(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32;
        f64::from(u32::try_from(bits).unwrap_or(0)) / f64::from(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::{ExitSet, SpawnError};

    /// Rows of the table in `systemd.service(5)`, columns in the order of `RestartPolicy`.
    #[test]
    fn the_policies_decide_as_documented() {
        use RestartPolicy::{Always, No, OnAbnormal, OnAbort, OnFailure, OnSuccess, OnWatchdog};
        let signal = |signal, core| Ending::Exited(Exit::Signal { signal, core });
        let pre_start = crate::ControlCommand::PreStart(0);
        let command = |exit| Ending::CommandFailed(pre_start, exit);
        let policies = [No, Always, OnSuccess, OnFailure, OnAbnormal, OnAbort, OnWatchdog];
        let spawn = SpawnError { step: "exec", errno: 2, message: String::new() };
        for (ending, restarts, clean) in [
            (Ending::Exited(Exit::Code(0)), [0, 1, 1, 0, 0, 0, 0], true),
            (signal(Signal::TERM, false), [0, 1, 1, 0, 0, 0, 0], true),
            (Ending::Exited(Exit::Code(1)), [0, 1, 0, 1, 0, 0, 0], false),
            (Ending::SpawnFailed(spawn.clone()), [0, 1, 0, 1, 0, 0, 0], false),
            (command(Exit::Code(1)), [0, 1, 0, 1, 0, 0, 0], false),
            (
                command(Exit::Signal { signal: Signal::TERM, core: false }),
                [0, 1, 0, 1, 1, 1, 0],
                false,
            ),
            (Ending::CommandNotStarted(pre_start, spawn), [0, 1, 0, 1, 0, 0, 0], false),
            (signal(Signal::KILL, false), [0, 1, 0, 1, 1, 1, 0], false),
            (signal(Signal::TERM, true), [0, 1, 0, 1, 1, 1, 0], false),
            (Ending::StartTimeout, [0, 1, 0, 1, 1, 0, 0], false),
            (Ending::RuntimeMax, [0, 1, 0, 1, 1, 0, 0], false),
            (Ending::Protocol, [0, 1, 0, 1, 1, 0, 0], false),
            (Ending::Unsettled(Exit::Code(0)), [0, 1, 0, 1, 1, 0, 0], false),
            (Ending::Watchdog, [0, 1, 0, 1, 1, 0, 1], false),
            (Ending::NothingLeft, [0, 1, 0, 1, 1, 0, 0], false),
            (Ending::Unhealthy, [0, 1, 0, 1, 1, 0, 0], false),
            (Ending::Emptied, [0, 1, 1, 0, 0, 0, 0], true),
        ] {
            for (policy, restart) in policies.into_iter().zip(restarts) {
                let spec = RestartSpec { policy, ..RestartSpec::default() };
                let expected = match (restart, clean) {
                    (1, _) => Verdict::Restart,
                    (_, true) => Verdict::Rest,
                    (_, false) => Verdict::Fail,
                };
                assert_eq!(verdict(&ending, Kind::Simple, &spec), expected, "{ending} {policy:?}");
            }
        }
    }

    #[test]
    fn exit_lists_come_before_the_policy() {
        let set = |codes: &[u8]| ExitSet { codes: codes.to_vec(), signals: vec![Signal::ABRT] };
        let spec = RestartSpec {
            policy: RestartPolicy::OnFailure,
            success_exit: set(&[3]),
            prevent_exit: ExitSet { codes: vec![4], signals: vec![] },
            force_exit: ExitSet { codes: vec![0, 5], signals: vec![] },
            ..RestartSpec::default()
        };
        let decide = |code, kind| verdict(&Ending::Exited(Exit::Code(code)), kind, &spec);
        assert_eq!(decide(3, Kind::Simple), Verdict::Rest);
        assert_eq!(decide(4, Kind::Simple), Verdict::Fail);
        assert_eq!(decide(0, Kind::Simple), Verdict::Restart);
        assert_eq!(decide(0, Kind::Oneshot), Verdict::Rest);
        let dump = Exit::Signal { signal: Signal::ABRT, core: true };
        assert!(is_clean(dump, Kind::Simple, &spec), "a listed signal is clean, dumped or not");
    }

    #[test]
    fn delays_grow_to_the_maximum_and_jitter_stays_within_its_share() {
        let spec = RestartSpec { jitter: 0.0, ..RestartSpec::default() };
        let millis = |attempt| delay(&spec, attempt, 0.3).as_millis();
        assert_eq!([millis(1), millis(2), millis(3)], [100, 200, 400]);
        assert_eq!([millis(10), millis(u32::MAX)], [30_000, 30_000]);
        let spec = RestartSpec { jitter: 0.1, ..spec };
        let mut jitter = Jitter::new(7);
        for _ in 0..1_000 {
            let millis = delay(&spec, 1, jitter.next()).as_micros();
            assert!((90_000..=110_000).contains(&millis), "{millis}");
        }
        let none = RestartSpec { delay: Duration::ZERO, factor: f64::MAX, ..spec };
        assert_eq!(delay(&none, u32::MAX, 0.5), Duration::ZERO);
    }
}
